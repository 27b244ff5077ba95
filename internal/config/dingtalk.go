package config

import (
	"strings"
	"time"
)

// DingTalk is an internal app of a DingTalk organisation.
type DingTalk struct {
	API         string   `yaml:"api"`
	OAPI        string   `yaml:"oapi"`
	AppKey      string   `yaml:"app_key"`
	AppSecret   Source   `yaml:"app_secret"`
	Timeout     Duration `yaml:"timeout"` // of one HTTP exchange
	NicknameMax int      `yaml:"nickname_max"`
	// IDResendAfter is how long an ID change with an unknown outcome waits before it is
	// sent again.
	IDResendAfter Duration `yaml:"id_resend_after"`
	// LateResendAfter is how long the platform may still carry out a request that was
	// given up. Values that it may have overwritten are sent again then; 0: they are not.
	LateResendAfter Duration   `yaml:"late_resend_after"`
	Limits          KindLimits `yaml:"limits"`
}

var dingTalkKeys = append([]key{
	{path: "organisations[].tenants[].dingtalk", one: "platform", doc: "An internal app. Both addresses belong to the region of the app, `.com` or `.io`; its credentials are unknown in the other. The limits' default is what the standard edition allows an app at each API ([call frequency](https://open.dingtalk.com/document/development/call-frequency-limit))."},
	{path: "organisations[].tenants[].dingtalk.api", required: true, eg: `https://api.dingtalk.io`, doc: "the newer host, `https://api.dingtalk.io` or `.com`. Plain http is accepted for a loopback address only"},
	{path: "organisations[].tenants[].dingtalk.oapi", required: true, eg: `https://oapi.dingtalk.io`, doc: "the older host, `https://oapi.dingtalk.io` or `.com`"},
	{path: "organisations[].tenants[].dingtalk.app_key", required: true, eg: `dingabc123`, doc: "\"Client ID\" in the developer console"},
	{path: "organisations[].tenants[].dingtalk.app_secret", required: true, doc: "\"Client Secret\" in the developer console"},
	{path: "organisations[].tenants[].dingtalk.timeout", def: "15s", doc: "timeout of one HTTP exchange, 1 s to 2 min"},
	{path: "organisations[].tenants[].dingtalk.nickname_max", def: "30", min: 30, max: 200, doc: "longest nickname in characters, 30 to 200; producers reject longer ones"},
	{path: "organisations[].tenants[].dingtalk.id_resend_after", def: "5m", doc: "how long an ID change with an unknown outcome waits before the same ID is sent again, 1 s to 24 h. Use less than some minutes only for trials: the abandoned request may still reach the platform"},
	{path: "organisations[].tenants[].dingtalk.late_resend_after", def: "5m", doc: "how long the platform may still carry out a request that was given up, 1 s to 24 h. A nickname or group attribute that was applied after such a request is sent once more when this time is over and the lane is idle; see [late requests](guarantees.md#late-requests-and-frozen-processes). `0s`: it is not sent again. Use less than some minutes only for trials"},
}, limitKeys("dingtalk")...)

func (a *DingTalk) describe() Platform {
	p := Platform{
		Name: "dingtalk", Title: "DingTalk", Secret: a.AppSecret.Value, Timeout: time.Duration(a.Timeout),
		Lanes:   lanesOf("dingtalk", a.Limits),
		Metered: true, NicknameMax: a.NicknameMax,
	}
	if a.AppKey != "" {
		host := hostOf(a.API)
		if r := region(host); r != "" {
			host = r
		}
		p.Account = "dingtalk " + host + " " + a.AppKey
	}
	return p
}

func (a *DingTalk) judge(d *document, path []any) {
	d.platform(under(path, "api"), a.API, "https://api.dingtalk.io")
	d.platform(under(path, "oapi"), a.OAPI, "https://oapi.dingtalk.io")
	d.hosts(path, a)
	d.secret(under(path, "app_secret"), &a.AppSecret)
	d.timeout(under(path, "timeout"), a.Timeout)
	d.within(under(path, "id_resend_after"), a.IDResendAfter, time.Second, 24*time.Hour)
	if rest := a.LateResendAfter; rest != 0 && (time.Duration(rest) < time.Second || time.Duration(rest) > 24*time.Hour) {
		d.report(under(path, "late_resend_after"), "is %s; it must be 0s, which turns it off, or 1s to 24h", rest)
	}
}

func (a *DingTalk) takeOver(t *Tenant, from Tenant, sameAccount bool) {
	if from.DingTalk == nil {
		return
	}
	next := *a
	next.Limits = from.DingTalk.Limits
	if sameAccount {
		next.AppSecret = from.DingTalk.AppSecret
	}
	t.DingTalk = &next
}

// hosts checks that both addresses of an app belong together.
func (d *document) hosts(path []any, app *DingTalk) {
	newer, older := hostOf(app.API), hostOf(app.OAPI)
	switch {
	case strings.HasPrefix(newer, "oapi.") && region(newer) != "":
		d.report(under(path, "api"), "is the older host, %s, which belongs under oapi; write https://api.%s", newer, region(newer))
	case strings.HasPrefix(older, "api.") && region(older) != "":
		d.report(under(path, "oapi"), "is the newer host, %s, which belongs under api; write https://oapi.%s", older, region(older))
	}
	if a, b := region(newer), region(older); a != "" && b != "" && a != b {
		d.report(under(path, "oapi"), "is in %s and api in %s; an app belongs to one region, so write both with .com or both with .io", b, a)
	}
}

// region returns the platform's domain that a host belongs to, or "".
func region(host string) string {
	for _, domain := range []string{"dingtalk.com", "dingtalk.io"} {
		if host == domain || strings.HasSuffix(host, "."+domain) {
			return domain
		}
	}
	return ""
}

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
	LateResendAfter Duration       `yaml:"late_resend_after"`
	Limits          DingTalkLimits `yaml:"limits"`
}

// DingTalkLimits are the rates that the platform allows an app at each API.
type DingTalkLimits struct {
	Nickname Limits `yaml:"nickname"`
	Group    Limits `yaml:"group"`
	ID       Limits `yaml:"id"`
}

func (a *DingTalk) describe() Platform {
	p := Platform{
		Name: "dingtalk", Title: "DingTalk", Secret: a.AppSecret.Value, Timeout: time.Duration(a.Timeout),
		Lanes:   []Lane{{"nickname", a.Limits.Nickname}, {"group", a.Limits.Group}, {"id", a.Limits.ID}},
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

func (a *DingTalk) judge(d *document, path []any, c *Config) {
	d.platform(under(path, "api"), a.API, "https://api.dingtalk.io", c)
	d.platform(under(path, "oapi"), a.OAPI, "https://oapi.dingtalk.io", c)
	d.hosts(path, a)
	d.secret(under(path, "app_secret"), &a.AppSecret)
	d.timeout(under(path, "timeout"), a.Timeout, c.StopTimeout)
	if rest := a.IDResendAfter; time.Duration(rest) < time.Second || time.Duration(rest) > 24*time.Hour {
		d.report(under(path, "id_resend_after"), "is %s; it must be 1s to 24h", rest)
	}
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

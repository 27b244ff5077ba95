package config

import (
	"net/url"
	"strings"
	"time"
)

// MaxTimeout is the longest HTTP timeout that fits into the deadline of an attempt.
const MaxTimeout = 2 * time.Minute

// judge reports what is wrong with values of the right form, and reads the secrets.
func (d *document) judge(c *Config) {
	// The minimum for the shortest timeout. The tenants' own timeouts are checked
	// below.
	if least := time.Second + StopMargin; time.Duration(c.StopTimeout) <= least {
		d.sayOnce(under(nil, "stop_timeout"), "is %s; it must be more than %s, the time of the shortest call and its settle",
			c.StopTimeout, Duration(least))
	}
	d.redis(&c.Redis)
	d.http(&c.HTTP)
	if keep := time.Duration(c.DeadLetters.Keep); keep != 0 && keep < 24*time.Hour {
		d.sayOnce(under(nil, "dead_letters", "keep"), "is %s; it must be 0s (no limit), or 24h or more", c.DeadLetters.Keep)
	}
	d.egress(under(nil, "egress"), c.Egress)
	seen := map[string]bool{}
	apps := map[string]string{} // credentials → tenant
	for i := range c.Organisations {
		org := &c.Organisations[i]
		path := under(nil, "organisations", i)
		d.once(seen, "organisation", org.Name, under(path, "name"), "put the tenants of both under one")
		for k := range org.Tenants {
			t := &org.Tenants[k]
			tpath := under(path, "tenants", k)
			d.once(seen, "tenant", t.Name, under(tpath, "name"), "queues are named after a tenant, so choose another name")
			d.tenant(tpath, t, c)
			if app := t.app(); app != "" {
				if other, taken := apps[app]; taken {
					d.say(tpath, "is the same app as tenant %s; the platform counts their calls together, so keep one", other)
				}
				apps[app] = t.Name
			}
		}
	}
	for i := range c.Schedules {
		s := &c.Schedules[i]
		path := under(nil, "schedules", i)
		d.once(seen, "schedule", s.Name, under(path, "name"), "choose another name")
		d.schedule(path, s, c)
	}
}

// once rejects a name that another thing of its kind has. An empty name was already
// reported.
func (d *document) once(seen map[string]bool, kind, name string, path []any, do string) {
	if name != "" && seen[kind+" "+name] {
		d.say(path, "is taken by another %s of this file; %s", kind, do)
	}
	seen[kind+" "+name] = true
}

// app identifies the credentials, by which the platform counts calls.
func (t *Tenant) app() string {
	switch {
	case t.DingTalk != nil && t.DingTalk.AppKey != "":
		host := hostOf(t.DingTalk.API)
		if r := region(host); r != "" {
			host = r
		}
		return "dingtalk " + host + " " + t.DingTalk.AppKey
	case t.ClassIn != nil && t.ClassIn.SID != "":
		return "classin " + hostOf(t.ClassIn.BaseURL) + " " + t.ClassIn.SID
	}
	return ""
}

func (d *document) tenant(path []any, t *Tenant, c *Config) {
	if app := t.DingTalk; app != nil {
		path := under(path, "dingtalk")
		d.platform(under(path, "api"), app.API, "https://api.dingtalk.io", c)
		d.platform(under(path, "oapi"), app.OAPI, "https://oapi.dingtalk.io", c)
		d.hosts(path, app)
		d.secret(under(path, "app_secret"), &app.AppSecret)
		d.timeout(under(path, "timeout"), app.Timeout, c.StopTimeout)
		if rest := app.IDResendAfter; time.Duration(rest) < time.Second || time.Duration(rest) > 24*time.Hour {
			d.say(under(path, "id_resend_after"), "is %s; it must be 1s to 24h", rest)
		}
		d.laneLimits(path, t)
	}
	if school := t.ClassIn; school != nil {
		path := under(path, "classin")
		d.platform(under(path, "base_url"), school.BaseURL, "https://api.eeo.cn", c)
		d.secret(under(path, "secret"), &school.Secret)
		d.timeout(under(path, "timeout"), school.Timeout, c.StopTimeout)
		d.laneLimits(path, t)
	}
}

func (d *document) laneLimits(path []any, t *Tenant) {
	for _, lane := range t.Lanes() {
		d.limits(under(path, "limits", lane.Kind), lane.Limits)
	}
}

// hosts checks that both addresses of an app belong together.
func (d *document) hosts(path []any, app *DingTalk) {
	newer, older := hostOf(app.API), hostOf(app.OAPI)
	switch {
	case strings.HasPrefix(newer, "oapi.") && region(newer) != "":
		d.say(under(path, "api"), "is the older host, %s, which belongs under oapi; write https://api.%s", newer, region(newer))
	case strings.HasPrefix(older, "api.") && region(older) != "":
		d.say(under(path, "oapi"), "is the newer host, %s, which belongs under api; write https://oapi.%s", older, region(older))
	}
	if a, b := region(newer), region(older); a != "" && b != "" && a != b {
		d.say(under(path, "oapi"), "is in %s and api in %s; an app belongs to one region, so write both with .com or both with .io", b, a)
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

func hostOf(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Host)
}

// platform checks a base URL. A worker with an embedded Redis, which loses everything,
// may only call a platform on this machine. A text that is not a URL is not shown: it
// may contain a password.
func (d *document) platform(path []any, base, example string, c *Config) {
	u, err := url.Parse(base)
	switch {
	case err != nil || u.Hostname() == "":
		d.say(path, "is not a URL; write it as in %s", example)
	case u.User != nil:
		d.say(path, "contains a user name, which is not used; remove it")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		d.say(path, "contains more than an address; remove the part after the ? or #")
	case u.Scheme == "http" && !isLoopback(u.Host):
		d.say(path, "begins with http:// so anyone on the network could read the credentials; write https://%s", u.Host)
	case u.Scheme != "http" && u.Scheme != "https":
		d.say(path, "begins with %s://; write https://%s", shortened(u.Scheme), u.Host)
	case c.Redis.Embedded != "" && !isLoopback(u.Host):
		d.say(path, "is a real platform, but the embedded Redis loses on every restart what was done there; "+
			"configure a real Redis with redis.url")
	}
}

func (d *document) secret(path []any, s *Source) {
	if s.IsZero() {
		return // already reported, or not required
	}
	value, err := s.read(d.getenv, d.dir)
	if err != nil {
		d.say(path, "%v", err)
		return
	}
	s.Value = value
}

// timeout checks the length of one exchange, which a stop must wait for.
func (d *document) timeout(path []any, length, stop Duration) {
	longest := time.Duration(length) + StopMargin
	switch {
	case time.Duration(length) < time.Second || time.Duration(length) > MaxTimeout:
		d.say(path, "is %s; it must be 1s to %s", length, Duration(MaxTimeout))
	case stop > Duration(time.Second+StopMargin) && longest >= time.Duration(stop):
		d.say(path, "is %s, and a stop needs %s more: that is not less than stop_timeout, %s; shorten it, "+
			"or raise stop_timeout to %s or more, and with it what systemd or Kubernetes grants",
			length, Duration(StopMargin), stop, Duration(longest+time.Second))
	}
}

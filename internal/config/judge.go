package config

import (
	"net/url"
	"strings"
	"time"

	"rollcall/internal/loopback"
)

// MaxTimeout is the longest HTTP timeout that fits into the deadline of an attempt.
const MaxTimeout = 2 * time.Minute

// judge reports what is wrong with values of the right form, and reads the secrets.
func (d *document) judge() {
	c := d.config
	// The minimum for the shortest timeout. The tenants' own timeouts are checked
	// below.
	if least := time.Second + StopMargin; time.Duration(c.StopTimeout) <= least {
		d.reportOnce(under(nil, "stop_timeout"), "is %s; it must be more than %s, the time of the shortest call and its settle",
			c.StopTimeout, Duration(least))
	}
	d.redis(&c.Redis)
	d.http(&c.HTTP)
	if keep := time.Duration(c.DeadLetters.Keep); keep != 0 && keep < 24*time.Hour {
		d.reportOnce(under(nil, "dead_letters", "keep"), "is %s; it must be 0s (no limit), or 24h or more", c.DeadLetters.Keep)
	}
	d.egress(under(nil, "egress"), c.Egress)
	d.api()
	d.webhooks()
	d.robots()
	accounts := map[string]string{} // credentials → tenant
	for i := range c.Organisations {
		org := &c.Organisations[i]
		path := under(nil, "organisations", i)
		d.once("organisation", org.Name, path, "put the tenants of both under one")
		for k := range org.Tenants {
			t := &org.Tenants[k]
			tpath := under(path, "tenants", k)
			d.once("tenant", t.Name, tpath, "queues are named after a tenant, so choose another name")
			d.tenant(tpath, t)
			account := t.Platform().Account
			if other, taken := accounts[account]; taken && account != "" {
				d.report(tpath, "is the same app as tenant %s; the platform counts their calls together, so keep one", other)
			}
			accounts[account] = t.Name
		}
	}
	for i := range c.Schedules {
		s := &c.Schedules[i]
		path := under(nil, "schedules", i)
		d.once("schedule", s.Name, path, "choose another name")
		d.schedule(path, s)
	}
}

// once rejects the name of the thing at path if another of its kind has it. An empty name
// was already reported.
func (d *document) once(kind, name string, path []any, do string) {
	if name != "" && d.named[kind+" "+name] {
		d.report(under(path, "name"), "is taken by another %s of this file; %s", kind, do)
	}
	d.named[kind+" "+name] = true
}

func (d *document) tenant(path []any, t *Tenant) {
	s := t.section()
	if s == nil {
		return // already reported
	}
	p := s.describe()
	path = under(path, p.Name)
	s.judge(d, path)
	for _, lane := range p.Lanes {
		d.limits(under(path, "limits", lane.Kind), lane.Limits)
	}
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
func (d *document) platform(path []any, base, example string) {
	u, err := url.Parse(base)
	switch {
	case err != nil || u.Hostname() == "":
		d.report(path, "is not a URL; write it as in %s", example)
	case u.User != nil:
		d.report(path, "contains a user name, which is not used; remove it")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		d.report(path, "contains more than an address; remove the part after the ? or #")
	case u.Scheme == "http" && !loopback.Is(u.Host):
		d.report(path, "begins with http:// so anyone on the network could read the credentials; write https://%s", u.Host)
	case u.Scheme != "http" && u.Scheme != "https":
		d.report(path, "begins with %s://; write https://%s", shortened(u.Scheme), u.Host)
	case d.config.Redis.Embedded != "" && !loopback.Is(u.Host):
		d.report(path, "is a real platform, but the embedded Redis loses on every restart what was done there; "+
			"configure a real Redis with redis.url")
	}
}

func (d *document) secret(path []any, s *Source) {
	if s.IsZero() {
		return // already reported, or not required
	}
	value, err := s.read(d.getenv, d.dir)
	if err != nil {
		d.report(path, "%v", err)
		return
	}
	s.Value = value
}

// within checks the bounds of a length of time.
func (d *document) within(path []any, length Duration, shortest, longest time.Duration) {
	if time.Duration(length) < shortest || time.Duration(length) > longest {
		d.report(path, "is %s; it must be %s to %s", length, Duration(shortest), Duration(longest))
	}
}

// timeout checks the length of one exchange, which a stop must wait for.
func (d *document) timeout(path []any, length Duration) {
	stop, longest := d.config.StopTimeout, time.Duration(length)+StopMargin
	switch {
	case time.Duration(length) < time.Second || time.Duration(length) > MaxTimeout:
		d.report(path, "is %s; it must be 1s to %s", length, Duration(MaxTimeout))
	case stop > Duration(time.Second+StopMargin) && longest >= time.Duration(stop):
		d.report(path, "is %s, and a stop needs %s more: that is not less than stop_timeout, %s; shorten it, "+
			"or raise stop_timeout to %s or more, and with it what systemd or Kubernetes grants",
			length, Duration(StopMargin), stop, Duration(longest+time.Second))
	}
}

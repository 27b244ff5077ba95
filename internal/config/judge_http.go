package config

import (
	"net/url"
	"slices"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"rollcall/internal/access"
	"rollcall/internal/loopback"
)

func (d *document) http(h *HTTP) {
	path := under(nil, "http")
	if h.Listen != Off {
		d.listener(under(path, "listen"), h.Listen, "127.0.0.1:8080")
	}
	if isAddress(h.Listen) && !loopback.Is(h.Listen) && len(h.Users) == 0 {
		d.report(under(path, "listen"), "is %s, which other machines can reach, and no user is configured, so anyone could open the pages; "+
			"add one under http.users, or write 127.0.0.1", h.Listen)
	}
	d.proxies(under(path, "proxy"), h.Proxy)
	if t := h.TLS; t != nil && t.Listen != "" && t.Cert != "" && t.Key != "" {
		here := under(path, "tls")
		d.listener(under(here, "listen"), t.Listen, "0.0.0.0:8443")
		if t.Listen == h.Listen {
			d.report(under(here, "listen"), "is http.listen, too; write another port")
		}
		t.Cert, t.Key = resolvePath(d.dir, t.Cert), resolvePath(d.dir, t.Key)
		d.pair(here, t.Cert, t.Key)
	}
	for i := range h.Users {
		u := &h.Users[i]
		here := under(path, "users", i)
		d.once("user", u.Name, here, "choose another name")
		if strings.Contains(u.Name, ":") {
			d.report(under(here, "name"), "contains a colon, which ends the name in HTTP's basic auth; choose another name")
		}
		d.secret(under(here, "password"), &u.Password)
	}
}

func (d *document) listener(path []any, address, example string) {
	if !isAddress(address) {
		d.report(path, "is %s, which is not an address; write host and port, as in %s", shortened(address), example)
	}
}

// proxies checks a list of addresses and networks.
func (d *document) proxies(path []any, all []string) {
	if _, err := access.ParseProxies(all); err != nil {
		d.report(path, "has an entry that cannot be used: %v", err)
	}
}

// api checks the tokens, and reads their hashes.
func (d *document) api() {
	owners := map[access.Hash]string{}
	for i := range d.config.API.Tokens {
		t := &d.config.API.Tokens[i]
		path := under(nil, "api", "tokens", i)
		d.once("token", t.Name, path, "choose another name")
		d.known(under(path, "tenants"), t.Tenants)
		if _, err := t.lastDay(); err != nil && t.Expires != "" {
			d.report(under(path, "expires"), "is %s, which is no day of the calendar; write a date, as in 2027-06-30", shortened(t.Expires))
		}
		before := len(d.problems)
		d.secret(under(path, "hash"), &t.Hash)
		if t.Hash.Value.IsZero() || len(d.problems) > before {
			continue
		}
		hashes, err := access.ParseHashes(t.Hash.Value.Reveal())
		if err != nil {
			d.report(under(path, "hash"), "comes from %s, which %v", t.Hash, err)
		}
		for _, h := range hashes {
			if other, taken := owners[h]; taken {
				d.report(under(path, "hash"), "is that of token %s, too; make another token with: worker token new", other)
			}
			owners[h] = t.Name
		}
	}
}

// known checks that tenants are in this file, each once.
func (d *document) known(path []any, names []string) {
	for i, name := range names {
		switch _, t := d.config.Tenant(name); {
		case name == "": // already reported
		case slices.Contains(names[:i], name):
			d.report(path, "names %s twice; remove one", shortened(name))
		case t == nil:
			d.report(path, "names %s, which is no tenant of this file", shortened(name))
		}
	}
}

// Bounds of a webhook's secret in bytes, from Standard Webhooks.
const leastSecret, mostSecret = 24, 64

// webhooks checks the webhooks, and reads their secrets.
func (d *document) webhooks() {
	for i := range d.config.Webhooks {
		h := &d.config.Webhooks[i]
		path := under(nil, "webhooks", i)
		d.once("webhook", h.Name, path, "choose another name")
		d.known(under(path, "tenants"), h.Tenants)
		d.proxies(under(path, "allow"), h.Allow)
		d.webhookURL(under(path, "url"), h.URL)
		d.secret(under(path, "secret"), &h.Secret)
		if h.Secret.Value.IsZero() {
			continue
		}
		secrets := h.Secrets()
		for _, s := range secrets {
			if _, err := standardwebhooks.NewWebhook(s); err != nil || !strings.HasPrefix(s, "whsec_") || !fits(s) {
				d.report(under(path, "secret"), "comes from %s, which holds no secret of a webhook; make one with: "+
					"echo whsec_$(openssl rand -base64 32)", h.Secret)
				break
			}
		}
		if len(secrets) > 2 {
			d.report(under(path, "secret"), "comes from %s, which holds %d secrets; keep at most two", h.Secret, len(secrets))
		}
	}
}

// robots checks the robots, and reads their secrets. A [Judge] checks these.
func (d *document) robots() {
	c := d.config
	for i := range c.Robots {
		r := &c.Robots[i]
		path := under(nil, "robots", i)
		d.once("robot", r.Name, path, "choose another name")
		if r.Organisation != "" && c.Organisation(r.Organisation) == nil {
			d.report(under(path, "organisation"), "is %s, which is no organisation of this file", shortened(r.Organisation))
		}
		for _, name := range r.Schedules {
			if name != "" && !slices.ContainsFunc(c.Schedules, func(s Schedule) bool { return s.Name == name && s.Source != nil }) {
				d.report(under(path, "schedules"), "names %s, which is no schedule of this file with a source", shortened(name))
			}
		}
		d.secret(under(path, "webhook"), &r.Webhook)
		d.secret(under(path, "secret"), &r.Secret)
	}
}

// fits reports whether a secret in Base64 has an accepted length.
func fits(s string) bool {
	digits := strings.TrimRight(strings.TrimPrefix(s, "whsec_"), "=")
	n := len(digits) * 6 / 8
	return n >= leastSecret && n <= mostSecret
}

// webhookURL checks a URL without showing it: it may contain a secret.
func (d *document) webhookURL(path []any, text string) {
	if text == "" {
		return // already reported
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "":
		d.report(path, "is not a URL; write it as in https://grades.example.edu/rollcall")
	case u.User != nil || u.Fragment != "":
		d.report(path, "contains a user or a fragment, which are not used; remove them")
	case u.Scheme == "http" && !loopback.Is(u.Host):
		d.report(path, "begins with http:// so anyone on the network could read it; write https://%s", u.Host)
	case u.Scheme != "http" && u.Scheme != "https":
		d.report(path, "begins with %s://; write https://%s", shortened(u.Scheme), u.Host)
	}
}

// Secrets returns the secrets of a webhook, the newest first as written.
func (h Webhook) Secrets() []string { return strings.Fields(h.Secret.Value.Reveal()) }

// lastDay returns the start of the day after which the token is refused.
func (t Token) lastDay() (time.Time, error) { return time.Parse(time.DateOnly, t.Expires) }

// Until returns when a token of a valid configuration expires: the end of its last day.
func (t Token) Until() time.Time {
	day, _ := t.lastDay() // judged by Load
	return day.AddDate(0, 0, 1)
}

package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"rollcall/internal/loopback"
)

// Warning is about a value that is valid but probably not what was meant.
type Warning struct {
	Subject string // a name of the file, as "tenant lakeside-dt", or a section
	Text    string // contains no secret
}

// Warnings lists, for a configuration that Load has validated, secrets that look
// damaged, and a Redis or a web UI that is reached without TLS over a network.
func (c *Config) Warnings() []Warning {
	var all []Warning
	for _, l := range leavesOf(c) {
		if !l.secret {
			continue
		}
		subject, key := l.subject, l.key
		if subject == "" {
			subject, key, _ = strings.Cut(l.key, ".")
		}
		if listed := strings.HasPrefix(subject, "token ") || strings.HasPrefix(subject, "webhook "); listed {
			continue // judged by their form; two of them may be on two lines
		}
		if odd := oddities(l.source.Value.Reveal()); len(odd) > 0 {
			all = append(all, Warning{subject, fmt.Sprintf("%s, the value of %s, %s; remove that unless it belongs to the secret",
				key, l.source, strings.Join(odd, " and "))})
		}
	}
	if host := c.Redis.inTheClear(); host != "" {
		all = append(all, Warning{"redis", "the connection to " + host + " is not encrypted: anyone on the network can read names and " +
			"the password; use TLS (rediss:// or redis.tls), or a network that you trust"})
	}
	all = append(all, c.API.warnings(c.HTTP, time.Now())...)
	if listen := c.HTTP.Listen; listen != Off && !loopback.Is(listen) {
		all = append(all, Warning{"http", "the web UI at " + listen + " is not encrypted: anyone on the network can read passwords and names; " +
			"put a proxy with TLS in front, or listen at 127.0.0.1"})
	}
	return all
}

// expiresSoon is how long before its end a token gets a warning.
const expiresSoon = 14 * 24 * time.Hour

// warnings lists tokens that expire, and says if no client can use the API.
func (a API) warnings(h HTTP, now time.Time) []Warning {
	var all []Warning
	for _, t := range a.Tokens {
		switch until := t.Until(); {
		case !now.Before(until):
			all = append(all, Warning{"token " + t.Name, "has expired: its last day was " + t.Expires + "; make a new one with: worker token new"})
		case until.Sub(now) < expiresSoon:
			all = append(all, Warning{"token " + t.Name, "expires soon: its last day is " + t.Expires + "; make a new one with: worker token new"})
		}
	}
	if off := h.apiOff(); off != "" && len(a.Tokens) > 0 {
		all = append(all, Warning{"api", "the HTTP API is off: " + off})
	}
	return all
}

// apiOff returns why no client can use the API, or "".
func (h HTTP) apiOff() string {
	switch {
	case h.TLS != nil, h.Listen != Off && (loopback.Is(h.Listen) || len(h.Proxy) > 0):
		return ""
	case h.Listen == Off:
		return "there is no listener; add http.tls"
	}
	return "http.listen has no TLS, so anyone on the network could read the tokens; add http.tls, or name the proxy in front in http.proxy"
}

// marks are characters at the ends of a value that are probably there by mistake.
var marks = []struct {
	name string
	is   func(rune) bool
}{
	{"a byte order mark", func(r rune) bool { return r == '\ufeff' }},
	{"a blank", unicode.IsSpace},
	{"a quotation mark", func(r rune) bool { return strings.ContainsRune("\"'`\u2018\u2019\u201c\u201d", r) }},
}

// oddities returns what is unusual for a secret in this value.
func oddities(value string) []string {
	if strings.HasPrefix(value, "\xff\xfe") || strings.HasPrefix(value, "\xfe\xff") {
		return []string{"begins with the byte order mark of UTF-16, so save it as UTF-8"}
	}
	first, _ := utf8.DecodeRuneInString(value)
	last, _ := utf8.DecodeLastRuneInString(value)
	var odd []string
	for _, m := range marks {
		if m.is(first) {
			odd = append(odd, "begins with "+m.name)
		}
		if m.is(last) {
			odd = append(odd, "ends with "+m.name)
		}
	}
	if strings.ContainsAny(strings.TrimSpace(value), "\r\n") {
		odd = append(odd, "has more than one line")
	}
	return odd
}

// inTheClear returns a host other than this machine that Redis is reached at without
// TLS, or "".
func (r Redis) inTheClear() string {
	var addresses []string
	switch {
	case r.TLS != nil:
	case r.Sentinel != nil:
		addresses = r.Sentinel.Addresses
	case r.Cluster != nil:
		addresses = r.Cluster.Addresses
	case strings.HasPrefix(r.URL, "redis://"):
		if u, err := url.Parse(r.URL); err == nil {
			addresses = []string{u.Host}
		}
	}
	if i := slices.IndexFunc(addresses, func(a string) bool { return !loopback.Is(a) }); i >= 0 {
		return addresses[i]
	}
	return ""
}

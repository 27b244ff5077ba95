package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// MaxTimeout is the longest HTTP timeout that the chain of budgets allows: the
// handler's own deadline and the shutdown timeout are set to hold it.
const MaxTimeout = 2 * time.Minute

var nameRule = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,38}$`)

// judge collects what is wrong. A path leads from the document's root to a
// value: keys as strings, positions in a list as ints.
type judge struct {
	root     *yaml.Node
	getenv   func(string) string
	problems []Problem
}

func (j *judge) say(path []any, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if len(path) > 0 {
		if key, ok := path[len(path)-1].(string); ok {
			text = key + ": " + text
		}
	}
	j.problems = append(j.problems, Problem{Line: j.line(path), Text: text})
}

// line is where the value at path stands, or the nearest thing around it that
// exists.
func (j *judge) line(path []any) int {
	node := j.root
	if node.Kind == yaml.DocumentNode && len(node.Content) > 0 {
		node = node.Content[0]
	}
	for _, step := range path {
		next := child(node, step)
		if next == nil {
			break
		}
		node = next
	}
	return node.Line
}

func child(node *yaml.Node, step any) *yaml.Node {
	switch s := step.(type) {
	case int:
		if node.Kind == yaml.SequenceNode && s < len(node.Content) {
			return node.Content[s]
		}
	case string:
		if node.Kind == yaml.MappingNode {
			for i := 0; i+1 < len(node.Content); i += 2 {
				if node.Content[i].Value == s {
					return node.Content[i+1]
				}
			}
		}
	}
	return nil
}

func at(path []any, steps ...any) []any {
	return append(append([]any{}, path...), steps...)
}

func (j *judge) config(c *Config) {
	j.redis(&c.Redis)
	j.logging(c.Log)
	if c.Listen != "off" {
		j.loopback(at(nil, "listen"), c.Listen)
	}
	if len(c.Organisations) == 0 {
		j.say(nil, "there are no organisations; add one with at least one tenant")
	}
	seen := map[string]bool{}
	apps := map[string]string{}
	for i := range c.Organisations {
		org := &c.Organisations[i]
		path := at(nil, "organisations", i)
		j.name(at(path, "name"), "organisation", org.Name)
		if seen["org "+org.Name] {
			j.say(at(path, "name"), "there are two organisations named %q; put their tenants under one", org.Name)
		}
		seen["org "+org.Name] = true
		if len(org.Tenants) == 0 {
			j.say(path, "organisation %q has no tenants", org.Name)
		}
		for k := range org.Tenants {
			t := &org.Tenants[k]
			tpath := at(path, "tenants", k)
			j.name(at(tpath, "name"), "tenant", t.Name)
			if seen["tenant "+t.Name] {
				j.say(at(tpath, "name"), "there are two tenants named %q; a tenant's name is its queues' name, so choose another", t.Name)
			}
			seen["tenant "+t.Name] = true
			j.tenant(tpath, t, c.Redis.Embedded != "")
			if app := t.app(); app != "" {
				if other, taken := apps[app]; taken {
					j.say(tpath, "tenants %q and %q are the same app; the platform counts them together, so keep one", other, t.Name)
				}
				apps[app] = t.Name
			}
		}
	}
}

// app identifies the credentials: what the platform counts calls by.
func (t *Tenant) app() string {
	switch {
	case t.DingTalk != nil && t.DingTalk.AppKey != "":
		return "dingtalk " + t.DingTalk.API + " " + t.DingTalk.AppKey
	case t.ClassIn != nil && t.ClassIn.SID != "":
		return "classin " + t.ClassIn.BaseURL + " " + t.ClassIn.SID
	}
	return ""
}

func (j *judge) redis(r *Redis) {
	path := at(nil, "redis")
	if r.URL != "" && r.Embedded != "" {
		j.say(path, "names both url and embedded; keep one")
		return
	}
	if r.Embedded != "" {
		j.loopback(at(path, "embedded"), r.Embedded)
		return
	}
	u, err := url.Parse(r.URL)
	switch {
	case err != nil:
		j.say(at(path, "url"), "is not a URL; write it as in redis://127.0.0.1:6379/0")
	case u.Scheme != "redis" && u.Scheme != "rediss":
		j.say(at(path, "url"), "begins with %q; write redis://host:port/db, or rediss:// for TLS", u.Scheme)
	case u.User != nil:
		j.say(at(path, "url"), "holds a user or password; write them as username and password: {file: …}")
	}
	if !r.Password.isZero() {
		j.secret(at(path, "password"), &r.Password)
	}
}

func (j *judge) logging(l Log) {
	j.oneOf(at(nil, "log", "level"), l.Level, "debug", "info", "warn", "error")
	j.oneOf(at(nil, "log", "format"), l.Format, "auto", "text", "json")
}

func (j *judge) tenant(path []any, t *Tenant, embedded bool) {
	switch {
	case t.DingTalk != nil && t.ClassIn != nil:
		j.say(path, "tenant %q is on both platforms; make two tenants of it", t.Name)
	case t.DingTalk != nil:
		d := t.DingTalk
		path = at(path, "dingtalk")
		j.platform(at(path, "api"), d.API, embedded)
		j.platform(at(path, "oapi"), d.OAPI, embedded)
		j.required(at(path, "app_key"), d.AppKey)
		j.secret(at(path, "app_secret"), &d.AppSecret)
		j.timeout(at(path, "timeout"), d.Timeout)
		if d.NicknameMax < 30 || d.NicknameMax > 200 {
			j.say(at(path, "nickname_max"), "is %d; it must be 30 to 200 characters", d.NicknameMax)
		}
		j.limit(at(path, "limits", "nickname"), d.Limits.Nickname)
		j.limit(at(path, "limits", "group"), d.Limits.Group)
		j.limit(at(path, "limits", "id"), d.Limits.ID)
	case t.ClassIn != nil:
		c := t.ClassIn
		path = at(path, "classin")
		j.platform(at(path, "base_url"), c.BaseURL, embedded)
		j.required(at(path, "sid"), c.SID)
		j.secret(at(path, "secret"), &c.Secret)
		j.timeout(at(path, "timeout"), c.Timeout)
		j.limit(at(path, "limits", "course"), c.Limits.Course)
	default:
		j.say(path, "tenant %q has no platform; add dingtalk: or classin: with its credentials", t.Name)
	}
}

func (j *judge) name(path []any, what, name string) {
	if !nameRule.MatchString(name) {
		j.say(path, "the %s's name %q must be 1 to 39 of a-z, 0-9 and -, beginning with a letter or digit", what, name)
	}
}

func (j *judge) required(path []any, value string) {
	if value == "" {
		j.say(path, "is missing")
	}
}

func (j *judge) oneOf(path []any, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		j.say(path, "is %q; it must be one of %s", value, strings.Join(allowed, ", "))
	}
}

func (j *judge) secret(path []any, s *Source) {
	value, err := s.read(j.getenv)
	if err != nil {
		j.say(path, "%v", err)
		return
	}
	s.Value = value
}

func (j *judge) timeout(path []any, d Duration) {
	if d := time.Duration(d); d < time.Second || d > MaxTimeout {
		j.say(path, "is %s; it must be 1s to %s, so that a stop can wait for a running call", d, MaxTimeout)
	}
}

func (j *judge) limit(path []any, l Limit) {
	if l.Calls < 1 || time.Duration(l.Per) < 100*time.Millisecond {
		j.say(path, "is %d calls per %s; write it as in {calls: 20, per: 1s}, per at least 100ms", l.Calls, time.Duration(l.Per))
	}
}

// platform judges a base URL. A worker whose Redis forgets everything may only
// ever talk to a platform on this machine.
func (j *judge) platform(path []any, base string, embedded bool) {
	u, err := url.Parse(base)
	switch {
	case base == "":
		j.say(path, "is missing")
	case err != nil || u.Host == "":
		j.say(path, "%q is not a URL; write it as in https://api.dingtalk.io", base)
	case u.Scheme == "http" && !isLoopback(u.Host):
		j.say(path, "%s would send credentials in the clear; use https", base)
	case u.Scheme != "http" && u.Scheme != "https":
		j.say(path, "%s must begin with https://", base)
	case embedded && !isLoopback(u.Host):
		j.say(path, "%s is a real platform and the embedded Redis forgets everything on a restart; "+
			"name a real Redis under redis: url", base)
	}
}

func (j *judge) loopback(path []any, address string) {
	_, port, err := net.SplitHostPort(address)
	if n, convErr := strconv.Atoi(port); err != nil || convErr != nil || n < 0 || n > 65535 {
		j.say(path, "%q is not an address; write it as in 127.0.0.1:8080", address)
		return
	}
	if !isLoopback(address) {
		j.say(path, "%s can be reached from other machines; use 127.0.0.1 or [::1]", address)
	}
}

// isLoopback reports whether host, with or without a port, is this machine. A
// name other than localhost is not looked up: it may change.
func isLoopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

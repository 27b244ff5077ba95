package config

import "time"

// ClassIn is a school's API access.
type ClassIn struct {
	BaseURL string     `yaml:"base_url"`
	SID     string     `yaml:"sid"`
	Secret  Source     `yaml:"secret"`
	Timeout Duration   `yaml:"timeout"` // of one HTTP exchange
	Limits  KindLimits `yaml:"limits"`
}

var classInKeys = append([]key{
	{path: "organisations[].tenants[].classin", one: "platform", doc: "A school's API access. ClassIn documents no rate; the defaults of the limits are careful."},
	{path: "organisations[].tenants[].classin.base_url", def: "https://api.eeo.cn", doc: "ClassIn's host"},
	{path: "organisations[].tenants[].classin.sid", required: true, eg: `"1234567"`, form: sidForm, doc: "the school's number: digits, in quotes, as ClassIn shows it"},
	{path: "organisations[].tenants[].classin.secret", required: true, doc: "the school's secret"},
	{path: "organisations[].tenants[].classin.timeout", def: "60s", doc: "timeout of one HTTP exchange, 1 s to 2 min. A call renames a whole course"},
}, limitKeys("classin")...)

func (s *ClassIn) describe() Platform {
	p := Platform{
		Name: "classin", Title: "ClassIn", Secret: s.Secret.Value, Timeout: time.Duration(s.Timeout),
		Lanes: lanesOf("classin", s.Limits),
	}
	if s.SID != "" {
		p.Account = "classin " + hostOf(s.BaseURL) + " " + s.SID
	}
	return p
}

func (s *ClassIn) judge(d *document, path []any) {
	d.platform(under(path, "base_url"), s.BaseURL, "https://api.eeo.cn")
	d.secret(under(path, "secret"), &s.Secret)
	d.timeout(under(path, "timeout"), s.Timeout)
}

func (s *ClassIn) takeOver(t *Tenant, from Tenant, sameAccount bool) {
	if from.ClassIn == nil {
		return
	}
	next := *s
	next.Limits = from.ClassIn.Limits
	if sameAccount {
		next.Secret = from.ClassIn.Secret
	}
	t.ClassIn = &next
}

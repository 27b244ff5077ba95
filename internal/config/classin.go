package config

import "time"

// ClassIn is a school's API access.
type ClassIn struct {
	BaseURL string        `yaml:"base_url"`
	SID     string        `yaml:"sid"`
	Secret  Source        `yaml:"secret"`
	Timeout Duration      `yaml:"timeout"` // of one HTTP exchange
	Limits  ClassInLimits `yaml:"limits"`
}

// ClassInLimits are the rates that the platform allows a school.
type ClassInLimits struct {
	Course  Limits `yaml:"course"`
	Student Limits `yaml:"student"`
}

func (s *ClassIn) describe() Platform {
	p := Platform{
		Name: "classin", Title: "ClassIn", Secret: s.Secret.Value, Timeout: time.Duration(s.Timeout),
		Lanes: []Lane{{"course", s.Limits.Course}, {"student", s.Limits.Student}},
	}
	if s.SID != "" {
		p.Account = "classin " + hostOf(s.BaseURL) + " " + s.SID
	}
	return p
}

func (s *ClassIn) judge(d *document, path []any, c *Config) {
	d.platform(under(path, "base_url"), s.BaseURL, "https://api.eeo.cn", c)
	d.secret(under(path, "secret"), &s.Secret)
	d.timeout(under(path, "timeout"), s.Timeout, c.StopTimeout)
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

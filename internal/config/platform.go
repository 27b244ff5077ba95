package config

import (
	"iter"
	"reflect"
	"time"

	"rollcall/internal/kinds"
	"rollcall/internal/secret"
)

// Platform describes the platform of a tenant to code that need not know which one it
// is.
type Platform struct {
	Name    string // its key in the file: dingtalk, classin
	Title   string // its name for people
	Account string // the credentials by which it counts calls; empty while some are missing
	Secret  secret.Text
	Timeout time.Duration // of one HTTP exchange
	Lanes   []Lane
	// Metered calls count against the organisation's month and are sent from an address
	// with a limit of its own.
	Metered     bool
	NicknameMax int // characters; 0: the platform has no nicknames
}

// Lane is a kind of task of a tenant, with its limits.
type Lane struct {
	Kind   string
	Limits Limits
}

// KindLimits are the rates that a platform allows an account, by kind of task. Load fills in
// every kind of the platform.
type KindLimits map[string]Limits

// limitKeys are the section of a platform's limits, with a key for each of its kinds.
func limitKeys(platform string) []key {
	section := "organisations[].tenants[]." + platform + ".limits"
	all := []key{{path: section}}
	for _, k := range kinds.All() {
		if k.Platform == platform {
			all = append(all, key{path: join(section, string(k.Name)), def: k.Limit.Default, doc: "limit of " + k.Limit.Calls})
		}
	}
	return all
}

// lanesOf returns a lane for each kind of task of a platform.
func lanesOf(platform string, limits KindLimits) []Lane {
	var lanes []Lane
	for _, k := range kinds.All() {
		if k.Platform == platform {
			lanes = append(lanes, Lane{Kind: string(k.Name), Limits: limits[string(k.Name)]})
		}
	}
	return lanes
}

// section is what a tenant's key of a platform contains.
type section interface {
	describe() Platform
	judge(d *document, path []any)
	// takeOver puts a copy into t that has the limits of from, and its secret if both
	// are credentials of one account. It does nothing if from is on another platform.
	takeOver(t *Tenant, from Tenant, sameAccount bool)
}

// section returns the one platform that is set. nil: none.
func (t *Tenant) section() section {
	of := reflect.ValueOf(t).Elem()
	for _, field := range of.Fields() {
		if s, ok := reflect.TypeAssert[section](field); ok && !field.IsNil() {
			return s
		}
	}
	return nil
}

// Platform returns the zero value for a tenant without a platform, which Load rejects.
func (t *Tenant) Platform() Platform {
	if s := t.section(); s != nil {
		return s.describe()
	}
	return Platform{}
}

// Tenants yields all tenants, each with its organisation.
func (c *Config) Tenants() iter.Seq2[*Organisation, *Tenant] {
	return func(yield func(*Organisation, *Tenant) bool) {
		for i := range c.Organisations {
			org := &c.Organisations[i]
			for k := range org.Tenants {
				if !yield(org, &org.Tenants[k]) {
					return
				}
			}
		}
	}
}

// Tenant returns the tenant with a name, and its organisation; nil if there is none.
func (c *Config) Tenant(name string) (*Organisation, *Tenant) {
	for org, t := range c.Tenants() {
		if t.Name == name {
			return org, t
		}
	}
	return nil, nil
}

// Organisation returns the organisation with a name; nil if there is none.
func (c *Config) Organisation(name string) *Organisation {
	for i := range c.Organisations {
		if c.Organisations[i].Name == name {
			return &c.Organisations[i]
		}
	}
	return nil
}

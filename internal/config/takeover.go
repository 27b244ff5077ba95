package config

import "strings"

// TakeOver returns the configuration of a running worker after a reload. It applies
// from after: the limits and secrets of tenants and the quotas of organisations that
// both have, the passwords of users that both have, the password of Redis, the schedules,
// the tokens of the API, the webhooks and the robots. A secret is applied only if it
// belongs to the same app, school or user of Redis as before. Everything else is that of
// before. Neither argument is changed.
func TakeOver(before, after *Config) *Config {
	tenants := after.tenants()
	quotas := map[string]Quota{}
	for _, org := range after.Organisations {
		quotas[org.Name] = org.Quota
	}
	taken := *before
	taken.Schedules, taken.API, taken.Webhooks, taken.Robots = after.Schedules, after.API, after.Webhooks, after.Robots
	if sameRedis(before.Redis, after.Redis) {
		taken.Redis.Password = after.Redis.Password
	}
	taken.HTTP.Users = make([]User, len(before.HTTP.Users))
	for i, u := range before.HTTP.Users {
		for _, other := range after.HTTP.Users {
			if other.Name == u.Name {
				u.Password = other.Password
			}
		}
		taken.HTTP.Users[i] = u
	}
	taken.Organisations = make([]Organisation, len(before.Organisations))
	for i, org := range before.Organisations {
		own := make([]Tenant, len(org.Tenants))
		for j, t := range org.Tenants {
			own[j] = t.takenOver(tenants[t.Name])
		}
		org.Tenants = own
		if quota, still := quotas[org.Name]; still {
			org.Quota = quota
		}
		taken.Organisations[i] = org
	}
	return &taken
}

func (c *Config) tenants() map[string]Tenant {
	all := map[string]Tenant{}
	for _, org := range c.Organisations {
		for _, t := range org.Tenants {
			all[t.Name] = t
		}
	}
	return all
}

func (t Tenant) takenOver(other Tenant) Tenant {
	if s := t.section(); s != nil {
		s.takeOver(&t, other, t.Platform().Account == other.Platform().Account)
	}
	return t
}

// sameRedis reports whether a password belongs to the same user of the same servers.
func sameRedis(a, b Redis) bool {
	position := func(r Redis) string {
		parts := []string{r.URL, r.Embedded, r.Username}
		if r.Sentinel != nil {
			parts = append(parts, "sentinel", r.Sentinel.Master)
		}
		if r.Cluster != nil {
			parts = append(parts, "cluster")
			parts = append(parts, r.Cluster.Addresses...)
		}
		return strings.Join(parts, "\n")
	}
	return position(a) == position(b)
}

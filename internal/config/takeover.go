package config

import (
	"slices"
	"strings"
)

// TakeOver returns the configuration of a running worker after a reload. It applies
// from after: the limits and secrets of tenants and the quotas of organisations that
// both have, the passwords of users that both have, the password of Redis, the schedules,
// the tokens of the API, the webhooks and the robots. A secret is applied only if it
// belongs to the same app, school or user of Redis as before. Everything else is that of
// before. Neither argument is changed.
func TakeOver(before, after *Config) *Config {
	taken := *before
	taken.Schedules, taken.API, taken.Webhooks, taken.Robots = after.Schedules, after.API, after.Webhooks, after.Robots
	if sameRedis(before.Redis, after.Redis) {
		taken.Redis.Password = after.Redis.Password
	}
	taken.HTTP.Users = slices.Clone(before.HTTP.Users)
	for i := range taken.HTTP.Users {
		u := &taken.HTTP.Users[i]
		for _, other := range after.HTTP.Users {
			if other.Name == u.Name {
				u.Password = other.Password
			}
		}
	}
	taken.Organisations = slices.Clone(before.Organisations)
	for i := range taken.Organisations {
		org := &taken.Organisations[i]
		org.Tenants = slices.Clone(org.Tenants)
		if other := after.Organisation(org.Name); other != nil {
			org.Quota = other.Quota
		}
	}
	for _, t := range taken.Tenants() {
		_, other := after.Tenant(t.Name)
		if s := t.section(); s != nil && other != nil {
			s.takeOver(t, *other, t.Platform().Account == other.Platform().Account)
		}
	}
	return &taken
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

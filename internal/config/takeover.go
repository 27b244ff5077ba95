package config

// TakeOver returns what a running worker goes by after it has taken over from
// after what it can: the limits of the tenants and the quotas of the
// organisations that both have, and the schedules. All else is before's. Neither argument is changed.
func TakeOver(before, after *Config) *Config {
	limits := map[string]Tenant{}
	quotas := map[string]Quota{}
	for _, org := range after.Organisations {
		quotas[org.Name] = org.Quota
		for _, t := range org.Tenants {
			limits[t.Name] = t
		}
	}
	taken := *before
	taken.Schedules = after.Schedules
	taken.Organisations = make([]Organisation, len(before.Organisations))
	for i, org := range before.Organisations {
		tenants := make([]Tenant, len(org.Tenants))
		for j, t := range org.Tenants {
			tenants[j] = t.withLimitsOf(limits[t.Name])
		}
		org.Tenants = tenants
		if quota, still := quotas[org.Name]; still {
			org.Quota = quota
		}
		taken.Organisations[i] = org
	}
	return &taken
}

func (t Tenant) withLimitsOf(other Tenant) Tenant {
	if t.DingTalk != nil && other.DingTalk != nil {
		d := *t.DingTalk
		d.Limits = other.DingTalk.Limits
		t.DingTalk = &d
	}
	if t.ClassIn != nil && other.ClassIn != nil {
		c := *t.ClassIn
		c.Limits = other.ClassIn.Limits
		t.ClassIn = &c
	}
	return t
}

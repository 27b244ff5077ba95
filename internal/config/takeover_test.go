package config_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rollcall/internal/config"
	hush "rollcall/internal/secret"
)

func TestAReloadAppliesLimitsQuotasAndSchedules(t *testing.T) {
	t.Parallel()
	tenant := func(calls, timeout int) *config.Config {
		return &config.Config{Organisations: []config.Organisation{{Name: "o", Tenants: []config.Tenant{{
			Name: "t", ClassIn: &config.ClassIn{
				Timeout: config.Duration(time.Duration(timeout) * time.Second),
				Limits:  config.KindLimits{"course": config.Limits{{Calls: calls, Per: config.Duration(time.Second)}}},
			},
		}}}}}
	}
	before, after := tenant(3, 60), tenant(5, 30)
	after.Schedules = []config.Schedule{{Name: "nightly"}}
	after.HTTP.Listen = "off"
	after.Egress.Name = "office"

	taken := config.TakeOver(before, after)
	course := taken.Organisations[0].Tenants[0].ClassIn
	if course.Limits["course"][0].Calls != 5 || len(taken.Schedules) != 1 {
		t.Errorf("not applied: %v, %d schedules", course.Limits["course"], len(taken.Schedules))
	}
	if time.Duration(course.Timeout) != time.Minute || taken.HTTP.Listen != "" || taken.Egress.Name != "" {
		t.Errorf("applied although it needs a restart: timeout %s, listen %q, address %q",
			time.Duration(course.Timeout), taken.HTTP.Listen, taken.Egress.Name)
	}
	if before.Organisations[0].Tenants[0].ClassIn.Limits["course"][0].Calls != 3 {
		t.Error("the configuration before was changed")
	}
	// A second reload of the same file has nothing left to apply.
	if live, _ := config.Changes(taken, after); len(live) != 0 {
		t.Errorf("still to apply: %q", live)
	}
}

func TestASecretIsAppliedIfItBelongsToTheSameAppOrUser(t *testing.T) {
	t.Parallel()
	with := func(secret, appKey, user string) *config.Config {
		source := config.Source{File: "f", Value: hush.New(secret)}
		return &config.Config{
			Redis: config.Redis{URL: "redis://r", Username: user, Password: source},
			HTTP:  config.HTTP{Users: []config.User{{Name: "ops", Password: source}}},
			Organisations: []config.Organisation{{Name: "o", Tenants: []config.Tenant{
				{Name: "dt", DingTalk: &config.DingTalk{API: "https://api.dingtalk.com", AppKey: appKey, AppSecret: source}},
				{Name: "ci", ClassIn: &config.ClassIn{SID: "1", Secret: source}},
			}}},
		}
	}
	secrets := func(c *config.Config) []string {
		tenants := c.Organisations[0].Tenants
		return []string{
			c.Redis.Password.Value.Reveal(), c.HTTP.Users[0].Password.Value.Reveal(),
			tenants[0].DingTalk.AppSecret.Value.Reveal(), tenants[1].ClassIn.Secret.Value.Reveal(),
		}
	}
	before := with("old", "app", "worker")
	for _, c := range []struct {
		after *config.Config
		want  []string
	}{
		{with("new", "app", "worker"), []string{"new", "new", "new", "new"}},
		{with("new", "other", "worker"), []string{"new", "new", "old", "new"}},
		{with("new", "app", "other"), []string{"old", "new", "new", "new"}},
	} {
		if diff := cmp.Diff(c.want, secrets(config.TakeOver(before, c.after))); diff != "" {
			t.Errorf("secrets of redis, user, app and school (-want +got):\n%s", diff)
		}
	}
	if diff := cmp.Diff([]string{"old", "old", "old", "old"}, secrets(before)); diff != "" {
		t.Errorf("the configuration before was changed (-want +got):\n%s", diff)
	}
}

func TestALimitOfAnotherPlatformNeedsARestart(t *testing.T) {
	t.Parallel()
	limits := config.Limits{{Calls: 3, Per: config.Duration(time.Second)}}
	with := func(tenant config.Tenant) *config.Config {
		tenant.Name = "t"
		return &config.Config{Organisations: []config.Organisation{{Name: "o", Tenants: []config.Tenant{tenant}}}}
	}
	school := with(config.Tenant{ClassIn: &config.ClassIn{SID: "1", Limits: config.KindLimits{"course": limits}}})
	app := with(config.Tenant{DingTalk: &config.DingTalk{AppKey: "app", Limits: config.KindLimits{"id": limits}}})
	if live, _ := config.Changes(school, app); len(live) != 0 {
		t.Errorf("reported as applied: %q", live)
	}
}

func TestAQuotaIsAppliedToAnOrganisationThatStillExists(t *testing.T) {
	t.Parallel()
	organisations := func(quotas map[string]int) *config.Config {
		c := &config.Config{}
		for _, name := range []string{"lakeside", "hillside", "seaside"} {
			if calls, there := quotas[name]; there {
				c.Organisations = append(c.Organisations, config.Organisation{Name: name, Quota: config.Quota{Calls: calls}})
			}
		}
		return c
	}
	before := organisations(map[string]int{"lakeside": 5000, "hillside": 5000})
	taken := config.TakeOver(before, organisations(map[string]int{"lakeside": 0, "seaside": 9000}))
	want := organisations(map[string]int{"lakeside": 0, "hillside": 5000})
	if diff := cmp.Diff(want.Organisations, taken.Organisations, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("configuration in effect (-want +got):\n%s", diff)
	}
	if before.Organisations[0].Quota.Calls != 5000 {
		t.Error("the configuration before was changed")
	}
}

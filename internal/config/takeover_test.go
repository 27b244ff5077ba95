package config_test

import (
	"testing"
	"time"

	"rollcall/internal/config"
)

func TestOnlyLimitsAndSchedulesAreTakenOver(t *testing.T) {
	t.Parallel()
	tenant := func(calls, timeout int) *config.Config {
		return &config.Config{Organisations: []config.Organisation{{Name: "o", Tenants: []config.Tenant{{
			Name: "t", ClassIn: &config.ClassIn{
				Timeout: config.Duration(time.Duration(timeout) * time.Second),
				Limits:  config.ClassInLimits{Course: config.Limits{{Calls: calls, Per: config.Duration(time.Second)}}},
			},
		}}}}}
	}
	before, after := tenant(3, 60), tenant(5, 30)
	after.Schedules = []config.Schedule{{Name: "nightly"}}
	after.HTTP.Listen = "off"

	taken := config.TakeOver(before, after)
	course := taken.Organisations[0].Tenants[0].ClassIn
	if course.Limits.Course[0].Calls != 5 || len(taken.Schedules) != 1 {
		t.Errorf("not taken over: %v, %d schedules", course.Limits.Course, len(taken.Schedules))
	}
	if time.Duration(course.Timeout) != time.Minute || taken.HTTP.Listen != "" {
		t.Errorf("taken over although it needs a restart: timeout %s, listen %q", time.Duration(course.Timeout), taken.HTTP.Listen)
	}
	if before.Organisations[0].Tenants[0].ClassIn.Limits.Course[0].Calls != 3 {
		t.Error("the configuration before was changed")
	}
	// A second reload of the same file has nothing more to take over.
	if live, _ := config.Changes(taken, after); len(live) != 0 {
		t.Errorf("still to take over: %q", live)
	}
}

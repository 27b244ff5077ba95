package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/hold"
)

func TestAHoldThatOutlastsItsCauseIsNamed(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 3, 10, 10, 0, 0, 0, time.Local) //nolint:gosmopolitan // as the violation shows it
	at := func(seconds int) time.Time { return began.Add(time.Duration(seconds) * time.Second) }
	of := func(level hold.Level, class hold.Class, since time.Time) hold.Hold {
		return hold.Hold{Scope: hold.Scope{Level: level, Name: "x"}, Class: class, Since: since, By: "w1", Reason: "HTML page"}
	}
	banned := of(hold.Address, hold.Banned, at(0))
	banned.Until = at(31)
	short, long := of(hold.Lane, hold.Failing, at(0)), of(hold.Tenant, hold.Refused, at(0))
	operators := of(hold.Organisation, hold.Operator, at(0))
	again := of(hold.Lane, hold.Failing, at(40)) // the same lane, another hold

	var watch holdWatch
	watch.see([]hold.Hold{banned, short, long, operators}, at(1))
	watch.see([]hold.Hold{banned, short, long, operators}, at(30))
	long.Tries = 2
	watch.see([]hold.Hold{banned, long, operators}, at(31)) // the time of the ban is over
	watch.see([]hold.Hold{again, operators}, at(50))

	want := []violation{{
		ruleHold, "tenant x was on hold from 10:00:00.000 to 10:00:31.000 or later, 31s: class refused, set by w1, 2 probes: HTML page",
	}}
	if diff := cmp.Diff(want, watch.violations(), cmp.AllowUnexported(violation{})); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}

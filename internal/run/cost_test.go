package run_test

import (
	"testing"

	"rollcall/internal/pace"
	"rollcall/internal/redistest"
	"rollcall/internal/run"
)

func TestThePlanShowsWhatTheMonthHasLeft(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 40)
	r.quota = pace.Quota{Calls: 100, Reserve: 10}
	r.worker()
	r.await(r.apply(free(), nicknames(many(30, "a")...)).ID, run.StateDone)
	p := r.plan(run.Draft{}, nicknames(many(35, "b")...))
	if len(p.Plan.Costs) != 1 {
		t.Fatalf("costs: %+v", p.Plan.Costs)
	}
	c := p.Plan.Costs[0]
	if c.Organisation != organisation || c.Calls != 35 || c.Spent != 30 || c.Left != 70 || c.Reserve != 10 || !c.Bounded {
		t.Errorf("the cost is %+v", c)
	}
	if !c.RunsOut.IsZero() {
		t.Errorf("the month runs out at %s", c.RunsOut)
	}
	if p.Plan.Seconds != 1 || p.Plan.Lanes[0].Rate < 100 {
		t.Errorf("it takes %d s at lanes %+v", p.Plan.Seconds, p.Plan.Lanes)
	}
}

// What other runs have still to send counts.
func TestTheForecastKnowsTheRunsThatWait(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 3)
	r.quota = pace.Quota{Calls: 100, Reserve: 10}
	r.worker()() // publishes the lanes, and ends
	if c := r.plan(free(), nicknames(many(35, "b")...)).Plan.Costs[0]; !c.RunsOut.IsZero() {
		t.Errorf("the month runs out at %s", c.RunsOut)
	}
	r.apply(free(), nicknames(many(60, "a")...))
	if c := r.plan(free(), nicknames(many(35, "b")...)).Plan.Costs[0]; c.RunsOut.IsZero() {
		t.Errorf("the month suffices for 60 calls that wait and 35 more: %+v", c)
	}
}

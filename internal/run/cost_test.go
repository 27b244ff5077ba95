package run_test

import (
	"testing"
	"time"

	"rollcall/internal/pace"
	"rollcall/internal/redistest"
	"rollcall/internal/run"
)

// TestTheForecastOfAMonthIsRightWithinADay simulates a month with a schedule every night
// and three runs, and asks at noon of each day when the calls run out.
func TestTheForecastOfAMonthIsRightWithinADay(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("Asia/Shanghai", 8*3600)
	const nightly, quota, third = 170, 5000, 700
	runs := map[int]int64{3: 600, 9: 500, 17: third} // by day, at 10:00
	begin := time.Date(2026, 11, 1, 0, 0, 0, 0, zone)
	ends := begin.AddDate(0, 1, 0)

	// When they really run out, after the third run.
	var spent, ofRuns int64
	really := time.Time{}
	for day := 1; day <= 30 && really.IsZero(); day++ {
		if spent += runs[day]; spent >= quota {
			really = begin.AddDate(0, 0, day-1).Add(10 * time.Hour)
		} else if spent += nightly; spent >= quota {
			really = begin.AddDate(0, 0, day-1).Add(20 * time.Hour)
		}
	}
	if really.IsZero() {
		t.Fatal("the month is enough: the test shows nothing")
	}
	spent = 0
	for day := 1; day <= 17; day++ {
		now := begin.AddDate(0, 0, day-1).Add(10 * time.Hour)
		plan := int64(0)
		for later, calls := range runs { // the runs of the month, planned together
			if later >= day {
				plan += calls
			}
		}
		usual := run.PerDay(spent-ofRuns, 0, now)
		if day > 1 {
			got := run.RunsOut(quota-spent-plan, usual, now, ends)
			if off := got.Sub(really).Abs(); off > 24*time.Hour {
				t.Errorf("on day %d the forecast is %s, but they run out %s", day, got.Format(time.DateTime), really.Format(time.DateTime))
			}
		}
		spent, ofRuns = spent+runs[day]+nightly, ofRuns+runs[day]
	}
}

func TestThePlanShowsWhatTheMonthHasLeft(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.Mini(t), 40)
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
	if p.Plan.Seconds != 1 || p.Plan.Lanes[0].Rate < 100 {
		t.Errorf("it takes %d s at lanes %+v", p.Plan.Seconds, p.Plan.Lanes)
	}
}

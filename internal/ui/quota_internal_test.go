package ui

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/overview"
	"rollcall/internal/pace"
)

func TestTheForecastIsTheAverageOfTheMonth(t *testing.T) {
	t.Parallel()
	ends := time.Date(2026, 12, 1, 0, 0, 0, 0, pace.Shanghai)
	begins := ends.AddDate(0, -1, 0)
	month := func(spent int64, calls int) overview.Month {
		return overview.Month{Status: pace.Status{
			Metered: true, Quota: pace.Quota{Calls: calls, Reserve: calls / 10}, Month: pace.Month{Spent: spent, Ends: ends, Name: "2026-11"},
		}}
	}
	for name, c := range map[string]struct {
		spent int64
		calls int
		now   time.Time
		atEnd int64
		out   time.Time
	}{
		"half of the month":        {1000, 5000, begins.AddDate(0, 0, 15), 2000, time.Time{}},
		"a third, much too fast":   {3000, 5000, begins.AddDate(0, 0, 10), 9000, begins.AddDate(0, 0, 15)},
		"one call in all of it":    {1, 5000, ends.AddDate(0, 0, -1), 1, time.Time{}},
		"too early for an average": {50, 5000, begins.Add(time.Hour), 50, time.Time{}},
		"nothing yet":              {0, 5000, begins.AddDate(0, 0, 15), 0, time.Time{}},
		"no quota":                 {1000, 0, begins.AddDate(0, 0, 15), 2000, time.Time{}},
		"the reserve is reached":   {4600, 5000, begins.AddDate(0, 0, 15), 9200, time.Time{}},
	} {
		got := forecastOf(month(c.spent, c.calls), c.now)
		if got.AtEnd != c.atEnd || got.Out.Sub(c.out).Abs() > time.Minute {
			t.Errorf("%s: %d, out at %s; want %d, %s", name, got.AtEnd, got.Out, c.atEnd, c.out)
		}
	}
}

func TestTheGraphOfTheMonthFollowsItsDays(t *testing.T) {
	t.Parallel()
	ends := time.Date(2026, 12, 1, 0, 0, 0, 0, pace.Shanghai)
	day := func(n int) time.Time { return time.Date(2026, 11, n, 0, 0, 0, 0, pace.Shanghai) }
	m := overview.Month{
		Status: pace.Status{Metered: true, Quota: pace.Quota{Calls: 1000, Reserve: 100}, Month: pace.Month{Spent: 600, Ends: ends, Name: "2026-11"}},
		// Nothing was called from the second to the tenth; today's count is that of the month.
		Days: []pace.MonthDay{{Date: day(1), Spent: 100}, {Date: day(10), Spent: 100}, {Date: day(11), Spent: 500, Urgent: 7}, {Date: day(16), Spent: 600}},
	}
	now := day(16).Add(12 * time.Hour)
	got := burnOf(m, forecast{AtEnd: 900}, now)
	want := burn{Spent: "M0 0L10.0 8.0L100.0 8.0L110.0 40.0L155.0 48.0", Forecast: "M155.0 48.0L300 72.0", Reserve: 72}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	rows := []dayRow{{"2026-11-16", 100, 0}, {"2026-11-11", 400, 7}, {"2026-11-01", 100, 0}}
	if diff := cmp.Diff(rows, daysOf(m.Days)); diff != "" {
		t.Errorf("days (-want +got):\n%s", diff)
	}
	// Of what was spent before the first known day, the day is not known.
	if rows := daysOf([]pace.MonthDay{{Date: day(9), Spent: 300}, {Date: day(10), Spent: 400}}); len(rows) != 1 || rows[0].Calls != 100 {
		t.Errorf("days after an upgrade: %+v", rows)
	}
}

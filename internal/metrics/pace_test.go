package metrics_test

import (
	"testing"
	"time"

	"rollcall/internal/lane"
	"rollcall/internal/metrics"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
	"rollcall/tasks"
)

// still is the fixed time of the miniredis in these tests.
var still = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)

// open publishes a lane's limits, as a worker that serves it does, and returns its
// booking.
func open(t *testing.T, s *redistest.Server, cfg lane.Config) *pace.Lane {
	t.Helper()
	l := pace.New(s.Client(t), pace.Config{
		Organisation: cfg.Organisation, Name: cfg.Name(), Limits: cfg.Limits, Metered: cfg.Metered, Quota: cfg.Quota,
	})
	if err := l.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

// book makes n calls of a lane.
func book(t *testing.T, l *pace.Lane, n int) (last pace.Slot) {
	t.Helper()
	for range n {
		slot, err := l.Wait(t.Context(), true)
		if err != nil {
			t.Fatal(err)
		}
		last = slot
	}
	return last
}

func TestThePaceOfAllWorkersIsMeasured(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		if s.Mini != nil {
			s.Mini.SetTime(still)
		}
		l := open(t, s, school())
		last := book(t, l, 3)
		l.Uncounted(1, last) // the platform refused one, and a refusal is not metered
		l.Close()
		before := measured(t, s, metrics.Config{})
		expect(t, before, `
			rollcall_pace_share{lane="lakeside-dt.nickname"} 1
			rollcall_pace_spread_seconds{lane="lakeside-dt.nickname"} 0.045
			rollcall_pace_refused_total{lane="lakeside-dt.nickname"} 0
			rollcall_pace_paused_seconds{lane="lakeside-dt.nickname"} 0
			rollcall_month_calls{organisation="lakeside"} 2
			rollcall_month_quota_calls{organisation="lakeside"} 5000
			rollcall_month_reserve_calls{organisation="lakeside"} 500
			rollcall_month_warn_calls{organisation="lakeside"} 4000
			rollcall_month_left_calls{organisation="lakeside"} 4998
			rollcall_pace_read 1
		`)
		const allowedSeries = `rollcall_pace_allowed_calls_per_second{lane="lakeside-dt.nickname"}`
		allowed := value(t, before, allowedSeries)
		if least := 20 / 1.046; allowed < least || allowed > 20 {
			t.Errorf("%g calls per second are allowed, want 20 minus the spread", allowed)
		}

		if _, err := l.Refused(t.Context(), last, 0, time.Hour); err != nil {
			t.Fatal(err)
		}
		after := measured(t, s, metrics.Config{})
		expect(t, after, `rollcall_pace_refused_total{lane="lakeside-dt.nickname"} 1`)
		if paused := value(t, after, `rollcall_pace_paused_seconds{lane="lakeside-dt.nickname"}`); paused < 3000 || paused > 3600 {
			t.Errorf("%g s are left of a pause of an hour", paused)
		}
		if s.Mini == nil {
			return // the rate recovers from a refusal while Redis' clock runs
		}
		expect(t, after, `rollcall_pace_share{lane="lakeside-dt.nickname"} 0.85`)
		if cut := value(t, after, allowedSeries); cut > 0.851*allowed || cut < 0.849*allowed {
			t.Errorf("%g of %g calls a second are allowed after a refusal, want 85 %%", cut, allowed)
		}
	})
}

// The rate in use is measured by the number of slots booked over ten seconds.
func TestTheRateInUseIsThatOfTheLastSeconds(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	const series = `rollcall_pace_used_calls_per_second{lane="lakeside-dt.nickname"}`
	l := open(t, s, school())
	defer l.Close()
	s.Mini.SetTime(still)
	book(t, l, 1)
	if used := value(t, measured(t, s, metrics.Config{}), series); used != 0 {
		t.Errorf("%g calls a second after the first call, want 0: there is nothing to compare with", used)
	}
	s.Mini.SetTime(still.Add(time.Second))
	book(t, l, 3)
	s.Mini.SetTime(still.Add(10 * time.Second))
	book(t, l, 1)
	if used := value(t, measured(t, s, metrics.Config{}), series); used != 0.4 {
		t.Errorf("%g calls a second, want 4 in 10 s", used)
	}
}

// Two lanes of an organisation share one month. A lane whose calls are not metered uses
// none of it.
func TestAMonthIsMeasuredOnceForEachOrganisation(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		nickname, group, course, free := school(), school(), school(), school()
		group.Kind = tasks.KindGroup
		course.Organisation, course.Tenant, course.Kind, course.Metered = "hillside", "hillside-ci", tasks.KindCourse, false
		free.Organisation, free.Tenant, free.Quota = "riverside", "riverside-dt", pace.Quota{}
		for _, cfg := range []lane.Config{nickname, group, course, free} {
			l := open(t, s, cfg)
			book(t, l, 1)
			l.Close()
		}
		// A duplicate series would make this scrape fail.
		expect(t, measured(t, s, metrics.Config{}, nickname, group, course, free), `
			rollcall_month_calls{organisation="lakeside"} 2
			rollcall_month_left_calls{organisation="lakeside"} 4998
			rollcall_month_calls{organisation="riverside"} 1
			rollcall_month_quota_calls{organisation="riverside"} 0
			rollcall_pace_share{lane="hillside-ci.course"} 1
		`, `rollcall_month_calls{organisation="hillside"}`, `rollcall_month_left_calls{organisation="riverside"}`)

		for _, organisation := range []string{"lakeside", "riverside"} {
			if err := pace.NoteMonthSpent(t.Context(), s.Client(t), organisation); err != nil {
				t.Fatal(err)
			}
		}
		expect(t, measured(t, s, metrics.Config{}, nickname, group, free), `
			rollcall_month_calls{organisation="lakeside"} 2
			rollcall_month_left_calls{organisation="lakeside"} 0
			rollcall_month_left_calls{organisation="riverside"} 0
		`)
	})
}

func TestTheMonthEndsAtMidnightInShanghai(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	s.Mini.SetTime(still)
	open(t, s, school())
	ends := value(t, measured(t, s, metrics.Config{}), `rollcall_month_ends_timestamp_seconds{organisation="lakeside"}`)
	if want := time.Date(2026, 11, 30, 16, 0, 0, 0, time.UTC); int64(ends) != want.Unix() {
		t.Errorf("the month ends at %s, want %s", time.Unix(int64(ends), 0).UTC(), want)
	}
}

// The rate of a lane that no worker has served yet is unknown.
func TestALaneThatNoWorkerServedYetHasNoAllowedRate(t *testing.T) {
	t.Parallel()
	expect(t, measured(t, redistest.Mini(t), metrics.Config{}), `
		rollcall_pace_read 1
		rollcall_pace_share{lane="lakeside-dt.nickname"} 1
		rollcall_pace_spread_seconds{lane="lakeside-dt.nickname"} 0
	`, "rollcall_pace_allowed_calls_per_second{", "rollcall_month_")
}

func TestWithoutRedisThePaceIsNotMeasured(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		open(t, s, school())
		m := measured(t, s, metrics.Config{})
		s.Stop(t)
		expect(t, m, `
			rollcall_pace_read 0
			rollcall_sends_total{lane="lakeside-dt.nickname"} 0
		`, "rollcall_pace_share{", "rollcall_pace_refused_total{", "rollcall_month_calls{")
		s.Start(t)
	})
}

package pace_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/pace"
	"rollcall/internal/redistest"
)

func TestTheMonthsReserveIsOnlyForUrgentCalls(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	s.Mini.SetTime(still)
	cfg := pace.Config{Metered: true, Quota: pace.Quota{Calls: 10, Reserve: 3}}
	a := lane(t, s, cfg)
	cfg.Name = "other.group" // another tenant's lane of the same organisation
	b := lane(t, s, cfg)
	first, err := a.Ask(pace.Ask{Bulk: 4})
	if err != nil || len(first.Slots) != 4 {
		t.Fatalf("Ask() = %+v, %v", first, err)
	}
	second, err := b.Ask(pace.Ask{Bulk: 6})
	if err != nil || len(second.Slots) != 3 || second.Why != pace.WhyReserve {
		t.Errorf("with 3 of 10 calls reserved: %+v, %v, want 3 slots", second, err)
	}
	_, err = b.Wait(t.Context(), false)
	if spent, ok := errors.AsType[*pace.SpentError](err); !ok || spent.Why != pace.WhyReserve || spent.Spent != 7 {
		t.Errorf("Wait() = %v, want a *SpentError for the reserve after 7 calls", err)
	}
	urgent, err := a.Ask(pace.Ask{Urgent: 6})
	if err != nil || len(urgent.Slots) != 3 || urgent.Why != pace.WhyMonth {
		t.Errorf("urgent calls got %+v, %v, want the 3 that were reserved", urgent, err)
	}
	if err := a.Give(pace.Return{Counted: still.UnixMicro()}); err != nil { // the platform did not count one
		t.Fatal(err)
	}
	if again, err := b.Ask(pace.Ask{Urgent: 2}); err != nil || len(again.Slots) != 1 {
		t.Errorf("after a refund: %+v, %v, want one slot", again, err)
	}
	s.Mini.SetTime(time.Date(2026, 11, 30, 16, 0, 0, 0, time.UTC)) // midnight in Shanghai
	if turned, err := b.Ask(pace.Ask{Bulk: 6}); err != nil || len(turned.Slots) != 6 {
		t.Errorf("in the next month: %+v, %v, want 6 slots", turned, err)
	}
}

func TestAMonthThatThePlatformReportsAsSpentIsSpent(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := lane(t, s, pace.Config{Metered: true})
		if err := pace.NoteMonthSpent(t.Context(), rdb, "lakeside"); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Wait(t.Context(), true); err == nil || !strings.Contains(err.Error(), "spent") {
			t.Errorf("Wait() = %v, want a *SpentError", err)
		}
		for _, said := range []bool{true, false} {
			if m, err := pace.NoteMonthNotSpent(t.Context(), rdb, "lakeside"); err != nil || m.Said != said {
				t.Fatalf("NoteMonthNotSpent() = %+v, %v; want Said %v", m, err, said)
			}
		}
		if _, err := l.Wait(t.Context(), true); err != nil {
			t.Error(err)
		}
	})
}

func TestEachDayOfTheMonthKeepsWhatWasSpentUntilItsEnd(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	day := func(n, hour int) time.Time { return time.Date(2026, 11, n, hour, 0, 0, 0, pace.Shanghai) }
	l := lane(t, s, pace.Config{Metered: true})
	ask := func(at time.Time, a pace.Ask) {
		t.Helper()
		s.Mini.SetTime(at)
		if r, err := l.Ask(a); err != nil || len(r.Slots) != a.Urgent+a.Bulk {
			t.Fatalf("Ask(%+v) = %+v, %v", a, r, err)
		}
	}
	ask(day(1, 9), pace.Ask{Bulk: 2})
	ask(day(1, 23), pace.Ask{Urgent: 1, Bulk: 1})
	ask(day(5, 0), pace.Ask{Urgent: 2})
	ask(day(5, 12), pace.Ask{Urgent: 1, Bulk: 3})
	if err := l.Give(pace.Return{Counted: day(5, 12).UnixMicro()}); err != nil { // the platform did not count one
		t.Fatal(err)
	}
	days, err := pace.ReadDays(t.Context(), s.Client(t), "lakeside", "elsewhere")
	if err != nil {
		t.Fatal(err)
	}
	// No call was made from the second to the fourth: the count of the fourth is that of the first.
	want := [][]pace.MonthDay{{{Date: day(1, 0), Spent: 4, Urgent: 1}, {Date: day(4, 0), Spent: 4}, {Date: day(5, 0), Spent: 9, Urgent: 3}}, nil}
	if diff := cmp.Diff(want, days); diff != "" {
		t.Errorf("days (-want +got):\n%s", diff)
	}
	s.Mini.SetTime(time.Date(2026, 12, 1, 0, 0, 0, 0, pace.Shanghai))
	if days, err := pace.ReadDays(t.Context(), s.Client(t), "lakeside"); err != nil || len(days[0]) != 0 {
		t.Errorf("in the next month: %v, %v", days, err)
	}
	ask(time.Date(2026, 12, 31, 9, 0, 0, 0, pace.Shanghai), pace.Ask{Bulk: 1})
	fields, err := s.Client(t).HKeys(t.Context(), pace.MonthKey("lakeside")).Result()
	slices.Sort(fields)
	if diff := cmp.Diff([]string{"2026-11", "2026-12", "2026-12-30", "2026-12-31"}, fields); err != nil || diff != "" {
		t.Errorf("fields in the next month, %v (-want +got):\n%s", err, diff)
	}
}

func TestTheAddressIsBookedForAllOrganisations(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	s.Mini.SetTime(still)
	limit := pace.Limit{Calls: 60, Per: time.Hour}
	fast := []pace.Limit{{Calls: 1000, Per: time.Second}}
	var lanes []*pace.Lane
	for _, organisation := range []string{"north", "south"} {
		lanes = append(lanes, lane(t, s, pace.Config{
			Organisation: organisation, Limits: fast, Address: pace.NewAddress(s.Client(t), "office", limit),
		}))
	}
	var went atomic.Int64
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for i := range 10 {
		wg.Go(func() {
			if _, err := lanes[i%2].Wait(ctx, true); err == nil {
				went.Add(1)
			}
		})
	}
	// A twentieth of the limit, plus one. The slot after them is a minute away.
	until(t, func() bool { return went.Load() >= 4 })
	until(t, func() bool { return lanes[0].Waiting()+lanes[1].Waiting() == 6 })
	cancel()
	wg.Wait()
	if n := went.Load(); n != 4 {
		t.Errorf("%d calls left at once from an address of 60 an hour, want 4", n)
	}
	if err := pace.NewAddress(s.Client(t), "office", limit).Pause(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	for _, l := range lanes {
		if _, err := l.Wait(t.Context(), true); err == nil {
			t.Error("a call left from a banned address")
		}
	}
}

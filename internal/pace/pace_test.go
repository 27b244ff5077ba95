package pace_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rollcall/internal/pace"
	"rollcall/internal/redistest"
)

var twenty = pace.Limit{Calls: 20, Per: time.Second}

// model is the booking's arithmetic with the time passed in.
type model struct{ free time.Duration }

func (m *model) book(now, interval time.Duration) (booked bool, wait time.Duration) {
	free := max(m.free, now)
	if free-now > pace.Horizon {
		return false, free - now - pace.Horizon
	}
	m.free = free + interval
	return true, free - now
}

func (m *model) pause(now, d time.Duration) { m.free = max(m.free, now+d) }

func TestTheScriptAgreesWithTheModelOverRandomHistories(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	rdb := s.Client(t)
	epoch := time.UnixMicro(1_763_762_142_000_000)
	rapid.Check(t, func(rt *rapid.T) {
		s.Mini.FlushAll()
		limit := pace.Limit{
			Calls: rapid.IntRange(1, 200).Draw(rt, "calls"),
			Per:   time.Duration(rapid.IntRange(100, 60_000).Draw(rt, "per_ms")) * time.Millisecond,
		}
		lane := pace.NewLane(rdb, "lakeside", "lakeside-dt.nickname", limit)
		interval := limit.Interval().Truncate(time.Microsecond)
		var m model
		var now time.Duration
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			now += time.Duration(rapid.IntRange(0, 2_000_000).Draw(rt, "step_us")) * time.Microsecond
			s.Mini.SetTime(epoch.Add(now))
			if rapid.IntRange(0, 9).Draw(rt, "pause") == 0 {
				d := time.Duration(rapid.IntRange(1, 5_000_000).Draw(rt, "pause_us")) * time.Microsecond
				if err := lane.Pause(t.Context(), d); err != nil {
					rt.Fatal(err)
				}
				m.pause(now, d)
				continue
			}
			booked, wait, err := lane.Book(t.Context())
			if err != nil {
				rt.Fatal(err)
			}
			if wantBooked, wantWait := m.book(now, interval); booked != wantBooked || wait != wantWait {
				rt.Fatalf("at %s: booked %t after %s, the model says %t after %s", now, booked, wait, wantBooked, wantWait)
			}
		}
	})
}

func TestNothingIsBookedBeyondTheHorizon(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		lane := pace.NewLane(s.Client(t), "lakeside", "lakeside-dt.nickname", twenty)
		start := time.Now()
		booked := 0
		for {
			ok, wait, err := lane.Book(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			if booked++; wait > pace.Horizon {
				t.Errorf("slot %d is %s away", booked, wait)
			}
		}
		// On a slow machine slots pass by while others are booked.
		most := int((pace.Horizon+time.Since(start))/twenty.Interval()) + 2
		if booked < 19 || booked > most {
			t.Errorf("%d slots were booked within a horizon of %s, want 19 to %d", booked, pace.Horizon, most)
		}
	})
}

func TestTwoLanesDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		slow := pace.NewLane(rdb, "lakeside", "a.nickname", pace.Limit{Calls: 1, Per: time.Hour})
		other := pace.NewLane(rdb, "lakeside", "b.nickname", twenty)
		for _, lane := range []*pace.Lane{slow, other} {
			if booked, wait, err := lane.Book(t.Context()); err != nil || !booked || wait != 0 {
				t.Errorf("Book() = %t, %s, %v, want a slot at once", booked, wait, err)
			}
		}
		if booked, _, err := slow.Book(t.Context()); err != nil || booked {
			t.Errorf("a second slot within the hour: booked %t, %v", booked, err)
		}
	})
}

func TestASleeperGivesItsSlotUpWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		lane := pace.NewLane(s.Client(t), "lakeside", "a.nickname", pace.Limit{Calls: 1, Per: time.Hour})
		if err := lane.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		stopping := errors.New("the worker is stopping")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(stopping)
		if err := lane.Wait(ctx); !errors.Is(err, stopping) && !errors.Is(err, context.Canceled) {
			t.Errorf("Wait() = %v, want the context's cause", err)
		}
	})
}

func TestALaneThatIsPausedForLongIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		lane := pace.NewLane(rdb, "lakeside", "a.nickname", twenty)
		other := pace.NewLane(rdb, "lakeside", "a.nickname", twenty) // another worker's
		if err := lane.Pause(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
		for _, l := range []*pace.Lane{lane, other} {
			out, ok := errors.AsType[*pace.BookedOutError](l.Wait(t.Context()))
			if !ok || out.For < 59*time.Minute-pace.Horizon || out.For > time.Hour {
				t.Errorf("Wait() = %v, want a *BookedOutError of about an hour", out)
			}
		}
	})
}

func TestWithoutRedisNoSlotIsGiven(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	lane := pace.NewLane(s.Client(t), "lakeside", "a.nickname", twenty)
	s.Mini.SetError("LOADING Redis is loading the dataset in memory")
	if err := lane.Wait(t.Context()); err == nil {
		t.Error("Wait() let a send go without Redis")
	}
}

func TestALimitThatIsSetHoldsFromTheNextBookingOn(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	s.Mini.SetTime(time.UnixMicro(1_763_762_142_000_000)) // stands still
	lane := pace.NewLane(s.Client(t), "lakeside", "a.nickname", twenty)
	next := func() time.Duration {
		t.Helper()
		booked, wait, err := lane.Book(t.Context())
		if err != nil || !booked {
			t.Fatalf("Book() = %t, %s, %v, want a slot", booked, wait, err)
		}
		return wait
	}
	two := pace.Limit{Calls: 2, Per: time.Second}
	got := []time.Duration{next(), next()}
	lane.SetLimit(two)
	got = append(got, next(), next())
	fast := twenty.Interval().Truncate(time.Microsecond)
	want := []time.Duration{0, fast, 2 * fast, 2*fast + two.Interval()}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("waits (-want +got):\n%s", diff)
	}
}

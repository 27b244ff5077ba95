package pace_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/pace"
	"rollcall/internal/redistest"
)

var twenty = []pace.Limit{{Calls: 20, Per: time.Second}}

// still is the fixed time of the miniredis in these tests.
var still = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)

func lane(t *testing.T, s *redistest.Server, cfg pace.Config) *pace.Lane {
	t.Helper()
	if cfg.Organisation == "" {
		cfg.Organisation = "lakeside"
	}
	if cfg.Name == "" {
		cfg.Name = "dt.nickname"
	}
	if cfg.Limits == nil {
		cfg.Limits = twenty
	}
	l := pace.New(s.Client(t), cfg)
	t.Cleanup(l.Close)
	return l
}

// counted returns a lane, and how many scripts it has run.
func counted(t *testing.T, s *redistest.Server, limit pace.Limit) (*pace.Lane, *atomic.Int64) {
	t.Helper()
	rdb, ran := s.Client(t), &scripts{}
	rdb.AddHook(ran)
	l := pace.New(rdb, pace.Config{Organisation: "lakeside", Name: "dt.nickname", Limits: []pace.Limit{limit}})
	t.Cleanup(l.Close)
	return l, &ran.count
}

// scripts is a hook that counts scripts. One that Redis did not know is sent again by EVAL.
type scripts struct{ count atomic.Int64 }

func (r *scripts) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r *scripts) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "evalsha" {
			r.count.Add(1)
		}
		return next(ctx, cmd)
	}
}

func (r *scripts) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// until waits until come returns true. No test depends on how long it took.
func until(t *testing.T, come func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !come() {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("timed out")
		}
	}
}

func TestSlotsAreSpacedEvenlyForManyConcurrentSenders(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		a, b := lane(t, s, pace.Config{}), lane(t, s, pace.Config{}) // two workers
		var mu sync.Mutex
		var slots []time.Duration
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() {
				slot, err := []*pace.Lane{a, b}[i%2].Wait(t.Context(), false)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				slots = append(slots, slot.Time())
				mu.Unlock()
			})
		}
		wg.Wait()
		least := twenty[0].Interval()
		for i, at := range slots {
			for _, other := range slots[:i] {
				if apart := max(at-other, other-at); apart < least {
					t.Errorf("two slots are %s apart, want at least %s", apart, least)
				}
			}
		}
	})
}

func TestConcurrentSendersShareRoundTrips(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l, asked := counted(t, s, pace.Limit{Calls: 1000, Per: time.Second})
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() {
				if _, err := l.Wait(t.Context(), false); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := asked.Load(); n > 100 {
			t.Errorf("200 slots took %d round trips", n)
		}
	})
}

// The senders arrive one by one, and each booking ends before the next sender arrives,
// because no time passes. Only the first sender books alone: the others gather for the
// second booking.
func TestConsecutiveBookingsAreSharedByTheSendersInBetween(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		synctest.Test(t, func(t *testing.T) {
			l, asked := counted(t, s, pace.Limit{Calls: 1_000_000, Per: time.Second})
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() {
					if _, err := l.Wait(t.Context(), false); err != nil {
						t.Error(err)
					}
				})
				synctest.Wait() // for Redis, too
			}
			wg.Wait()
			if n := asked.Load(); n != 2 {
				t.Errorf("50 senders took %d bookings, want two", n)
			}
		})
	})
}

func TestAnUrgentSenderWaitsOnlyForSlotsThatAreAlreadyBooked(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	s.Mini.SetTime(still)
	l := lane(t, s, pace.Config{})
	bulk, err := l.Ask(pace.Ask{Bulk: 100})
	if err != nil {
		t.Fatal(err)
	}
	last := bulk.Slots[len(bulk.Slots)-1] - still.UnixMicro()
	if bulk.Why != pace.WhyHorizon || last > 500_000 {
		t.Errorf("the last of 100 bulk slots is %d µs ahead, reason for the missing ones %q; want at most 500 ms ahead", last, bulk.Why)
	}
	urgent, err := l.Ask(pace.Ask{Urgent: 1, Bulk: 1})
	if err != nil || len(urgent.Slots) != 1 {
		t.Fatalf("Ask() = %+v, %v, want a slot for the urgent one alone", urgent, err)
	}
	if ahead := urgent.Slots[0] - still.UnixMicro(); ahead > 600_000 {
		t.Errorf("the urgent slot is %d µs ahead", ahead)
	}
}

func TestAllLimitsOfALaneAreKeptTogether(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	s.Mini.SetTime(still)
	l := lane(t, s, pace.Config{Limits: []pace.Limit{
		{Calls: 20, Per: time.Second}, {Calls: 60, Per: time.Minute, Burst: 10}, {Calls: 8, Per: pace.Day},
	}})
	r, err := l.Ask(pace.Ask{Urgent: 11})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Slots) != 8 || r.Why != pace.WhyDay {
		t.Fatalf("Ask() = %+v, want the 8 slots that the day has left", r)
	}
	for i, at := range r.Slots[1:] {
		if apart := time.Duration(at-r.Slots[i]) * time.Microsecond; apart < twenty[0].Interval() || apart > twenty[0].Interval()+time.Microsecond {
			t.Errorf("slot %d comes %s after the one before, want the second's spacing: the minute's burst allows it", i+1, apart)
		}
	}
}

// inTime repeats a check that only a machine without delays can pass, each time on a
// new lane, until it passes.
func inTime(t *testing.T, seen func(lane string) bool) {
	t.Helper()
	for i := range 50 {
		if seen(fmt.Sprintf("dt%d.nickname", i)) {
			return
		}
	}
	t.Error("not seen in 50 tries")
}

// A slot that is booked but not used is not lost to the others.
func TestAReturnedSlotGoesToAWaitingSender(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		inTime(t, func(name string) bool {
			two := []pace.Limit{{Calls: 2, Per: time.Second}}
			l := lane(t, s, pace.Config{Name: name, Limits: two})
			first, err := l.Wait(t.Context(), false)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			stopping := errors.New("the worker is stopping")
			ended := make(chan error, 1)
			go func() {
				_, err := l.Wait(ctx, false)
				ended <- err
			}()
			until(t, func() bool { return l.Waiting() == 1 || len(ended) == 1 })
			cancel(stopping)
			if err := <-ended; err == nil {
				return false // its slot came before
			} else if !errors.Is(err, stopping) {
				t.Fatalf("Wait() = %v, want the context's cause", err)
			}
			status, err := pace.Read(t.Context(), s.Client(t), []pace.Ref{{Organisation: "lakeside", Lane: name}})
			if err != nil || status[0].Booked > 2 {
				t.Fatalf("Read() = %+v, %v", status, err)
			}
			next, err := l.Wait(t.Context(), false)
			if err != nil {
				t.Fatal(err)
			}
			// Any later, the slot would have passed before it could be used.
			return next.Time()-first.Time() <= two[0].Interval()+time.Microsecond
		})
	})
}

func TestAPauseVoidsTheSlotsOfOtherWorkers(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		inTime(t, func(name string) bool {
			a, b := lane(t, s, pace.Config{Name: name}), lane(t, s, pace.Config{Name: name})
			listening, stop := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() { pace.Listen(listening, s.Client(t), []*pace.Lane{b}) })
			defer func() { stop(); wg.Wait() }()
			until(t, func() bool { return s.Client(t).PubSubNumSub(t.Context(), "rollcall:pace").Val()["rollcall:pace"] > 0 })
			got := make(chan error, 8)
			for range 8 {
				go func() {
					_, err := b.Wait(t.Context(), false)
					got <- err
				}()
			}
			<-got // one has left; the others have their slots
			if _, err := a.Pause(t.Context(), time.Hour); err != nil {
				t.Fatal(err)
			}
			out := 0
			for range 7 {
				if _, ok := errors.AsType[*pace.BookedOutError](<-got); ok {
					out++
				}
			}
			return out >= 5 // the slots of the others came before the pause
		})
	})
}

func TestASenderDoesNotWaitForALongPause(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		a, b := lane(t, s, pace.Config{}), lane(t, s, pace.Config{})
		if _, err := a.Pause(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
		for _, l := range []*pace.Lane{a, b} {
			_, err := l.Wait(t.Context(), true)
			out, ok := errors.AsType[*pace.BookedOutError](err)
			if !ok || out.For < 59*time.Minute || out.For > time.Hour {
				t.Errorf("Wait() = %v, want a *BookedOutError of about an hour", err)
			}
		}
	})
}

// A single refusal is the price of the last per cent of the rate. A second one within
// the window means that the window is full.
func TestARefusalPausesTheLaneForTheTimeThatItImplies(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	now := still
	s.Mini.SetTime(now)
	l := lane(t, s, pace.Config{})
	refused := func(after time.Duration, period, said time.Duration) time.Duration {
		t.Helper()
		now = now.Add(after)
		s.Mini.SetTime(now)
		lesson, err := l.Refused(t.Context(), pace.Slot{}, period, said)
		if err != nil {
			t.Fatal(err)
		}
		return lesson.Pause
	}
	got := []time.Duration{
		refused(0, time.Second, 0),
		refused(300*time.Millisecond, time.Second, 0),
		refused(10*time.Second, time.Second, 0),
		refused(10*time.Second, time.Minute, 0),
		refused(2*time.Minute, time.Second, 7*time.Minute),
	}
	want := []time.Duration{100 * time.Millisecond, time.Second, 100 * time.Millisecond, time.Minute, 7 * time.Minute}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pauses (-want +got):\n%s", diff)
	}
}

func TestALaneWaitsForAWindowAfterRedisLostItsData(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	s.Mini.SetTime(still)
	l := lane(t, s, pace.Config{Metered: true, Quota: pace.Quota{Calls: 100}})
	if _, err := l.Wait(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	s.Mini.FlushAll()
	done := make(chan error, 1)
	go func() {
		_, err := l.Wait(t.Context(), false)
		done <- err
	}()
	var status []pace.Status
	for len(status) == 0 || status[0].Paused == 0 {
		var err error
		if status, err = pace.Read(t.Context(), s.Client(t), []pace.Ref{{Organisation: "lakeside", Lane: "dt.nickname"}}); err != nil {
			t.Fatal(err)
		}
	}
	if status[0].Paused != 2*time.Second {
		t.Errorf("the lane is paused for %s, want a window and a horizon", status[0].Paused)
	}
	if status[0].Month.Spent != 1 {
		t.Errorf("%d calls of the month are known, want the one that this worker remembers", status[0].Month.Spent)
	}
	s.Mini.SetTime(still.Add(3 * time.Second))
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestNoSlotIsGrantedWithoutRedis(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	l := lane(t, s, pace.Config{})
	s.Mini.SetError("LOADING Redis is loading the dataset in memory")
	if _, err := l.Wait(t.Context(), false); err == nil {
		t.Error("Wait() granted a slot without Redis")
	}
}

func TestSetLimitsAppliesFromTheNextBookingOn(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	s.Mini.SetTime(still)
	l := lane(t, s, pace.Config{})
	first, err := l.Ask(pace.Ask{Urgent: 2})
	if err != nil {
		t.Fatal(err)
	}
	five := []pace.Limit{{Calls: 5, Per: time.Second}}
	l.SetLimits(five)
	second, err := l.Ask(pace.Ask{Urgent: 2})
	if err != nil {
		t.Fatal(err)
	}
	slots := slices.Concat(first.Slots, second.Slots)
	if len(slots) != 4 {
		t.Fatalf("slots %v", slots)
	}
	fast, slow := twenty[0].Interval(), five[0].Interval()
	want := []time.Duration{fast, fast, slow}
	var got []time.Duration
	for i, at := range slots[1:] {
		got = append(got, time.Duration(at-slots[i])*time.Microsecond)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("spacing (-want +got):\n%s", diff)
	}
}

func TestReadReturnsThePaceOfALane(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	s.Mini.SetTime(still)
	cfg := pace.Config{Metered: true, Quota: pace.Quota{Calls: 5000, Reserve: 500, Warn: 4000}}
	l := lane(t, s, cfg)
	if err := l.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Ask(pace.Ask{Urgent: 5}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Refused(t.Context(), pace.Slot{}, time.Second, 0); err != nil {
		t.Fatal(err)
	}
	ref := pace.Ref{Organisation: "lakeside", Lane: "dt.nickname"}
	got, err := pace.Read(t.Context(), s.Client(t), []pace.Ref{ref})
	if err != nil {
		t.Fatal(err)
	}
	want := []pace.Status{{
		Ref: ref, Limits: twenty, Metered: true, Quota: cfg.Quota, Allowed: got[0].Allowed, InUse: got[0].InUse,
		Share: 1, Spread: 45 * time.Millisecond, Refused: 1, Booked: 5, Paused: 100 * time.Millisecond, Day: 5,
		Month: pace.Month{Name: "2026-11", Spent: 5, Ends: time.Date(2026, 11, 30, 16, 0, 0, 0, time.UTC), Quota: cfg.Quota, QuotaKnown: true},
	}}
	equalTimes := cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })
	if diff := cmp.Diff(want, got, equalTimes); diff != "" {
		t.Errorf("Read() (-want +got):\n%s", diff)
	}
	if got[0].Allowed < 19 || got[0].Allowed > 20 {
		t.Errorf("%f calls a second are allowed, want 20 minus the spread", got[0].Allowed)
	}
}

package pace_test

import (
	"testing"
	"time"

	"rollcall/internal/pace"
	"rollcall/internal/redistest"
)

// Slots that passed while a machine stood still would otherwise all be used at once.
func TestASlotThatHasPassedIsNotUsed(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := lane(t, s, pace.Config{Metered: true})
		slot, err := l.Wait(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		until(t, func() bool { return time.Since(began) > 50*time.Millisecond })
		if left, err := l.Leave(t.Context(), slot); left || err != nil {
			t.Errorf("Leave() = %t, %v long after the slot, want false", left, err)
		}
		spent(t, s, 0)
	})
}

// A machine that is too slow for its slots sends slowly, but does not stop.
func TestAMachineThatIsAlwaysLateStillSends(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	l := lane(t, s, pace.Config{})
	for range 10 {
		slot, err := l.Wait(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		until(t, func() bool { return time.Since(began) > 50*time.Millisecond })
		if left, err := l.Leave(t.Context(), slot); left || err != nil {
			return
		}
	}
	t.Error("ten slots in a row have passed, and no call has left")
}

func TestASlotIsVoidWhenTheLaneIsPausedBeforeItIsUsed(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := lane(t, s, pace.Config{Metered: true})
		slot, err := l.Wait(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Pause(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
		if left, err := l.Leave(t.Context(), slot); left || err != nil {
			t.Errorf("Leave() = %t, %v during a pause, want false", left, err)
		}
		spent(t, s, 0)
	})
}

// spent waits until this many calls of the month are counted.
func spent(t *testing.T, s *redistest.Server, want int64) {
	t.Helper()
	until(t, func() bool {
		months, err := pace.ReadMonths(t.Context(), s.Client(t), "lakeside")
		if err != nil {
			t.Fatal(err)
		}
		return months[0].Spent == want
	})
}

// A pause does not cancel the slots of a burst that has left: those calls would be sent
// again.
func TestAPauseDoesNotCancelABurstThatHasLeft(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	s.Mini.SetTime(still)
	l := lane(t, s, pace.Config{Limits: []pace.Limit{{Calls: 20, Per: time.Second, Burst: 10}}})
	first, err := l.Ask(pace.Ask{Urgent: 11})
	if err != nil || first.Slots[10] != first.Slots[0] {
		t.Fatalf("Ask() = %+v, %v, want eleven slots at once", first, err)
	}
	if _, err := l.Pause(t.Context(), 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	s.Mini.SetTime(still.Add(105 * time.Millisecond))
	second, err := l.Ask(pace.Ask{Urgent: 11})
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	for _, slot := range second.Slots {
		if slot <= still.Add(110*time.Millisecond).UnixMicro() {
			at++
		}
	}
	if at > 1 {
		t.Errorf("%d more leave together 105 ms later", at)
	}
}

// A limit is identified by its length: another limit that is added changes nothing for
// it.
func TestAnAddedLimitDoesNotChangeTheOthers(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	s.Mini.SetTime(still)
	minute := pace.Limit{Calls: 60, Per: time.Minute, Burst: 30}
	l := lane(t, s, pace.Config{Limits: []pace.Limit{minute}})
	if r, err := l.Ask(pace.Ask{Urgent: 31}); err != nil || len(r.Slots) != 31 {
		t.Fatalf("Ask() = %+v, %v, want the burst", r, err)
	}
	l.SetLimits([]pace.Limit{twenty[0], minute})
	s.Mini.SetTime(still.Add(2100 * time.Millisecond))
	if r, err := l.Ask(pace.Ask{Urgent: 3}); err != nil || len(r.Slots) != 1 {
		t.Errorf("two seconds later: %+v, %v, want the one slot that the minute allows", r, err)
	}
}

package lane_test

import (
	"testing"
	"time"

	"rollcall/internal/lane"
	"rollcall/internal/outcome"
	"rollcall/internal/redistest"
)

// The longest window of the lane here is a second. A task that must wait is tried again
// after seconds, not after the time by which the clock was set.
func TestTasksAreAppliedBeforeAndAfterAStepOfTheClock(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes 10 s: make test-long")
	}
	for _, by := range redistest.ClockSteps() {
		t.Run(by.String(), func(t *testing.T) {
			t.Parallel()
			redistest.Stepped(t, func(t *testing.T, s *redistest.Server) {
				r := newLateRig(t, s, func(*lane.Config) {})
				sweep := r.Sweeps()
				apply := func(name string) {
					t.Helper()
					r.change(name)
					sweep(t.Context(), time.Now())
					for a := r.Attempt(); a.Verdict.Action != outcome.Done; a = r.Attempt() {
						if a.Verdict.Action == outcome.Dead || a.Verdict.After > time.Minute {
							t.Fatalf("%s: %s, tried again after %s: %v", name, a.Verdict.Action, a.Verdict.After, a.Verdict.Err)
						}
					}
					r.called(name)
					sweep(t.Context(), time.Now())
				}
				apply("A")
				s.Step(by)
				apply("B")
				apply("C")
				s.Step(-by)
				apply("D")
				apply("E")
				if line, held := r.Set.Lanes()[0].Hold(); held {
					t.Errorf("the lane is on hold: %+v", line)
				}
				for _, line := range r.Log.Lines("level=ERROR") {
					t.Error(line)
				}
			})
		})
	}
}

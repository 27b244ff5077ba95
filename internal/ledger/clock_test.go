package ledger_test

import (
	"errors"
	"testing"
	"time"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
)

// A clock that is set finds a task at every step: revised, begun, sent. All of them end,
// and later changes are accepted, also when the clock is set right.
func TestChangesAreAcceptedBeforeAndAfterAStepOfTheClock(t *testing.T) {
	t.Parallel()
	for _, by := range redistest.ClockSteps() {
		t.Run(by.String(), func(t *testing.T) {
			t.Parallel()
			redistest.Stepped(t, func(t *testing.T, s *redistest.Server) {
				l := ledger.New(s.Client(t))
				target := func(key string) ledger.Target {
					return ledger.Target{Organisation: "lakeside", API: "nickname", Key: key}
				}
				last := map[ledger.Target]int64{}
				next := func(target ledger.Target) int64 {
					t.Helper()
					rev := revise(t, l, target)
					if rev <= last[target] {
						t.Errorf("%s: revision %d after %d", target.Key, rev, last[target])
					}
					last[target] = rev
					return rev
				}
				apply(t, l, target("done"), next(target("done")), nick("before"))
				for _, step := range []time.Duration{by, -by} {
					revised := next(target("revised"))
					begun := begin(t, l, target("begun"), next(target("begun")), nick("begun "+step.String()))
					sent := begin(t, l, target("sent"), next(target("sent")), nick("sent "+step.String()))
					gate(t, sent)
					s.Step(step)
					apply(t, l, target("revised"), revised, nick("revised "+step.String()))
					gate(t, begun)
					for _, lease := range []*ledger.Lease{begun, sent} {
						settle(t, lease, false)
					}
					for _, key := range []string{"done", "revised", "begun", "sent", "new " + step.String()} {
						apply(t, l, target(key), next(target(key)), nick("after "+step.String()))
						wantDecision(t, l, target(key), next(target(key)), nick("after "+step.String()), ledger.Unchanged)
					}
				}
			})
		})
	}
}

// The worker that has the lease is dead, so its lease is not renewed.
func TestALeaseIsNotExtendedByAClockThatIsSetBack(t *testing.T) {
	t.Parallel()
	redistest.Stepped(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		begin(t, l, ann, revise(t, l, ann), nick("of a dead worker"))
		s.Step(-2 * time.Hour)
		rev := revise(t, l, ann)
		_, _, err := l.Begin(t.Context(), delivery(ann, rev, nick("next")))
		if busy, ok := errors.AsType[*ledger.BusyError](err); !ok || busy.For > 20*time.Second {
			t.Fatalf("Begin() = %v, want a *BusyError of up to 20 s", err)
		}
		s.Step(21 * time.Second)
		apply(t, l, ann, rev, nick("next"))
	})
}

// A value was settled while a late request could overwrite it, by a clock that was a year
// ahead. It is sent again once the clock is right, and then no more.
func TestAResendEndsAfterAClockThatWasAhead(t *testing.T) {
	t.Parallel()
	redistest.Stepped(t, func(t *testing.T, s *redistest.Server) {
		const year = 365 * 24 * time.Hour
		l := ledger.New(s.Client(t))
		s.Step(year)
		settleLate(t, l)
		s.Step(-year)
		now := time.Now()
		wantDue(t, l, now, 1, 0) // reports it, and brings it near
		for round := range 2 {   // by the first its time is right, by the second it is over
			s.Step(landsIn + time.Minute)
			now = now.Add(landsIn + time.Minute)
			wantDue(t, l, now, 1, 1)
			lease, decided, err := l.Begin(t.Context(), resend("A"))
			if err != nil || lease == nil {
				t.Fatalf("resend %d: %v, %v", round, decided, err)
			}
			gate(t, lease)
			settle(t, lease, false)
		}
		wantDue(t, l, now.Add(24*time.Hour), 0, 0)
	})
}

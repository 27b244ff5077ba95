package ledger_test

import (
	"testing"
	"time"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
)

// B timed out and A was sent after it. B may still overwrite A, so the next change to A
// is sent. That ends once no earlier send can be carried out any more.
func TestAfterASendThatMayStillBeCarriedOutAnEqualChangeIsSent(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	l := ledger.New(s.Client(t))
	now := time.Now()
	s.Mini.SetTime(now)
	late := begin(t, l, ann, revise(t, l, ann), nick("B"))
	gate(t, late)
	release(t, late, ledger.Unanswered)
	apply(t, l, ann, revise(t, l, ann), nick("A"))
	// Within the time that it may take, sending again proves nothing.
	apply(t, l, ann, revise(t, l, ann), nick("A"))
	wantDecision(t, l, ann, revise(t, l, ann), nick("A"), ledger.SendAgain)

	s.Mini.SetTime(now.Add(6 * time.Minute))
	apply(t, l, ann, revise(t, l, ann), nick("A"))
	wantDecision(t, l, ann, revise(t, l, ann), nick("A"), ledger.Unchanged)
}

// A was sent within the time, and its answer came after: B may have landed in
// between, on top of it.
func TestALateSendIsOverByTheTimeOfTheNextSendAndNotOfItsAnswer(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	l := ledger.New(s.Client(t))
	now := time.Now()
	s.Mini.SetTime(now)
	late := begin(t, l, ann, revise(t, l, ann), nick("B"))
	gate(t, late)
	release(t, late, ledger.Unanswered)
	apply(t, l, ann, revise(t, l, ann), nick("A"))

	slow := begin(t, l, ann, revise(t, l, ann), nick("A"))
	gate(t, slow)
	s.Mini.SetTime(now.Add(6 * time.Minute))
	if err := slow.Settle(t.Context(), "req", false, nil); err != nil {
		t.Fatal(err)
	}
	wantDecision(t, l, ann, revise(t, l, ann), nick("A"), ledger.SendAgain)
}

// The platform was busy and said so: nothing of that send is under way any more.
func TestAnUnknownOutcomeThatWasAnsweredEndsWithTheNextSend(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		busy := begin(t, l, ann, revise(t, l, ann), nick("B"))
		gate(t, busy)
		release(t, busy, ledger.Answered)
		wantDecision(t, l, ann, revise(t, l, ann), nick("A"), ledger.SendAgain)
		apply(t, l, ann, revise(t, l, ann), nick("A"))
		wantDecision(t, l, ann, revise(t, l, ann), nick("A"), ledger.Unchanged)
	})
}

// The record shows whether an answer is outstanding, and when the target was last
// settled. Each in a Redis of its own: a send without an answer leaves its trace in
// the next.
func TestLookReturnsWhetherASendWasAnsweredAndTheLastSettle(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		left     ledger.Left
		answered bool
	}{"answered": {ledger.Answered, true}, "unanswered": {ledger.Unanswered, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Mini(t)
			l := ledger.New(s.Client(t))
			settledAt := time.Unix(1_780_000_000, 0)
			s.Mini.SetTime(settledAt)
			apply(t, l, ann, revise(t, l, ann), nick("A"))
			s.Mini.SetTime(settledAt.Add(time.Hour))
			rev := revise(t, l, ann)
			lease := begin(t, l, ann, rev, nick("B"))
			gate(t, lease)
			release(t, lease, test.left)
			record, err := l.Look(t.Context(), ann)
			if err != nil {
				t.Fatal(err)
			}
			state := record.Fields["nickname"]
			if state.Unknown != rev || state.Answered != test.answered || !record.Settled.Equal(settledAt) {
				t.Errorf("%+v, settled at %v; want an unknown outcome, answered %t, and settled an hour before", state, record.Settled, test.answered)
			}
		})
	}
}

// Of two sends of one attempt the first had no answer.
func TestSettleNotesThatAnEarlierSendMayStillBeCarriedOut(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		lease := begin(t, l, ann, revise(t, l, ann), nick("A"))
		gate(t, lease)
		if err := lease.Settle(t.Context(), "req", true, nil); err != nil {
			t.Fatal(err)
		}
		wantDecision(t, l, ann, revise(t, l, ann), nick("A"), ledger.SendAgain)
	})
}

// Redis lost its power: it kept the lease of a worker, and lost the unknown outcome that
// the worker noted a moment later.
func TestAnEqualValueIsSentAfterTheLeaseOfADeadWorkerHasExpired(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	rdb := s.Client(t)
	l := ledger.New(rdb)
	now := time.Now()
	s.Mini.SetTime(now)
	apply(t, l, ann, revise(t, l, ann), nick("A"))
	gate(t, begin(t, l, ann, revise(t, l, ann), nick("B")))
	keys := rdb.Keys(t.Context(), "*target:*").Val()
	if n := rdb.HDel(t.Context(), keys[0], "d:"+nick("B")[0].Name).Val(); n != 1 {
		t.Fatalf("%d unknown outcomes were lost", n)
	}
	s.Mini.SetTime(now.Add(21 * time.Second))
	wantDecision(t, l, ann, revise(t, l, ann), nick("A"), ledger.SendAgain)
	apply(t, l, ann, revise(t, l, ann), nick("A")) // which is not refused: it stays so until it was sent
	wantDecision(t, l, ann, revise(t, l, ann), nick("A"), ledger.Unchanged)
}

// A crash before a send that follows at once leaves its outcome unknown.
func TestTheOutcomeOfAPromptSendIsUnknownFromTheBeginning(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		apply(t, l, ann, revise(t, l, ann), nick("A"))
		prompt := delivery(ann, revise(t, l, ann), nick("B"))
		prompt.Prompt = true
		lease, _, err := l.Begin(t.Context(), prompt)
		if err != nil {
			t.Fatal(err)
		}
		record, err := l.Look(t.Context(), ann)
		if err != nil || record.Fields["nickname"].Unknown != prompt.Revision || !record.InFlight {
			t.Errorf("record %+v, %v: want an unknown outcome and a lease", record, err)
		}
		release(t, lease, ledger.Untouched)
		wantDecision(t, l, ann, revise(t, l, ann), nick("A"), ledger.Unchanged)
	})
}

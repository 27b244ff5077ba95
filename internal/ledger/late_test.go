package ledger_test

import (
	"testing"
	"time"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
)

// B timed out and A was sent after it. B may still land on top of A, so the next
// wish for A is sent and not believed; once nothing can land any more it ends that.
func TestAfterASendThatMayStillLandAnEqualWishIsSentOnceMore(t *testing.T) {
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
	wantStanding(t, l, ann, revise(t, l, ann), nick("A"), ledger.Doubtful)

	s.Mini.SetTime(now.Add(6 * time.Minute))
	apply(t, l, ann, revise(t, l, ann), nick("A"))
	wantStanding(t, l, ann, revise(t, l, ann), nick("A"), ledger.Unchanged)
}

// A was sent within the time, and its answer came after: B may have landed in
// between, on top of it.
func TestWhatCountsIsWhenTheSendLeftAndNotWhenItWasAnswered(t *testing.T) {
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
	wantStanding(t, l, ann, revise(t, l, ann), nick("A"), ledger.Doubtful)
}

// The platform was busy and said so: nothing of that send is under way any more.
func TestADoubtThatWasAnsweredEndsWithTheNextSend(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		busy := begin(t, l, ann, revise(t, l, ann), nick("B"))
		gate(t, busy)
		release(t, busy, ledger.Answered)
		wantStanding(t, l, ann, revise(t, l, ann), nick("A"), ledger.Doubtful)
		apply(t, l, ann, revise(t, l, ann), nick("A"))
		wantStanding(t, l, ann, revise(t, l, ann), nick("A"), ledger.Unchanged)
	})
}

// The record shows whether an answer is outstanding, and when the target was last
// settled. Each in a Redis of its own: a send without an answer leaves its trace in
// the next.
func TestALookTellsOfADoubtThatWasAnsweredAndOfTheLastSettle(t *testing.T) {
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
			mark := begin(t, l, ann, rev, nick("B"))
			gate(t, mark)
			release(t, mark, test.left)
			record, err := l.Look(t.Context(), ann)
			if err != nil {
				t.Fatal(err)
			}
			state := record.Fields["nickname"]
			if state.Doubt != rev || state.Answered != test.answered || !record.Settled.Equal(settledAt) {
				t.Errorf("%+v, settled at %v; want it in doubt, answered %t, and settled an hour before", state, record.Settled, test.answered)
			}
		})
	}
}

// Of two sends of one attempt the first had no answer.
func TestAnAttemptTellsThatItsFirstSendMayStillLand(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		mark := begin(t, l, ann, revise(t, l, ann), nick("A"))
		gate(t, mark)
		if err := mark.Settle(t.Context(), "req", true, nil); err != nil {
			t.Fatal(err)
		}
		wantStanding(t, l, ann, revise(t, l, ann), nick("A"), ledger.Doubtful)
	})
}

// A send that follows at once has its doubt from the beginning, and a crash before
// it leaves it.
// Redis lost its power: the mark of a worker survived, and the doubt that it noted
// a moment later did not.
func TestATargetThatSomebodyDiedAtIsNotTakenForUnchanged(t *testing.T) {
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
		t.Fatalf("%d doubts were lost", n)
	}
	s.Mini.SetTime(now.Add(21 * time.Second))
	wantStanding(t, l, ann, revise(t, l, ann), nick("A"), ledger.Doubtful)
	apply(t, l, ann, revise(t, l, ann), nick("A")) // which is not refused: it stays so until it was sent
	wantStanding(t, l, ann, revise(t, l, ann), nick("A"), ledger.Unchanged)
}

func TestAPromptSendIsInDoubtFromTheBeginning(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		apply(t, l, ann, revise(t, l, ann), nick("A"))
		prompt := delivery(ann, revise(t, l, ann), nick("B"))
		prompt.Prompt = true
		mark, _, err := l.Begin(t.Context(), prompt)
		if err != nil {
			t.Fatal(err)
		}
		record, err := l.Look(t.Context(), ann)
		if err != nil || record.Fields["nickname"].Doubt != prompt.Revision || !record.InFlight {
			t.Errorf("record %+v, %v: want it in doubt and in flight", record, err)
		}
		release(t, mark, ledger.Untouched)
		wantStanding(t, l, ann, revise(t, l, ann), nick("A"), ledger.Unchanged)
	})
}

package ledger_test

import (
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
)

// forgets has Redis lose what happens to a target while it does.
func forgets(t *testing.T, rdb redis.UniversalClient, does func()) {
	t.Helper()
	keys := rdb.Keys(t.Context(), "*}:target:*").Val()
	before := map[string]map[string]string{}
	for _, key := range keys {
		before[key] = rdb.HGetAll(t.Context(), key).Val()
	}
	does()
	for _, key := range rdb.Keys(t.Context(), "*}:target:*").Val() {
		if err := rdb.Del(t.Context(), key).Err(); err != nil {
			t.Fatal(err)
		}
		if before[key] != nil {
			if err := rdb.HSet(t.Context(), key, before[key]).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func recalls(t *testing.T, l *ledger.Ledger, want int) {
	t.Helper()
	if n, err := l.Recall(t.Context()); n != want || err != nil {
		t.Errorf("Recall() = %d, %v, want %d", n, err, want)
	}
}

// A applied, B applied and lost, A wanted again: the platform holds B.
func TestAnAppliedChangeThatRedisLostIsRecalled(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		older := revise(t, l, ann)
		apply(t, l, ann, revise(t, l, ann), nick("A"))
		lost := revise(t, l, ann)
		forgets(t, rdb, func() { apply(t, l, ann, lost, nick("B")) })
		recalls(t, l, 1)
		recalls(t, l, 0)
		wantDecision(t, l, ann, older, nick("C"), ledger.Superseded)
		wantDecision(t, l, ann, lost, nick("B"), ledger.Settled)
		wantDecision(t, l, ann, revise(t, l, ann), nick("A"), ledger.Send)
	})
}

func TestANewerChangeIsKeptWhenAnOlderOneIsRecalled(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l, other := ledger.New(rdb), ledger.New(rdb)
		lost := revise(t, l, ann)
		forgets(t, rdb, func() { apply(t, l, ann, lost, nick("B")) })
		apply(t, other, ann, revise(t, other, ann), nick("C"))
		recalls(t, l, 0)
		wantDecision(t, l, ann, revise(t, l, ann), nick("C"), ledger.Unchanged)
	})
}

// sentAndForgotten has A applied to ann, and B sent at a revision that Redis forgets
// with the lease.
func sentAndForgotten(t *testing.T, rdb redis.UniversalClient, l *ledger.Ledger) (rev int64, lease *ledger.Lease) {
	t.Helper()
	apply(t, l, ann, revise(t, l, ann), nick("A"))
	rev = revise(t, l, ann)
	forgets(t, rdb, func() {
		lease = begin(t, l, ann, rev, nick("B"))
		gate(t, lease)
	})
	return rev, lease
}

// The sender has noticed that its lease is lost.
func TestTheOutcomeOfASendThatRedisLostIsUnknown(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		_, lease := sentAndForgotten(t, rdb, l)
		lease.GiveUp(t.Context())
		recalls(t, l, 1)
		wantDecision(t, l, ann, revise(t, l, ann), nick("A"), ledger.SendAgain)
	})
}

// The loss was noticed before the answer came.
func TestAnAnswerToASendThatRedisLostIsNotedOnceTheLossIsKnown(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		rev, lease := sentAndForgotten(t, rdb, l)
		recalls(t, l, 0)
		if err := lease.Settle(t.Context(), "req", false, nil); !errors.Is(err, ledger.ErrLeaseLost) {
			t.Errorf("Settle() = %v, want ErrLost", err)
		}
		wantDecision(t, l, ann, rev, nick("B"), ledger.Settled)
		wantDecision(t, l, ann, revise(t, l, ann), nick("A"), ledger.Send)
	})
}

// An ID that Redis forgot to have been set would be set a second time.
func TestAnIDThatRedisLostIsLockedAgain(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		person := ledger.Target{Organisation: "lakeside", API: "id", Key: "ann"}
		id := func(value string) []ledger.Field {
			return []ledger.Field{{Name: "id", Value: value, Mode: ledger.Once}}
		}
		rev := revise(t, l, person)
		forgets(t, rdb, func() {
			lease := begin(t, l, person, rev, id("first"))
			lease.Intend("first")
			gate(t, lease)
			settle(t, lease, false)
		})
		recalls(t, l, 1)
		_, _, err := l.Begin(t.Context(), delivery(person, revise(t, l, person), id("second")))
		if _, locked := errors.AsType[*ledger.LockedError](err); !locked {
			t.Errorf("Begin() for another ID = %v, want a lock", err)
		}

		lost := revise(t, l, person)
		rdb.Del(t.Context(), rdb.Keys(t.Context(), "*}:target:ann").Val()...)
		var lease *ledger.Lease
		forgets(t, rdb, func() {
			lease = begin(t, l, person, lost, id("third"))
			lease.Intend("third")
			gate(t, lease)
		})
		lease.GiveUp(t.Context())
		heir := begin(t, l, person, lost, id("third"))
		if intent, open := heir.Intent(); !open || intent.Value != "third" || intent.Sends != 1 || intent.Revision != lost {
			t.Errorf("Intent() = %+v, %t", intent, open)
		}
	})
}

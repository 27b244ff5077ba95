package ledger_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
)

var (
	chat    = ledger.Target{Organisation: "lakeside", API: "group", Key: "chat1"}
	members = []ledger.Field{{Name: "members", Mode: ledger.Edit}}
)

// edit takes a revision for a membership edit, with its place.
func edit(t *testing.T, l *ledger.Ledger, id string) int64 {
	t.Helper()
	revised := l.Revise(t.Context(), ledger.Change{Target: chat, Fields: members, TaskID: id})[0]
	if revised.Err != nil {
		t.Fatal(revised.Err)
	}
	return revised.Revision
}

// note notes that the edit was stored.
func note(t *testing.T, l *ledger.Ledger, id string, rev int64) {
	t.Helper()
	open := storedTask(chat, rev, members)
	open.Change.TaskID = id
	if err := l.Stored(t.Context(), open); err != nil {
		t.Fatal(err)
	}
}

func arrive(t *testing.T, l *ledger.Ledger, id string, rev int64) (*ledger.Lease, []ledger.Decision, error) {
	t.Helper()
	return l.Begin(t.Context(), ledger.Delivery{TaskID: id, Target: chat, Revision: rev, Fields: members})
}

// meet is arrive by a worker that knows the task whole.
func meet(t *testing.T, l *ledger.Ledger, id string, rev int64) (*ledger.Lease, []ledger.Decision, error) {
	t.Helper()
	return l.Begin(t.Context(), ledger.Delivery{
		TaskID: id, Target: chat, Revision: rev, Fields: members,
		Queue: "q", Key: "key", Type: "type", Payload: []byte(`{"id":"` + id + `"}`),
	})
}

func TestEditsGoInTheOrderOfTheirRevisions(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		one, two, three := edit(t, l, "one"), edit(t, l, "two"), edit(t, l, "three")
		note(t, l, "one", one)
		_, _, err := arrive(t, l, "three", three)
		busy, ok := errors.AsType[*ledger.BusyError](err)
		if !ok || busy.After != "one" || busy.Before != 2 {
			t.Fatalf("the third edit began with %v, want to wait after two others, first of them one", err)
		}
		lease, _, err := arrive(t, l, "one", one)
		if err != nil {
			t.Fatal(err)
		}
		gate(t, lease)
		settle(t, lease, false)
		// One that died does not keep the others waiting.
		if err := l.Close(t.Context(), chat, "two", ledger.Row{}); err != nil {
			t.Fatal(err)
		}
		lease, _, err = arrive(t, l, "three", three)
		if err != nil {
			t.Fatal(err)
		}
		release(t, lease, ledger.Untouched)
		if _, decided, err := arrive(t, l, "one", one); err != nil || decided[0] != ledger.Settled {
			t.Errorf("an edit that comes again is decided as %v, %v", decided, err)
		}
		// Replayed, it has its old place: before all that wait.
		if lease, _, err = arrive(t, l, "two~1", two); err != nil || lease == nil {
			t.Errorf("the replay of a dead edit: %v", err)
		}
	})
}

func TestAnEditThatIsDeliveredAgainAfterALaterOneIsSettled(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		one, two := edit(t, l, "one"), edit(t, l, "two")
		for id, rev := range map[string]int64{"one": one} {
			lease, _, err := arrive(t, l, id, rev)
			if err != nil {
				t.Fatal(err)
			}
			settle(t, lease, false)
		}
		lease, _, err := arrive(t, l, "two", two)
		if err != nil {
			t.Fatal(err)
		}
		settle(t, lease, false)
		for id, rev := range map[string]int64{"one": one, "two": two} {
			if lease, decided, err := arrive(t, l, id, rev); err != nil || lease != nil || decided[0] != ledger.Settled {
				t.Errorf("%s is decided as %v, %v", id, decided, err)
			}
		}
	})
}

// Its producer died between the revision and the task, or took the place back.
func TestAnEditThatWasNeverStoredIsSkippedAfterTwoMinutes(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	l := ledger.New(s.Client(t))
	now := time.Now()
	s.Mini.SetTime(now)
	edit(t, l, "lost")
	next := edit(t, l, "next")
	note(t, l, "next", next)
	if _, _, err := arrive(t, l, "next", next); err == nil {
		t.Fatal("the next edit did not wait for one that may just be being stored")
	}
	s.Mini.SetTime(now.Add(3 * time.Minute))
	lease, _, err := arrive(t, l, "next", next)
	if err != nil {
		t.Fatal(err)
	}
	release(t, lease, ledger.Untouched)

	edit(t, l, "withdrawn")
	after := edit(t, l, "after")
	if err := l.Close(t.Context(), chat, "next", ledger.Row{}); err != nil {
		t.Fatal(err)
	}
	if err := l.Withdraw(t.Context(), ledger.Change{Target: chat, Fields: members, TaskID: "withdrawn"}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := arrive(t, l, "after", after); err != nil {
		t.Errorf("after the withdrawn edit: %v", err)
	}
}

func TestATaskOfSeveralCallsContinuesAfterTheLastCallThatWasNoted(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		rev := edit(t, l, "big")
		lease, _, err := arrive(t, l, "big", rev)
		if err != nil || lease.Step() != 0 {
			t.Fatalf("step %d, %v", lease.Step(), err)
		}
		gate(t, lease)
		if err := lease.Note(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		release(t, lease, ledger.Unanswered)
		if lease, _, err = arrive(t, l, "big", rev); err != nil || lease.Step() != 2 {
			t.Fatalf("step %d, %v, want 2", lease.Step(), err)
		}
		settle(t, lease, false)
	})
}

// Its producer died after it had stored the task. A worker that comes to it writes
// down what the producer did not.
func TestAnEditThatAWorkerHasBegunKeepsItsPositionThoughItsProducerDied(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	l := ledger.New(s.Client(t))
	now := time.Now()
	s.Mini.SetTime(now)
	one, two, three := edit(t, l, "one"), edit(t, l, "two"), edit(t, l, "three")
	note(t, l, "three", three)
	behind := func(id string, rev int64, after string) {
		t.Helper()
		_, _, err := meet(t, l, id, rev)
		if busy, ok := errors.AsType[*ledger.BusyError](err); !ok || busy.After != after {
			t.Fatalf("%s began with %v, want it to wait for %s", id, err, after)
		}
	}
	lease, _, err := meet(t, l, "one", one)
	if err != nil {
		t.Fatal(err)
	}
	// While somebody is at the chat no edit begins, and each is met all the same.
	if _, _, err := meet(t, l, "two", two); err == nil {
		t.Fatal("two edits began together")
	}
	release(t, lease, ledger.Untouched)
	s.Mini.SetTime(now.Add(3 * time.Minute))
	behind("three", three, "one")
	open, found, err := l.OpenTask(t.Context(), chat.Organisation, chat.API, "one")
	if want := (ledger.Open{
		Change: ledger.Change{Target: chat, TaskID: "one"}, Revision: one, Queue: "q", Key: "key", Type: "type", Payload: []byte(`{"id":"one"}`),
	}); err != nil || !found || !cmp.Equal(want, open) {
		t.Errorf("open is %v, %v (-want +got):\n%s", found, err, cmp.Diff(want, open))
	}
	if lease, _, err = meet(t, l, "one", one); err != nil {
		t.Fatal(err)
	}
	settle(t, lease, false)
	behind("three", three, "two")
	if err := l.Close(t.Context(), chat, "two", ledger.Row{}); err != nil {
		t.Fatal(err)
	}
	if lease, _, err = meet(t, l, "three", three); err != nil {
		t.Fatal(err)
	}
	release(t, lease, ledger.Untouched)
	// Its producer was slow and not dead: what has ended stays so.
	note(t, l, "one", one)
	note(t, l, "two", two)
	for _, id := range []string{"one", "two"} {
		if _, found, err := l.OpenTask(t.Context(), chat.Organisation, chat.API, id); found || err != nil {
			t.Errorf("%s has ended, and is open: %v, %v", id, found, err)
		}
	}
}

package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
)

var (
	ann  = ledger.Target{Organisation: "lakeside", API: "nickname", Key: "chat1/ann"}
	nick = func(value string) []ledger.Field {
		return []ledger.Field{{Name: "nickname", Value: value, Mode: ledger.Value}}
	}
)

func TestRevisionsOfATargetOnlyRise(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		var last int64
		for range 50 {
			rev := revise(t, l, ann)
			if rev <= last {
				t.Fatalf("revision %d after %d", rev, last)
			}
			last = rev
		}
		if age := time.Since(time.UnixMicro(last)); age < -time.Minute || age > time.Minute {
			t.Errorf("revision %d is %s away from now: not a time in microseconds", last, age)
		}
	})
}

func TestAnOlderChangeIsSupersededByANewerOneThatWasApplied(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		older, newer := revise(t, l, ann), revise(t, l, ann)
		apply(t, l, ann, newer, nick("new"))
		wantDecision(t, l, ann, older, nick("old"), ledger.Superseded)
	})
}

// A later change that is known saves the call of the older one.
func TestAChangeThatIsNoLongerTheLatestIsNotSent(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		older, newer := revise(t, l, ann), revise(t, l, ann)
		if err := l.Stored(t.Context(), storedTask(ann, newer, nick("new"))); err != nil {
			t.Fatal(err)
		}
		wantDecision(t, l, ann, older, nick("old"), ledger.Superseded)
	})
}

func TestALaterChangeThatArrivesDuringTheWaitStopsTheSend(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		older := revise(t, l, ann)
		lease := begin(t, l, ann, older, nick("old"))
		newer := revise(t, l, ann)
		if err := l.Stored(t.Context(), storedTask(ann, newer, nick("new"))); err != nil {
			t.Fatal(err)
		}
		if err := lease.Check(t.Context()); !errors.Is(err, ledger.ErrStale) {
			t.Fatalf("Gate() = %v, want ErrStale", err)
		}
	})
}

func TestAnEqualValueNeedsNoCallAndRaisesTheRevision(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		first, between, again := revise(t, l, ann), revise(t, l, ann), revise(t, l, ann)
		apply(t, l, ann, first, nick("ann"))
		wantDecision(t, l, ann, again, nick("ann"), ledger.Unchanged)
		wantDecision(t, l, ann, between, nick("bob"), ledger.Superseded)
	})
}

func TestATaskThatIsDeliveredAgainIsSettled(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		course := ledger.Target{Organisation: "lakeside", API: "course", Key: "561294"}
		names := []ledger.Field{{Name: "names", Mode: ledger.Effect}}
		rev := revise(t, l, course)
		apply(t, l, course, rev, names)
		wantDecision(t, l, course, rev, names, ledger.Settled)
		wantDecision(t, l, course, revise(t, l, course), names, ledger.Send)
	})
}

// A applied, B timed out, A wanted again: the platform may hold B, so A must be
// sent although it was the last value settled.
func TestAnEqualValueIsSentWhileAnOutcomeIsUnknown(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		apply(t, l, ann, revise(t, l, ann), nick("A"))

		b := begin(t, l, ann, revise(t, l, ann), nick("B"))
		gate(t, b)
		if err := b.Release(t.Context(), ledger.Unanswered); err != nil {
			t.Fatal(err)
		}

		again := revise(t, l, ann)
		wantDecision(t, l, ann, again, nick("A"), ledger.SendAgain)
	})
}

func TestAfterACleanRefusalOnlyAnEarlierOutcomeIsUnknown(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		apply(t, l, ann, revise(t, l, ann), nick("A"))

		refused := begin(t, l, ann, revise(t, l, ann), nick("B"))
		gate(t, refused)
		release(t, refused, ledger.Untouched)
		wantDecision(t, l, ann, revise(t, l, ann), nick("A"), ledger.Unchanged)

		timedOut := begin(t, l, ann, revise(t, l, ann), nick("C"))
		gate(t, timedOut)
		release(t, timedOut, ledger.Unanswered)
		refused = begin(t, l, ann, revise(t, l, ann), nick("D"))
		gate(t, refused)
		release(t, refused, ledger.Untouched)
		wantDecision(t, l, ann, revise(t, l, ann), nick("A"), ledger.SendAgain)
	})
}

func TestOnlyOneTaskAtATimeHoldsTheLeaseOfATarget(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		first := begin(t, l, ann, revise(t, l, ann), nick("A"))
		second := revise(t, l, ann)
		_, _, err := l.Begin(t.Context(), delivery(ann, second, nick("B")))
		busy, ok := errors.AsType[*ledger.BusyError](err)
		if !ok || busy.For <= 0 || busy.For > 20*time.Second {
			t.Fatalf("Begin() = %v, want a *BusyError of up to 20 s", err)
		}
		release(t, first, ledger.Untouched)
		begin(t, l, ann, second, nick("B"))
	})
}

// The lease of a dead worker expires. Then another worker takes it, and every step of the
// first is rejected.
func TestALeaseExpiresAndItsOldOwnerIsRejected(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	l := ledger.New(s.Client(t))
	now := time.Now()
	s.Mini.SetTime(now)
	dead := begin(t, l, ann, revise(t, l, ann), nick("A"))
	s.Mini.SetTime(now.Add(21 * time.Second))
	heir := begin(t, l, ann, revise(t, l, ann), nick("B"))

	if err := dead.Check(t.Context()); !errors.Is(err, ledger.ErrLeaseLost) {
		t.Errorf("the old owner's Gate() = %v, want ErrLost", err)
	}
	if err := dead.Settle(t.Context(), "", false, nil); !errors.Is(err, ledger.ErrLeaseLost) {
		t.Errorf("the old owner's Settle() = %v, want ErrLost", err)
	}
	if err := dead.Release(t.Context(), ledger.Untouched); !errors.Is(err, ledger.ErrLeaseLost) {
		t.Errorf("the old owner's Release() = %v, want ErrLost", err)
	}
	gate(t, heir)
	if err := heir.Settle(t.Context(), "req", false, nil); err != nil {
		t.Error(err)
	}
}

func TestFieldsOfAGroupDoNotSupersedeEachOther(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		chat := ledger.Target{Organisation: "lakeside", API: "group", Key: "chat1"}
		rename := func(v string) ledger.Field { return ledger.Field{Name: "name", Value: v} }
		owner := ledger.Field{Name: "owner", Value: "emp:ann"}
		members := ledger.Field{Name: "members", Mode: ledger.Edit}

		older, newer := revise(t, l, chat), revise(t, l, chat)
		apply(t, l, chat, newer, []ledger.Field{rename("7B")})
		lease, decided, err := l.Begin(t.Context(), delivery(chat, older, []ledger.Field{rename("7A"), owner, members}))
		if err != nil {
			t.Fatal(err)
		}
		want := []ledger.Decision{ledger.Superseded, ledger.Send, ledger.Send}
		if diff := cmp.Diff(want, decided); diff != "" {
			t.Errorf("decided (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]ledger.Field{owner, members}, lease.Fields()); diff != "" {
			t.Errorf("fields to send (-want +got):\n%s", diff)
		}
	})
}

func TestMembershipEditsAreNeverSuperseded(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		chat := ledger.Target{Organisation: "lakeside", API: "group", Key: "chat1"}
		members := []ledger.Field{{Name: "members", Mode: ledger.Edit}}
		older, newer := revise(t, l, chat), revise(t, l, chat)
		if err := l.Stored(t.Context(), storedTask(chat, newer, members)); err != nil {
			t.Fatal(err)
		}
		apply(t, l, chat, newer, members)
		wantDecision(t, l, chat, newer, members, ledger.Settled)
		wantDecision(t, l, chat, older, members, ledger.Send)
	})
}

func TestSettleRecordsTheValueThatThePlatformTook(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		person := ledger.Target{Organisation: "lakeside", API: "id", Key: "u1"}
		id := func(v string) []ledger.Field { return []ledger.Field{{Name: "id", Value: v}} }
		lease := begin(t, l, person, revise(t, l, person), id("zhangsan"))
		gate(t, lease)
		if err := lease.Settle(t.Context(), "req", false, map[string]string{"id": "zhangsan2"}); err != nil {
			t.Fatal(err)
		}
		wantDecision(t, l, person, revise(t, l, person), id("zhangsan2"), ledger.Unchanged)
		// The platform took a substitute: the wanted value needs no call either.
		wantDecision(t, l, person, revise(t, l, person), id("zhangsan"), ledger.Unchanged)
		wantDecision(t, l, person, revise(t, l, person), id("lisi"), ledger.Send)
		apply(t, l, person, revise(t, l, person), id("lisi"))
		wantDecision(t, l, person, revise(t, l, person), id("zhangsan"), ledger.Send)
	})
}

func TestAttemptsAreCountedByClassAndRemoved(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		start := time.UnixMilli(1_763_762_142_000)
		count := func(class string, at time.Time) (int, time.Time) {
			n, first, err := l.CountAttempt(t.Context(), "task-1", class, at)
			if err != nil {
				t.Fatal(err)
			}
			return n, first
		}
		count("transient", start)
		count("unknown", start.Add(time.Second))
		n, first := count("transient", start.Add(time.Minute))
		if n != 2 || !first.Equal(start) {
			t.Errorf("second transient attempt: n = %d since %s, want 2 since %s", n, first, start)
		}
		if err := l.ForgetAttempts(t.Context(), "task-1"); err != nil {
			t.Fatal(err)
		}
		if n, _ := count("transient", start); n != 1 {
			t.Errorf("after forgetting: n = %d, want 1", n)
		}
	})
}

func TestKeepEndsTheContextWhenTheLeaseIsLost(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	l := ledger.New(s.Client(t))
	now := time.Now()
	s.Mini.SetTime(now)
	lease := begin(t, l, ann, revise(t, l, ann), nick("A"))
	kept, stop := lease.Keep(t.Context())
	defer stop()
	s.Mini.SetTime(now.Add(21 * time.Second))
	begin(t, l, ann, revise(t, l, ann), nick("B"))
	<-kept.Done()
	if cause := context.Cause(kept); !errors.Is(cause, ledger.ErrLeaseLost) {
		t.Errorf("the kept context ended with %v, want ErrLost", cause)
	}
}

func revise(t *testing.T, l *ledger.Ledger, target ledger.Target) int64 {
	t.Helper()
	revised := l.Revise(t.Context(), ledger.Change{Target: target, TaskID: "producer"})[0]
	if revised.Err != nil {
		t.Fatal(revised.Err)
	}
	return revised.Revision
}

// delivery is the task of a revision, under an id of its own.
func delivery(target ledger.Target, rev int64, fields []ledger.Field) ledger.Delivery {
	return ledger.Delivery{TaskID: taskID(rev), Target: target, Revision: rev, Fields: fields}
}

func taskID(rev int64) string { return fmt.Sprintf("task-%d", rev) }

// storedTask is the same task as its producer stored it.
func storedTask(target ledger.Target, rev int64, fields []ledger.Field) ledger.Open {
	return ledger.Open{
		Change: ledger.Change{Target: target, Fields: fields, TaskID: taskID(rev)}, Revision: rev,
		Queue: "lakeside-dt.nickname", Type: "nickname:sync", Payload: []byte(`{"v":1}`),
	}
}

func begin(t *testing.T, l *ledger.Ledger, target ledger.Target, rev int64, fields []ledger.Field) *ledger.Lease {
	t.Helper()
	lease, decided, err := l.Begin(t.Context(), delivery(target, rev, fields))
	if err != nil {
		t.Fatal(err)
	}
	if lease == nil {
		t.Fatalf("nothing to send: %v", decided)
	}
	return lease
}

func gate(t *testing.T, m *ledger.Lease) {
	t.Helper()
	if err := m.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func release(t *testing.T, m *ledger.Lease, left ledger.Left) {
	t.Helper()
	if err := m.Release(t.Context(), left); err != nil {
		t.Fatal(err)
	}
}

func apply(t *testing.T, l *ledger.Ledger, target ledger.Target, rev int64, fields []ledger.Field) {
	t.Helper()
	lease := begin(t, l, target, rev, fields)
	gate(t, lease)
	settle(t, lease, false)
}

// settle records a success; mayLand: an earlier send of the attempt may still be carried
// out.
func settle(t *testing.T, m *ledger.Lease, mayLand bool) {
	t.Helper()
	if err := m.Settle(t.Context(), "req", mayLand, nil); err != nil {
		t.Fatal(err)
	}
}

// wantDecision checks the decision for a single field, and releases the lease.
func wantDecision(
	t *testing.T, l *ledger.Ledger, target ledger.Target, rev int64, fields []ledger.Field, want ledger.Decision,
) {
	t.Helper()
	lease, decided, err := l.Begin(t.Context(), delivery(target, rev, fields))
	if err != nil {
		t.Fatal(err)
	}
	if lease != nil {
		release(t, lease, ledger.Untouched)
	}
	if diff := cmp.Diff([]ledger.Decision{want}, decided); diff != "" {
		t.Errorf("decision (-want +got):\n%s", diff)
	}
}

package ledger_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
)

var person = ledger.Target{Organisation: "lakeside", API: "id", Key: "u1"}

func id(value string) []ledger.Field {
	return []ledger.Field{{Name: "id", Value: value, Mode: ledger.Once}}
}

// An intent that a failover forgets would let another ID be sent. Where there are
// replicas, one of them has it before anything leaves.
func TestAnIntentSurvivesAFailoverOrNothingIsSent(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) *redistest.Deployment{"sentinel": redistest.Sentinel, "cluster": redistest.Cluster} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := start(t)
			l := on(t, d)
			sent := begin(t, l, person, revise(t, l, person), id("zhangsan"))
			sent.Intend("zhangsan")
			gate(t, sent)
			release(t, sent, ledger.Unanswered)
			other := ledger.Target{Organisation: "lakeside", API: "id", Key: "u2"}
			d.Part(t)
			cut := begin(t, l, other, revise(t, l, other), id("lisi0001"))
			cut.Intend("lisi0001")
			if err := cut.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "replica") {
				t.Fatalf("Gate() = %v, want nothing sent while no replica has the intent", err)
			}
			d.FailOver(t, "rollcall:{lakeside/id}:target:u1")
			awaitMaster(t, l)
			lease := begin(t, l, person, revise(t, l, person), id("lisi0001"))
			if intent, isUnknown := lease.Intent(); !isUnknown || intent.Value != "zhangsan" || intent.Sends != 1 {
				t.Errorf("after the failover: %+v unknown: %v, want zhangsan sent once", intent, isUnknown)
			}
			lease.Intend("lisi0001")
			if err := lease.Check(t.Context()); err == nil {
				t.Error("another ID may be sent while the outcome of one is unknown")
			}
		})
	}
}

// A stale token has the same ID sent twice in one attempt, the first time unread.
func TestASendThatWasRefusedUnreadDoesNotCount(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		rev := revise(t, l, person)
		lease := begin(t, l, person, rev, id("zhangsan"))
		lease.Intend("zhangsan")
		gate(t, lease)
		gate(t, lease)
		release(t, lease, ledger.Answered)
		lease = begin(t, l, person, rev, id("zhangsan"))
		if intent, _ := lease.Intent(); intent.Sends != 1 {
			t.Errorf("%d sends are counted, want 1", intent.Sends)
		}
		// Refused for its rate: that send did not count, the one before does.
		lease.Intend("zhangsan")
		gate(t, lease)
		release(t, lease, ledger.Untouched)
		lease = begin(t, l, person, rev, id("zhangsan"))
		if intent, isUnknown := lease.Intent(); !isUnknown || intent.Sends != 1 {
			t.Errorf("%+v unknown: %v, want the one send from before", intent, isUnknown)
		}
	})
}

// Every script uses keys of one slot of a Cluster.
func TestEveryStepWorksOnEveryTopology(t *testing.T) {
	t.Parallel()
	redistest.EachTopology(t, func(t *testing.T, d *redistest.Deployment) {
		l := on(t, d)
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		row := ledger.Row{Tenant: "lakeside-dt", Run: "night", Row: 3}
		rev := edit(t, l, "edit")
		open := storedTask(chat, rev, members)
		open.Change.TaskID, open.Row = "edit", row
		must(l.Stored(t.Context(), open))
		must(l.Withdraw(t.Context(), ledger.Change{Target: chat, Fields: members, TaskID: "other"}))
		lease, _, err := l.Begin(t.Context(), ledger.Delivery{TaskID: "edit", Target: chat, Revision: rev, Fields: members, Row: row})
		must(err)
		gate(t, lease)
		must(lease.Uncheck(t.Context(), false))
		must(lease.Note(t.Context(), 1))
		must(lease.Settle(t.Context(), "req", false, nil))
		must(l.Close(t.Context(), chat, "vanished", row))
		if ended, err := l.CloseEnded(t.Context(), open); err != nil || !ended {
			t.Errorf("a settled task is ended: %v, %v", ended, err)
		}

		for _, id := range []string{"zhangsan", "zhangsan"} {
			lease := begin(t, l, person, revise(t, l, person), []ledger.Field{{Name: "id", Value: id, Mode: ledger.Once}})
			lease.Intend(id)
			gate(t, lease)
			release(t, lease, ledger.Unanswered)
		}
		lease = begin(t, l, person, revise(t, l, person), id("zhangsan"))
		must(lease.Lock(t.Context(), time.Now().Add(time.Hour), ledger.LockUnverified))
		targets, err := l.UnknownTargets(t.Context(), person.Organisation, person.API)
		if err != nil || len(targets) != 1 {
			t.Errorf("targets with an unknown outcome: %v, %v", targets, err)
		}
		if value, _, err := l.Reject(t.Context(), person, "id", "somebody"); err != nil || value != "zhangsan" {
			t.Errorf("rejected %q, %v", value, err)
		}
		record, err := l.Look(t.Context(), person)
		if err != nil || len(record.Effects) != 1 || record.Effects[0].Did != "reject" || record.Effects[0].Set["id"] != "zhangsan" {
			t.Errorf("the record says %+v, %v", record, err)
		}
	})
}

// The clock of a worker may be wrong by days; leases and outcomes go by Redis' clock.
func TestTheYearOfALockBeginsOnRedisClock(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	l := ledger.New(s.Client(t))
	now := time.Unix(2_000_000_000, 0) // years from this machine's
	s.Mini.SetTime(now)
	apply(t, l, person, revise(t, l, person), id("zhangsan"))
	_, _, err := l.Begin(t.Context(), delivery(person, revise(t, l, person), id("lisi0001")))
	locked, ok := errors.AsType[*ledger.LockedError](err)
	if want := now.Add(366 * 24 * time.Hour); !ok || !locked.Until.Equal(want) || locked.Why != ledger.LockApplied {
		t.Errorf("%v, want it locked until %s", err, want)
	}
}

// It has run out, and the same value may be sent again, minutes later.
func TestALockThatHasEndedLeavesNoOutcomeToAPerson(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	l := ledger.New(s.Client(t))
	now := time.Now()
	s.Mini.SetTime(now)
	apply(t, l, person, revise(t, l, person), id("zhangsan"))
	s.Mini.SetTime(now.Add(367 * 24 * time.Hour))
	rev := revise(t, l, person)
	lease := begin(t, l, person, rev, id("lisi0001"))
	lease.Intend("lisi0001")
	gate(t, lease)
	release(t, lease, ledger.Unanswered)
	lease = begin(t, l, person, rev, id("lisi0001"))
	if intent, isUnknown := lease.Intent(); !isUnknown || intent.Value != "lisi0001" {
		t.Errorf("%+v unknown: %v", intent, isUnknown)
	}
}

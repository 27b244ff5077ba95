package sweep_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"rollcall/internal/audit"
	"rollcall/internal/lane"
	"rollcall/internal/lanetest"
	"rollcall/internal/ledger"
	"rollcall/internal/outcome"
	"rollcall/internal/redistest"
	"rollcall/tasks"
)

// died stores a task that is archived and has a dead letter.
func (p *producer) died(id string, task tasks.Task, revision int64, class outcome.Class) {
	p.T.Helper()
	open := p.stores(id, task, revision)
	if err := p.Inspector.ArchiveTask(open.Queue, id); err != nil {
		p.T.Fatal(err)
	}
	kind := open.Change.Target.API
	at := time.Now()
	dead := ledger.DeadLetter{
		ID: id, Lane: "dt." + kind, Tenant: "dt", Kind: kind, Organisation: "lakeside", Type: open.Type, Payload: open.Payload,
		Target: open.Change.Target.Key, Revision: revision, Class: string(class), Code: "34001", First: at, Last: at,
	}
	if _, err := p.ledger.AddDeadLetter(p.T.Context(), dead); err != nil {
		p.T.Fatal(err)
	}
	if err := p.ledger.Close(p.T.Context(), open.Change.Target, id, ledger.Row{}); err != nil {
		p.T.Fatal(err)
	}
}

// wantLetters compares the ids of a lane's dead letters, in any order.
func (p *producer) wantDeadLetters(of string, want ...string) {
	p.T.Helper()
	dead, _, err := p.ledger.DeadPage(p.T.Context(), ledger.DeadLetterFilter{Lane: of}, "", 1000)
	if err != nil {
		p.T.Fatal(err)
	}
	got := map[string]bool{}
	for _, l := range dead {
		got[l.ID] = true
	}
	wanted := map[string]bool{}
	for _, id := range want {
		wanted[id] = true
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		p.T.Errorf("dead letters of %s, -want +got:\n%s", of, diff)
	}
}

func TestADeadLetterClosesOnceAllItsFieldsWereAppliedAtAHigherRevision(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		p := produce(t, s, tasks.KindNickname, tasks.KindGroup, tasks.KindID)
		nick := func(user, name string) tasks.Task {
			return tasks.NicknameSync{Tenant: "dt", ChatID: "c", UserID: user, Nickname: name}
		}
		id := func(user, want string) tasks.Task {
			return tasks.IDChange{Tenant: "dt", UserID: user, DingTalkID: want}
		}
		p.died("corrected", nick("u1", "wrong"), longAgo, outcome.Rejected)
		p.applies(p.stores("a2", nick("u2", "right"), longAgo+1))
		p.died("older-applied", nick("u2", "wrong"), longAgo+2, outcome.Rejected)
		p.died("only-requested", nick("u3", "wrong"), longAgo, outcome.Rejected)
		p.died("both", tasks.GroupUpdate{Tenant: "dt", ChatID: "c1", Name: "3-2", Icon: "i"}, longAgo, outcome.Busy)
		p.died("one-of-two", tasks.GroupUpdate{Tenant: "dt", ChatID: "c2", Name: "3-2", Icon: "i"}, longAgo, outcome.Busy)
		p.died("members", tasks.GroupUpdate{Tenant: "dt", ChatID: "c1", Name: "3-2", AddUserIDs: []string{"u1"}}, longAgo, outcome.Rejected)
		p.died("unverified", id("u1", "zhangsan01"), longAgo, outcome.Unverified)
		p.died("id", id("u2", "zhangsan01"), longAgo, outcome.Rejected)

		p.applies(p.stores("a1", nick("u1", "right"), longAgo+1))
		p.stores("a3", nick("u3", "right"), longAgo+1)
		p.applies(p.stores("a4", tasks.GroupUpdate{Tenant: "dt", ChatID: "c1", Name: "3-3"}, longAgo+1))
		p.applies(p.stores("a5", tasks.GroupUpdate{Tenant: "dt", ChatID: "c1", Icon: "j"}, longAgo+2))
		p.applies(p.stores("a6", tasks.GroupUpdate{Tenant: "dt", ChatID: "c2", Name: "3-3", Options: tasks.GroupOptions{Searchable: new(0)}}, longAgo+1))
		for i, user := range []string{"u1", "u2"} {
			open := p.stores("b"+user, id(user, "zhangsan02"), longAgo+1)
			lease, err := p.begins(open)
			if err != nil {
				t.Fatal(err)
			}
			lease.Intend("zhangsan02")
			if err := errors.Join(lease.Check(t.Context()), lease.Settle(t.Context(), strconv.Itoa(i), false, nil)); err != nil {
				t.Fatal(err)
			}
		}

		p.look(0)
		p.wantDeadLetters("dt.nickname", "older-applied", "only-requested")
		p.wantDeadLetters("dt.group", "one-of-two", "members")
		p.wantDeadLetters("dt.id", "unverified")
		if _, err := p.Inspector.GetTaskInfo("dt.nickname", "corrected"); !errors.Is(err, asynq.ErrTaskNotFound) {
			t.Errorf("the archived task of a closed dead letter: %v", err)
		}

		closed, err := p.ledger.ClosedDeadLetters(t.Context(), 10, "dt.nickname", "dt.group", "dt.id")
		if err != nil {
			t.Fatal(err)
		}
		applied := map[string]int64{}
		for _, c := range closed {
			applied[c.ID] = c.Applied - c.Revision
		}
		if diff := cmp.Diff(map[string]int64{"corrected": 1, "both": 1, "id": 1}, applied); diff != "" {
			t.Errorf("the record of closed dead letters, -want +got:\n%s", diff)
		}
		if got := []string{<-p.Watch.Closes, <-p.Watch.Closes, <-p.Watch.Closes}; !strings.Contains(strings.Join(got, ","), "dt.nickname rejected") {
			t.Errorf("counted: %v", got)
		}
		events, err := audit.Read(t.Context(), p.Redis, 10)
		if err != nil || len(events) != 3 || events[0].Event != "dead.closed" || !strings.Contains(events[0].Reason, "applied at a higher revision") {
			t.Errorf("events: %+v, %v", events, err)
		}

		// Another sweep, by a worker that just started, finds nothing more: no dead
		// letter is written again for tasks in asynq's archive.
		again := newRig(t, s)
		for _, k := range []tasks.Kind{tasks.KindNickname, tasks.KindGroup, tasks.KindID} {
			again.Add(lane.Config{Kind: k}, lanetest.TurnsDown)
		}
		again.Sweeps()(t.Context(), time.Now())
		p.wantDeadLetters("dt.nickname", "older-applied", "only-requested")
		p.wantDeadLetters("dt.group", "one-of-two", "members")
	})
}

// A worker that dies between the two steps leaves the dead letter, and the next sweep
// closes it.
func TestADeadLetterIsClosedEvenIfItsArchivedTaskWasDeleted(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		p := produce(t, s, tasks.KindNickname)
		p.died("corrected", nicknameOf("u1"), longAgo, outcome.Rejected)
		p.loses("dt.nickname", "corrected")
		p.applies(p.stores("a1", nicknameOf("u1"), longAgo+1))
		p.look(0)
		p.wantDeadLetters("dt.nickname")
	})
}

// A person ran the task again: it ends as superseded, and that removes its dead letter.
func TestADeadLetterStaysOpenWhileItsTaskIsToRunAgain(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		p := produce(t, s, tasks.KindNickname)
		p.died("rerun", nicknameOf("u1"), longAgo, outcome.Rejected)
		if err := p.Inspector.RunTask("dt.nickname", "rerun"); err != nil {
			t.Fatal(err)
		}
		p.applies(p.stores("a1", nicknameOf("u1"), longAgo+1))
		p.look(0)
		p.wantDeadLetters("dt.nickname", "rerun")
	})
}

func TestAllCorrectedDeadLettersAreClosedOverSeveralPages(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		p := produce(t, s, tasks.KindNickname)
		n := lanetest.Few(230, 130)
		var left []string
		for i := range n {
			id, user := fmt.Sprintf("t%d", i), fmt.Sprintf("u%d", i)
			p.died(id, nicknameOf(user), longAgo, outcome.Rejected)
			if i%2 == 0 {
				p.applies(p.stores("a"+id, nicknameOf(user), longAgo+1))
			} else {
				left = append(left, id)
			}
		}
		for range 4 { // pages of 100, then from the newest again
			p.look(0)
		}
		p.wantDeadLetters("dt.nickname", left...)
	})
}

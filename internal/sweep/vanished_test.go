package sweep_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"rollcall/internal/backlog"
	"rollcall/internal/kinds"
	"rollcall/internal/lane"
	"rollcall/internal/lanetest"
	"rollcall/internal/ledger"
	"rollcall/internal/outcome"
	"rollcall/internal/redistest"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

// longAgo is a revision older than any task that a producer may still be storing.
const longAgo = 1_700_000_000_000_000

// producer is a worker that a test drives, and a producer that stores tasks for it.
type producer struct {
	*rig

	ledger *ledger.Ledger
	look   func(after time.Duration) // checks the open tasks, so long after the test began
}

func produce(t *testing.T, s *redistest.Server, kinds ...tasks.Kind) *producer {
	t.Helper()
	p := &producer{rig: newRig(t, s), ledger: ledger.New(s.Client(t))}
	for _, k := range kinds {
		p.Add(lane.Config{Kind: k}, lanetest.TurnsDown)
	}
	began, look := time.Now(), p.Sweeps()
	p.look = func(after time.Duration) { look(t.Context(), began.Add(after)) }
	return p
}

// stores enqueues a task as a client does, with a given revision.
func (p *producer) stores(id string, task tasks.Task, revision int64, options ...asynq.Option) ledger.Open {
	p.T.Helper()
	typename, payload, err := kinds.Encode(task, revision)
	if err != nil {
		p.T.Fatal(err)
	}
	kind, _ := kinds.OfType(typename)
	queue := registry.Queue("dt", kind.Name, false)
	if _, err := p.Client.Enqueue(asynq.NewTask(typename, payload), append(options, asynq.Queue(queue), asynq.TaskID(id))...); err != nil {
		p.T.Fatal(err)
	}
	target, fields := kinds.Change(task, "lakeside")
	open := ledger.Open{
		Change: ledger.Change{Target: target, Fields: fields, TaskID: id}, Revision: revision, Queue: queue, Type: typename, Payload: payload,
		Key: "night/" + id, Row: ledger.Row{Tenant: "dt", Run: "night", Row: 3},
	}
	if err := p.ledger.Stored(p.T.Context(), open); err != nil {
		p.T.Fatal(err)
	}
	return open
}

// loses deletes tasks in asynq, as the button of its web UI does.
func (p *producer) loses(queue string, ids ...string) {
	p.T.Helper()
	for _, id := range ids {
		if err := p.Inspector.DeleteTask(queue, id); err != nil {
			p.T.Fatal(err)
		}
	}
}

// looksUntil repeats a look at the same time until check returns nil: one look ends
// after a second, even if it has not processed everything.
func (p *producer) looksUntil(after time.Duration, check func() error) {
	p.T.Helper()
	lanetest.Eventually(p.T, func() error {
		p.look(after)
		return check()
	})
}

// closed returns a check that these tasks are not open.
func (p *producer) closed(kind tasks.Kind, ids ...string) func() error {
	return func() error {
		for _, id := range ids {
			if _, found, err := p.ledger.OpenTask(p.T.Context(), "lakeside", string(kind), id); err != nil || found {
				return fmt.Errorf("task %s is open: %t, %w", id, found, err)
			}
		}
		return nil
	}
}

func (p *producer) wantOpen(id string, want bool) {
	p.T.Helper()
	if _, found, err := p.ledger.OpenTask(p.T.Context(), "lakeside", string(tasks.KindNickname), id); err != nil || found != want {
		p.T.Errorf("task %s is open: %t, %v; want %t", id, found, err, want)
	}
}

// lost writes a record of an open task that asynq does not know.
func (r *rig) lost(id string) {
	r.T.Helper()
	typename, payload, err := kinds.Encode(nicknameOf(id), longAgo)
	if err != nil {
		r.T.Fatal(err)
	}
	target, fields := kinds.Change(nicknameOf(id), "lakeside")
	err = ledger.New(r.Redis).Stored(r.T.Context(), ledger.Open{
		Change: ledger.Change{Target: target, Fields: fields, TaskID: id}, Revision: longAgo, Queue: nicknames, Type: typename, Payload: payload,
	})
	if err != nil {
		r.T.Fatal(err)
	}
}

func nicknameOf(user string) tasks.NicknameSync {
	return tasks.NicknameSync{Tenant: "dt", ChatID: "c1", UserID: user, Nickname: "N"}
}

func TestATaskThatAsynqLostGetsADeadLetter(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		p := produce(t, s, tasks.KindNickname)
		lost := p.stores("lost", nicknameOf("ann"), longAgo)
		p.stores("later", nicknameOf("bob"), longAgo, asynq.ProcessIn(time.Hour))
		p.stores("waits", nicknameOf("cat"), longAgo)
		p.stores("young", nicknameOf("dan"), time.Now().UnixMicro())
		p.loses(nicknames, "lost", "young")
		began := time.Now()
		p.look(0)
		p.look(9 * time.Second)
		if n := p.DeadLetters(); n != 0 {
			t.Fatalf("%d dead letters after nine seconds", n)
		}
		p.looksUntil(10*time.Second, p.closed(tasks.KindNickname, "lost"))
		p.look(20 * time.Second)
		got := p.DeadLetter("lost")
		if got.Last.Before(began) || !got.First.Equal(got.Last) {
			t.Errorf("it died at %v and first failed at %v", got.Last, got.First)
		}
		got.First, got.Last = time.Time{}, time.Time{}
		want := ledger.DeadLetter{
			ID: "lost", Lane: nicknames, Tenant: "dt", Kind: "nickname", Organisation: "lakeside", Key: "night/lost",
			Type: lost.Type, Payload: lost.Payload, Run: "night", Row: 3, Target: "c1/ann", Revision: longAgo, Class: "vanished",
			Todo: "replay it if it still matters, or discard it",
			Cause: "vanished: the task was stored and had not ended, and asynq no longer knows it: it was deleted in the web UI, " +
				"or a failover or a restored Redis lost it · to do: replay it if it still matters, or discard it",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the dead letter (-want +got):\n%s", diff)
		}
		if n := p.DeadLetters(); n != 1 {
			t.Errorf("%d dead letters, want one", n)
		}
		if n := len(p.Watch.Deaths); n != 1 || <-p.Watch.Deaths != nicknames+" vanished" {
			t.Errorf("reported %d times as dead", n)
		}
		p.wantOpen("lost", false)
		for _, id := range []string{"later", "waits", "young"} {
			p.wantOpen(id, true)
		}
		if logged := p.Log.Lines("dead letters written for tasks that asynq lost"); len(logged) != 1 || !strings.Contains(logged[0], "letters=1") {
			t.Errorf("log: %q", logged)
		}
	})
}

// A single look may meet a task that is moving, or a master that is not up to date yet.
func TestATaskIsNotLostIfTheSecondLookFindsIt(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		p := produce(t, s, tasks.KindNickname)
		task := p.stores("t1", nicknameOf("ann"), longAgo)
		p.loses(nicknames, "t1")
		p.look(0)
		again := func() error {
			_, err := p.Client.Enqueue(asynq.NewTask(task.Type, task.Payload), asynq.Queue(nicknames), asynq.TaskID("t1"))
			return err
		}
		if err := again(); err != nil {
			t.Fatal(err)
		}
		p.look(10 * time.Second)
		p.loses(nicknames, "t1")
		p.look(15 * time.Second)
		p.look(20 * time.Second)
		if n := p.DeadLetters(); n != 0 {
			t.Errorf("%d dead letters: it was missing at single looks only, never at two in a row", n)
		}
		p.looksUntil(25*time.Second, p.closed(tasks.KindNickname, "t1"))
		if n := p.DeadLetters(); n != 1 {
			t.Errorf("%d dead letters, want one", n)
		}
	})
}

// reopens stores the record of an ended task again: as if the command that closed it
// had been lost, or an older worker had run it.
func (p *producer) reopens(kind tasks.Kind, id string, end func()) {
	p.T.Helper()
	key := "rollcall:{lakeside/" + string(kind) + "}:tasks"
	record, err := p.Redis.HGet(p.T.Context(), key, id).Result()
	if err != nil {
		p.T.Fatal(err)
	}
	end()
	if err := p.Redis.HSet(p.T.Context(), key, id, record).Err(); err != nil {
		p.T.Fatal(err)
	}
}

// applies runs an open task to its end.
func (p *producer) applies(open ledger.Open) {
	p.T.Helper()
	lease, err := p.begins(open)
	if err != nil || lease == nil {
		p.T.Fatalf("begin: %v, %v", lease, err)
	}
	if err := lease.Settle(p.T.Context(), "r-1", false, nil); err != nil {
		p.T.Fatal(err)
	}
}

func (p *producer) begins(open ledger.Open) (*ledger.Lease, error) {
	lease, _, err := p.ledger.Begin(p.T.Context(), ledger.Delivery{
		TaskID: open.Change.TaskID, Target: open.Change.Target, Revision: open.Revision, Fields: open.Change.Fields, Row: open.Row,
	})
	return lease, err
}

func TestATaskWhoseEndWasNotRecordedIsClosedWithoutADeadLetter(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		p := produce(t, s, tasks.KindNickname, tasks.KindGroup)
		applied := p.stores("applied", nicknameOf("ann"), longAgo)
		p.reopens(tasks.KindNickname, "applied", func() { p.applies(applied) })
		p.stores("superseded", nicknameOf("bob"), longAgo)
		p.reopens(tasks.KindNickname, "superseded", func() { p.stores("newer", nicknameOf("bob"), longAgo+1) })
		edit := p.stores("edit", tasks.GroupUpdate{Tenant: "dt", ChatID: "c1", AddUserIDs: []string{"ann"}}, longAgo)
		p.reopens(tasks.KindGroup, "edit", func() { p.applies(edit) })
		p.loses(nicknames, "applied", "superseded")
		p.loses("dt.group", "edit")
		p.look(0)
		p.looksUntil(10*time.Second, p.closed(tasks.KindNickname, "applied", "superseded"))
		p.looksUntil(10*time.Second, p.closed(tasks.KindGroup, "edit"))
		p.wantOpen("newer", true)
		if lanes, err := p.ledger.DeadLetterLanes(t.Context()); len(lanes) != 0 || err != nil {
			t.Errorf("there are dead letters in %v, %v", lanes, err)
		}
		if run := p.Redis.Get(t.Context(), "rollcall:{lakeside/group}:run:dt/night").Val(); run != "\x00\x00\x00a" {
			t.Errorf("run record %q, want its row as applied", run)
		}
	})
}

func TestAMembershipEditThatVanishedNoLongerBlocksItsChat(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		p := produce(t, s, tasks.KindGroup)
		adds := func(user string) tasks.Task {
			return tasks.GroupUpdate{Tenant: "dt", ChatID: "c1", AddUserIDs: []string{user}}
		}
		first := p.stores("first", adds("ann"), longAgo)
		// The first edit has its position in the edit queue, and its worker died.
		lease, err := p.begins(first)
		if err != nil {
			t.Fatal(err)
		}
		if err := lease.Release(t.Context(), ledger.Untouched); err != nil {
			t.Fatal(err)
		}
		second := p.stores("second", adds("bob"), longAgo+1)
		p.loses("dt.group", "first")
		if _, err := p.begins(second); !isBusy(err) {
			t.Fatalf("the second edit began: %v", err)
		}
		p.look(0)
		p.looksUntil(10*time.Second, p.closed(tasks.KindGroup, "first"))
		if lease, err := p.begins(second); lease == nil || err != nil {
			t.Errorf("the second edit still waits: %v", err)
		}
		if dead, found, err := p.ledger.DeadLetter(t.Context(), "dt.group", "first"); !found || dead.Class != "vanished" || err != nil {
			t.Errorf("the first task's dead letter: %+v, %v", dead, err)
		}
	})
}

func isBusy(err error) bool {
	_, busy := errors.AsType[*ledger.BusyError](err)
	return busy
}

// The command that closes the task was lost after its dead letter was written.
func TestADeadTaskThatWasNotClosedIsClosedAndKeepsItsDeadLetter(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		p := produce(t, s, tasks.KindNickname)
		for _, id := range []string{"archived", "dropped", "unlisted"} {
			p.stores(id, nicknameOf(id), longAgo)
			if err := p.Inspector.ArchiveTask(nicknames, id); err != nil {
				t.Fatal(err)
			}
			if id == "unlisted" {
				continue
			}
			if _, err := p.ledger.AddDeadLetter(t.Context(), ledger.DeadLetter{ID: id, Lane: nicknames, Class: "rejected"}); err != nil {
				t.Fatal(err)
			}
		}
		// asynq drops the oldest tasks of its archive like this, one by one or many at
		// once.
		p.loses(nicknames, "dropped")
		if err := p.Redis.ZRem(t.Context(), backlog.Key(nicknames, "archived"), "unlisted").Err(); err != nil {
			t.Fatal(err)
		}
		p.look(0)
		p.looksUntil(10*time.Second, p.closed(tasks.KindNickname, "archived", "dropped", "unlisted"))
		for _, id := range []string{"archived", "dropped"} {
			if got := p.DeadLetter(id); got.Class != "rejected" {
				t.Errorf("the dead letter of %s is %+v", id, got)
			}
		}
		if got := p.DeadLetter("unlisted"); got.Class != string(outcome.Archived) || got.Target != "c1/unlisted" {
			t.Errorf("the dead letter of a task in no list is %+v", got)
		}
	})
}

func TestRecordsOfANewerVersionOrAnotherLaneAreSkipped(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		p := produce(t, s, tasks.KindNickname)
		ctx, key := t.Context(), "rollcall:{lakeside/nickname}:tasks"
		p.Put(nicknames, "") // makes the queue known to asynq
		if err := p.Redis.HSet(ctx, key,
			"record", "2|a field of a newer build",
			"payload", `{"target":"c1/ann","revision":1700000000000000,"queue":"dt.nickname","type":"nickname:sync","payload":{"v":99,"rev":1}}`,
			"other", `{"target":"c1/ann","revision":1700000000000000,"queue":"ci.nickname","type":"nickname:sync","payload":{}}`,
		).Err(); err != nil {
			t.Fatal(err)
		}
		for after := time.Duration(0); after <= time.Minute; after += 10 * time.Second {
			p.look(after)
		}
		for _, id := range []string{"record", "payload", "other"} {
			p.wantOpen(id, true)
		}
		if n := p.DeadLetters(); n != 0 {
			t.Errorf("%d dead letters, want none", n)
		}
		if logged := p.Log.Lines("open tasks of a newer version skipped"); len(logged) != 1 {
			t.Errorf("logged %d times: %q", len(logged), logged)
		}
	})
}

// Every second task of some pages of open tasks vanished (of less than two pages under
// -short). The others wait and are passed over.
func TestEachVanishedTaskGetsADeadLetterOverManyPages(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		p := produce(t, s, tasks.KindNickname)
		lost := lanetest.Few(800, 300)
		for i := range 2 * lost {
			id := fmt.Sprintf("t%d", i)
			p.stores(id, nicknameOf(id), longAgo)
			if i%2 == 0 {
				p.loses(nicknames, id)
			}
		}
		looks := 0
		for ; p.DeadLetters() < int64(lost) && looks < 100; looks++ {
			p.look(time.Duration(5*looks) * time.Second)
		}
		if n := p.DeadLetters(); n != int64(lost) {
			t.Errorf("%d dead letters after %d looks, want %d", n, looks, lost)
		}
		if open := p.Redis.HLen(t.Context(), "rollcall:{lakeside/nickname}:tasks").Val(); open != int64(lost) {
			t.Errorf("%d are still open, want the %d that wait", open, lost)
		}
		if n := p.Redis.LLen(t.Context(), backlog.Key(nicknames, "pending")).Val(); n != int64(lost) {
			t.Errorf("%d are pending, want %d: what was deleted must not come back", n, lost)
		}
	})
}

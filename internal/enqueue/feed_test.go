package enqueue_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"rollcall/internal/enqueue"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/tasks"
)

const run = "rabcdefghijklmnop"

// fed returns a row of the run.
func fed(n int, task tasks.Task, revision int64) enqueue.FedRow {
	return enqueue.FedRow{
		Request: tasks.Request{Task: task, Options: tasks.Options{Run: run, Row: n}},
		TaskID:  fmt.Sprint(run, ":", n), Revision: revision,
	}
}

func runRevision(t *testing.T, s *redistest.Server) int64 {
	t.Helper()
	rev, err := ledger.New(s.Client(t)).RunRevision(t.Context(), "lakeside", "nickname")
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

// result is the result of a row; 0 for none.
func result(t *testing.T, s *redistest.Server, task tasks.Task, row int) byte {
	t.Helper()
	target, _ := kinds.Change(task, "lakeside")
	results, err := ledger.New(s.Client(t)).RowResults(t.Context(), []ledger.Target{target}, []ledger.Row{{Tenant: tenant, Run: run, Row: row}})
	if err != nil {
		t.Fatal(err)
	}
	return results[0]
}

func wantFed(t *testing.T, got []tasks.Result, outcomes ...tasks.Outcome) {
	t.Helper()
	var all []tasks.Outcome
	for _, r := range got {
		if r.Err != nil || r.Warning != "" {
			t.Errorf("%+v", r)
		}
		all = append(all, r.Outcome)
	}
	if diff := cmp.Diff(outcomes, all); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// forget removes a task from asynq, as its retention does in the end.
func forget(t *testing.T, s *redistest.Server, queue, id string) {
	t.Helper()
	if err := asynq.NewInspectorFromRedisClient(s.Client(t)).DeleteTask(queue, id); err != nil {
		t.Fatal(err)
	}
}

func TestAFedRowHasTheIDAndTheRevisionOfItsRun(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		serve(t, s)
		client := open(t, s.Addr)
		older, err := client.Enqueue(t.Context(), nick("ann", "older"), tasks.Options{})
		if err != nil {
			t.Fatal(err)
		}
		rev := runRevision(t, s)
		newer, err := client.Enqueue(t.Context(), nick("bob", "newer"), tasks.Options{})
		if err != nil {
			t.Fatal(err)
		}
		results := client.Feed(t.Context(), []enqueue.FedRow{fed(1, nick("ann", "A"), rev), fed(2, nick("bob", "B"), rev), fed(3, nick("carl", "C"), 0)})
		wantFed(t, results, tasks.Stored, tasks.Stored, tasks.Stored)
		if results[0].TaskID != run+":1" || results[0].Revision != rev || results[2].Revision <= rev {
			t.Errorf("%+v", results)
		}
		for _, info := range stored(t, s, nicknames) {
			if info.ID != run+":1" {
				continue
			}
			_, meta, err := kinds.Decode(info.Type, info.Payload)
			name, row := kinds.RunOf(info.Headers)
			if err != nil || meta.Revision != rev || name != run || row != 1 {
				t.Errorf("stored %+v: %v", info, err)
			}
		}
		if got := decision(t, s, nick("ann", "older"), older.Revision); got != ledger.Superseded {
			t.Errorf("the change before the run is %s", got)
		}
		if got := decision(t, s, nick("bob", "B"), rev); got != ledger.Superseded || newer.Revision <= rev {
			t.Errorf("the row before a later change is %s", got)
		}
		if got := result(t, s, nick("ann", ""), 1); got != ledger.RowStored {
			t.Errorf("the row is %q", got)
		}
		if o := records(t, s, tasks.KindNickname)[run+":1"]; o.Revision != rev || o.Row != (ledger.Row{Tenant: tenant, Run: run, Row: 1}) {
			t.Errorf("its record is %+v", o)
		}
	})
}

func TestARowThatIsFedTwiceIsStoredOnce(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		serve(t, s)
		client, l := open(t, s.Addr), ledger.New(s.Client(t))
		rev := runRevision(t, s)
		row := fed(1, nick("ann", "A"), rev)
		wantFed(t, client.Feed(t.Context(), []enqueue.FedRow{row}), tasks.Stored)
		wantFed(t, client.Feed(t.Context(), []enqueue.FedRow{row}), tasks.AlreadyThere)
		wantPending(t, s, 1)

		// It has ended, and asynq has forgotten it.
		target, fields := kinds.Change(row.Request.Task, "lakeside")
		lease, _, err := l.Begin(t.Context(), ledger.Delivery{
			TaskID: row.TaskID, Target: target, Revision: rev, Fields: fields, Row: ledger.Row{Tenant: tenant, Run: run, Row: 1},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := lease.Settle(t.Context(), "r", false, nil); err != nil {
			t.Fatal(err)
		}
		forget(t, s, nicknames, row.TaskID)
		again := client.Feed(t.Context(), []enqueue.FedRow{row})
		wantFed(t, again, tasks.AlreadyThere)
		if again[0].TaskID != row.TaskID || again[0].Queue != nicknames {
			t.Errorf("%+v", again)
		}
		wantPending(t, s, 0)
		if n := len(records(t, s, tasks.KindNickname)); n != 0 {
			t.Errorf("%d records", n)
		}
		if got := result(t, s, row.Request.Task, 1); got != ledger.RowApplied {
			t.Errorf("the row is %q", got)
		}
	})
}

func TestARowWhoseFeederDiedBeforeItsNoteIsNotedByTheNext(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		serve(t, s)
		client, rdb := open(t, s.Addr), s.Client(t)
		rev := runRevision(t, s)
		rows := []enqueue.FedRow{fed(1, nick("ann", "A"), rev)}
		wantFed(t, client.Feed(t.Context(), rows), tasks.Stored)
		keys := []string{
			"rollcall:{lakeside/nickname}:target:chat1/ann", "rollcall:{lakeside/nickname}:tasks",
			"rollcall:{lakeside/nickname}:run:" + tenant + "/" + run, "rollcall:{lakeside/nickname}:runs",
		}
		if n := rdb.Del(t.Context(), keys...).Val(); n != 4 {
			t.Fatalf("%d of the notes were there", n)
		}
		wantFed(t, client.Feed(t.Context(), rows), tasks.AlreadyThere)
		if n := rdb.Exists(t.Context(), keys...).Val(); n != 4 {
			t.Errorf("%d of 4 notes were made again", n)
		}
		if got := decision(t, s, nick("ann", "older"), rev-1); got != ledger.Superseded {
			t.Errorf("an earlier change is %s", got)
		}
	})
}

func TestManyFeedersStoreEachRowOnce(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		serve(t, s)
		client := openFor(t, s.Addr, time.Minute)
		rev := runRevision(t, s)
		var rows []enqueue.FedRow
		for i := range 150 { // more than a chunk
			rows = append(rows, fed(i, nick(fmt.Sprint("u", i), "A"), rev))
		}
		var feeders sync.WaitGroup
		for range 3 {
			feeders.Go(func() {
				for _, r := range client.Feed(t.Context(), rows) {
					if r.Err != nil || r.Outcome != tasks.Stored && r.Outcome != tasks.AlreadyThere {
						t.Errorf("%+v", r)
					}
				}
			})
		}
		feeders.Wait()
		wantPending(t, s, 150)
		if n := len(records(t, s, tasks.KindNickname)); n != 150 {
			t.Errorf("%d records", n)
		}
	})
}

func TestAFedEditTakesItsPositionAgain(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		serve(t, s)
		client, l, rdb := open(t, s.Addr), ledger.New(s.Client(t)), s.Client(t)
		// The feeder took the revision, wrote it into the run, and died.
		row := fed(1, edit("u1"), 0)
		target, fields := kinds.Change(row.Request.Task, "lakeside")
		row.Revision = l.Revise(t.Context(), ledger.Change{Target: target, Fields: fields, TaskID: row.TaskID})[0].Revision
		if err := rdb.Del(t.Context(), "rollcall:{lakeside/group}:edits:chat1").Err(); err != nil {
			t.Fatal(err)
		}
		later, err := client.Enqueue(t.Context(), edit("u2"), tasks.Options{})
		if err != nil {
			t.Fatal(err)
		}
		wantFed(t, client.Feed(t.Context(), []enqueue.FedRow{row}), tasks.Stored)
		if diff := cmp.Diff([]string{row.TaskID, later.TaskID}, destinations(t, s)); diff != "" {
			t.Errorf("positions (-want +got):\n%s", diff)
		}
		// It has ended: it takes no position that others would wait for.
		if err := l.Close(t.Context(), target, row.TaskID, ledger.Row{Tenant: tenant, Run: run, Row: 1}); err != nil {
			t.Fatal(err)
		}
		wantFed(t, client.Feed(t.Context(), []enqueue.FedRow{row}), tasks.AlreadyThere)
		if diff := cmp.Diff([]string{later.TaskID}, destinations(t, s)); diff != "" {
			t.Errorf("positions (-want +got):\n%s", diff)
		}
	})
}

func TestAFedRowKeepsItsKey(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		serve(t, s)
		client := open(t, s.Addr)
		rev := runRevision(t, s)
		row := fed(1, nick("ann", "A"), rev)
		row.Request.Options.Key = "k1"
		wantFed(t, client.Feed(t.Context(), []enqueue.FedRow{row}), tasks.Stored)
		wantFed(t, client.Feed(t.Context(), []enqueue.FedRow{row}), tasks.AlreadyThere)
		other := fed(2, nick("ann", "A"), rev)
		other.Request.Options.Key = "k1"
		if got := client.Feed(t.Context(), []enqueue.FedRow{other})[0]; got.Outcome != tasks.AlreadyThere || got.TaskID != row.TaskID {
			t.Errorf("another row with the key: %+v", got)
		}
		wantPending(t, s, 1)
	})
}

// A reply that is lost, and a Redis that is unavailable, are in the results of their rows.
func TestAFedRowThatMayNotBeStoredSaysSo(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		todo []redistest.Fault
		want tasks.Outcome
	}{
		"a lost reply":     {[]redistest.Fault{redistest.LoseReply}, tasks.Stored},
		"a lost send":      {[]redistest.Fault{redistest.LoseSend}, tasks.Stored},
		"two lost replies": {[]redistest.Fault{redistest.LoseReply, redistest.LoseReply}, tasks.NotKnown},
		"refused by Redis": {[]redistest.Fault{redistest.Refuse}, tasks.NotStored},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redistest.Either(t, func(t *testing.T, s *redistest.Server) {
				client, _ := throughFaults(t, s, storing, row.todo...)
				rows := []enqueue.FedRow{fed(1, nick("ann", "A"), runRevision(t, s))}
				if got := client.Feed(t.Context(), rows)[0]; got.Outcome != row.want {
					t.Errorf("%+v", got)
				}
				after := client.Feed(t.Context(), rows)[0]
				if after.Err != nil {
					t.Errorf("fed again: %+v", after)
				}
				wantPending(t, s, 1)
			})
		})
	}
}

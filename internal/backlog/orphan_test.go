package backlog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/backlog"
	"rollcall/internal/redistest"
)

var bound = backlog.Bound{Kills: 3, Forget: time.Hour}

// seen returns the only active task, as a look finds it now.
func seen(t *testing.T, m *backlog.Repairer) backlog.Orphan {
	t.Helper()
	found := look(t, m)
	if len(found.Active) != 1 {
		t.Fatalf("active are %+v, want one", found.Active)
	}
	return backlog.Orphan{Active: found.Active[0], Since: found.Now}
}

// take takes a task from the queue as asynq's dequeue does, and leaves it like a worker
// that is killed at once.
func take(t *testing.T, rdb redis.UniversalClient) {
	t.Helper()
	ctx := t.Context()
	id, err := rdb.RPopLPush(ctx, backlog.Key(normal, "pending"), backlog.Key(normal, "active")).Result()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		rdb.HSet(ctx, backlog.Key(normal, "t:"+id), "state", "active").Err(),
		rdb.HDel(ctx, backlog.Key(normal, "t:"+id), "pending_since").Err(),
		rdb.ZAdd(ctx, backlog.Key(normal, "lease"), redis.Z{Score: float64(time.Now().Add(30 * time.Second).Unix()), Member: id}).Err(),
	); err != nil {
		t.Fatal(err)
	}
}

func TestARequeuedTaskRunsNextWithoutACountedAttempt(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		m, inspector := backlog.NewRepairer(rdb), asynq.NewInspectorFromRedisClient(rdb)
		put(t, rdb, normal, "lost")
		put(t, rdb, normal, "waits")
		await(t, stay(t, rdb, 1))

		since := look(t, m).Now
		for _, stale := range []backlog.Active{{ID: "lost", Lease: "1"}, {ID: "lost"}, {ID: "waits"}, {ID: "missing", Lease: "1"}} {
			result, _, err := m.Requeue(t.Context(), normal, backlog.Orphan{Active: stale, Since: since}, bound)
			if result != backlog.Moved || err != nil {
				t.Errorf("seen as %+v: result %d, %v", stale, result, err)
			}
		}
		eventually(t, func() error { // the worker is alive and renews its lease
			result, _, err := m.Requeue(t.Context(), normal, seen(t, m), bound)
			if err == nil && result != backlog.Requeued {
				err = errors.New("it was not requeued")
			}
			return err
		})
		if found := active(t, m); len(found) != 0 {
			t.Errorf("still active: %+v", found)
		}
		info, err := inspector.GetTaskInfo(normal, "lost")
		if err != nil || info.State != asynq.TaskStatePending || info.Retried != 0 {
			t.Errorf("asynq shows %+v, %v", info, err)
		}
		if got := read(t, rdb, normal); got.Pending != 2 || got.Oldest <= 0 || got.Oldest > time.Hour {
			t.Errorf("the queue's state is %+v", got)
		}
		again := stay(t, rdb, 2)
		if first, second := await(t, again), await(t, again); first+second != "lostwaits" && first+second != "waitslost" {
			t.Errorf("then %s and %s ran", first, second)
		}
		order, err := rdb.LRange(t.Context(), backlog.Key(normal, "active"), 0, -1).Result()
		if diff := cmp.Diff([]string{"waits", "lost"}, order); err != nil || diff != "" {
			t.Errorf("%v; the last taken first, -want +got:\n%s", err, diff)
		}
	})
}

func TestSeveralSweepersRequeueAndCountAnOrphanOnce(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		put(t, rdb, normal, "lost")
		take(t, rdb)
		m := backlog.NewRepairer(rdb)
		orphan := seen(t, m)
		var moved atomic.Int32
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				result, kills, err := m.Requeue(t.Context(), normal, orphan, bound)
				if result == backlog.Requeued {
					moved.Add(1)
				}
				if err != nil || kills.Times > 1 {
					t.Errorf("%+v, %v", kills, err)
				}
			})
		}
		all.Wait()
		if n := moved.Load(); n != 1 {
			t.Errorf("it was requeued %d times", n)
		}
		take(t, rdb)
		if _, kills, err := m.Requeue(t.Context(), normal, seen(t, m), bound); kills.Times != 2 || err != nil {
			t.Errorf("%+v, %v; want two", kills, err)
		}
	})
}

// A task that was requeued and taken again may by chance have the same lease, because
// every worker writes it by its own clock.
func TestAnOrphanThatWasRequeuedSinceItWasSeenIsNotRequeuedAgain(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		m := backlog.NewRepairer(rdb)
		put(t, rdb, normal, "lost")
		take(t, rdb)
		old := seen(t, m)
		if result, _, err := m.Requeue(t.Context(), normal, old, bound); result != backlog.Requeued || err != nil {
			t.Fatalf("result %d, %v", result, err)
		}
		take(t, rdb)
		if err := rdb.ZAdd(t.Context(), backlog.Key(normal, "lease"), redis.Z{Score: number(t, old.Lease), Member: "lost"}).Err(); err != nil {
			t.Fatal(err)
		}
		if result, _, err := m.Requeue(t.Context(), normal, old, bound); result != backlog.Moved || err != nil {
			t.Errorf("result %d, %v", result, err)
		}
		if result, kills, err := m.Requeue(t.Context(), normal, seen(t, m), bound); result != backlog.Requeued || kills.Times != 2 || err != nil {
			t.Errorf("seen again: result %d, %+v, %v", result, kills, err)
		}
	})
}

func number(t *testing.T, text string) (n float64) {
	t.Helper()
	if _, err := fmt.Sscan(text, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// The count must survive what asynq does with the task: a retry rewrites the message,
// and everything else changes the state.
func TestTheCountOfDeathsStaysWithTheTaskInAllStatesOfAsynq(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		m, inspector := backlog.NewRepairer(rdb), asynq.NewInspectorFromRedisClient(rdb)
		put(t, rdb, normal, "fails-1")
		take(t, rdb)
		if result, kills, err := m.Requeue(t.Context(), normal, seen(t, m), bound); result != backlog.Requeued || kills.Times != 1 || err != nil {
			t.Fatalf("result %d, %+v, %v", result, kills, err)
		}
		server := asynq.NewServerFromRedisClient(rdb, asynq.Config{
			Concurrency: 1, Queues: map[string]int{normal: 1}, TaskCheckInterval: 10 * time.Millisecond, LogLevel: asynq.FatalLevel,
			RetryDelayFunc: func(int, error, *asynq.Task) time.Duration { return time.Hour },
		})
		if err := server.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error { return errors.New("as asked") })); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() error {
			info, err := inspector.GetTaskInfo(normal, "fails-1")
			if err == nil && info.State != asynq.TaskStateRetry {
				err = fmt.Errorf("it is %s", info.State)
			}
			return err
		})
		server.Shutdown()
		for _, step := range []func(string, string) error{inspector.ArchiveTask, inspector.RunTask} {
			if err := step(normal, "fails-1"); err != nil {
				t.Fatal(err)
			}
		}
		take(t, rdb)
		if result, kills, err := m.Requeue(t.Context(), normal, seen(t, m), bound); result != backlog.Requeued || kills.Times != 2 || err != nil {
			t.Errorf("result %d, %+v, %v; want two", result, kills, err)
		}
		if err := inspector.DeleteTask(normal, "fails-1"); err != nil {
			t.Fatal(err)
		}
		if n := rdb.Exists(t.Context(), backlog.Key(normal, "t:fails-1")).Val(); n != 0 {
			t.Error("the deleted task still exists")
		}
		put(t, rdb, normal, "fails-1")
		take(t, rdb)
		if _, kills, err := m.Requeue(t.Context(), normal, seen(t, m), bound); kills.Times != 1 || err != nil {
			t.Errorf("a new task of that name: %+v, %v", kills, err)
		}
	})
}

func TestDeathsAreForgottenAfterAWhileWithoutAnother(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	rdb := s.Client(t)
	m := backlog.NewRepairer(rdb)
	put(t, rdb, normal, "lost")
	began := time.UnixMilli(1_763_762_142_000)
	for _, row := range []struct {
		after time.Duration
		times int
		first time.Duration
	}{
		{0, 1, 0},
		{time.Hour, 2, 0}, // exactly, to the microsecond
		{2*time.Hour + time.Microsecond, 1, 2*time.Hour + time.Microsecond},
		{3 * time.Hour, 2, 2*time.Hour + time.Microsecond},
	} {
		s.Mini.SetTime(began.Add(row.after))
		take(t, rdb)
		result, kills, err := m.Requeue(t.Context(), normal, seen(t, m), bound)
		if want := (backlog.Kills{Times: row.times, First: began.Add(row.first), Last: began.Add(row.after)}); result != backlog.Requeued || !cmp.Equal(kills, want) || err != nil {
			t.Errorf("after %s: result %d, %+v, %v; want %+v", row.after, result, kills, err, want)
		}
	}
}

func TestATaskThatLostTooManyWorkersIsArchivedLikeByAsynq(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		ctx, rdb := t.Context(), s.Client(t)
		m, inspector := backlog.NewRepairer(rdb), asynq.NewInspectorFromRedisClient(rdb)
		task := asynq.NewTaskWithHeaders("kills", []byte("\x00\xff payload"), map[string]string{"key": "mine"})
		before, err := asynq.NewClientFromRedisClient(rdb).Enqueue(task, asynq.Queue(normal), asynq.TaskID("poison"), asynq.Timeout(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			take(t, rdb)
			if result, _, err := m.Requeue(ctx, normal, seen(t, m), bound); result != backlog.Requeued || err != nil {
				t.Fatalf("result %d, %v", result, err)
			}
		}
		take(t, rdb)
		orphan := seen(t, m)
		for range 2 { // several sweepers that see it get the same result
			result, kills, err := m.Requeue(ctx, normal, orphan, bound)
			if result != backlog.TooMany || kills.Times != 3 || err != nil {
				t.Fatalf("result %d, %+v, %v", result, kills, err)
			}
		}
		at := time.Unix(1_763_762_142, 0)
		stale := orphan
		stale.Lease = "1"
		for _, row := range []struct {
			orphan backlog.Orphan
			want   bool
		}{{stale, false}, {orphan, true}, {orphan, false}} {
			if archived, err := m.ArchiveOrphan(ctx, normal, row.orphan, "poison: it killed \xff", at); archived != row.want || err != nil {
				t.Errorf("seen as %+v: archived %v, %v", row.orphan, archived, err)
			}
		}
		if result, _, err := m.Requeue(ctx, normal, orphan, bound); result != backlog.Moved || err != nil {
			t.Errorf("archived: result %d, %v", result, err)
		}

		listed, err := inspector.ListArchivedTasks(normal)
		if err != nil || len(listed) != 1 {
			t.Fatalf("asynq lists %+v, %v", listed, err)
		}
		want := *before
		want.State, want.LastErr, want.LastFailedAt = asynq.TaskStateArchived, "poison: it killed \uFFFD", at
		want.NextProcessAt = listed[0].NextProcessAt
		if diff := cmp.Diff(&want, listed[0]); diff != "" {
			t.Errorf("-want +asynq lists:\n%s", diff)
		}
		if active, leases := rdb.LLen(ctx, backlog.Key(normal, "active")).Val(), rdb.ZCard(ctx, backlog.Key(normal, "lease")).Val(); active+leases != 0 {
			t.Errorf("%d are active and %d have a lease", active, leases)
		}
		entries, err := backlog.Archived(ctx, rdb, normal, float64(time.Now().Add(-time.Hour).Unix()))
		if err != nil || !slices.ContainsFunc(entries, func(e backlog.ArchivedTask) bool { return e.ID == "poison" }) {
			t.Errorf("since an hour ago %+v were archived, %v", entries, err)
		}

		if err := inspector.RunTask(normal, "poison"); err != nil {
			t.Fatal(err)
		}
		if id := await(t, stay(t, rdb, 1)); id != "poison" {
			t.Errorf("%s was started", id)
		}
		// A person who runs it again gives it three more tries.
		if result, kills, err := m.Requeue(ctx, normal, seen(t, m), bound); result == backlog.TooMany || kills.Times > 1 || err != nil {
			t.Errorf("run again: result %d, %+v, %v", result, kills, err)
		}
	})
}

func TestATaskArchivedForItsDeathsCanBeDeleted(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		ctx, rdb := t.Context(), s.Client(t)
		m := backlog.NewRepairer(rdb)
		put(t, rdb, normal, "poison")
		take(t, rdb)
		if archived, err := m.ArchiveOrphan(ctx, normal, seen(t, m), "poison", time.Now()); !archived || err != nil {
			t.Fatalf("archived: %v, %v", archived, err)
		}
		if err := asynq.NewInspectorFromRedisClient(rdb).DeleteTask(normal, "poison"); err != nil {
			t.Fatal(err)
		}
		left, err := rdb.Exists(ctx, backlog.Key(normal, "t:poison"), backlog.Key(normal, "archived")).Result()
		if left != 0 || err != nil {
			t.Errorf("%d keys are left, %v", left, err)
		}
	})
}

// A queue that cannot be read does not affect the others.
func TestALookReportsErrorsPerQueue(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		if err := rdb.Set(t.Context(), backlog.Key(urgent, "active"), "no list", 0).Err(); err != nil {
			t.Fatal(err)
		}
		put(t, rdb, normal, "lost")
		take(t, rdb)
		looks := backlog.NewRepairer(rdb).Look(t.Context(), []string{urgent, "never used", normal})
		if len(looks) != 3 || looks[0].Err == nil || looks[1].Err != nil || len(looks[1].Active) != 0 ||
			looks[2].Err != nil || len(looks[2].Active) != 1 || looks[2].Active[0].ID != "lost" {
			t.Errorf("%+v", looks)
		}
	})
}

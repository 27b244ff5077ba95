package backlog_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/backlog"
	"rollcall/internal/redistest"
)

// stay serves the queue with a handler that reports each task and keeps it until the
// test ends.
func stay(t *testing.T, rdb redis.UniversalClient, concurrency int) (started chan string) {
	t.Helper()
	started = make(chan string, 100)
	ended := make(chan struct{})
	serve(t, rdb, asynq.Config{Queues: map[string]int{normal: 1}, Concurrency: concurrency}, func(ctx context.Context, _ *asynq.Task) error {
		id, _ := asynq.GetTaskID(ctx)
		started <- id
		<-ended
		return nil
	})
	t.Cleanup(func() { close(ended) })
	return started
}

func await(t *testing.T, from <-chan string) string {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatal("no task was started")
		return ""
	}
}

func look(t *testing.T, m *backlog.Repairer) backlog.Look {
	t.Helper()
	looks := m.Look(t.Context(), []string{normal})
	if len(looks) != 1 || looks[0].Err != nil {
		t.Fatalf("%+v", looks)
	}
	return looks[0]
}

func active(t *testing.T, m *backlog.Repairer) []backlog.Active {
	t.Helper()
	return look(t, m).Active
}

func TestTheLeaseOfATaskOfALiveWorkerMoves(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		m := backlog.NewRepairer(rdb)
		if found := active(t, m); len(found) != 0 {
			t.Fatalf("in an empty queue %+v are active", found)
		}
		put(t, rdb, normal, "runs")
		put(t, rdb, normal, "waits")
		await(t, stay(t, rdb, 1))
		first := active(t, m)
		if len(first) != 1 || first[0].ID != "runs" || first[0].Lease == "" {
			t.Fatalf("active are %+v, want the one that runs, with a lease", first)
		}
		eventually(t, func() error {
			if now := active(t, m); len(now) != 1 || now[0].ID != "runs" || now[0].Lease <= first[0].Lease {
				return fmt.Errorf("the look found %+v, before it %+v", now, first)
			}
			return nil
		})
		if raw, unreadable, err := m.Unreadable(t.Context(), normal, "runs"); raw != nil || unreadable || err != nil {
			t.Errorf("a running task is unreadable: %v (%q, %v)", unreadable, raw, err)
		}
	})
}

// asynq identifies an unreadable message only by the text of an error. This test fails
// if that text changes, or what asynq does with such a message.
func TestAnUnreadableMessageIsFoundAndRemoved(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		ctx, rdb := t.Context(), s.Client(t)
		m := backlog.NewRepairer(rdb)
		const garbage, blank = "\xff\xff no message", "\x0a\x01x" // blank is a message with a type and no id
		if err := errors.Join(
			rdb.HSet(ctx, backlog.Key(normal, "t:raw"), "msg", garbage, "state", "pending").Err(),
			rdb.LPush(ctx, backlog.Key(normal, "pending"), "raw", "missing").Err(),
			rdb.HSet(ctx, backlog.Key(normal, "t:blank"), "msg", blank, "state", "active").Err(),
			rdb.LPush(ctx, backlog.Key(normal, "active"), "blank", "nothing").Err(),
		); err != nil {
			t.Fatal(err)
		}
		put(t, rdb, normal, "good")
		if id := await(t, stay(t, rdb, 10)); id != "good" {
			t.Fatalf("%s was started", id)
		}
		want := map[string]string{"raw": garbage, "missing": "", "blank": blank, "nothing": ""}
		got := map[string]string{}
		for _, task := range active(t, m) {
			raw, unreadable, err := m.Unreadable(ctx, normal, task.ID)
			if err != nil {
				t.Fatal(err)
			}
			if unreadable {
				got[task.ID] = string(raw)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("unreadable, -want +got:\n%s", diff)
		}
		for id := range want {
			if err := m.Unlist(ctx, normal, id); err != nil {
				t.Fatal(err)
			}
			if raw, unreadable, err := m.Unreadable(ctx, normal, id); raw != nil || unreadable || err != nil {
				t.Errorf("%s was removed but is unreadable: %v (%q, %v)", id, unreadable, raw, err)
			}
			if n := rdb.Exists(ctx, backlog.Key(normal, "t:"+id)).Val(); n != 0 {
				t.Errorf("the message %s still exists", id)
			}
		}
		if found := active(t, m); len(found) != 1 || found[0].ID != "good" {
			t.Errorf("active are %+v, want the good one", found)
		}
		leases, err := rdb.ZRange(ctx, backlog.Key(normal, "lease"), 0, -1).Result()
		if diff := cmp.Diff([]string{"good"}, leases); err != nil || diff != "" {
			t.Errorf("%v; leases, -want +got:\n%s", err, diff)
		}
	})
}

// arrives stores a message just before a client's first pipeline.
type arrives struct {
	trips

	store func() error
}

func (a *arrives) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if greets(cmds[0]) {
			return next(ctx, cmds)
		}
		return errors.Join(a.store(), next(ctx, cmds))
	}
}

func TestAMessageThatArrivesBetweenTwoReadsIsNotMissing(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		ctx, rdb, other := t.Context(), s.Client(t), s.Client(t)
		put(t, other, normal, "waits") // makes the queue known to asynq
		if err := other.LPush(ctx, backlog.Key(normal, "active"), "late").Err(); err != nil {
			t.Fatal(err)
		}
		rdb.AddHook(&arrives{store: func() error {
			return other.HSet(ctx, backlog.Key(normal, "t:late"), "msg", "late", "state", "active").Err()
		}})
		if raw, unreadable, err := backlog.NewRepairer(rdb).Unreadable(ctx, normal, "late"); unreadable || err != nil {
			t.Errorf("it is unreadable: %v (%q, %v)", unreadable, raw, err)
		}
	})
}

func TestAReadThatFailsReturnsAnError(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		// Each command is sent only once: a pool that met enough errors retries on its
		// own.
		rdb := redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1, DialerRetries: 1})
		t.Cleanup(func() { _ = rdb.Close() })
		ctx, m := t.Context(), backlog.NewRepairer(rdb)
		s.Stop(t)
		for _, found := range m.Look(ctx, []string{urgent, normal}) {
			if found.Err == nil || found.Active != nil {
				t.Errorf("a look found %+v", found)
			}
		}
		if raw, unreadable, err := m.Unreadable(ctx, normal, "id"); unreadable || err == nil {
			t.Errorf("unreadable: %v (%q) without an error", unreadable, raw)
		}
		if result, _, err := m.Requeue(ctx, normal, backlog.Orphan{Active: backlog.Active{ID: "id"}}, bound); result != backlog.Moved || err == nil {
			t.Errorf("result %d without an error", result)
		}
		if archived, err := m.ArchiveOrphan(ctx, normal, backlog.Orphan{Active: backlog.Active{ID: "id"}}, "cause", time.Now()); archived || err == nil {
			t.Errorf("archived: %v without an error", archived)
		}
		if err := m.Unlist(ctx, normal, "id"); err == nil {
			t.Error("unlisted without an error")
		}
		s.Start(t)
	})
}

package enqueue_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/enqueue"
	"rollcall/internal/redistest"
	"rollcall/tasks"
)

func TestConcurrentCallersWithOneKeyStoreOnce(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		serve(t, s)
		const callers = 24
		outcomes := make([]tasks.Outcome, callers)
		clients := []*enqueue.Client{open(t, s.Addr), open(t, s.Addr)}
		var all sync.WaitGroup
		for i := range callers {
			all.Go(func() {
				// Half of them are urgent: the queue must not matter.
				r, err := clients[i%2].Enqueue(t.Context(), nick("u1", "A"), tasks.Options{Key: "same", Urgent: i%4 < 2})
				if err != nil {
					t.Error(err)
				}
				outcomes[i] = r.Outcome
			})
		}
		all.Wait()
		count := map[tasks.Outcome]int{}
		for _, o := range outcomes {
			count[o]++
		}
		if diff := cmp.Diff(map[tasks.Outcome]int{tasks.Stored: 1, tasks.AlreadyThere: callers - 1}, count); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if n := len(stored(t, s, "lakeside-dt.nickname")) + len(stored(t, s, "lakeside-dt.nickname.urgent")); n != 1 {
			t.Errorf("%d tasks stored, want 1", n)
		}
	})
}

func TestAKeyStaysReservedAfterItsTaskWasDeleted(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		serve(t, s)
		client := open(t, s.Addr)
		first, err := client.Enqueue(t.Context(), nick("u1", "A"), tasks.Options{Key: "k"})
		if err != nil {
			t.Fatal(err)
		}
		if held := stored(t, s, first.Queue); len(held) != 1 || held[0].Retention != 24*time.Hour {
			t.Errorf("stored %+v, want one that is retained as long as its key", held)
		}
		if err := asynq.NewInspectorFromRedisClient(s.Client(t)).DeleteTask(first.Queue, first.TaskID); err != nil {
			t.Fatal(err)
		}
		second, err := client.Enqueue(t.Context(), nick("u1", "A"), tasks.Options{Key: "k"})
		if err != nil {
			t.Fatal(err)
		}
		if second.Outcome != tasks.AlreadyThere || second.TaskID != first.TaskID {
			t.Errorf("second %+v, first %+v", second, first)
		}
		if n := len(stored(t, s, first.Queue)); n != 0 {
			t.Errorf("%d tasks stored again", n)
		}
	})
}

func TestAKeyExpiresAfterADayWhileItsTaskIsRetained(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		serve(t, s)
		client := open(t, s.Addr)
		first, err := client.Enqueue(t.Context(), nick("u1", "A"), tasks.Options{Key: "k"})
		if err != nil {
			t.Fatal(err)
		}
		rdb := s.Client(t)
		const key = "rollcall:key:lakeside-dt:k"
		if left := rdb.TTL(t.Context(), key).Val(); left <= 23*time.Hour || left > 24*time.Hour {
			t.Errorf("the key expires in %s, want a day", left)
		}
		if s.Mini != nil {
			s.Mini.FastForward(24 * time.Hour)
		} else if err := rdb.PExpire(t.Context(), key, 0).Err(); err != nil {
			t.Fatal(err)
		}
		second, err := client.Enqueue(t.Context(), nick("u1", "A"), tasks.Options{Key: "k"})
		if err != nil {
			t.Fatal(err)
		}
		if second.Outcome != tasks.Stored || second.TaskID == first.TaskID {
			t.Errorf("second %+v, first %+v", second, first)
		}
	})
}

func TestAKeyCannotBeUsedForTwoTasks(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		serve(t, s)
		client := open(t, s.Addr)
		if _, err := client.Enqueue(t.Context(), nick("u1", "A"), tasks.Options{Key: "k"}); err != nil {
			t.Fatal(err)
		}
		result, err := client.Enqueue(t.Context(), nick("u1", "B"), tasks.Options{Key: "k"})
		if _, ok := errors.AsType[*tasks.KeyReusedError](err); !ok || result.Outcome != tasks.Refused {
			t.Errorf("%v %v", result.Outcome, err)
		}
	})
}

func TestTheNextCallerFinishesARequestWhoseCallerDied(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		serve(t, s)
		client := open(t, s.Addr)
		first, err := client.Enqueue(t.Context(), nick("u1", "A"), tasks.Options{Key: "k"})
		if err != nil {
			t.Fatal(err)
		}
		// Put Redis into the state between reserving and storing.
		ctx, rdb := t.Context(), s.Client(t)
		const key = "rollcall:key:lakeside-dt:k"
		record := strings.Replace(rdb.Get(ctx, key).Val(), `"state":"stored"`, `"state":"reserved"`, 1)
		if !strings.Contains(record, "reserved") {
			t.Fatalf("the record reads %s", record)
		}
		rdb.Set(ctx, key, record, redis.KeepTTL)
		if err := asynq.NewInspectorFromRedisClient(rdb).DeleteTask(first.Queue, first.TaskID); err != nil {
			t.Fatal(err)
		}

		second, err := client.Enqueue(ctx, nick("u1", "A"), tasks.Options{Key: "k", Urgent: true})
		if err != nil {
			t.Fatal(err)
		}
		if second.Outcome != tasks.Stored || second.TaskID != first.TaskID || second.Queue != first.Queue {
			t.Errorf("second %+v, first %+v", second, first)
		}
		third, err := client.Enqueue(ctx, nick("u1", "A"), tasks.Options{Key: "k"})
		if err != nil || third.Outcome != tasks.AlreadyThere {
			t.Errorf("third %+v, %v", third, err)
		}
	})
}

package backlog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/backlog"
	"rollcall/internal/redistest"
)

// Every way in which another program can take a task out of asynq's lists.
func TestATaskThatNoListHoldsIsFoundAndMadePendingAgain(t *testing.T) {
	t.Parallel()
	id := "task"
	key := backlog.Key(normal, "t:"+id)
	list := func(name string) string { return backlog.Key(normal, name) }
	for name, c := range map[string]struct {
		options []asynq.Option
		spoil   func(t *testing.T, rdb redis.UniversalClient)
		ahead   bool
	}{
		"the pending list is discarded": {nil, func(t *testing.T, rdb redis.UniversalClient) { t.Helper(); rdb.Del(t.Context(), list("pending")) }, false},
		"its member is cut": {nil, func(t *testing.T, rdb redis.UniversalClient) {
			t.Helper()
			rdb.LSet(t.Context(), list("pending"), 0, "ta")
		}, false},
		"the scheduled tasks are discarded": {
			[]asynq.Option{asynq.ProcessIn(time.Hour)},
			func(t *testing.T, rdb redis.UniversalClient) { t.Helper(); rdb.Del(t.Context(), list("scheduled")) },
			false,
		},
		"it is scheduled for infinity": {
			[]asynq.Option{asynq.ProcessIn(time.Hour)},
			func(t *testing.T, rdb redis.UniversalClient) {
				t.Helper()
				rdb.Do(t.Context(), "ZADD", list("scheduled"), "+inf", id)
			},
			true,
		},
		"its retry is a year ahead": {nil, func(t *testing.T, rdb redis.UniversalClient) {
			t.Helper()
			rdb.Del(t.Context(), list("pending"))
			rdb.HSet(t.Context(), key, "state", "retry")
			rdb.ZAdd(t.Context(), list("retry"), redis.Z{Score: float64(time.Now().AddDate(1, 0, 0).Unix()), Member: id})
		}, true},
		"the active tasks are discarded": {nil, func(t *testing.T, rdb redis.UniversalClient) {
			t.Helper()
			rdb.Del(t.Context(), list("pending"))
			rdb.HSet(t.Context(), key, "state", "active")
		}, false},
		"its state is cut": {nil, func(t *testing.T, rdb redis.UniversalClient) {
			t.Helper()
			rdb.Del(t.Context(), list("pending"))
			rdb.HSet(t.Context(), key, "state", "pend")
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redistest.Each(t, func(t *testing.T, s *redistest.Server) {
				rdb := s.Client(t)
				put(t, rdb, normal, id, c.options...)
				asked := []backlog.Task{{Queue: normal, ID: id}, {Queue: urgent, ID: "unknown"}}
				find := func() []backlog.Unlisted {
					t.Helper()
					lost, _, err := backlog.FindUnlisted(t.Context(), rdb, asked)
					if err != nil {
						t.Fatal(err)
					}
					return lost
				}
				if lost := find(); len(lost) != 0 {
					t.Fatalf("before: %+v", lost)
				}
				c.spoil(t, rdb)
				lost := find()
				if len(lost) != 1 || lost[0].ID != id || lost[0].Ahead != c.ahead {
					t.Fatalf("found %+v", lost)
				}
				if done, err := backlog.Relist(t.Context(), rdb, lost[0]); !done || err != nil {
					t.Fatalf("made pending: %t, %v", done, err)
				}
				if lost := find(); len(lost) != 0 {
					t.Errorf("afterwards: %+v", lost)
				}
				if done, err := backlog.Relist(t.Context(), rdb, lost[0]); done || err != nil {
					t.Errorf("made pending twice: %t, %v", done, err)
				}
				info, err := asynq.NewInspectorFromRedisClient(rdb).GetTaskInfo(normal, id)
				if err != nil || info.State != asynq.TaskStatePending {
					t.Errorf("%+v, %v", info, err)
				}
				if ids := rdb.LRange(t.Context(), list("pending"), 0, -1).Val(); !slices.Contains(ids, id) {
					t.Errorf("pending: %v", ids)
				}
			})
		})
	}
}

// The worker that runs it renews its lease.
func TestATaskWhoseLeaseWasRenewedIsNotMadePending(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		put(t, rdb, normal, "task")
		lease := func(at float64) {
			rdb.ZAdd(t.Context(), backlog.Key(normal, "lease"), redis.Z{Score: at, Member: "task"})
		}
		rdb.Del(t.Context(), backlog.Key(normal, "pending"))
		rdb.HSet(t.Context(), backlog.Key(normal, "t:task"), "state", "active")
		lease(1000)
		lost, _, err := backlog.FindUnlisted(t.Context(), rdb, []backlog.Task{{Queue: normal, ID: "task"}})
		if err != nil || len(lost) != 1 || lost[0].Lease == "" {
			t.Fatalf("%+v, %v", lost, err)
		}
		lease(1005)
		if done, err := backlog.Relist(t.Context(), rdb, lost[0]); done || err != nil {
			t.Errorf("made pending: %t, %v", done, err)
		}
	})
}

// A long list is searched for a task that has been pending for longer than those at its
// head.
func TestALongListIsSearchedForATaskThatShouldHaveRun(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		ctx := t.Context()
		put(t, rdb, normal, "task")
		rdb.Del(ctx, backlog.Key(normal, "pending"))
		for i := range 1001 {
			rdb.LPush(ctx, backlog.Key(normal, "pending"), strconv.Itoa(i))
		}
		now := time.Now().UnixNano()
		for i := range 4 {
			rdb.HSet(ctx, backlog.Key(normal, "t:"+strconv.Itoa(i)), "pending_since", now)
		}
		for since, want := range map[int64]int{now - int64(time.Minute): 1, now + int64(time.Minute): 0} {
			rdb.HSet(ctx, backlog.Key(normal, "t:task"), "pending_since", since)
			lost, _, err := backlog.FindUnlisted(ctx, rdb, []backlog.Task{{Queue: normal, ID: "task"}})
			if err != nil || len(lost) != want {
				t.Errorf("pending since %d: %+v, %v; want %d", since-now, lost, err, want)
			}
		}
	})
}

func TestAStateThatAsynqDoesNotHaveIsReported(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		put(t, rdb, normal, "task")
		rdb.HSet(t.Context(), backlog.Key(normal, "t:task"), "state", "pend")
		lost, odd, err := backlog.FindUnlisted(t.Context(), rdb, []backlog.Task{{Queue: normal, ID: "task"}})
		if err != nil || len(lost) != 0 || len(odd) != 1 || odd[0].State != "pend" {
			t.Errorf("lost %+v, odd %+v, %v", lost, odd, err)
		}
	})
}

// asynq fails at such a task, and with it at all retries behind it.
func TestAnIDWhoseKeyHasAnotherTypeIsTakenOutOfItsList(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		ctx := t.Context()
		for _, id := range []string{"bad", "good"} {
			put(t, rdb, normal, id, asynq.ProcessIn(time.Hour))
		}
		key := backlog.Key(normal, "t:bad")
		if err := errors.Join(rdb.Del(ctx, key).Err(), rdb.Set(ctx, key, "oops", 0).Err()); err != nil {
			t.Fatal(err)
		}
		found := backlog.RemoveStale(ctx, rdb, []string{normal}, []int64{0})[0]
		if found.Err != nil || !slices.Equal(found.Damaged, []string{"bad"}) || found.Tasks != nil {
			t.Errorf("%+v", found)
		}
		if left := rdb.ZRange(ctx, backlog.Key(normal, "scheduled"), 0, -1).Val(); !slices.Equal(left, []string{"good"}) {
			t.Errorf("scheduled: %v", left)
		}
		if value := rdb.Get(ctx, key).Val(); value != "oops" {
			t.Errorf("the key holds %q: it is not ours to change", value)
		}
	})
}

// asynq's server takes tasks by the script that is replaced. If this fails after an
// upgrade, compare dequeue.lua with asynq's, and note the new SHA-1.
func TestAServerTakesNoMessageThatIsTooLongAndNoKeyOfAnotherType(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		ctx := t.Context()
		put(t, rdb, normal, "first")
		huge := asynq.NewTask("huge", []byte(strings.Repeat("x", backlog.LongestMessage)))
		if _, err := asynq.NewClientFromRedisClient(rdb).Enqueue(huge, asynq.Queue(normal), asynq.TaskID("huge")); err != nil {
			t.Fatal(err)
		}
		put(t, rdb, normal, "bad")
		key := backlog.Key(normal, "t:bad")
		if err := errors.Join(rdb.Del(ctx, key).Err(), rdb.Set(ctx, key, "oops", 0).Err()); err != nil {
			t.Fatal(err)
		}
		put(t, rdb, normal, "blank") // its message is missing
		rdb.HDel(ctx, backlog.Key(normal, "t:blank"), "msg")
		put(t, rdb, normal, "last")
		done := make(chan string, 10)
		serve(t, bounded{rdb}, asynq.Config{Queues: map[string]int{normal: 1}}, handles(done))
		for _, want := range []string{"first", "last"} {
			if got := <-done; got != want {
				t.Errorf("%s ran, want %s", got, want)
			}
		}
		repairer := backlog.NewRepairer(rdb)
		active := rdb.LRange(ctx, backlog.Key(normal, "active"), 0, -1).Val()
		if !slices.Contains(active, "huge") || !slices.Contains(active, "bad") || rdb.ZScore(ctx, backlog.Key(normal, "lease"), "huge").Err() == nil {
			t.Errorf("active: %v", active)
		}
		raw, unreadable, err := repairer.Unreadable(ctx, normal, "huge")
		if len(raw) <= backlog.LongestMessage || !unreadable || err != nil {
			t.Errorf("the long message: %d bytes, unreadable %t, %v", len(raw), unreadable, err)
		}
		if raw, unreadable, err := repairer.Unreadable(ctx, normal, "blank"); len(raw) != 0 || !unreadable || err != nil {
			t.Errorf("the task without a message: %q, unreadable %t, %v", raw, unreadable, err)
		}
		_, _, err = repairer.Unreadable(ctx, normal, "bad")
		if e, ok := errors.AsType[*backlog.DamagedTaskError](err); !ok || e.Key != key {
			t.Errorf("the damaged task: %v", err)
		}
		if err := repairer.Park(ctx, normal, "bad"); err != nil {
			t.Fatal(err)
		}
		if err := repairer.Park(ctx, normal, "huge"); err != nil { // which is no damaged key
			t.Fatal(err)
		}
		if active := rdb.LRange(ctx, backlog.Key(normal, "active"), 0, -1).Val(); slices.Contains(active, "bad") || !slices.Contains(active, "huge") {
			t.Errorf("active after parking: %v", active)
		}
		if rdb.Get(ctx, key).Val() != "oops" {
			t.Error("the damaged key was changed")
		}
	})
}

// A lease of another type fails a dequeue before the task has moved.
func TestADequeueWithDamagedLeasesMovesNoTask(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		put(t, rdb, normal, "task")
		rdb.Set(t.Context(), backlog.Key(normal, "lease"), "oops", 0)
		var keys []string
		for _, name := range []string{"pending", "paused", "active", "lease"} {
			keys = append(keys, backlog.Key(normal, name))
		}
		err := backlog.DequeueEval(t.Context(), rdb, dequeueOfAsynq, keys, time.Now().Unix(), backlog.Key(normal, "t:")).Err()
		if n := rdb.LLen(t.Context(), backlog.Key(normal, "pending")).Val(); err == nil || n != 1 {
			t.Errorf("%v; %d tasks are pending", err, n)
		}
	})
}

// dequeueOfAsynq is the script of asynq v0.26.
const dequeueOfAsynq = `
if redis.call("EXISTS", KEYS[2]) == 0 then
	local id = redis.call("RPOPLPUSH", KEYS[1], KEYS[3])
	if id then
		local key = ARGV[2] .. id
		redis.call("HSET", key, "state", "active")
		redis.call("HDEL", key, "pending_since")
		redis.call("ZADD", KEYS[4], ARGV[1], id)
		return redis.call("HGET", key, "msg")
	end
end
return nil`

func TestTheTypesOfAsynqsKeysAreThoseOfAQueueThatWorked(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		done := make(chan string, 10)
		put(t, rdb, normal, "kept", asynq.Retention(time.Hour))
		put(t, rdb, normal, "later", asynq.ProcessIn(time.Hour))
		serve(t, rdb, asynq.Config{Queues: map[string]int{normal: 1}}, handles(done))
		<-done
		eventually(t, func() error {
			if n := rdb.ZCard(t.Context(), backlog.Key(normal, "completed")).Val(); n != 1 {
				return fmt.Errorf("%d tasks are completed", n)
			}
			return nil
		})
		types := backlog.Types(normal, time.Now())
		for _, want := range types {
			if kind := rdb.Type(t.Context(), want.Key).Val(); kind != want.Type && kind != "none" {
				t.Errorf("%s is a %s, want %s", want.Key, kind, want.Type)
			}
		}
		if n := rdb.Get(t.Context(), types[9].Key).Val(); n != "1" {
			t.Errorf("%q tasks were counted today", n)
		}
	})
}

// bounded is a client whose dequeues are bounded.
type bounded struct{ redis.UniversalClient }

func (b bounded) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	if _, ok := backlog.DequeueOf(keys); ok {
		return backlog.Dequeue(ctx, b.UniversalClient, sha, keys, args...)
	}
	return b.UniversalClient.EvalSha(ctx, sha, keys, args...)
}

func (b bounded) Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	if _, ok := backlog.DequeueOf(keys); ok {
		return backlog.DequeueEval(ctx, b.UniversalClient, script, keys, args...)
	}
	return b.UniversalClient.Eval(ctx, script, keys, args...)
}

// handles returns a handler that reports the types of its tasks.
func handles(done chan<- string) asynq.HandlerFunc {
	return func(_ context.Context, task *asynq.Task) error {
		done <- task.Type()
		return nil
	}
}

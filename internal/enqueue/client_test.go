package enqueue_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/enqueue"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

const tenant = "lakeside-dt"

func nick(user, name string) tasks.NicknameSync {
	return tasks.NicknameSync{Tenant: tenant, ChatID: "chat1", UserID: user, Nickname: name}
}

// open returns a client of the Redis at addr, on which tenant is served. It waits for
// answers longer than a busy machine takes.
func open(t *testing.T, addr string) *enqueue.Client {
	t.Helper()
	return openFor(t, addr, time.Minute)
}

// openFor opens a client that sends a command again if no answer arrives within the
// time.
func openFor(t *testing.T, addr string, answer time.Duration) *enqueue.Client {
	t.Helper()
	client, err := enqueue.New(enqueue.Config{Redis: &redis.UniversalOptions{
		Addrs: []string{addr}, DialerRetries: 1, ReadTimeout: answer,
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func serve(t *testing.T, s *redistest.Server) {
	t.Helper()
	var lanes []registry.Lane
	for _, k := range kinds.Names() {
		lanes = append(lanes, registry.Lane{Organisation: "lakeside", Tenant: tenant, Kind: k})
	}
	if err := registry.Publish(t.Context(), s.Client(t), lanes); err != nil {
		t.Fatal(err)
	}
}

// stored returns the pending and scheduled tasks of a queue.
func stored(t *testing.T, s *redistest.Server, queue string) []*asynq.TaskInfo {
	t.Helper()
	inspector := asynq.NewInspectorFromRedisClient(s.Client(t))
	pending, err := inspector.ListPendingTasks(queue)
	if errors.Is(err, asynq.ErrQueueNotFound) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	scheduled, err := inspector.ListScheduledTasks(queue)
	if err != nil {
		t.Fatal(err)
	}
	return append(pending, scheduled...)
}

func TestEnqueueStoresWhatTheWorkerNeeds(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		serve(t, s)
		client := open(t, s.Addr)
		task := nick("u1", "张三")
		result, err := client.Enqueue(t.Context(), task, tasks.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if result.Outcome != tasks.Stored || result.Queue != "lakeside-dt.nickname" || result.Warning != "" {
			t.Errorf("result %+v", result)
		}

		held := stored(t, s, result.Queue)
		if len(held) != 1 {
			t.Fatalf("%d tasks stored, want 1", len(held))
		}
		info := held[0]
		if info.ID != result.TaskID || info.MaxRetry < 1<<20 || info.Timeout != 30*time.Minute || info.Retention < 10*time.Minute {
			t.Errorf("stored as %+v", info)
		}
		got, meta, err := kinds.Decode(info.Type, info.Payload)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tasks.Task(task), got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if meta.Revision != result.Revision {
			t.Errorf("payload has revision %d, result %d", meta.Revision, result.Revision)
		}
	})
}

func TestUrgentAndScheduledTasksGoWhereTheyBelong(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		serve(t, s)
		client := open(t, s.Addr)
		at := time.Now().Add(time.Hour).Truncate(time.Second)
		result, err := client.Enqueue(t.Context(), nick("u1", "A"), tasks.Options{Urgent: true, At: at})
		if err != nil {
			t.Fatal(err)
		}
		if result.Queue != "lakeside-dt.nickname.urgent" {
			t.Errorf("queue %q", result.Queue)
		}
		held := stored(t, s, result.Queue)
		if len(held) != 1 || held[0].State != asynq.TaskStateScheduled || !held[0].NextProcessAt.Equal(at) {
			t.Errorf("stored %+v, want one scheduled for %s", held, at)
		}
	})
}

func TestRevisionsOfOneTargetRise(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		serve(t, s)
		client := open(t, s.Addr)
		var last int64
		for i := range 20 {
			result, err := client.Enqueue(t.Context(), nick("u1", strconv.Itoa(i)), tasks.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if result.Revision <= last {
				t.Fatalf("revision %d after %d", result.Revision, last)
			}
			last = result.Revision
		}
	})
}

func TestEnqueueAllKeepsTheOrderOfTheRowsOfATarget(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		serve(t, s)
		client := open(t, s.Addr)
		var requests []tasks.Request
		for i := range 300 {
			requests = append(requests, tasks.Request{Task: nick(fmt.Sprintf("u%d", i%7), strconv.Itoa(i))})
		}
		results := client.EnqueueAll(t.Context(), requests)
		if len(results) != len(requests) {
			t.Fatalf("%d results for %d requests", len(results), len(requests))
		}
		last := map[string]int64{}
		for i, r := range results {
			user := requests[i].Task.(tasks.NicknameSync).UserID
			if r.Outcome != tasks.Stored || r.Revision <= last[user] {
				t.Fatalf("row %d (%s): %+v after revision %d", i, user, r, last[user])
			}
			last[user] = r.Revision
		}
		if n := s.Client(t).LLen(t.Context(), "asynq:{lakeside-dt.nickname}:pending").Val(); n != 300 {
			t.Errorf("%d tasks pending, want 300", n)
		}
	})
}

func TestEnqueueAllReturnsAResultForEachRow(t *testing.T) {
	t.Parallel()
	s := redistest.One(t)
	serve(t, s)
	other := nick("u1", "A")
	other.Tenant = "seaside-dt"
	results := open(t, s.Addr).EnqueueAll(t.Context(), []tasks.Request{
		{Task: nick("u1", "A"), Options: tasks.Options{Key: "k"}},
		{Task: nick("u1", "")},
		{Task: other},
		{Task: nick("u1", "B"), Options: tasks.Options{Key: "k"}},
		{Task: nick("u1", "A"), Options: tasks.Options{Key: "k"}},
		{Task: nil},
		{Task: nick("u2", "A"), Options: tasks.Options{Key: "a\nb"}},
	})
	var got []tasks.Outcome
	for _, r := range results {
		got = append(got, r.Outcome)
	}
	want := []tasks.Outcome{tasks.Stored, tasks.Refused, tasks.Refused, tasks.Refused, tasks.AlreadyThere, tasks.Refused, tasks.Refused}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, ok := errors.AsType[*tasks.ValidationError](results[1].Err); !ok {
		t.Errorf("row 1: %v", results[1].Err)
	}
	if _, ok := errors.AsType[*tasks.UnservedError](results[2].Err); !ok {
		t.Errorf("row 2: %v", results[2].Err)
	}
	if _, ok := errors.AsType[*tasks.KeyReusedError](results[3].Err); !ok {
		t.Errorf("row 3: %v", results[3].Err)
	}
	if n := len(stored(t, s, "lakeside-dt.nickname")); n != 1 {
		t.Errorf("%d stored, want 1", n)
	}
}

func TestACancelledBatchReportsWhatWasNotStored(t *testing.T) {
	t.Parallel()
	s := redistest.One(t)
	serve(t, s)
	client := open(t, s.Addr)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for i, r := range client.EnqueueAll(ctx, []tasks.Request{{Task: nick("u1", "A")}, {Task: nick("u2", "A")}}) {
		if r.Outcome != tasks.NotStored || !errors.Is(r.Err, context.Canceled) {
			t.Errorf("row %d: %v %v", i, r.Outcome, r.Err)
		}
	}
}

func TestAnImmediateChangeSupersedesEarlierOnesAndAScheduledOneDoesNot(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		serve(t, s)
		client := open(t, s.Addr)
		first, err := client.Enqueue(t.Context(), nick("u1", "A"), tasks.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Enqueue(t.Context(), nick("u1", "B"), tasks.Options{At: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		if got := decision(t, s, nick("u1", "A"), first.Revision); got != ledger.Send {
			t.Errorf("after a later scheduled change the first one is %s, want send", got)
		}
		if _, err := client.Enqueue(t.Context(), nick("u1", "C"), tasks.Options{}); err != nil {
			t.Fatal(err)
		}
		if got := decision(t, s, nick("u1", "A"), first.Revision); got != ledger.Superseded {
			t.Errorf("after a later immediate change the first one is %s, want superseded", got)
		}
	})
}

// decision returns the ledger's decision for a change, as a worker requests it.
func decision(t *testing.T, s *redistest.Server, task tasks.NicknameSync, revision int64) ledger.Decision {
	t.Helper()
	target, fields := kinds.Change(task, "lakeside")
	mark, states, err := ledger.New(s.Client(t)).Begin(t.Context(), ledger.Delivery{
		TaskID: "asked", Target: target, Revision: revision, Fields: fields,
	})
	if err != nil {
		t.Fatal(err)
	}
	if mark != nil {
		if err := mark.Release(t.Context(), ledger.Untouched); err != nil {
			t.Fatal(err)
		}
	}
	return states[0]
}

func TestAQueueThatWasDeletedIsListedAgain(t *testing.T) {
	t.Parallel()
	s := redistest.One(t)
	serve(t, s)
	var clock testClock
	client, err := enqueue.New(enqueue.Config{
		Redis: &redis.UniversalOptions{Addrs: []string{s.Addr}}, Now: clock.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Enqueue(t.Context(), nick("u1", "A"), tasks.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := asynq.NewInspectorFromRedisClient(s.Client(t)).DeleteQueue("lakeside-dt.nickname", true); err != nil {
		t.Fatal(err)
	}
	clock.advance(31 * time.Second)
	if _, err := client.Enqueue(t.Context(), nick("u1", "B"), tasks.Options{}); err != nil {
		t.Fatal(err)
	}
	if n := len(stored(t, s, "lakeside-dt.nickname")); n != 1 {
		t.Errorf("the inspector sees %d tasks, want 1", n)
	}
}

// testClock is a clock that only the test moves.
type testClock struct {
	mu    sync.Mutex
	moved time.Duration
}

func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.moved)
}

func (c *testClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moved += d
}

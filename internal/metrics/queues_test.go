package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"rollcall/internal/metrics"
	"rollcall/internal/redistest"
)

// The keys are asynq's own: its Inspector must count the same.
func TestQueueLengthsAreThoseOfAsynq(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		release := fill(t, s)
		defer release()
		info, err := asynq.NewInspectorFromRedisClient(s.Client(t)).GetQueueInfo(laneName)
		if err != nil {
			t.Fatal(err)
		}
		m := measured(t, s, metrics.Config{})
		for state, n := range map[string]int{
			"pending": info.Pending, "active": info.Active, "scheduled": info.Scheduled,
			"retry": info.Retry, "archived": info.Archived, "completed": info.Completed,
		} {
			if n == 0 {
				t.Errorf("the test has no %s task", state)
			}
			expect(t, m, fmt.Sprintf(`rollcall_queue_tasks{lane=%q,priority="normal",state=%q} %d`, laneName, state, n))
		}
		expect(t, m, `
			rollcall_queue_tasks{lane="lakeside-dt.nickname",priority="urgent",state="pending"} 0
			rollcall_queue_oldest_pending_seconds{lane="lakeside-dt.nickname",priority="urgent"} 0
			rollcall_queue_paused{lane="lakeside-dt.nickname",priority="normal"} 1
			rollcall_queue_paused{lane="lakeside-dt.nickname",priority="urgent"} 0
			rollcall_queues_read 1
		`)
		if age := oldest(t, m); age < info.Latency || age < time.Hour || age > 2*time.Hour {
			t.Errorf("the oldest is %s old, asynq says %s; it was made an hour old", age, info.Latency)
		}
	})
}

// A task at the head of the queue may have no age: a worker that stops puts
// tasks back there without one.
func TestTheOldestIsFoundBehindATaskWithoutAge(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		client := asynq.NewClientFromRedisClient(s.Client(t))
		for _, id := range []string{"head", "next"} {
			if _, err := client.Enqueue(asynq.NewTask("x", nil), asynq.Queue(laneName), asynq.TaskID(id)); err != nil {
				t.Fatal(err)
			}
		}
		hour := time.Now().Add(-time.Hour).UnixNano()
		rdb := s.Client(t)
		if err := errors.Join(
			rdb.HDel(t.Context(), "asynq:{"+laneName+"}:t:head", "pending_since").Err(),
			rdb.HSet(t.Context(), "asynq:{"+laneName+"}:t:next", "pending_since", hour).Err(),
		); err != nil {
			t.Fatal(err)
		}
		if age := oldest(t, measured(t, s, metrics.Config{})); age < time.Hour {
			t.Errorf("the oldest is %s old, want an hour", age)
		}
	})
}

func TestWithoutRedisTheRestIsAnswered(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		m := measured(t, s, metrics.Config{})
		s.Away(t)
		expect(t, m, `
			rollcall_queues_read 0
			rollcall_sends_total{lane="lakeside-dt.nickname"} 0
		`, "rollcall_queue_tasks{", "rollcall_queue_oldest_pending_seconds{")
		s.Back(t)
	})
}

// fill brings a task of the lane's queue into each of asynq's states and pauses
// it. release ends the task that is active.
func fill(t *testing.T, s *redistest.Server) (release func()) {
	t.Helper()
	rdb := s.Client(t)
	client, inspector := asynq.NewClientFromRedisClient(rdb), asynq.NewInspectorFromRedisClient(rdb)
	put := func(typename string, options ...asynq.Option) {
		t.Helper()
		if _, err := client.Enqueue(asynq.NewTask(typename, nil), append(options, asynq.Queue(laneName))...); err != nil {
			t.Fatal(err)
		}
	}
	put("done", asynq.Retention(time.Hour))
	put("fails")
	put("dead", asynq.MaxRetry(0))
	put("active")
	put("later", asynq.ProcessIn(time.Hour))

	ended := make(chan struct{})
	server := asynq.NewServerFromRedisClient(rdb, asynq.Config{
		Queues: map[string]int{laneName: 1}, TaskCheckInterval: 10 * time.Millisecond, LogLevel: asynq.FatalLevel,
		RetryDelayFunc: func(int, error, *asynq.Task) time.Duration { return time.Hour },
	})
	err := server.Start(asynq.HandlerFunc(func(_ context.Context, task *asynq.Task) error {
		switch task.Type() {
		case "active":
			<-ended
		case "fails", "dead":
			return errors.New("as asked")
		}
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	patience, tick := time.After(time.Minute), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for {
		info, err := inspector.GetQueueInfo(laneName)
		if err == nil && info.Completed == 1 && info.Retry == 1 && info.Archived == 1 && info.Active == 1 {
			break
		}
		select {
		case <-patience:
			t.Fatalf("the queue does not come to what it should: %+v, %v", info, err)
		case <-tick.C:
		}
	}
	if err := inspector.PauseQueue(laneName); err != nil {
		t.Fatal(err)
	}
	put("waits", asynq.TaskID("waits"))
	hour := time.Now().Add(-time.Hour).UnixNano()
	if err := rdb.HSet(t.Context(), "asynq:{"+laneName+"}:t:waits", "pending_since", hour).Err(); err != nil {
		t.Fatal(err)
	}
	return func() {
		close(ended)
		server.Shutdown()
	}
}

func oldest(t *testing.T, m *metrics.Metrics) time.Duration {
	t.Helper()
	_, body := scrape(t, m)
	_, rest, found := strings.Cut(body, `rollcall_queue_oldest_pending_seconds{lane="lakeside-dt.nickname",priority="normal"} `)
	value, _, _ := strings.Cut(rest, "\n")
	seconds, err := strconv.ParseFloat(value, 64)
	if !found || err != nil {
		t.Fatalf("the age of the oldest is %q: %v", value, err)
	}
	return time.Duration(seconds * float64(time.Second))
}

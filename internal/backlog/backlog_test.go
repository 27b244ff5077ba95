package backlog_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/backlog"
	"rollcall/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

const (
	// patience bounds how long a test waits for an expected event. No test depends on
	// how long it took.
	patience = time.Minute

	urgent, normal = "dt.nickname.urgent", "dt.nickname"
)

func eventually(t *testing.T, check func() error) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.After(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-end:
			t.Fatalf("timed out: %v", err)
		case <-tick.C:
		}
	}
}

func put(t *testing.T, rdb redis.UniversalClient, queue, id string, options ...asynq.Option) {
	t.Helper()
	typename, _, _ := strings.Cut(id, "-")
	_, err := asynq.NewClientFromRedisClient(rdb).EnqueueContext(t.Context(), asynq.NewTask(typename, nil),
		append(options, asynq.Queue(queue), asynq.TaskID(id))...)
	if err != nil {
		t.Fatal(err)
	}
}

// serve runs an asynq server until the test ends.
func serve(t *testing.T, rdb redis.UniversalClient, c asynq.Config, do asynq.HandlerFunc) {
	t.Helper()
	c.TaskCheckInterval, c.LogLevel = 10*time.Millisecond, asynq.FatalLevel
	c.RetryDelayFunc = func(int, error, *asynq.Task) time.Duration { return time.Hour }
	server := asynq.NewServerFromRedisClient(rdb, c)
	if err := server.Start(do); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
}

// fill completes one task of the queue, puts two, three, four, five and six tasks into
// the other states of asynq, and pauses the queue.
func fill(t *testing.T, s *redistest.Server, queue string) {
	t.Helper()
	rdb := s.Client(t)
	put(t, rdb, queue, "done", asynq.Retention(time.Hour))
	for i := range 2 {
		put(t, rdb, queue, fmt.Sprintf("fails-%d", i))
	}
	for i := range 3 {
		put(t, rdb, queue, fmt.Sprintf("dies-%d", i), asynq.MaxRetry(0))
	}
	for i := range 4 {
		put(t, rdb, queue, fmt.Sprintf("stays-%d", i))
	}
	for i := range 5 {
		put(t, rdb, queue, fmt.Sprintf("later-%d", i), asynq.ProcessIn(time.Hour))
	}
	ended := make(chan struct{})
	serve(t, rdb, asynq.Config{Queues: map[string]int{queue: 1}, Concurrency: 10}, func(_ context.Context, task *asynq.Task) error {
		switch task.Type() {
		case "stays":
			<-ended
		case "fails", "dies":
			return errors.New("as asked")
		}
		return nil
	})
	t.Cleanup(func() { close(ended) })
	inspector := asynq.NewInspectorFromRedisClient(rdb)
	eventually(t, func() error {
		info, err := inspector.GetQueueInfo(queue)
		if err == nil && (info.Completed != 1 || info.Retry != 2 || info.Archived != 3 || info.Active != 4) {
			err = fmt.Errorf("the queue's state is %+v", info)
		}
		return err
	})
	if err := inspector.PauseQueue(queue); err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		put(t, rdb, queue, fmt.Sprintf("waits-%d", i))
	}
	hour := time.Now().Add(-time.Hour).UnixNano()
	if err := rdb.HSet(t.Context(), backlog.Key(queue, "t:waits-0"), "pending_since", hour).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestReadReturnsTheNumbersOfAsynqsInspector(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		fill(t, s, normal)
		put(t, s.Client(t), urgent, "waits")
		inspector := asynq.NewInspectorFromRedisClient(s.Client(t))
		var want []backlog.Queue
		var latency time.Duration
		for _, queue := range []string{urgent, normal} {
			info, err := inspector.GetQueueInfo(queue)
			if err != nil {
				t.Fatal(err)
			}
			latency = info.Latency
			want = append(want, backlog.Queue{
				Name: queue, Pending: int64(info.Pending), Active: int64(info.Active), Scheduled: int64(info.Scheduled),
				Retry: int64(info.Retry), Archived: int64(info.Archived), Completed: int64(info.Completed), Paused: info.Paused,
			})
		}
		if filled := (backlog.Queue{
			Name: normal, Completed: 1, Retry: 2, Archived: 3, Active: 4, Scheduled: 5, Pending: 6, Paused: true,
		}); want[1] != filled {
			t.Fatalf("asynq counts %+v, want %+v", want[1], filled)
		}
		got, err := backlog.Read(t.Context(), s.Client(t), []string{urgent, normal})
		if err != nil {
			t.Fatal(err)
		}
		if age := got[1].Oldest; age < latency || age < time.Hour || age > 2*time.Hour {
			t.Errorf("the oldest task is %s old, %s according to asynq; want an hour", age, latency)
		}
		if age := got[0].Oldest; age <= 0 || age > time.Hour {
			t.Errorf("a new task is %s old", age)
		}
		got[0].Oldest, got[1].Oldest = 0, 0
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-asynq +read:\n%s", diff)
		}
		pending, err := backlog.Pending(t.Context(), s.Client(t), []string{normal, "never used", urgent})
		if diff := cmp.Diff([]int64{6, 0, 1}, pending); diff != "" || err != nil {
			t.Errorf("%v; pending in the order asked, -want +got:\n%s", err, diff)
		}
	})
}

// A task at the head of the queue may have no age: a worker that stops puts tasks back
// there without one.
func TestTheOldestIsFoundBehindTasksWithoutAge(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb, hour := s.Client(t), time.Now().Add(-time.Hour).UnixNano()
		for _, id := range []string{"first", "second", "third", "old"} {
			put(t, rdb, normal, id)
			if err := rdb.HDel(t.Context(), backlog.Key(normal, "t:"+id), "pending_since").Err(); err != nil {
				t.Fatal(err)
			}
		}
		if age := read(t, rdb, normal).Oldest; age != 0 {
			t.Errorf("without an age the oldest is %s old", age)
		}
		if err := rdb.HSet(t.Context(), backlog.Key(normal, "t:old"), "pending_since", hour).Err(); err != nil {
			t.Fatal(err)
		}
		if age := read(t, rdb, normal).Oldest; age < time.Hour {
			t.Errorf("the oldest is %s old, want an hour", age)
		}
	})
}

func read(t *testing.T, rdb redis.UniversalClient, queue string) backlog.Queue {
	t.Helper()
	got, err := backlog.Read(t.Context(), rdb, []string{queue})
	if err != nil || len(got) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	return got[0]
}

// trips counts the commands and pipelines of a client.
type trips struct{ pipelines, commands atomic.Int64 }

func (*trips) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if !greets(cmd) {
			c.commands.Add(1)
		}
		return next(ctx, cmd)
	}
}

func (c *trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if !greets(cmds[0]) {
			c.pipelines.Add(1)
		}
		return next(ctx, cmds)
	}
}

// greets reports whether a command is part of the handshake of a connection.
func greets(cmd redis.Cmder) bool { return cmd.Name() == "hello" || cmd.Name() == "client" }

func TestTheNumberOfRoundTripsDoesNotGrowWithTheQueues(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	for _, n := range []int{0, 1, 300} {
		queues := make([]string, n)
		for i := range queues {
			queues[i] = fmt.Sprintf("dt%d.nickname", i)
			put(t, s.Client(t), queues[i], fmt.Sprintf("waits-%d", n))
		}
		rdb, said := s.Client(t), &trips{}
		rdb.AddHook(said)
		most := int64(min(n, 1))
		pending, err := backlog.Pending(t.Context(), rdb, queues)
		if got := said.pipelines.Load(); err != nil || len(pending) != n || got != most {
			t.Errorf("the pending tasks of %d queues: %d answers in %d round trips, %v", n, len(pending), got, err)
		}
		all, err := backlog.Read(t.Context(), rdb, queues)
		if got := said.pipelines.Load() - most; err != nil || len(all) != n || got > 2*most {
			t.Errorf("all of %d queues: %d answers in %d round trips, %v", n, len(all), got, err)
		}
		repairer, trip := backlog.NewRepairer(rdb), int64(0)
		for range 2 { // the first one loads the script
			trip = said.pipelines.Load()
			if looks := repairer.Look(t.Context(), queues); len(looks) != n {
				t.Errorf("a look at %d queues: %d answers", n, len(looks))
			}
		}
		if got := said.pipelines.Load() - trip; got != most {
			t.Errorf("a look at %d queues took %d round trips", n, got)
		}
		if got := said.commands.Load(); got != 0 {
			t.Errorf("%d commands were sent outside the pipelines", got)
		}
	}
}

func TestAnUnreadableQueueIsNamedAndTheOthersAreRead(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		put(t, rdb, urgent, "waits")
		if err := rdb.Set(t.Context(), backlog.Key(normal, "pending"), "no list", 0).Err(); err != nil {
			t.Fatal(err)
		}
		queues := []string{urgent, normal}
		want := map[string]string{normal: backlog.Key(normal, "pending")}
		got, err := backlog.Pending(t.Context(), rdb, queues)
		if e, ok := errors.AsType[*backlog.DamagedError](err); !ok || !maps.Equal(e.Keys, want) || got[0] != 1 {
			t.Errorf("pending: %v, %v", got, err)
		}
		read, err := backlog.Read(t.Context(), rdb, queues)
		if e, ok := errors.AsType[*backlog.DamagedError](err); !ok || !maps.Equal(e.Keys, want) || read[0].Pending != 1 || read[1].Name != "" {
			t.Errorf("read: %v, %v", read, err)
		}
	})
}

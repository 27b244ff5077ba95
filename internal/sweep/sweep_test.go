package sweep_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/backlog"
	"rollcall/internal/lane"
	"rollcall/internal/lanetest"
	"rollcall/internal/ledger"
	"rollcall/internal/outcome"
	"rollcall/internal/redistest"
)

// severed is a hook that disconnects a client, as if its worker had been killed.
type severed struct{ disconnected atomic.Bool }

var errSevered = errors.New("disconnected by the test")

func (s *severed) DialHook(next redis.DialHook) redis.DialHook { return next }

func (s *severed) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if s.disconnected.Load() {
			cmd.SetErr(errSevered)
			return errSevered
		}
		return next(ctx, cmd)
	}
}

func (s *severed) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if s.disconnected.Load() {
			return errSevered
		}
		return next(ctx, cmds)
	}
}

// die lets a worker take a task of the queue and then disconnects it from Redis.
func die(t *testing.T, s *redistest.Server, queue string) {
	t.Helper()
	rdb := s.Client(t)
	line := &severed{}
	rdb.AddHook(line)
	taken, hasDeadLetters := make(chan struct{}), make(chan struct{})
	// Everything by which asynq can detect the death of the worker is in Redis: there
	// is no server list and no heartbeat, and the lease does not move.
	server := asynq.NewServerFromRedisClient(rdb, asynq.Config{
		Concurrency: 1, Queues: map[string]int{queue: 1}, TaskCheckInterval: 10 * time.Millisecond,
		LogLevel: asynq.FatalLevel, ShutdownTimeout: time.Nanosecond,
	})
	err := server.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
		line.disconnected.Store(true)
		close(taken)
		<-hasDeadLetters
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	t.Cleanup(func() { close(hasDeadLetters) })
	lanetest.Await(t, taken, "the worker that is to die")
}

// Without the sweep, an id without a task would be taken and dropped without end.
func TestASweepRepairsWhatAsynqLeavesBehind(t *testing.T) {
	if testing.Short() {
		t.Skip("waits 30 s for leases: make test-long")
	}
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		started, release := make(chan string, 100), make(chan struct{})
		r.Add(lane.Config{}, func(_ context.Context, _ func(context.Context) error, payload string) error {
			started <- payload
			if payload == "long" {
				<-release
			}
			return nil
		})
		lost := r.Put(nicknames, "lost")
		die(t, s, nicknames)
		long := r.Put(nicknames, "long")
		r.Start()
		if got := lanetest.Await(t, started, "the long task"); got != "long" {
			t.Fatalf("%q was taken, want long: the lost task belongs to another worker", got)
		}
		// A message that no asynq client wrote, and an id without a task.
		ctx := t.Context()
		if err := errors.Join(
			r.Redis.HSet(ctx, backlog.Key(nicknames, "t:raw"), "msg", "\xff\xff no message", "state", "pending").Err(),
			r.Redis.LPush(ctx, backlog.Key(nicknames, "pending"), "raw", "missing").Err(),
		); err != nil {
			t.Fatal(err)
		}
		huge := r.Put(nicknames, strings.Repeat("x", backlog.LongestMessage))
		bad := r.Put(nicknames, "of another type")
		badKey := backlog.Key(nicknames, "t:"+bad)
		if err := errors.Join(r.Redis.Del(ctx, badKey).Err(), r.Redis.Set(ctx, badKey, "oops", 0).Err()); err != nil {
			t.Fatal(err)
		}
		r.lost("vanished")
		r.SweepOn()

		for id, cause := range map[string]string{
			"undecodable-raw":     "malformed: queue dt.nickname held a message raw of 13 bytes that is not an asynq task",
			"undecodable-missing": "malformed: queue dt.nickname listed a task missing that has no message in Redis",
			"undecodable-" + huge: fmt.Sprintf("malformed: queue dt.nickname held a message %s of 2", huge),
		} {
			if info := r.Ends(nicknames, id, asynq.TaskStateArchived); !strings.HasPrefix(info.LastErr, cause) {
				t.Errorf("%s: %q, want %q", id, info.LastErr, cause)
			}
		}
		if name := lanetest.Await(t, r.Watch.Recoveries, "the lost task to be found"); name != nicknames {
			t.Errorf("recovered in lane %q", name)
		}
		if got := lanetest.Await(t, started, "the lost task"); got != "lost" {
			t.Errorf("%q ran again although its worker is alive", got)
		}
		if info := r.Ends(nicknames, lost, asynq.TaskStateCompleted); info.Retried != 0 {
			t.Errorf("the lost task spent %d attempts on its worker's death", info.Retried)
		}
		lanetest.Eventually(t, func() error {
			_, found, err := ledger.New(r.Redis).DeadLetter(ctx, nicknames, "vanished")
			if err == nil && !found {
				err = errors.New("the vanished task has no dead letter")
			}
			return err
		})
		if dead := r.DeadLetter("undecodable-" + huge); len(dead.Payload) != ledger.MaxKept || dead.PayloadBytes <= backlog.LongestMessage {
			t.Errorf("the dead letter of the long message has %d bytes of %d", len(dead.Payload), dead.PayloadBytes)
		}
		if lines := r.Log.Lines(badKey); len(lines) == 0 || r.Redis.Get(ctx, badKey).Val() != "oops" {
			t.Error("the damaged key of a task is not named, or was changed")
		}
		close(release)
		r.Ends(nicknames, long, asynq.TaskStateCompleted)
		r.nothingLeft(nicknames)
		if len(started) != 0 || len(r.Watch.Recoveries) != 0 {
			t.Error("a task of a live worker was made pending again")
		}
	})
}

// A panic in one pass costs that pass, not the worker and not the passes after it.
func TestAPanicInOnePassOfASweepDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		r.Add(lane.Config{}, lanetest.TurnsDown)
		ctx := t.Context()
		if err := r.Redis.SAdd(ctx, "asynq:queues", nicknames).Err(); err != nil {
			t.Fatal(err)
		}
		stale := func() {
			if err := r.Redis.LPush(ctx, backlog.Key(nicknames, "pending"), "stale").Err(); err != nil {
				t.Fatal(err)
			}
		}
		sweep := r.Sweeps()
		r.Watch.Panics.Store(true)
		for i := range 2 {
			stale()
			sweep(ctx, time.Now().Add(time.Duration(i)*time.Minute))
			if n := r.Redis.LLen(ctx, backlog.Key(nicknames, "pending")).Val(); n != 0 {
				t.Error("the pass after the panic did not run")
			}
		}
		if lines := r.Log.Lines("level=ERROR msg=\"panic in the sweep for queues without a worker"); len(lines) != 1 || !strings.Contains(lines[0], "stack=") {
			t.Errorf("logged: %s", strings.Join(lines, "\n"))
		}
	})
}

// trips counts round trips to Redis.
type trips struct{ n atomic.Int64 }

func (*trips) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.n.Add(1)
		return next(ctx, cmd)
	}
}

func (c *trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if name := cmds[0].Name(); name != "hello" && name != "client" { // a connection begins
			c.n.Add(1)
		}
		return next(ctx, cmds)
	}
}

func TestASweepOfAHundredIdleLanesCostsFiveOrSevenRoundTrips(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		for i := range 100 {
			r.Add(lane.Config{Tenant: fmt.Sprintf("dt%d", i)}, nil)
		}
		sweep, clock, said := r.Sweeps(), time.Now(), &trips{}
		sweep(t.Context(), clock) // loads the script, and searches for unserved queues
		r.Redis.AddHook(said)
		for i, want := range []int64{5, 7, 5} { // every second one checks the types of the keys
			before := said.n.Load()
			sweep(t.Context(), clock.Add(time.Duration(i+1)*5*time.Second))
			if n := said.n.Load() - before; n != want {
				t.Errorf("sweep %d took %d", i, n)
			}
		}
	})
}

// nothingLeft fails the test unless asynq lists no active task and no lease.
func (r *rig) nothingLeft(queue string) {
	r.T.Helper()
	ctx := r.T.Context()
	if active, leased := r.Redis.LLen(ctx, backlog.Key(queue, "active")).Val(), r.Redis.ZCard(ctx, backlog.Key(queue, "lease")).Val(); active+leased != 0 {
		r.T.Errorf("%d tasks are active and %d have a lease, want none", active, leased)
	}
	if n := r.Redis.Exists(ctx, backlog.Key(queue, "t:raw")).Val(); n != 0 {
		r.T.Error("the unreadable message still exists in addition to its stand-in")
	}
	for range len(r.Watch.Attempts) {
		if a := <-r.Watch.Attempts; a.Verdict.Action != outcome.Done && a.Verdict.Class != outcome.Malformed {
			r.T.Errorf("unexpected attempt: %+v", a.Verdict)
		}
	}
}

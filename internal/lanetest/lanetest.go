// Package lanetest runs the lanes of a worker for tests: on a Redis of the test, with
// handlers that the test provides.
package lanetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/backlog"
	"rollcall/internal/handler"
	"rollcall/internal/hold"
	"rollcall/internal/lane"
	"rollcall/internal/ledger"
	"rollcall/internal/logtest"
	"rollcall/internal/pace"
	"rollcall/internal/redisdb"
	"rollcall/internal/redistest"
	"rollcall/internal/sweep"
	"rollcall/providers"
	"rollcall/tasks"
)

// Nicknames is the lane that [Rig.Add] adds unless a test says otherwise, and its queue.
const Nicknames = "dt.nickname"

// Patience bounds how long a test waits for an expected event. No test depends on how
// long it took.
const Patience = 3 * time.Minute

// Rig is one worker: a Set that is not started yet.
type Rig struct {
	T         *testing.T
	Server    *redistest.Server
	Redis     redis.UniversalClient
	Log       *logtest.Buffer
	Set       *lane.Set
	Ledger    *ledger.Ledger // the worker's ledger
	Watch     *Watch
	Client    *asynq.Client
	Inspector *asynq.Inspector
	Stop      func()                          // stops the lanes once; the end of the test does it too
	Left      func(from time.Time, left bool) // called for each slot that was waited for; nil: not
}

// New returns a worker that uses a Redis through hooks. Two rigs on the same server are
// two workers.
func New(t *testing.T, s *redistest.Server, hooks ...redis.Hook) *Rig {
	t.Helper()
	rdb := s.Client(t)
	r := &Rig{
		T: t, Server: s, Redis: rdb, Log: &logtest.Buffer{},
		Watch: &Watch{
			Attempts: make(chan lane.Attempt, 1000), Recoveries: make(chan string, 1000), Deaths: make(chan string, 20_000),
			Closes: make(chan string, 1000), Resends: make(chan lane.Attempt, 1000), Holds: make(chan HoldEvent, 1000),
		},
		Client:    asynq.NewClientFromRedisClient(rdb),
		Inspector: asynq.NewInspectorFromRedisClient(rdb),
	}
	for _, hook := range hooks {
		rdb.AddHook(hook)
	}
	shared := redisdb.NewAutopipeline(rdb)
	r.Ledger = ledger.NewShared(rdb, shared)
	r.Set = lane.NewSet(rdb, shared, r.Ledger, "worker", r.logger())
	r.Set.Observe(r.Watch)
	r.Stop = sync.OnceFunc(r.Set.Stop)
	return r
}

func (r *Rig) logger() *slog.Logger { return slog.New(slog.NewTextHandler(r.Log, nil)) }

// Doing carries out a task. Each slot it receives is a send.
type Doing func(ctx context.Context, slot func(context.Context) error, payload string) error

// Add adds a lane whose tasks are carried out by do. Fields that cfg leaves out are those
// of lakeside's lane for nicknames, with one call a second.
func (r *Rig) Add(cfg lane.Config, do Doing) {
	cfg.Organisation, cfg.Tenant = cmp.Or(cfg.Organisation, "lakeside"), cmp.Or(cfg.Tenant, "dt")
	cfg.Platform, cfg.Kind = cmp.Or(cfg.Platform, "dingtalk"), cmp.Or(cfg.Kind, tasks.KindNickname)
	cfg.Timeout = cmp.Or(cfg.Timeout, time.Second)
	if cfg.Limits == nil {
		cfg.Limits = []pace.Limit{{Calls: 1, Per: time.Second}}
	}
	r.Set.Add(cfg, func(ctx context.Context, d handler.Delivery) (handler.Report, error) {
		report := handler.Report{Outcome: handler.Applied}
		err := do(ctx, func(ctx context.Context) error {
			for {
				if err := d.Pacer.Slot(ctx); err != nil {
					return err
				}
				from := time.Now()
				left, err := d.Pacer.Leave(ctx)
				if left {
					report.Sends++
				}
				if r.Left != nil {
					r.Left(from, left)
				}
				if left || err != nil {
					return err
				}
			}
		}, string(d.Payload))
		return report, err
	})
}

// Start starts the lanes. The end of the test stops them.
func (r *Rig) Start() {
	r.T.Helper()
	if err := r.Set.Start(r.T.Context()); err != nil {
		r.T.Fatal(err)
	}
	r.T.Cleanup(r.Stop)
}

// Sweeper returns a Sweeper of the worker's lanes, as they are now.
func (r *Rig) Sweeper(rescue ...string) *sweep.Sweeper {
	return sweep.New(sweep.Config{
		Redis: r.Redis, Ledger: r.Ledger, Lanes: r.Set, Observer: r.Watch, Log: r.logger(), Rescue: rescue,
	})
}

// Sweeps returns a function that sweeps once, at a time of this worker's clock.
func (r *Rig) Sweeps(rescue ...string) func(context.Context, time.Time) {
	return r.Sweeper(rescue...).Sweep
}

// SweepOn sweeps until the test ends.
func (r *Rig) SweepOn() {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { r.Sweeper().Run(ctx) })
	r.T.Cleanup(func() { cancel(); wg.Wait() })
}

// Put enqueues a task with asynq's own client.
func (r *Rig) Put(queue, payload string) (id string) {
	r.T.Helper()
	id = uuid.NewString()
	_, err := r.Client.EnqueueContext(r.T.Context(), asynq.NewTask("test", []byte(payload)),
		asynq.TaskID(id), asynq.Queue(queue), asynq.MaxRetry(1<<20), asynq.Retention(time.Hour))
	// On a busy machine the client may send the task twice.
	if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		r.T.Fatal(err)
	}
	return id
}

// Attempt returns the next attempt that ends.
func (r *Rig) Attempt() lane.Attempt {
	r.T.Helper()
	return Await(r.T, r.Watch.Attempts, "an attempt")
}

// Held waits until a lane of this worker is on hold.
func (r *Rig) Held(i int) hold.Hold {
	r.T.Helper()
	var h hold.Hold
	Eventually(r.T, func() (err error) {
		var held bool
		if h, held = r.Set.Lanes()[i].Hold(); !held {
			err = fmt.Errorf("%s is not on hold", r.Set.Lanes()[i].Name())
		}
		return err
	})
	return h
}

// Free waits until a lane of this worker is not on hold.
func (r *Rig) Free(i int) {
	r.T.Helper()
	Eventually(r.T, func() error {
		if h, held := r.Set.Lanes()[i].Hold(); held {
			return fmt.Errorf("%s is on hold: %s", r.Set.Lanes()[i].Name(), h.Reason)
		}
		return nil
	})
}

// Ends waits until a task has reached a final state, and returns what asynq shows.
func (r *Rig) Ends(queue, id string, want asynq.TaskState) *asynq.TaskInfo {
	r.T.Helper()
	var info *asynq.TaskInfo
	Eventually(r.T, func() (err error) {
		info, err = r.Inspector.GetTaskInfo(queue, id)
		if errors.Is(err, asynq.ErrTaskNotFound) {
			return err
		}
		if err != nil {
			r.T.Fatal(err)
		}
		if info.State != want {
			return fmt.Errorf("task %s is %s, want %s (%s)", id, info.State, want, info.LastErr)
		}
		return nil
	})
	return info
}

// DeadLetter reads the dead letter of a task of [Nicknames], which must exist.
func (r *Rig) DeadLetter(id string) ledger.DeadLetter {
	r.T.Helper()
	dead, found, err := ledger.New(r.Redis).DeadLetter(r.T.Context(), Nicknames, id)
	if err != nil || !found {
		r.T.Fatalf("the dead letter of task %s: found %t, %v", id, found, err)
	}
	return dead
}

// DeadLetters returns how many dead letters [Nicknames] has.
func (r *Rig) DeadLetters() int64 {
	r.T.Helper()
	n, err := ledger.New(r.Redis).DeadCount(r.T.Context(), ledger.DeadLetterFilter{Lane: Nicknames})
	if err != nil {
		r.T.Fatal(err)
	}
	return n
}

// TurnsDown is a platform that rejects every task.
func TurnsDown(context.Context, func(context.Context) error, string) error {
	return &providers.Error{
		Platform: "dingtalk", API: "updategroupnick", Kind: providers.Rejected, Code: "34001", HTTPStatus: 200,
		Message: "no such member", RequestID: "r-1", Fix: "correct the roster",
	}
}

// State returns the state in asynq of a task of [Nicknames]; "" if asynq does not know it.
func (r *Rig) State(id string) string {
	r.T.Helper()
	state, err := backlog.State(r.T.Context(), r.Redis, Nicknames, id)
	if err != nil {
		r.T.Fatal(err)
	}
	return state
}

// Do sends a command to Redis.
func (r *Rig) Do(command ...any) {
	r.T.Helper()
	if err := r.Redis.Do(r.T.Context(), command...).Err(); err != nil {
		r.T.Fatal(err)
	}
}

// Logs waits until the log contains a line with these words.
func (r *Rig) Logs(words string) {
	r.T.Helper()
	Eventually(r.T, func() error {
		if len(r.Log.Lines(words)) == 0 {
			return fmt.Errorf("no line with %q", words)
		}
		return nil
	})
}

// Await returns the next value of a channel.
func Await[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(Patience):
		t.Fatalf("timed out waiting for %s", what)
		panic("unreachable")
	}
}

// Eventually repeats check until it returns nil: first every 10 ms, later every 100 ms,
// because a check costs CPU time that the lanes need.
func Eventually(t *testing.T, check func() error) {
	t.Helper()
	end := time.After(Patience)
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-end:
			t.Fatalf("timed out: %v", err)
		case <-time.After(pause):
		}
	}
}

// Few returns the smaller number under -short: the larger one costs seconds under the
// race detector.
func Few(all, short int) int {
	if testing.Short() {
		return short
	}
	return all
}

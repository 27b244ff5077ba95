package lane_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/handler"
	"rollcall/internal/hold"
	"rollcall/internal/lane"
	"rollcall/internal/ledger"
	"rollcall/internal/logtest"
	"rollcall/internal/outcome"
	"rollcall/internal/pace"
	"rollcall/internal/redisdb"
	"rollcall/internal/redistest"
	"rollcall/internal/sweep"
	"rollcall/tasks"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// patience bounds how long a test waits for an expected event. No test depends on how
// long it took.
const patience = 3 * time.Minute

// The limits of the tests. A slow lane lets three tasks wait for their slot and holds
// seven in total.
var (
	slow    = []pace.Limit{{Calls: 1, Per: time.Second}}
	fast    = []pace.Limit{{Calls: 1000, Per: time.Second}}
	fastest = []pace.Limit{{Calls: 10_000, Per: time.Second}}
)

// holdEvent is what an Observer receives for a hold.
type holdEvent struct {
	change hold.Change
	hold   hold.Hold
}

// watch is an Observer that keeps everything it receives.
type watch struct {
	attempts           chan lane.Attempt
	recovered          chan string
	diedOutsideAttempt chan string
	closed             chan string
	resent             chan lane.Attempt
	unserved           atomic.Value // the last call
	holds              chan holdEvent
	panics             atomic.Bool        // Unserved panics
	instead            func(lane.Attempt) // called instead of keeping an attempt; nil: keep it
}

func (w *watch) Attempt(a lane.Attempt) {
	if w.instead != nil {
		w.instead(a)
		return
	}
	w.attempts <- a
}

func (w *watch) Recovered(lane string) { w.recovered <- lane }
func (w *watch) DiedOutsideAttempt(name string, c outcome.Class) {
	w.diedOutsideAttempt <- name + " " + string(c)
}
func (w *watch) Closed(name string, c outcome.Class) { w.closed <- name + " " + string(c) }
func (w *watch) Late(string, int64)                  {}
func (w *watch) Resent(a lane.Attempt)               { w.resent <- a }
func (w *watch) Unserved(queues int, tasks int64) {
	if w.panics.Load() {
		panic("unserved")
	}
	w.unserved.Store(fmt.Sprintf("%d queues, %d tasks", queues, tasks))
}
func (w *watch) Hold(change hold.Change, h hold.Hold) { w.holds <- holdEvent{change, h} }

// rig is one worker: a Set that is not started yet.
type rig struct {
	t         *testing.T
	server    *redistest.Server
	rdb       redis.UniversalClient
	wire      *wire
	log       *logtest.Buffer
	set       *lane.Set
	ledger    *ledger.Ledger // the worker's ledger
	watch     *watch
	leaves    *leaves // the calls of the worker; several rigs may share one
	client    *asynq.Client
	inspector *asynq.Inspector
	stop      func() // stops the lanes once; the end of the test does it too
}

// newRig returns a worker that uses a Redis. Two rigs on the same server are two
// workers.
func newRig(t *testing.T, s *redistest.Server) *rig {
	t.Helper()
	rdb := s.Client(t)
	r := &rig{
		t: t, server: s, rdb: rdb, wire: &wire{dequeues: map[string]int{}}, log: &logtest.Buffer{}, leaves: &leaves{},
		watch: &watch{
			attempts: make(chan lane.Attempt, 1000), recovered: make(chan string, 1000), diedOutsideAttempt: make(chan string, 20_000), closed: make(chan string, 1000), resent: make(chan lane.Attempt, 1000), holds: make(chan holdEvent, 1000),
		},
		client:    asynq.NewClientFromRedisClient(rdb),
		inspector: asynq.NewInspectorFromRedisClient(rdb),
	}
	rdb.AddHook(r.wire)
	shared := redisdb.NewAutopipeline(rdb)
	r.ledger = ledger.NewShared(rdb, shared)
	r.set = lane.NewSet(rdb, shared, r.ledger, "worker", slog.New(slog.NewTextHandler(r.log, nil)))
	r.set.Observe(r.watch)
	r.stop = sync.OnceFunc(r.set.Stop)
	return r
}

// doing carries out a task. Each slot it receives is a send.
type doing func(ctx context.Context, slot func(context.Context) error, payload string) error

// add adds a lane whose tasks are carried out by do. Fields that cfg leaves out are
// those of lakeside's slow lane for nicknames.
func (r *rig) add(cfg lane.Config, do doing) {
	if cfg.Organisation == "" {
		cfg.Organisation = "lakeside"
	}
	if cfg.Tenant == "" {
		cfg.Tenant = "dt"
	}
	if cfg.Platform == "" {
		cfg.Platform = "dingtalk"
	}
	if cfg.Kind == "" {
		cfg.Kind = tasks.KindNickname
	}
	if cfg.Limits == nil {
		cfg.Limits = slow
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = time.Second
	}
	r.set.Add(cfg, func(ctx context.Context, d handler.Delivery) (handler.Report, error) {
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
				r.leaves.note(from, left)
				if left || err != nil {
					return err
				}
			}
		}, string(d.Payload))
		return report, err
	})
}

func (r *rig) start() {
	r.t.Helper()
	if err := r.set.Start(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(r.stop)
}

// sweeper returns a Sweeper of the worker's lanes, as they are now.
func (r *rig) sweeper(rescue ...string) *sweep.Sweeper {
	return sweep.New(sweep.Config{
		Redis: r.rdb, Ledger: r.ledger, Lanes: r.set, Observer: r.watch, Log: slog.New(slog.NewTextHandler(r.log, nil)), Rescue: rescue,
	})
}

// sweeps returns a function that sweeps once, at a time of this worker's clock.
func (r *rig) sweeps(rescue ...string) func(context.Context, time.Time) {
	return r.sweeper(rescue...).Sweep
}

// sweep sweeps until the test ends.
func (r *rig) sweep() {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { r.sweeper().Run(ctx) })
	r.t.Cleanup(func() { cancel(); wg.Wait() })
}

// put enqueues a task with asynq's own client.
func (r *rig) put(queue, payload string) (id string) {
	r.t.Helper()
	id = uuid.NewString()
	_, err := r.client.EnqueueContext(r.t.Context(), asynq.NewTask("test", []byte(payload)),
		asynq.TaskID(id), asynq.Queue(queue), asynq.MaxRetry(1<<20), asynq.Retention(time.Hour))
	// On a busy machine the client may send the task twice.
	if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		r.t.Fatal(err)
	}
	return id
}

// attempt returns the next attempt that ends.
func (r *rig) attempt() lane.Attempt {
	r.t.Helper()
	return await(r.t, r.watch.attempts, "an attempt")
}

// held waits until a lane of this worker is on hold.
func (r *rig) held(i int) hold.Hold {
	r.t.Helper()
	var h hold.Hold
	eventually(r.t, func() (err error) {
		var held bool
		if h, held = r.set.Lanes()[i].Hold(); !held {
			err = fmt.Errorf("%s is not on hold", r.set.Lanes()[i].Name())
		}
		return err
	})
	return h
}

// free waits until a lane of this worker is not on hold.
func (r *rig) free(i int) {
	r.t.Helper()
	eventually(r.t, func() error {
		if h, held := r.set.Lanes()[i].Hold(); held {
			return fmt.Errorf("%s is on hold: %s", r.set.Lanes()[i].Name(), h.Reason)
		}
		return nil
	})
}

// ends waits until a task has reached a final state, and returns what asynq shows.
func (r *rig) ends(queue, id string, want asynq.TaskState) *asynq.TaskInfo {
	r.t.Helper()
	var info *asynq.TaskInfo
	eventually(r.t, func() (err error) {
		info, err = r.inspector.GetTaskInfo(queue, id)
		if errors.Is(err, asynq.ErrTaskNotFound) {
			return err
		}
		if err != nil {
			r.t.Fatal(err)
		}
		if info.State != want {
			return fmt.Errorf("task %s is %s, want %s (%s)", id, info.State, want, info.LastErr)
		}
		return nil
	})
	return info
}

func await[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("timed out waiting for %s", what)
		panic("unreachable")
	}
}

// eventually repeats check until it returns nil: first every 10 ms, later every 100 ms,
// because a check costs CPU time that the lanes need.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	end := time.After(patience)
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

// few returns the smaller number under -short: the larger one costs seconds under the
// race detector.
func few(all, short int) int {
	if testing.Short() {
		return short
	}
	return all
}

package lane_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"go.uber.org/goleak"

	"rollcall/internal/handler"
	"rollcall/internal/lane"
	"rollcall/internal/ledger"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
	"rollcall/tasks"
)

func TestMain(m *testing.M) {
	redis.SetLogger(&logging.VoidLogger{}) // connections that a test cuts
	goleak.VerifyTestMain(m)
}

// patience bounds how long a test waits for what must come. Nothing is read
// into how long it took.
const patience = time.Minute

// slow lets two and two more tasks run together.
var slow = pace.Limit{Calls: 1, Per: time.Second}

// watch is an Observer that keeps what it is told until somebody asks.
type watch struct {
	attempts  chan lane.Attempt
	recovered chan string
}

func (w *watch) Attempt(a lane.Attempt) { w.attempts <- a }
func (w *watch) Recovered(lane string)  { w.recovered <- lane }

// rig is a Set that is not started yet, on a Redis of its own.
type rig struct {
	t         *testing.T
	rdb       redis.UniversalClient
	set       *lane.Set
	watch     *watch
	client    *asynq.Client
	inspector *asynq.Inspector
	stop      func() // ends the lanes, once; the end of the test does too
}

func newRig(t *testing.T, s *redistest.Server) *rig {
	t.Helper()
	rdb := s.Client(t)
	r := &rig{
		t: t, rdb: rdb, set: lane.NewSet(rdb, ledger.New(rdb), slog.New(slog.DiscardHandler)),
		watch:     &watch{attempts: make(chan lane.Attempt, 1000), recovered: make(chan string, 1000)},
		client:    asynq.NewClientFromRedisClient(rdb),
		inspector: asynq.NewInspectorFromRedisClient(rdb),
	}
	r.set.Observe(r.watch)
	r.stop = sync.OnceFunc(r.set.Stop)
	return r
}

// add adds a lane whose tasks do carries out.
func (r *rig) add(organisation, tenant, platform string, kind tasks.Kind, limit pace.Limit, do func(
	ctx context.Context, slot func(context.Context) error, payload string) error,
) {
	r.set.Add(lane.Config{
		Organisation: organisation, Tenant: tenant, Platform: platform, Kind: kind, Limit: limit, Timeout: time.Second,
	}, func(slot func(context.Context) error) handler.Func {
		return func(ctx context.Context, _ string, payload []byte) (handler.Report, error) {
			return handler.Report{Outcome: handler.Applied}, do(ctx, slot, string(payload))
		}
	})
}

func (r *rig) start() {
	r.t.Helper()
	if err := r.set.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(r.stop)
}

// sweep sweeps until the test ends.
func (r *rig) sweep() {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { r.set.Sweep(ctx) })
	r.t.Cleanup(func() { cancel(); wg.Wait() })
}

// put stores a task as asynq's own client does.
func (r *rig) put(queue, payload string) (id string) {
	r.t.Helper()
	info, err := r.client.EnqueueContext(r.t.Context(), asynq.NewTask("test", []byte(payload)),
		asynq.Queue(queue), asynq.MaxRetry(1<<20), asynq.Retention(time.Hour))
	if err != nil {
		r.t.Fatal(err)
	}
	return info.ID
}

// attempt waits for the next attempt that ends.
func (r *rig) attempt() lane.Attempt { return await(r.t, r.watch.attempts, "an attempt") }

func await[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// eventually asks until check is nil.
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
			t.Fatalf("waited in vain: %v", err)
		case <-tick.C:
		}
	}
}

// ends waits until a task is in a state for good, and returns what asynq shows.
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

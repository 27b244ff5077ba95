package lane_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/audit"
	"rollcall/internal/backlog"
	"rollcall/internal/hold"
	"rollcall/internal/lanetest"
)

// wire counts the commands that a worker sends to Redis.
type wire struct {
	mu       sync.Mutex
	dequeues map[string]int // dequeue commands, by queue
	trips    int            // round trips that they took
	taken    []string       // the messages they returned
	reads    int            // reads of the holds
	results  int            // results written by a command of their own
	lose     int            // of the next pipelines with a result, how many do not reach Redis
}

func (*wire) DialHook(next redis.DialHook) redis.DialHook { return next }

func (w *wire) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		w.mu.Lock()
		defer w.mu.Unlock()
		args := cmd.Args()
		if cmd.Name() == "hgetall" && args[1] == hold.Key {
			w.reads++
		}
		if cmd.Name() == "hset" && args[2] == "result" {
			w.results++
		}
		if w.took(cmd) {
			w.trips++
		}
		return err
	}
}

func (w *wire) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if w.loses(cmds) {
			for _, cmd := range cmds {
				cmd.SetErr(io.EOF)
			}
			return io.EOF
		}
		err := next(ctx, cmds)
		w.mu.Lock()
		defer w.mu.Unlock()
		took := false
		for _, cmd := range cmds {
			took = w.took(cmd) || took
		}
		if took {
			w.trips++
		}
		return err
	}
}

// loses reports whether a pipeline is one with a result that is lost.
func (w *wire) loses(cmds []redis.Cmder) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lose == 0 || !slices.ContainsFunc(cmds, func(c redis.Cmder) bool { return c.Name() == "hset" && c.Args()[2] == "result" }) {
		return false
	}
	w.lose--
	return true
}

// took records a command, and reports whether it was a dequeue.
func (w *wire) took(cmd redis.Cmder) bool {
	args := cmd.Args()
	if (cmd.Name() != "evalsha" && cmd.Name() != "eval") || args[2] != 4 {
		return false
	}
	keys := []string{fmt.Sprint(args[3]), fmt.Sprint(args[4]), fmt.Sprint(args[5]), fmt.Sprint(args[6])}
	queue, ok := backlog.DequeueOf(keys)
	if !ok {
		return false
	}
	w.dequeues[queue]++
	if message, ok := cmd.(*redis.Cmd).Val().(string); ok {
		w.taken = append(w.taken, message)
	}
	return true
}

// asked returns how many dequeues of the queues were sent.
func (w *wire) asked(queues ...string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, queue := range queues {
		n += w.dequeues[queue]
	}
	return n
}

// order returns which of the tasks were dequeued, in that order. A message contains the
// task's id.
func (w *wire) order(ids []string) (taken []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, message := range w.taken {
		for _, id := range ids {
			if strings.Contains(message, id) {
				taken = append(taken, id)
			}
		}
	}
	return taken
}

func (w *wire) read() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reads
}

// looks waits until the worker has read the holds and applied them.
func (r *rig) looks() {
	r.T.Helper()
	// A read that is in progress may have started earlier. Once the third read returns,
	// the result of the second was applied.
	enough := r.wire.read() + 3
	lanetest.Eventually(r.T, func() error {
		if n := r.wire.read(); n < enough {
			return errors.Join(fmt.Errorf("%d of %d looks", n, enough), r.Redis.Publish(r.T.Context(), hold.Channel, "look").Err())
		}
		return nil
	})
}

// holds is the store that a person's commands use at the same time as the workers.
func (r *rig) holds() *hold.Store {
	r.T.Helper()
	b := hold.NewStore(r.Redis)
	if err := b.Refresh(r.T.Context()); err != nil {
		r.T.Fatal(err)
	}
	return b
}

// hold adds a hold, as a person does.
func (r *rig) hold(h hold.Hold) hold.Hold {
	r.T.Helper()
	if h.Class == "" {
		h.Class = hold.Operator
	}
	if h.Reason == "" {
		h.Reason = "said so"
	}
	h.By = "somebody"
	stored, _, err := r.holds().Put(r.T.Context(), h)
	if err != nil {
		r.T.Fatal(err)
	}
	return stored
}

// release removes the hold that a person added.
func (r *rig) release(scope hold.Scope) {
	r.T.Helper()
	b := r.holds()
	for _, h := range b.Of(scope) {
		if ended, err := b.End(r.T.Context(), h, "somebody"); err != nil || !ended {
			r.T.Fatalf("release of %s: %t, %v", scope, ended, err)
		}
	}
}

// probeNow makes the probe of a hold due, as a person does after fixing the cause.
func (r *rig) probeNow(scope hold.Scope) {
	r.T.Helper()
	lanetest.Eventually(r.T, func() error { // a worker may hold the claim at this moment
		b := r.holds()
		for _, h := range b.Of(scope) {
			if h.Probe == hold.ByTime {
				continue
			}
			if done, err := b.ProbeNow(r.T.Context(), h, time.Now()); done || err != nil {
				return err
			}
		}
		return fmt.Errorf("there is nothing to probe at %s", scope)
	})
}

// stored returns the only hold of a scope in Redis.
func (r *rig) stored(scope hold.Scope) hold.Hold {
	r.T.Helper()
	all := r.holds().Of(scope)
	if len(all) != 1 {
		r.T.Fatalf("%s has %d holds, want one", scope, len(all))
	}
	return all[0]
}

// observed returns the hold events that the workers' observers received so far, sorted.
func observed(workers ...*rig) []string {
	var all []string
	for _, r := range workers {
		for range len(r.Watch.Holds) {
			w := <-r.Watch.Holds
			all = append(all, fmt.Sprintf("hold.%s %s %s", w.Change, w.Hold.Scope, w.Hold.Class))
		}
	}
	slices.Sort(all)
	return all
}

// reportedOnce fails the test unless the event stream, the observers and the logs of
// the workers report each of these changes exactly once.
func reportedOnce(t *testing.T, workers []*rig, want ...string) {
	t.Helper()
	slices.Sort(want)
	var events []audit.Event
	lanetest.Eventually(t, func() (err error) { // the change is stored first, then reported
		observed := 0
		for _, r := range workers {
			observed += len(r.Watch.Holds)
		}
		events, err = audit.Read(t.Context(), workers[0].Redis, 100)
		if err == nil && min(observed, len(events)) < len(want) {
			err = fmt.Errorf("%d events and %d observer calls, want %d", len(events), observed, len(want))
		}
		return err
	})
	var streamed []string
	for _, e := range events {
		streamed = append(streamed, fmt.Sprintf("%s %s %s", e.Event, e.Scope(), e.Class))
	}
	slices.Sort(streamed)
	if diff := cmp.Diff(want, streamed); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, observed(workers...)); diff != "" {
		t.Errorf("observers (-want +got):\n%s", diff)
	}
	logged := 0
	for _, r := range workers {
		logged += len(r.Log.Lines("on hold:")) + len(r.Log.Lines("hold reason changed")) + len(r.Log.Lines("hold ended"))
	}
	if logged != len(want) {
		t.Errorf("%d log lines, want %d", logged, len(want))
	}
}

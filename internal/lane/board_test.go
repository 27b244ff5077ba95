package lane_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/backlog"
	"rollcall/internal/hold"
)

// wire counts what a worker asks of Redis.
type wire struct {
	mu       sync.Mutex
	dequeues map[string]int // by queue
	trips    int            // round trips that they took
	taken    []string       // the messages that they brought
	reads    int            // of the holds
	results  int            // that were written by a command of their own
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

// took takes a command in, and reports whether it was a dequeue.
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

// order returns those of the tasks that were taken, in that order. A message
// holds its id.
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

// looks waits until the worker has looked at the holds and has done what follows
// from them.
func (r *rig) looks() {
	r.t.Helper()
	// A reading that was under way may have begun before; when the third has come
	// what the second brought was followed.
	enough := r.wire.read() + 3
	eventually(r.t, func() error {
		if n := r.wire.read(); n < enough {
			return errors.Join(fmt.Errorf("%d of %d looks", n, enough), r.rdb.Publish(r.t.Context(), hold.Channel, "look").Err())
		}
		return nil
	})
}

// board is what a person uses beside the workers.
func (r *rig) board() *hold.Board {
	r.t.Helper()
	b := hold.NewBoard(r.rdb)
	if err := b.Refresh(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	return b
}

// hold puts a lane or another place on hold, as a person does.
func (r *rig) hold(h hold.Hold) hold.Hold {
	r.t.Helper()
	if h.Class == "" {
		h.Class = hold.Operator
	}
	if h.Reason == "" {
		h.Reason = "said so"
	}
	h.By = "somebody"
	stored, _, err := r.board().Put(r.t.Context(), h)
	if err != nil {
		r.t.Fatal(err)
	}
	return stored
}

// release lifts what a person put on hold.
func (r *rig) release(place hold.Place) {
	r.t.Helper()
	b := r.board()
	for _, h := range b.Of(place) {
		if lifted, err := b.Lift(r.t.Context(), h, "somebody"); err != nil || !lifted {
			r.t.Fatalf("release of %s: %t, %v", place, lifted, err)
		}
	}
}

// probeNow makes the hold of a place due, as a person does who has mended its
// cause.
func (r *rig) probeNow(place hold.Place) {
	r.t.Helper()
	eventually(r.t, func() error { // a worker may have claimed it meanwhile
		b := r.board()
		for _, h := range b.Of(place) {
			if h.Probe == hold.ByTime {
				continue
			}
			if done, err := b.ProbeNow(r.t.Context(), h, time.Now()); done || err != nil {
				return err
			}
		}
		return fmt.Errorf("there is nothing to probe at %s", place)
	})
}

// stored is the one hold of a place in Redis.
func (r *rig) stored(place hold.Place) hold.Hold {
	r.t.Helper()
	all := r.board().Of(place)
	if len(all) != 1 {
		r.t.Fatalf("%s has %d holds, want one", place, len(all))
	}
	return all[0]
}

// told is what the workers' observers were told of holds so far, in any order.
func told(workers ...*rig) []string {
	var all []string
	for _, r := range workers {
		for range len(r.watch.holds) {
			w := <-r.watch.holds
			all = append(all, fmt.Sprintf("hold.%s %s %s", w.change, w.hold.Place, w.hold.Class))
		}
	}
	slices.Sort(all)
	return all
}

// saysOnce fails the test unless the stream of events, the observers and the
// logs of the workers have told of each of these changes once.
func saysOnce(t *testing.T, workers []*rig, want ...string) {
	t.Helper()
	slices.Sort(want)
	var events []hold.Event
	eventually(t, func() (err error) { // the change comes first, then what is told of it
		observed := 0
		for _, r := range workers {
			observed += len(r.watch.holds)
		}
		events, err = hold.ReadEvents(t.Context(), workers[0].rdb, 100)
		if err == nil && min(observed, len(events)) < len(want) {
			err = fmt.Errorf("%d events and %d words to observers, want %d", len(events), observed, len(want))
		}
		return err
	})
	var streamed []string
	for _, e := range events {
		streamed = append(streamed, fmt.Sprintf("%s %s %s", e.Event, e.Place, e.Class))
	}
	slices.Sort(streamed)
	if diff := cmp.Diff(want, streamed); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, told(workers...)); diff != "" {
		t.Errorf("observers (-want +got):\n%s", diff)
	}
	logged := 0
	for _, r := range workers {
		logged += len(r.log.with("on hold:")) + len(r.log.with("on hold for another reason")) + len(r.log.with("no longer on hold"))
	}
	if logged != len(want) {
		t.Errorf("%d lines in the logs, want %d", logged, len(want))
	}
}

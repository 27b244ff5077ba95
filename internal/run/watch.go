package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/ledger"
	"rollcall/internal/logging"
)

const (
	// watchEvery is how often the states of the runs are read whose rows a worker has.
	watchEvery = 300 * time.Millisecond
	// watchFor is how long a reading counts, from the moment when it was asked for: a
	// pause or a cancel that was acknowledged before is in it.
	watchFor = time.Second
	// watchIdle is how long a run is read after its last row.
	watchIdle = 10 * time.Minute
)

// Watcher knows the states of the runs whose rows a worker has at the moment. A worker
// asks it just before a call of a row leaves. It is safe for concurrent use.
type Watcher struct {
	rdb redis.UniversalClient
	now func() time.Time

	faults logging.Condition
	wake   chan struct{}

	mu      sync.Mutex
	watched map[string]*reading
}

// reading is what is known of a run.
type reading struct {
	state State
	asked time.Time     // when the reading began; zero: there is none
	used  time.Time     // when a row of the run was last seen
	came  chan struct{} // closed by the next reading
	// halted is since when the run is paused; zero: it is not.
	halted time.Time
}

// NewWatcher returns a Watcher.
func NewWatcher(rdb redis.UniversalClient, log *slog.Logger) *Watcher {
	return &Watcher{
		rdb: rdb, now: time.Now, wake: make(chan struct{}, 1), watched: map[string]*reading{},
		faults: logging.Condition{Log: log, Level: slog.LevelWarn, Began: "states of runs not read: their rows wait", Ended: "states of runs read again"},
	}
}

// Await returns when the state of a run is known, or when ctx or a second is over.
func (w *Watcher) Await(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, watchFor)
	defer cancel()
	for {
		w.mu.Lock()
		r := w.of(id)
		known, came := w.fresh(r), r.came
		w.mu.Unlock()
		if known {
			return
		}
		select {
		case w.wake <- struct{}{}:
		default:
		}
		select {
		case <-ctx.Done():
			return
		case <-came:
		}
	}
}

// Sends reports whether a call of a row of a run may leave now; ended, that none ever may
// again. Neither is true if the run is paused, or if its state was not read for a second.
func (w *Watcher) Sends(id string) (now, ended bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.of(id)
	if !w.fresh(r) {
		return false, false
	}
	switch r.state {
	case StateCanary, StateApplying, StateDone: // of a done run: a task that is delivered again
		return true, false
	case StatePaused, StateDamaged:
		return false, false
	}
	return false, true // cancelled, or the run was deleted
}

// HaltedFor returns for how long a run was read as paused.
func (w *Watcher) HaltedFor(id string) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r := w.watched[id]; r != nil && !r.halted.IsZero() {
		return w.now().Sub(r.halted)
	}
	return 0
}

func (w *Watcher) fresh(r *reading) bool { return !r.asked.IsZero() && w.now().Sub(r.asked) < watchFor }

// of returns what is known of a run, which is watched from now on.
func (w *Watcher) of(id string) *reading {
	r := w.watched[id]
	if r == nil {
		r = &reading{came: make(chan struct{})}
		w.watched[id] = r
	}
	r.used = w.now()
	return r
}

// Run reads states until ctx ends. It costs nothing while the worker has no rows of runs.
func (w *Watcher) Run(ctx context.Context) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-w.wake:
		}
		if err := w.read(ctx); err == nil {
			w.faults.End()
		} else if ctx.Err() == nil {
			w.faults.Begin("", "err", err)
		}
	}
}

// read reads the state of every watched run. One round trip.
func (w *Watcher) read(ctx context.Context) error {
	w.mu.Lock()
	asked := w.now()
	var ids []string
	for id, r := range w.watched {
		if asked.Sub(r.used) > watchIdle {
			delete(w.watched, id)
			continue
		}
		ids = append(ids, id)
	}
	w.mu.Unlock()
	if len(ids) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, watchFor)
	defer cancel()
	states := make([]*redis.StringCmd, len(ids))
	_, _ = w.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, id := range ids {
			states[i] = p.HGet(ctx, headKey(id), fieldState)
		}
		return nil
	}) // each command has its own error
	w.mu.Lock()
	defer w.mu.Unlock()
	var faults []error
	for i, id := range ids {
		r := w.watched[id]
		state, err := states[i].Result()
		if _, damaged := errors.AsType[*ledger.DamagedError](ofKey(err, headKey(id), "hash")); damaged || state != "" && unfit(fieldState, state, farthest) != "" {
			state, err = string(StateDamaged), nil // the worker that feeds runs names it
		}
		if err != nil && !errors.Is(err, redis.Nil) {
			faults = append(faults, fmt.Errorf("read run %s: %w", id, err))
			continue
		}
		if r == nil || asked.Before(r.asked) {
			continue
		}
		r.state, r.asked = State(state), asked
		if r.state != StatePaused && r.state != StateDamaged {
			r.halted = time.Time{}
		} else if r.halted.IsZero() {
			r.halted = asked
		}
		close(r.came)
		r.came = make(chan struct{})
	}
	return errors.Join(faults...)
}

package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/buildinfo"
	"rollcall/internal/config"
	"rollcall/internal/ledger"
	"rollcall/internal/logging"
	"rollcall/internal/redisdb"
)

const (
	// publishEvery is the interval at which the worker publishes the lanes it serves.
	publishEvery = time.Minute
	// redisAsked is the timeout of a request to Redis, and the wait before the next try.
	redisAsked = 2 * time.Second
)

// ready holds the addresses of a running worker.
type ready struct {
	redis redisdb.Config
	page  string // empty: off
}

// runtime connects a running worker to its process.
type runtime struct {
	// started is called once the worker takes tasks. May be nil.
	started func(ready)
	// hangup receives requests to reload the configuration with load. May be nil.
	hangup <-chan os.Signal
	load   func() (*config.Config, error)
}

// run works until ctx ends. Then it stops and closes everything.
func (w *worker) run(ctx context.Context, r runtime) error {
	defer w.close()
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stopBackground()

	panics := &logging.Conditions{Log: w.log}
	if w.page != nil {
		wg.Go(func() {
			err := panics.Guard("the web UI", func() error { return w.page.Serve(background) })
			if err != nil {
				w.log.Error("web UI stopped; tasks still run", "err", err)
			}
		})
	}
	if begun, err := w.begin(ctx); !begun {
		return err
	}
	start := func(ctx context.Context, what string, run func(context.Context)) {
		wg.Go(func() { panics.Restart(ctx, what, run) })
	}
	start(background, "the sweep", w.sweeper.Run)
	start(background, "the expiry of dead letters", w.expireDeadLetters())
	start(background, "the replay of taken IDs", w.replayFreed)
	start(background, "the states of runs", w.watcher.Run)
	start(background, "the record of the API", w.trail.Run)
	if w.state != nil {
		start(background, "the rates on the page", w.state.Watch)
	}
	start(ctx, "the events of webhooks", w.announce())
	start(ctx, "the reports of nights", w.nights.Watch)
	start(ctx, "the calls of webhooks", w.logged("webhooks not called; tasks still run", w.hooks.Run))
	start(ctx, "the feeding of runs", w.logged("runs not fed; tasks still run", w.feeder.Run))
	// The schedule stops with ctx, at the same time as the lanes: it waits for a running
	// tick.
	start(ctx, "the schedule", w.logged("schedule not running; tasks still run", w.schedule.Run))
	w.ready.Started(w.lanes.Ready)
	w.logReady(r)
	w.attend(ctx, r)

	w.ready.Stopping()
	w.log.Info("worker stopping: no new tasks, running calls finish")
	w.lanes.Stop()
	w.log.Info("worker stopped")
	return nil
}

// logged returns run without its error, which is logged.
func (w *worker) logged(message string, run func(context.Context) error) func(context.Context) {
	return func(ctx context.Context) {
		if err := run(ctx); err != nil {
			w.log.Error(message, "err", err)
		}
	}
}

// begin starts the lanes. It waits for a Redis that is unavailable, and returns false if
// ctx ended first, or with the reason why the lanes cannot start.
func (w *worker) begin(ctx context.Context) (bool, error) {
	line := &logging.Condition{
		Log: w.log, Level: slog.LevelWarn,
		Began: "redis unavailable: the worker waits for it", Ended: "redis available: the worker starts",
	}
	keys := &logging.Condition{Log: w.log, Level: slog.LevelWarn, Began: "damaged key in redis: the worker waits until it is repaired"}
	for ctx.Err() == nil {
		answered, err := w.enter(ctx)
		fault, passing := redisdb.FaultOf(err)
		_, damaged := errors.AsType[*ledger.DamagedError](err)
		switch {
		case err == nil:
			line.End()
			return true, nil
		case ctx.Err() != nil:
			continue
		case damaged:
			w.ready.Waiting("a damaged key in Redis; see rollcall repair")
			keys.Begin(err.Error(), "err", err)
			pause(ctx, redisAsked)
			continue
		case answered && !passing:
			return false, err
		}
		reason := fault.String()
		if !passing {
			reason = "Redis refuses the worker; see its log"
		}
		w.ready.Waiting(reason)
		line.Begin(reason, "redis", redisName(w.cfg.Redis), "fault", string(fault), "todo", fault.Advice(), "err", err)
		pause(ctx, redisAsked)
	}
	return false, nil
}

// every does something at an interval until ctx ends. A failure is logged once until it
// ends, unless the lanes have logged why.
func (w *worker) every(ctx context.Context, interval time.Duration, line *logging.Condition, do func(context.Context) error) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		switch err := do(ctx); {
		case err == nil:
			line.End()
		case ctx.Err() == nil && w.lanes.Ready() == nil:
			line.Begin("", "err", err)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// enter checks the schema in Redis, publishes the lanes and starts them. answered
// reports whether Redis answered at all.
func (w *worker) enter(ctx context.Context) (answered bool, err error) {
	asked, cancel := context.WithTimeout(ctx, redisAsked)
	defer cancel()
	if err := w.rdb.Ping(asked).Err(); err != nil {
		return false, err
	}
	if err := w.record.Enter(ctx); err != nil {
		return true, err
	}
	// Without the list of lanes, the lanes of the configuration work; the sweep names it.
	if err := w.publish(ctx); err != nil && !redis.HasErrorPrefix(err, "WRONGTYPE") {
		return true, err
	}
	return true, w.lanes.Start(ctx) // reads all that it needs before it starts a lane
}

func (w *worker) logReady(r runtime) {
	report := ready{redis: w.redis}
	attrs := []any{"version", buildinfo.Read().Version, "lanes", len(w.lanes.Lanes()), "schedules", len(w.cfg.Schedules)}
	if w.page != nil {
		report.page = w.page.URL()
		attrs = append(attrs, "page", report.page)
	}
	w.log.Info("worker ready", attrs...)
	if r.started != nil {
		r.started(report)
	}
}

// attend publishes the served lanes every minute and reloads on request, until ctx ends.
func (w *worker) attend(ctx context.Context, r runtime) {
	line := &logging.Condition{
		Log: w.log, Level: slog.LevelWarn, Began: "lanes not published; retrying", Ended: "lanes published again",
	}
	timer := time.NewTimer(publishEvery)
	defer timer.Stop()
	back := false // Redis is back, perhaps without its data
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.hangup:
			if r.load != nil {
				w.reload(ctx, r.load)
			}
			continue
		case <-w.lanes.Back():
			back = true
		case <-timer.C:
		}
		var err error
		if back {
			err = w.record.Enter(ctx)
		}
		err = errors.Join(err, w.publish(ctx))
		switch {
		case err == nil:
			back = false
			line.End()
			timer.Reset(publishEvery)
			continue
		case ctx.Err() == nil && w.lanes.Ready() == nil: // else the lanes have logged why
			line.Begin("", "err", err)
		}
		timer.Reset(redisAsked)
	}
}

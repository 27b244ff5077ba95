package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	"rollcall/internal/buildinfo"
	"rollcall/internal/config"
	"rollcall/internal/logging"
	"rollcall/internal/redisdb"
)

const (
	// publishEvery is how often the worker says which lanes it serves.
	publishEvery = time.Minute
	// redisAsked is how long an answer of Redis is waited for, and how long it is
	// left alone before the next try.
	redisAsked = 2 * time.Second
)

// ready is what a running worker tells: where its Redis and its page are.
type ready struct {
	redis redisdb.Config
	page  string // empty: off
}

// runtime is what a worker is given for its life besides its configuration.
type runtime struct {
	// tell is called once tasks are being taken. May be nil.
	write func(ready)
	// hangup asks for a reload of the configuration, by load. May be nil.
	hangup <-chan os.Signal
	load   func() (*config.Config, error)
}

// run works until ctx ends, then stops and closes everything.
func (w *worker) run(ctx context.Context, r runtime) error {
	defer w.close()
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stopBackground()

	if w.page != nil {
		wg.Go(func() {
			if err := w.page.Serve(background); err != nil {
				w.log.Error("the web UI is gone; tasks go on", "err", err)
			}
		})
	}
	if begun, err := w.begin(ctx); !begun {
		return err
	}
	wg.Go(func() { w.lanes.Sweep(background) })
	wg.Go(func() { w.expireDeadLetters(background) })
	wg.Go(func() { w.replayFreed(background) })
	// The schedule ends with ctx, beside the lanes: it waits for a running tick.
	wg.Go(func() {
		if err := w.schedule.Run(ctx); err != nil {
			w.log.Error("the schedule does not run; tasks go on", "err", err)
		}
	})
	w.ready.Started(w.lanes.Ready)
	w.logReady(r)
	w.attend(ctx, r)

	w.ready.Stopping()
	w.log.Info("worker stopping: nothing new is taken, running calls finish")
	w.lanes.Stop()
	w.log.Info("worker stopped")
	return nil
}

// begin has the lanes take tasks; false if ctx ended before they could, or with
// why they cannot. A Redis that is unavailable is waited for.
func (w *worker) begin(ctx context.Context) (bool, error) {
	line := &logging.Condition{
		Log: w.log, Level: slog.LevelWarn,
		Began: "redis unavailable: the worker waits for it", Ended: "redis available: the worker starts",
	}
	for ctx.Err() == nil {
		answered, err := w.enter(ctx)
		fault, passing := redisdb.FaultOf(err)
		switch {
		case err == nil:
			line.End()
			return true, nil
		case ctx.Err() != nil:
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
		select {
		case <-ctx.Done():
		case <-time.After(redisAsked):
		}
	}
	return false, nil
}

// enter does what a worker does first at its Redis, and starts the lanes. answered
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
	if err := w.publish(ctx); err != nil {
		return true, err
	}
	return true, w.lanes.Start(ctx) // before it starts any, it has read what it needs
}

func (w *worker) logReady(r runtime) {
	report := ready{redis: w.redis}
	attrs := []any{"version", buildinfo.Read().Version, "lanes", len(w.lanes.Lanes()), "schedules", len(w.cfg.Schedules)}
	if w.page != nil {
		report.page = w.page.URL()
		attrs = append(attrs, "monitor", report.page)
	}
	w.log.Info("worker ready", attrs...)
	if r.write != nil {
		r.write(report)
	}
}

// attend publishes again and again which lanes are served, and reloads when asked
// to, until ctx ends.
func (w *worker) attend(ctx context.Context, r runtime) {
	line := &logging.Condition{
		Log: w.log, Level: slog.LevelWarn, Began: "lanes not published; tried again", Ended: "lanes published again",
	}
	timer := time.NewTimer(publishEvery)
	defer timer.Stop()
	back := false // Redis, maybe without its data
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

package main

import (
	"context"
	"os"
	"sync"
	"time"

	"rollcall/internal/config"
	"rollcall/internal/redisdb"
)

const (
	// publishEvery is how often the worker says which lanes it serves.
	publishEvery = time.Minute
	// redisAsked is how long a Redis that does not answer is waited for before
	// the next try and the next line in the log.
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
	tell func(ready)
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
	wg.Go(func() { w.expireLetters(background) })
	// The schedule ends with ctx, beside the lanes: it waits for a running tick.
	wg.Go(func() {
		if err := w.schedule.Run(ctx); err != nil {
			w.log.Error("the schedule does not run; tasks go on", "err", err)
		}
	})
	w.ready.Started()
	w.sayReady(r)
	w.attend(ctx, r)

	w.ready.Stopping()
	w.log.Info("worker stopping: nothing new is taken, running calls finish")
	w.lanes.Stop()
	w.log.Info("worker stopped")
	return nil
}

// begin has the lanes take tasks; false if ctx ended before they could, or with
// why they cannot. A Redis that goes away meanwhile is waited for.
func (w *worker) begin(ctx context.Context) (bool, error) {
	for w.awaitRedis(ctx) {
		err := w.record.Enter(ctx)
		if err == nil {
			err = w.publish(ctx)
		}
		if err == nil {
			err = w.lanes.Start(ctx) // before it starts any, it has read what it needs
		}
		if err == nil || !redisdb.Away(err) {
			return err == nil, err
		}
		w.log.Warn("Redis went away while the worker started; it begins again", "redis", redisName(w.cfg.Redis), "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(redisAsked):
		}
	}
	return false, nil
}

func (w *worker) sayReady(r runtime) {
	told := ready{redis: w.redis}
	attrs := []any{"lanes", len(w.lanes.Lanes()), "schedules", len(w.cfg.Schedules)}
	if w.page != nil {
		told.page = w.page.URL()
		attrs = append(attrs, "monitor", told.page)
	}
	w.log.Info("worker ready", attrs...)
	if r.tell != nil {
		r.tell(told)
	}
}

// attend says again and again which lanes are served, and reloads when asked
// to, until ctx ends.
func (w *worker) attend(ctx context.Context, r runtime) {
	ticker := time.NewTicker(publishEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.hangup:
			if r.load != nil {
				w.reload(ctx, r.load)
			}
		case <-w.lanes.Back():
			w.publishAgain(ctx)
		case <-ticker.C:
			w.publishAgain(ctx)
		}
	}
}

func (w *worker) publishAgain(ctx context.Context) {
	if err := w.publish(ctx); err != nil && ctx.Err() == nil {
		w.log.Warn("could not say which lanes are served; the next minute tries again", "err", err)
	}
}

// awaitRedis returns when Redis answers; false if ctx ended before it did.
func (w *worker) awaitRedis(ctx context.Context) bool {
	for {
		asked, cancel := context.WithTimeout(ctx, redisAsked)
		err := w.rdb.Ping(asked).Err()
		cancel()
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		w.log.Warn("Redis does not answer; the worker waits for it", "redis", redisName(w.cfg.Redis), "err", err)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(redisAsked):
		}
	}
}

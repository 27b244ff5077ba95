package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/config"
	"rollcall/internal/handler"
	"rollcall/internal/lane"
	"rollcall/internal/ledger"
	"rollcall/internal/monitor"
	"rollcall/internal/pace"
	"rollcall/internal/redisdb"
	"rollcall/internal/redisdb/embedded"
	"rollcall/internal/secret"
	"rollcall/providers/classin"
	"rollcall/providers/dingtalk"
	"rollcall/tasks"
)

const (
	// publishEvery is how often the worker says which lanes it serves.
	publishEvery = time.Minute
	// redisAsked is how long a Redis that does not answer is waited for before
	// the next try and the next line in the log.
	redisAsked = 2 * time.Second
)

// worker is one process' wiring. Its parts are ended in the reverse order of
// their making.
type worker struct {
	cfg     *config.Config
	log     *slog.Logger
	url     secret.Text // of its Redis
	rdb     redis.UniversalClient
	lanes   *lane.Set
	page    *monitor.Server // nil: off
	closers []func()
}

// ready is what a running worker tells: where its Redis and its page are.
type ready struct {
	redisURL secret.Text
	page     string // empty: off
}

// newWorker builds every part and connects to nothing yet but the embedded
// Redis and the page's port.
func newWorker(ctx context.Context, cfg *config.Config, log *slog.Logger) (w *worker, err error) {
	w = &worker{cfg: cfg, log: log}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if err := w.openRedis(); err != nil {
		return nil, err
	}
	record := ledger.New(w.rdb)
	w.lanes = lane.NewSet(w.rdb, record, log)
	for _, org := range cfg.Organisations {
		for _, tenant := range org.Tenants {
			if err := w.addTenant(org.Name, tenant, record); err != nil {
				return nil, &usageError{err}
			}
		}
	}
	if cfg.Listen != "off" {
		client, err := w.newClient("rollcall-monitor")
		if err != nil {
			return nil, err
		}
		if w.page, err = monitor.Listen(ctx, cfg.Listen, redisdb.ConnOpt(client), log); err != nil {
			return nil, errors.Join(err, client.Close())
		}
	}
	return w, nil
}

func (w *worker) onClose(f func()) { w.closers = append(w.closers, f) }

func (w *worker) close() {
	for _, c := range slices.Backward(w.closers) {
		c()
	}
}

func (w *worker) openRedis() error {
	address := w.cfg.Redis.URL
	if w.cfg.Redis.Embedded != "" {
		server, err := embedded.Start(w.cfg.Redis.Embedded)
		if err != nil {
			return err
		}
		w.onClose(server.Close)
		aging, stop := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() { server.Age(aging) })
		w.onClose(func() { stop(); wg.Wait() })
		address = server.URL()
		w.log.Warn("this Redis is inside the worker and keeps nothing: for trying out only", "redis", address)
	}
	var err error
	if w.url, err = withCredentials(address, w.cfg.Redis); err != nil {
		return &usageError{err}
	}
	if w.rdb, err = w.newClient("rollcall-worker"); err != nil {
		return &usageError{err}
	}
	w.onClose(func() { _ = w.rdb.Close() })
	return nil
}

func (w *worker) newClient(name string) (redis.UniversalClient, error) {
	return redisdb.Config{URL: w.url, ClientName: name}.Open()
}

// withCredentials puts the ACL user and its password into the URL.
func withCredentials(address string, cfg config.Redis) (secret.Text, error) {
	u, err := url.Parse(address)
	if err != nil {
		return secret.Text{}, fmt.Errorf("redis: url: %w", err)
	}
	if !cfg.Password.Value.IsZero() {
		u.User = url.UserPassword(cfg.Username, cfg.Password.Value.Reveal())
	} else if cfg.Username != "" {
		u.User = url.User(cfg.Username)
	}
	return secret.New(u.String()), nil
}

// addTenant adds a lane for each API of the tenant's platform.
func (w *worker) addTenant(organisation string, t config.Tenant, record *ledger.Ledger) error {
	if d := t.DingTalk; d != nil {
		client, err := dingtalk.New(dingtalk.Config{
			Tenant: t.Name, AppKey: d.AppKey, AppSecret: d.AppSecret.Value,
			API: d.API, OAPI: d.OAPI, Timeout: time.Duration(d.Timeout),
		})
		if err != nil {
			return err
		}
		w.onClose(client.Close)
		limits := tasks.Limits{NicknameMax: d.NicknameMax}
		add := func(kind tasks.Kind, limit config.Limit, build func(handler.Env) handler.Func) {
			w.addLane(lane.Config{
				Organisation: organisation, Tenant: t.Name, Platform: "dingtalk", Kind: kind,
				Limit: paceLimit(limit), Timeout: time.Duration(d.Timeout),
			}, limits, record, build)
		}
		add(tasks.KindNickname, d.Limits.Nickname, func(e handler.Env) handler.Func { return handler.Nickname(e, client) })
		add(tasks.KindGroup, d.Limits.Group, func(e handler.Env) handler.Func { return handler.Group(e, client) })
		add(tasks.KindID, d.Limits.ID, func(e handler.Env) handler.Func { return handler.ID(e, client) })
	}
	if c := t.ClassIn; c != nil {
		client, err := classin.New(classin.Config{
			Tenant: t.Name, SID: c.SID, Secret: c.Secret.Value, BaseURL: c.BaseURL, Timeout: time.Duration(c.Timeout),
		})
		if err != nil {
			return err
		}
		w.onClose(client.Close)
		w.addLane(lane.Config{
			Organisation: organisation, Tenant: t.Name, Platform: "classin", Kind: tasks.KindCourse,
			Limit: paceLimit(c.Limits.Course), Timeout: time.Duration(c.Timeout),
		}, tasks.Limits{}, record, func(e handler.Env) handler.Func { return handler.Course(e, client) })
	}
	return nil
}

func (w *worker) addLane(cfg lane.Config, limits tasks.Limits, record *ledger.Ledger, build func(handler.Env) handler.Func) {
	w.lanes.Add(cfg, func(slot func(context.Context) error) handler.Func {
		return build(handler.Env{
			Organisation: cfg.Organisation, Limits: limits, Ledger: record, Slot: slot,
			Deadline: lane.Deadline(cfg.Timeout),
		})
	})
}

func paceLimit(l config.Limit) pace.Limit {
	return pace.Limit{Calls: l.Calls, Per: time.Duration(l.Per)}
}

// run works until ctx ends, then stops and closes everything. tellReady, if not
// nil, is called once tasks are being taken.
func (w *worker) run(ctx context.Context, tellReady func(ready)) error {
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
	if !w.awaitRedis(ctx) {
		return nil
	}
	if err := w.publish(ctx); err != nil {
		return fmt.Errorf("say which lanes are served: %w", err)
	}
	if err := w.lanes.Start(); err != nil {
		return err
	}
	wg.Go(func() { w.keepPublishing(background) })
	wg.Go(func() { w.lanes.Sweep(background) })

	told := ready{redisURL: w.url}
	attrs := []any{"lanes", len(w.lanes.Lanes())}
	if w.page != nil {
		told.page = w.page.URL()
		attrs = append(attrs, "monitor", told.page)
	}
	w.log.Info("worker ready", attrs...)
	if tellReady != nil {
		tellReady(told)
	}

	<-ctx.Done()
	w.log.Info("worker stopping: nothing new is taken, running calls finish")
	w.lanes.Stop()
	w.log.Info("worker stopped")
	return nil
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
		w.log.Warn("Redis does not answer; the worker waits for it", "redis", w.cfg.Redis.URL, "err", err)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(redisAsked):
		}
	}
}

// publish says which lanes are served, so that producers can refuse the others.
func (w *worker) publish(ctx context.Context) error {
	var served []tasks.Lane
	for _, org := range w.cfg.Organisations {
		for _, t := range org.Tenants {
			if t.DingTalk != nil {
				for _, kind := range []tasks.Kind{tasks.KindNickname, tasks.KindGroup, tasks.KindID} {
					served = append(served, tasks.Lane{
						Organisation: org.Name, Tenant: t.Name, Kind: kind, NicknameMax: t.DingTalk.NicknameMax,
					})
				}
			}
			if t.ClassIn != nil {
				served = append(served, tasks.Lane{Organisation: org.Name, Tenant: t.Name, Kind: tasks.KindCourse})
			}
		}
	}
	return tasks.PublishLanes(ctx, w.rdb, served)
}

func (w *worker) keepPublishing(ctx context.Context) {
	ticker := time.NewTicker(publishEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := w.publish(ctx); err != nil && ctx.Err() == nil {
			w.log.Warn("could not say which lanes are served; the next minute tries again", "err", err)
		}
	}
}

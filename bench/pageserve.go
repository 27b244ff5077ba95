package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/hibiken/asynqmon"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/access"
	"rollcall/internal/enqueue"
	"rollcall/internal/ledger"
	"rollcall/internal/overview"
	"rollcall/internal/redisdb"
	runs "rollcall/internal/run"
	"rollcall/internal/secret"
	"rollcall/internal/ui"
)

const (
	// pageArgument makes the bench a process that serves pages.
	pageArgument = "pages"
	// countPath returns the commands since it was last read, and is not counted itself.
	countPath = "/bench/commands"
)

// pageSpec is what that process needs.
type pageSpec struct {
	Redis  string `json:"redis"`
	Listen string `json:"listen"`
	Peer   bool   `json:"peer"`
}

// runPages serves rollcall's pages, or asynqmon's, until it is killed.
func runPages(ctx context.Context, said string) error {
	var spec pageSpec
	if err := json.Unmarshal([]byte(said), &spec); err != nil {
		return err
	}
	mux, count := http.NewServeMux(), &commandCount{of: ofPage}
	mux.HandleFunc("GET "+countPath, func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, count.n.Swap(0)) })
	if spec.Peer {
		count.of = func(context.Context) bool { return true }
		mux.Handle("/", asynqmon.New(asynqmon.Options{RedisConnOpt: countedOpt{spec.Redis, count}}))
	} else {
		pages, stop, err := ourPages(ctx, spec, count)
		if err != nil {
			return err
		}
		defer stop()
		mux.Handle("/", pages)
	}
	return (&http.Server{Addr: spec.Listen, Handler: mux, ReadHeaderTimeout: time.Second}).ListenAndServe()
}

// ourPages are the pages as the worker wires them.
func ourPages(ctx context.Context, spec pageSpec, count *commandCount) (pages http.Handler, stop func(), err error) {
	rdb, err := redisdb.Open("redis://" + spec.Redis + "/0")
	if err != nil {
		return nil, nil, err
	}
	rdb.AddHook(count)
	producer, err := enqueue.New(enqueue.Config{Redis: &redis.UniversalOptions{Addrs: []string{spec.Redis}}})
	if err != nil {
		return nil, nil, err
	}
	record := ledger.New(rdb)
	service := runs.New(runs.Config{Redis: rdb, Ledger: record})
	state := overview.NewReader(overview.Config{Redis: rdb, Ledger: record, Runs: service})
	go state.Watch(ctx)
	users := access.NewUsers(access.Account{Name: pageUser, Password: secret.New(pagePassword), Role: access.Administrator, Names: true})
	served := ui.New(ui.Config{
		Login: access.NewLogin(access.LoginConfig{Users: users, Sessions: access.NewSessions(rdb, time.Now)}),
		Redis: rdb, Ledger: record, Runs: service, Producer: producer, State: state, Zone: time.UTC,
	})
	marked := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), pageMark{}, true)))
	})
	return marked, func() { served.Close(); _ = producer.Close(); _ = rdb.Close() }, nil
}

// pageMark marks the context of a request, which the reading that all share does not have.
type pageMark struct{}

func ofPage(ctx context.Context) bool { return ctx.Value(pageMark{}) != nil }

// countedOpt is a connection of asynq whose commands are counted.
type countedOpt struct {
	address string
	count   *commandCount
}

func (o countedOpt) MakeRedisClient() any {
	rdb := asynq.RedisClientOpt{Addr: o.address}.MakeRedisClient().(redis.UniversalClient) //nolint:forcetypeassert // of asynq
	rdb.AddHook(o.count)
	return rdb
}

// commandCount counts commands by their context.
type commandCount struct {
	of func(context.Context) bool
	n  atomic.Int64
}

func (c *commandCount) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *commandCount) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if c.of(ctx) {
			c.n.Add(1)
		}
		return next(ctx, cmd)
	}
}

func (c *commandCount) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if c.of(ctx) {
			c.n.Add(int64(len(cmds)))
		}
		return next(ctx, cmds)
	}
}

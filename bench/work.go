package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/hibiken/asynq"

	"rollcall/internal/handler"
	"rollcall/internal/kinds"
	"rollcall/internal/lane"
	"rollcall/internal/ledger"
	"rollcall/internal/pace"
	"rollcall/internal/redisdb"
	"rollcall/internal/secret"
	"rollcall/internal/sweep"
	"rollcall/providers/dingtalk"
	"rollcall/tasks"
)

const (
	carriedOut   = 4000 // tasks a turn
	carriedQuick = 500
	pickups      = 21 // tasks that each side picks up
	// concurrency is that of a lane whose limit is never reached.
	concurrency = 256
	callTimeout = 15 * time.Second
	// drains bounds a turn, so that a side that hangs is an error.
	drains = time.Minute
)

// outOfReach is a limit that never makes a sender wait.
var outOfReach = pace.Limit{Calls: 1_000_000, Per: time.Second}

// serveOurs starts one lane as the worker wires it.
func serveOurs(b *bench) (stop func(), err error) {
	rdb, err := redisdb.Open(b.url())
	if err != nil {
		return nil, err
	}
	client, err := dingtalk.New(dingtalk.Config{
		Tenant: tenant, AppKey: "bench", AppSecret: secret.New("bench"), API: b.platform.url, OAPI: b.platform.url,
		Timeout: callTimeout,
	})
	if err != nil {
		return nil, errors.Join(err, rdb.Close())
	}
	shared := redisdb.NewAutopipeline(rdb)
	record := ledger.NewShared(rdb, shared)
	set := lane.NewSet(rdb, shared, record, "bench", slog.New(slog.DiscardHandler))
	set.Add(lane.Config{
		Organisation: organisation, Tenant: tenant, Platform: "dingtalk", Kind: tasks.KindNickname,
		Limits: []pace.Limit{outOfReach}, Timeout: callTimeout,
	}, handler.Nickname(handler.Env{Organisation: organisation, Tenant: tenant, Ledger: record, Deadline: lane.Deadline(callTimeout)}, client))
	if err := set.Start(context.Background()); err != nil {
		return nil, errors.Join(err, rdb.Close())
	}
	sweeper := sweep.New(sweep.Config{Redis: rdb, Ledger: record, Lanes: set, Log: slog.New(slog.DiscardHandler)})
	sweeping, endSweep := context.WithCancel(context.Background())
	var swept sync.WaitGroup
	swept.Go(func() { sweeper.Run(sweeping) })
	return func() {
		set.Stop()
		endSweep()
		swept.Wait()
		client.Close()
		_ = rdb.Close()
	}, nil
}

// silent keeps asynq from logging.
type silent struct{}

func (silent) Debug(...any) {}
func (silent) Info(...any)  {}
func (silent) Warn(...any)  {}
func (silent) Error(...any) {}
func (silent) Fatal(...any) {}

// servePeer starts what a user would write: an asynq server whose handler makes the
// same call and reads the answer, with enough connections to keep.
func servePeer(b *bench, cfg asynq.Config, queue string) (stop func(), err error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = concurrency
	client := &http.Client{Transport: transport, Timeout: callTimeout}
	cfg.Queues, cfg.Logger = map[string]int{queue: 1}, silent{}
	server := asynq.NewServer(asynq.RedisClientOpt{Addr: b.address}, cfg)
	err = server.Start(asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
		return bareCall(ctx, client, b.platform.url, task.Payload())
	}))
	if err != nil {
		return nil, err
	}
	return func() {
		server.Shutdown()
		transport.CloseIdleConnections()
	}, nil
}

// answerError is an answer of the platform that is no success.
type answerError struct {
	code int
	sub  string // the gateway's own code
}

func (e *answerError) Error() string {
	return fmt.Sprintf("the platform answered %d %s", e.code, e.sub)
}

func bareCall(ctx context.Context, client *http.Client, base string, payload []byte) error {
	var task tasks.NicknameSync
	if err := json.Unmarshal(payload, &task); err != nil {
		return err
	}
	form := url.Values{"chatid": {task.ChatID}, "userid": {task.UserID}, "group_nick": {task.Nickname}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost,
		base+"/topapi/chat/updategroupnick?access_token=token", strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct {
		Code    int    `json:"errcode"`
		SubCode string `json:"sub_code"`
		Success bool   `json:"success"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Code != 0 || !answer.Success {
		return &answerError{answer.Code, answer.SubCode}
	}
	return nil
}

// overhead fills a queue first, and measures from the start of the server until all
// tasks are done and recorded: the cost of the ledger and the pace.
func overhead(_ context.Context, b *bench) (sides, error) {
	p, err := newProducers(b, b.address)
	if err != nil {
		return sides{}, err
	}
	turn := func(serve func() (func(), error)) func(context.Context) (float64, error) {
		return func(ctx context.Context) (float64, error) {
			if err := b.clear(ctx); err != nil {
				return 0, err
			}
			if err := p.all(ctx, b.carried); err != nil {
				return 0, err
			}
			var stop func()
			v, err := rate(b.carried, func() (err error) {
				if stop, err = serve(); err != nil {
					return err
				}
				return b.drained(ctx, int64(b.carried))
			})
			if stop != nil {
				stop()
			}
			return v, err
		}
	}
	return sides{
		ours: turn(func() (func(), error) { return serveOurs(b) }),
		peer: turn(func() (func(), error) { return servePeer(b, asynq.Config{Concurrency: concurrency}, queue) }),
		end:  p.close,
	}, nil
}

// drained returns when n tasks of the queue are done.
func (b *bench) drained(ctx context.Context, n int64) error {
	ctx, cancel := context.WithTimeout(ctx, drains)
	defer cancel()
	for ctx.Err() == nil {
		done, err := b.rdb.ZCard(ctx, "asynq:{"+queue+"}:completed").Result()
		if err != nil {
			return err
		}
		if done == n {
			return nil
		}
		pause(ctx, 2*time.Millisecond)
	}
	return fmt.Errorf("not all of %d tasks were done within %s", n, drains)
}

// pickup keeps an idle server of each side up, each on a queue of its own, and
// times from before a task is enqueued until the platform sees its call.
func pickup(ctx context.Context, b *bench) (sides, error) {
	if err := b.clear(ctx); err != nil {
		return sides{}, err
	}
	p, err := newProducers(b, b.address)
	if err != nil {
		return sides{}, err
	}
	stopOurs, err := serveOurs(b)
	if err != nil {
		return sides{}, errors.Join(err, p.close())
	}
	stopPeer, err := servePeer(b, asynq.Config{}, peerQueue)
	if err != nil {
		stopOurs()
		return sides{}, errors.Join(err, p.close())
	}
	n := 0
	turn := func(queue string) func(context.Context) (float64, error) {
		return func(ctx context.Context) (float64, error) {
			// A task arrives at any time between two polls, not just after one.
			pause(ctx, rand.N(600*time.Millisecond)) //nolint:gosec // spreads, keeps no secret
			n++
			began := time.Now()
			if err := p.plain(ctx, n, queue); err != nil {
				return 0, err
			}
			select {
			case at := <-b.platform.came:
				return float64(at.Sub(began).Microseconds()) / 1000, nil
			case <-time.After(drains):
				return 0, fmt.Errorf("no call within %s", drains)
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
	}
	return sides{
		ours: turn(queue), peer: turn(peerQueue), rounds: pickups,
		end: func() error {
			stopOurs()
			stopPeer()
			return p.close()
		},
	}, nil
}

// plain stores one task by asynq's client, for both sides alike.
func (p *producers) plain(ctx context.Context, n int, queue string) error {
	typename, payload, err := kinds.Encode(task(n), int64(n))
	if err != nil {
		return err
	}
	_, err = p.peer.EnqueueContext(ctx, asynq.NewTask(typename, payload), asynq.Queue(queue), asynq.Retention(kept))
	return err
}

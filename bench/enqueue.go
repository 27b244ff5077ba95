package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"

	"rollcall/internal/enqueue"
	"rollcall/internal/kinds"
	"rollcall/internal/redisdb"
	"rollcall/internal/registry"
	"rollcall/internal/secret"
	"rollcall/tasks"
)

const (
	enqueuedOne  = 1000 // tasks a turn
	enqueuedBulk = 3000
	enqueuedFar  = 3000
	loopedFar    = 300 // by the peer, whose rate does not depend on their number
	// oneWay is the one-way delay to another machine in the same city. Timers add to
	// it.
	oneWay = time.Millisecond
	// kept is how long asynq keeps a done task, the same as ours.
	kept = 10 * time.Minute
)

// Ours is the lane's. The peer has one of its own where both are served together.
var (
	queue     = registry.Queue(tenant, tasks.KindNickname, false)
	peerQueue = "peer"
)

// producers are the two clients.
type producers struct {
	b    *bench
	ours *enqueue.Client
	peer *asynq.Client
}

// newProducers connects both to a Redis at an address.
func newProducers(b *bench, address string) (*producers, error) {
	options, err := redisdb.Config{URL: secret.New("redis://" + address + "/0")}.Options()
	if err != nil {
		return nil, err
	}
	ours, err := enqueue.New(enqueue.Config{Redis: options})
	if err != nil {
		return nil, err
	}
	return &producers{b: b, ours: ours, peer: asynq.NewClient(asynq.RedisClientOpt{Addr: address})}, nil
}

func (p *producers) close() error { return errors.Join(p.ours.Close(), p.peer.Close()) }

// task returns the nth task; each is for another user.
func task(n int) tasks.NicknameSync {
	return tasks.NicknameSync{
		Tenant: tenant, ChatID: "chat7Af3929a", UserID: fmt.Sprintf("user%05d", n), Nickname: fmt.Sprintf("7A 张三 %d", n),
	}
}

// rate times work on n tasks, in tasks a second.
func rate(n int, work func() error) (float64, error) {
	began := time.Now()
	if err := work(); err != nil {
		return 0, err
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

// serial enqueues n tasks with asynq's own client, one after another. The payloads are
// encoded in advance: encoding is part of our side.
func (p *producers) serial(ctx context.Context, n int) (float64, error) {
	if err := p.b.clear(ctx); err != nil {
		return 0, err
	}
	waiting := make([]*asynq.Task, n)
	for i := range waiting {
		typename, payload, err := kinds.Encode(task(i), int64(i+1))
		if err != nil {
			return 0, err
		}
		waiting[i] = asynq.NewTask(typename, payload)
	}
	return rate(n, func() error {
		for _, task := range waiting {
			if _, err := p.peer.EnqueueContext(ctx, task, asynq.Queue(queue), asynq.Retention(kept)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (p *producers) all(ctx context.Context, n int) error {
	requests := make([]tasks.Request, n)
	for i := range requests {
		requests[i] = tasks.Request{Task: task(i)}
	}
	for _, result := range p.ours.EnqueueAll(ctx, requests) {
		if result.Err != nil {
			return result.Err
		}
	}
	return nil
}

func enqueueOne(_ context.Context, b *bench) (sides, error) {
	p, err := newProducers(b, b.address)
	if err != nil {
		return sides{}, err
	}
	return sides{
		ours: func(ctx context.Context) (float64, error) {
			if err := b.clear(ctx); err != nil {
				return 0, err
			}
			return rate(enqueuedOne, func() error {
				for i := range enqueuedOne {
					if _, err := p.ours.Enqueue(ctx, task(i), tasks.Options{}); err != nil {
						return err
					}
				}
				return nil
			})
		},
		peer: func(ctx context.Context) (float64, error) { return p.serial(ctx, enqueuedOne) },
		end:  p.close,
	}, nil
}

// bulk compares EnqueueAll with a loop.
func (p *producers) bulk(n, looped int, end func() error) sides {
	return sides{
		ours: func(ctx context.Context) (float64, error) {
			if err := p.b.clear(ctx); err != nil {
				return 0, err
			}
			return rate(n, func() error { return p.all(ctx, n) })
		},
		peer: func(ctx context.Context) (float64, error) { return p.serial(ctx, looped) },
		end:  end,
	}
}

func enqueueBulk(_ context.Context, b *bench) (sides, error) {
	p, err := newProducers(b, b.address)
	if err != nil {
		return sides{}, err
	}
	return p.bulk(enqueuedBulk, enqueuedBulk, p.close), nil
}

func enqueueFar(_ context.Context, b *bench) (sides, error) {
	between, err := newDistance(b.address, oneWay)
	if err != nil {
		return sides{}, err
	}
	p, err := newProducers(b, between.address())
	if err != nil {
		between.close()
		return sides{}, err
	}
	return p.bulk(enqueuedFar, loopedFar, func() error {
		defer between.close()
		return p.close()
	}), nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"rollcall/internal/pace"
)

const (
	manyCalls  = 250 // a second
	manyAsking = 200 // handlers that always have something to send
)

// limiterCalls counts the scripts that Redis runs for a request that is sent.
// Each side runs in this process and has the machine for itself.
func limiterCalls(ctx context.Context, t *theatre) ([]result, error) {
	ours, err := t.scriptsPerRequest(ctx, func(rdb redis.UniversalClient) func(context.Context) error {
		// The only place that knows how a slot is requested.
		lane := pace.New(rdb, pace.Config{
			Organisation: organisation, Name: tenant + ".nickname", Limits: []pace.Limit{{Calls: manyCalls, Per: time.Second}},
		})
		return func(ctx context.Context) error {
			_, err := lane.Wait(ctx, false)
			return err
		}
	})
	if err != nil {
		return nil, err
	}
	peer, err := t.scriptsPerRequest(ctx, func(rdb redis.UniversalClient) func(context.Context) error {
		limiter := redis_rate.NewLimiter(rdb)
		return func(ctx context.Context) error {
			for {
				r, err := limiter.Allow(ctx, tenant, redis_rate.PerSecond(manyCalls))
				if err != nil || r.Allowed > 0 {
					return err
				}
				pause(ctx, r.RetryAfter)
			}
		}
	})
	return []result{{
		"pace.limiter_calls_per_request", ours, peer, "scripts",
		fmt.Sprintf("go-redis/redis_rate asked by each of %d goroutines, which sleeps as long as it says", manyAsking),
	}}, err
}

// scriptsPerRequest has many goroutines send as soon as wait returns, to a platform
// with a bucket limit.
func (t *theatre) scriptsPerRequest(ctx context.Context, open func(redis.UniversalClient) func(context.Context) error) (float64, error) {
	server, rdb, err := openRedis(ctx)
	if err != nil {
		return 0, err
	}
	defer server.stop()
	defer func() { _ = rdb.Close() }()
	platform, err := openCheck(bucketKind, manyCalls, time.Second, true)
	if err != nil {
		return 0, err
	}
	defer platform.close()
	wait := open(rdb)
	var sent atomic.Int64
	asking, stop := context.WithCancel(ctx)
	defer stop()
	group, asking := errgroup.WithContext(asking)
	for range manyAsking {
		group.Go(func() error {
			for {
				if err := wait(asking); err != nil {
					if _, later := errors.AsType[*pace.BookedOutError](err); later {
						continue
					}
					return err
				}
				if platform.judge("") {
					sent.Add(1)
				}
			}
		})
	}
	pause(asking, t.tempo.limiter/5)
	ran, err := scripts(ctx, rdb)
	before := sent.Load()
	if err == nil {
		pause(asking, t.tempo.limiter)
		var ranThen int64
		ranThen, err = scripts(ctx, rdb)
		ran = ranThen - ran
	}
	requests := sent.Load() - before
	ended := asking.Err() != nil
	stop()
	if groupErr := group.Wait(); err == nil && ended {
		err = groupErr
	}
	if err != nil {
		return 0, err
	}
	return float64(ran) / float64(requests), nil
}

var scriptCalls = regexp.MustCompile(`cmdstat_eval(?:sha)?:calls=(\d+)`)

// scripts is how many scripts a Redis has been asked to run so far.
func scripts(ctx context.Context, rdb redis.UniversalClient) (int64, error) {
	said, err := rdb.Info(ctx, "commandstats").Result()
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, match := range scriptCalls.FindAllStringSubmatch(said, -1) {
		n, err := strconv.ParseInt(match[1], 10, 64)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/hibiken/asynq"
	timerate "golang.org/x/time/rate"

	"rollcall/internal/kinds"
	"rollcall/tasks"
)

const (
	// bareArgument makes the bench one of the peer's processes.
	bareArgument = "peer-process"
	// bareConcurrency is that of the example in asynq's wiki.
	bareConcurrency = 10
	// neverArchived is a bound on retries that no task reaches.
	neverArchived = 1 << 20
)

// bareSpec is the configuration of a process of the peer.
type bareSpec struct {
	Redis       string  `json:"redis"`
	Platform    string  `json:"platform"`
	PerSecond   float64 `json:"per_second"`  // this process' share of the limit
	Concurrency int     `json:"concurrency"` // 0: asynq's default
	Servers     int     `json:"servers"`
	First       int     `json:"first"` // the number of its first server
}

// bareIs describes the peer.
func bareIs(processes int) string {
	servers := "asynq servers"
	if processes == 1 {
		servers = "asynq server"
	}
	return fmt.Sprintf("%d %s with the limiter of asynq's wiki, each with its share of N; else a retry in 0 to 9 s", processes, servers)
}

// bareQueue is a queue of one of the peer's servers.
func bareQueue(server int, urgent bool) string {
	if urgent {
		return fmt.Sprintf("urgent%d", server)
	}
	return fmt.Sprintf("normal%d", server)
}

// bare enqueues a task with asynq only.
func (p *producers) bare(ctx context.Context, task tasks.NicknameSync, queue string) error {
	typename, payload, err := kinds.Encode(task, 1)
	if err != nil {
		return err
	}
	_, err = p.peer.EnqueueContext(ctx, asynq.NewTask(typename, payload), asynq.Queue(queue), asynq.MaxRetry(neverArchived))
	return err
}

func (s *side) startBare(ctx context.Context, n, i int) (*process, error) {
	spec := bareSpec{
		Redis: s.redis.address, Platform: s.gate.url, PerSecond: s.perSecond() / float64(n),
		Concurrency: bareConcurrency, Servers: 1,
	}
	if s.many {
		spec.Servers, spec.Concurrency = manyLanes, 0
	}
	return s.theatre.startRole(ctx, bareArgument, spec, fmt.Sprintf("%s.peer%d.log", s.name, i), s.fail)
}

// rateLimitError is the wiki's: not a failure, and tried again after a while.
type rateLimitError struct{ retryIn time.Duration }

func (e *rateLimitError) Error() string { return fmt.Sprintf("rate limited (retry in %s)", e.retryIn) }

func newRateLimitError() error {
	return &rateLimitError{time.Duration(rand.IntN(10)) * time.Second} //nolint:gosec // spreads, keeps no secret
}

func isRateLimit(err error) bool {
	_, ok := errors.AsType[*rateLimitError](err)
	return ok
}

// runBare is a process of the peer. It serves until ctx ends, which as a rule
// is when it is killed.
func runBare(ctx context.Context, said string) error {
	var spec bareSpec
	if err := json.Unmarshal([]byte(said), &spec); err != nil {
		return err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = concurrency
	client := &http.Client{Transport: transport, Timeout: callTimeout}
	for i := spec.First; i < spec.First+spec.Servers; i++ {
		// One second's share as the burst: a limiter that lets a whole longer
		// window go at once is refused by most platforms.
		limiter := timerate.NewLimiter(timerate.Limit(spec.PerSecond), max(int(spec.PerSecond), 1))
		server := asynq.NewServer(asynq.RedisClientOpt{Addr: spec.Redis}, asynq.Config{
			Concurrency:    spec.Concurrency,
			Queues:         map[string]int{bareQueue(i, true): 2, bareQueue(i, false): 1},
			StrictPriority: true,
			IsFailure:      func(err error) bool { return !isRateLimit(err) },
			RetryDelayFunc: func(n int, err error, task *asynq.Task) time.Duration {
				if limited, ok := errors.AsType[*rateLimitError](err); ok {
					return limited.retryIn
				}
				return asynq.DefaultRetryDelayFunc(n, err, task)
			},
			Logger: silent{},
		})
		err := server.Start(asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
			if !limiter.Allow() {
				return newRateLimitError()
			}
			err := bareCall(ctx, client, spec.Platform, task.Payload())
			if refused, ok := errors.AsType[*answerError](err); ok && refused.sub == "90018" {
				return newRateLimitError()
			}
			return err
		}))
		if err != nil {
			return err
		}
		defer server.Shutdown()
	}
	<-ctx.Done()
	return nil
}

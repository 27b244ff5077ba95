// Package lane runs the lanes: for each tenant and API one asynq server of its
// own, so that a platform that hangs or refuses holds nobody else's tasks.
//
// outcome.go is the only place that turns an error into a task's fate. This
// package must not know any platform's client nor how a task is carried out.
package lane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/handler"
	"rollcall/internal/ledger"
	"rollcall/internal/logging"
	"rollcall/internal/pace"
	"rollcall/tasks"
)

// ErrStopping is why a task that waited for its slot went back when the worker
// stopped.
var ErrStopping = errors.New("the worker is stopping")

const (
	// pollEvery is how often an idle lane looks for a task; asynq spreads it by
	// half. Two queues, so ten requests a second and lane at the most.
	pollEvery = 200 * time.Millisecond
	// forwardEvery is how often tasks whose wait is over are made pending.
	forwardEvery = time.Second
)

// Deadline is how long one attempt may take when an HTTP exchange may take
// timeout: three sends and a token, and some for their slots.
func Deadline(timeout time.Duration) time.Duration { return 4*timeout + 30*time.Second }

// ShutdownTimeout is how long a stop waits for running calls: the longest
// exchange, the slot before it, and the settle after it.
func ShutdownTimeout(timeout time.Duration) time.Duration {
	return timeout + pace.Horizon + 30*time.Second
}

// Config says what a lane serves.
type Config struct {
	Organisation string
	Tenant       string
	Platform     string // whose API it is, for pauses that concern all of a platform
	Kind         tasks.Kind
	Limit        pace.Limit    // at the start; see Set.SetLimit
	Timeout      time.Duration // of one HTTP exchange
}

// Name is the lane's name in logs, metrics and queues.
func (c Config) Name() string { return c.Tenant + "." + string(c.Kind) }

// concurrency is how many tasks are at it together: what the limit lets through
// in a second, as most answers come within one.
func (c Config) concurrency() int {
	perSecond := int(float64(c.Limit.Calls) / c.Limit.Per.Seconds())
	return min(max(perSecond, 2)+2, 64)
}

// Lane is one tenant at one API.
type Lane struct {
	Config

	set    *Set
	pacer  *pace.Lane
	handle handler.Func
	server *asynq.Server
	log    *slog.Logger

	mu   sync.Mutex
	hold hold
}

// Set is all lanes of a process.
type Set struct {
	rdb    redis.UniversalClient
	ledger *ledger.Ledger
	log    *slog.Logger
	lanes  []*Lane
	// observer may be nil.
	observer Observer

	stopping context.Context //nolint:containedctx // the process' end, no request's
	stop     context.CancelCauseFunc
}

// NewSet returns a Set without lanes. rdb stays the caller's to close, after Stop.
func NewSet(rdb redis.UniversalClient, record *ledger.Ledger, log *slog.Logger) *Set {
	s := &Set{rdb: rdb, ledger: record, log: log}
	s.stopping, s.stop = context.WithCancelCause(context.Background())
	return s
}

// Add adds a lane. build makes its handler from what the lane provides.
func (s *Set) Add(cfg Config, build func(slot func(context.Context) error) handler.Func) {
	l := &Lane{
		Config: cfg,
		set:    s,
		pacer:  pace.NewLane(s.rdb, cfg.Organisation, cfg.Name(), cfg.Limit),
		log:    s.log.With("lane", cfg.Name()),
	}
	l.handle = build(l.Slot)
	l.server = asynq.NewServerFromRedisClient(s.rdb, asynq.Config{
		Concurrency: cfg.concurrency(),
		Queues: map[string]int{
			tasks.Queue(cfg.Tenant, cfg.Kind, true):  2,
			tasks.Queue(cfg.Tenant, cfg.Kind, false): 1,
		},
		StrictPriority:           true,
		RetryDelayFunc:           delay,
		IsFailure:                counts,
		TaskCheckInterval:        pollEvery,
		DelayedTaskCheckInterval: forwardEvery,
		ShutdownTimeout:          ShutdownTimeout(cfg.Timeout),
		Logger:                   logging.Asynq{Log: l.log},
		LogLevel:                 asynq.InfoLevel,
	})
	s.lanes = append(s.lanes, l)
}

// Lanes are the lanes in the order in which they were added.
func (s *Set) Lanes() []*Lane { return s.lanes }

// SetLimit has the lane of a tenant and kind keep another limit from its next
// slot on; false if there is no such lane. How many tasks the lane is at
// together was fixed when it was added: a limit raised by more than two calls a
// second is reached only as far as those tasks go.
func (s *Set) SetLimit(tenant string, kind tasks.Kind, limit pace.Limit) bool {
	for _, l := range s.lanes {
		if l.Tenant == tenant && l.Kind == kind {
			l.pacer.SetLimit(limit)
			return true
		}
	}
	return false
}

// Start lets every lane take tasks.
func (s *Set) Start() error {
	for _, l := range s.lanes {
		if err := l.server.Start(asynq.HandlerFunc(l.process)); err != nil {
			return fmt.Errorf("lane %s: start: %w", l.Name(), err)
		}
	}
	return nil
}

// Stop ends all lanes: nothing new is taken, what waits for a slot goes back
// uncounted, running calls finish. It returns when they have, or after the
// longest ShutdownTimeout.
func (s *Set) Stop() {
	// A server's Stop waits for its poll to end: one after another, a hundred
	// lanes would take longer than their calls.
	var polling, running sync.WaitGroup
	for _, l := range s.lanes {
		polling.Go(l.server.Stop)
	}
	polling.Wait()
	s.stop(ErrStopping)
	for _, l := range s.lanes {
		running.Go(l.server.Shutdown)
	}
	running.Wait()
}

// Slot returns when the lane's next send may leave. It fails with ErrStopping,
// with a *HeldError, with a *pace.BookedOutError, with the end of ctx, or when
// Redis does not answer.
func (l *Lane) Slot(ctx context.Context) error {
	if l.set.stopping.Err() != nil {
		return ErrStopping
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(l.set.stopping, func() { cancel(ErrStopping) })()
	if err := l.held(time.Now()); err != nil {
		return err
	}
	return l.pacer.Wait(ctx)
}

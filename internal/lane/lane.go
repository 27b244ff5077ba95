// Package lane runs the lanes: for each tenant and API one asynq server of its
// own, so that a platform that hangs or refuses holds nobody else's tasks.
//
// gate.go decides when a lane takes a task, hold.go what keeps a lane from it,
// and outcome.go is the only place that turns an error into a task's fate. This
// package must not know any platform's client nor how a task is carried out.
package lane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/sony/gobreaker/v2"

	"rollcall/internal/handler"
	"rollcall/internal/hold"
	"rollcall/internal/ledger"
	"rollcall/internal/logging"
	"rollcall/internal/pace"
	"rollcall/internal/redisdb"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

// ErrStopping is why a task that waited for its slot went back when the worker
// stopped.
var ErrStopping = errors.New("the worker is stopping")

const (
	// rest is how long asynq sleeps after a dequeue that yielded nothing, give or
	// take half. The gate is what waits for tasks, so it is short.
	rest = 20 * time.Millisecond
	// forwardEvery is how often tasks whose wait is over are made pending.
	forwardEvery = time.Second
	// mostTogether bounds how many tasks a lane is at in one process: each may
	// need a connection. Urgent ones may be spareUrgent more.
	mostTogether = 256
	spareUrgent  = 4
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
	Limits       []pace.Limit  // at the start; see Set.SetLimits
	Timeout      time.Duration // of one HTTP exchange
	// Metered tells that calls count against the organisation's month.
	Metered bool
	Quota   pace.Quota // of the organisation, at the start; see Set.SetQuota
	// Address is what all lanes share that call from one address; nil: none.
	// AddressName names it in holds.
	Address     *pace.Address
	AddressName string
	// Probe finds out by an unmetered call whether the tenant's credentials are
	// right. nil: the platform has none, and one task finds out.
	Probe func(context.Context) error
	// Ask makes that call even if a token is at hand, and so finds out whether the
	// platform answers this address. nil: Probe does.
	Ask func(context.Context) error
}

// Name is the lane's name in logs, metrics and queues.
func (c Config) Name() string { return c.Tenant + "." + string(c.Kind) }

// places are those whose holds hold the lane.
func (c Config) places() []hold.Place {
	places := []hold.Place{{Level: hold.Lane, Name: c.Name()}, {Level: hold.Tenant, Name: c.Tenant}}
	if c.Metered {
		places = append(places, hold.Place{Level: hold.Organisation, Name: c.Organisation})
	}
	if c.AddressName != "" {
		places = append(places, hold.Place{Level: hold.Address, Name: c.AddressName})
	}
	return places
}

// Lane is one tenant at one API.
type Lane struct {
	Config

	set     *Set
	pacer   *pace.Lane
	handle  handler.Func
	server  *asynq.Server
	log     *slog.Logger
	gate    *gate
	breaker atomic.Pointer[gobreaker.TwoStepCircuitBreaker[struct{}]]
	faults  faults

	claim     atomic.Pointer[claim] // of a probe by a task of this lane; nil: none
	pageAgain atomic.Bool           // a task has met several HTML pages
	rejoining atomic.Bool
	buried    atomic.Bool // the lane may have dead letters
}

// Set is all lanes of a process.
type Set struct {
	rdb    redis.UniversalClient
	shared *redisdb.Autopipeline
	ledger *ledger.Ledger
	board  *hold.Board
	log    *slog.Logger
	lanes  []*Lane
	quotas sync.Map // organisation → pace.Quota
	name   string   // of this worker, in holds
	// servers are those that took writes, by their run ids; the lookout's alone,
	// and memory too.
	servers map[string]bool
	memory  *redisdb.Memory
	// unrestored are the holds as they were read before the first look at the
	// memory that failed; the lookout's alone.
	unrestored []hold.Hold
	redis      redisState
	faults     logging.Conditions // of steps that are repeated
	look       chan struct{}
	back       chan struct{}
	// observer may be nil.
	observer Observer

	stopping context.Context //nolint:containedctx // the process' end, no request's
	stop     context.CancelCauseFunc
	watching sync.WaitGroup
}

// NewSet returns a Set without lanes. rdb stays the caller's to close, after
// Stop. shared is on rdb, for what follows each task. name is the worker's, for
// those who read who has put a lane on hold.
func NewSet(rdb redis.UniversalClient, shared *redisdb.Autopipeline, record *ledger.Ledger, name string, log *slog.Logger) *Set {
	s := &Set{rdb: rdb, shared: shared, ledger: record, board: hold.NewBoard(rdb), name: name, log: log, look: make(chan struct{}, 1), back: make(chan struct{}, 1)}
	s.faults.Log, s.redis.line = log, redisLine(log)
	s.stopping, s.stop = context.WithCancelCause(context.Background())
	return s
}

// Add adds a lane. build makes its handler from what the lane provides.
func (s *Set) Add(cfg Config, build func(handler.Pacer) handler.Func) {
	l := &Lane{
		Config: cfg,
		set:    s,
		pacer: pace.New(s.rdb, pace.Config{
			Organisation: cfg.Organisation, Name: cfg.Name(), Limits: cfg.Limits,
			Metered: cfg.Metered, Quota: cfg.Quota, Address: cfg.Address,
		}),
		log: s.log.With("lane", cfg.Name()),
	}
	l.breaker.Store(newBreaker(cfg.Name()))
	l.gate = newGate(l)
	l.handle = build(l)
	if cfg.Metered {
		s.quotas.Store(cfg.Organisation, cfg.Quota)
	}
	l.server = asynq.NewServerFromRedisClient(gated{UniversalClient: s.rdb, gate: l.gate, shared: s.shared}, asynq.Config{
		Concurrency: mostTogether + spareUrgent,
		Queues: map[string]int{
			registry.Queue(cfg.Tenant, cfg.Kind, true):  2,
			registry.Queue(cfg.Tenant, cfg.Kind, false): 1,
		},
		StrictPriority:           true,
		RetryDelayFunc:           delay,
		IsFailure:                counts,
		TaskCheckInterval:        rest,
		DelayedTaskCheckInterval: forwardEvery,
		ShutdownTimeout:          ShutdownTimeout(cfg.Timeout),
		Logger:                   asynqLog{Asynq: logging.Asynq{Log: l.log}, lane: l},
		LogLevel:                 asynq.InfoLevel,
	})
	s.lanes = append(s.lanes, l)
}

// Lanes are the lanes in the order in which they were added.
func (s *Set) Lanes() []*Lane { return s.lanes }

// SetLimits has the lane of a tenant and kind keep other limits from its next
// slot on; false if there is no such lane.
func (s *Set) SetLimits(ctx context.Context, tenant string, kind tasks.Kind, limits []pace.Limit) (bool, error) {
	for _, l := range s.lanes {
		if l.Tenant != tenant || l.Kind != kind {
			continue
		}
		changed := l.pacer.SetLimits(limits)
		for _, h := range s.board.Of(hold.Place{Level: hold.Lane, Name: l.Name()}) {
			if changed && h.Class == hold.Quota { // a day's calls: there may be more now
				s.lift(ctx, h)
			}
		}
		return true, l.pacer.Open(ctx)
	}
	return false, nil
}

// SetQuota has the metered lanes of an organisation keep another quota from
// their next slot on.
func (s *Set) SetQuota(ctx context.Context, organisation string, quota pace.Quota) error {
	s.adopt(organisation, quota)
	var failed error
	for _, l := range s.lanes {
		if l.Organisation == organisation && l.Metered {
			failed = errors.Join(failed, l.pacer.Open(ctx))
		}
	}
	s.lookSoon()
	return failed
}

// CredentialsChanged has the refusals that hold lanes of a tenant probed at
// once, after its credentials were replaced.
func (s *Set) CredentialsChanged(ctx context.Context, tenant string) error {
	if err := s.board.Refresh(ctx); err != nil {
		return err
	}
	var failed error
	now := time.Now()
	for _, l := range s.lanes {
		if l.Tenant != tenant {
			continue
		}
		for _, h := range s.board.Of(l.places()...) {
			// One that another worker changes meanwhile was just probed, or is about to be.
			if h.Class == hold.Refused && now.Before(h.Next) {
				_, err := s.board.ProbeNow(ctx, h, now)
				failed = errors.Join(failed, err)
			}
		}
	}
	s.lookSoon()
	return failed
}

// Start lets every lane take tasks, as far as no hold keeps it from that.
func (s *Set) Start(ctx context.Context) error {
	if err := s.board.Refresh(ctx); err != nil {
		return err
	}
	for _, l := range s.lanes {
		if err := l.pacer.Open(ctx); err != nil {
			return err
		}
		l.follow(time.Now())
	}
	if err := s.lookForLetters(ctx); err != nil {
		return err
	}
	s.memory = redisdb.NewMemory(s.rdb, s.memoryKeys()...)
	if _, err := s.memory.Look(ctx); err != nil {
		return err
	}
	for _, l := range s.lanes {
		if err := l.server.Start(asynq.HandlerFunc(l.process)); err != nil {
			return fmt.Errorf("lane %s: start: %w", l.Name(), err)
		}
	}
	pacers := make([]*pace.Lane, len(s.lanes))
	for i, l := range s.lanes {
		pacers[i] = l.pacer
	}
	s.watching.Go(func() { pace.Listen(s.stopping, s.rdb, pacers) })
	s.watching.Go(func() { hold.Listen(s.stopping, s.rdb, s.lookSoon) })
	s.watching.Go(func() { s.lookOut(s.stopping) })
	return nil
}

// Stop ends all lanes: nothing new is taken, what waits for a slot goes back
// uncounted, running calls finish. It returns when they have, or after the
// longest ShutdownTimeout.
func (s *Set) Stop() {
	s.stop(ErrStopping)
	for _, l := range s.lanes {
		l.gate.close()
	}
	// A server's Stop waits for its poll to end: one after another, a hundred
	// lanes would take longer than their calls.
	var polling, running sync.WaitGroup
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, l := range s.lanes {
		polling.Go(func() {
			l.gate.drained(ctx)
			l.server.Stop()
		})
	}
	polling.Wait()
	for _, l := range s.lanes {
		running.Go(l.server.Shutdown)
	}
	running.Wait()
	for _, l := range s.lanes {
		if c := l.claim.Load(); c != nil { // no task was taken for it
			c.release(context.Background(), 0)
		}
	}
	s.watching.Wait()
	for _, l := range s.lanes {
		l.pacer.Close()
	}
}

// room is how many tasks of a lane may be waiting for their slot in this
// process, and how many it may be at altogether. What is at the platform
// follows from rate and latency by itself, as a slot is what lets a task go
// there: it is the waiting that is bounded. Both are read at each dequeue, so
// that they follow a reload.
func (l *Lane) room() (waiting, together int) {
	rate := l.pacer.Rate()
	waiting = min(int(math.Ceil(rate/4))+2, mostTogether)
	return waiting, min(int(math.Ceil(rate*4))+waiting, mostTogether)
}

// Package lane runs the lanes: one asynq server for each tenant and API, so that a
// platform that hangs or refuses delays no other lane's tasks.
//
// gate.go decides when a lane takes a task, hold.go which holds stop it, and outcome.go
// is the only place that turns an error into a task's outcome. This package must not
// know the client of any platform, nor how a task is carried out.
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

	"rollcall/internal/handler"
	"rollcall/internal/hold"
	"rollcall/internal/ledger"
	"rollcall/internal/logging"
	"rollcall/internal/pace"
	"rollcall/internal/redisdb"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

// ErrStopping is the error of a task that waited for its slot when the worker stopped.
var ErrStopping = errors.New("the worker is stopping")

const (
	// rest is how long asynq sleeps after an empty dequeue, plus or minus half. It is
	// short because the gate does the waiting.
	rest = 20 * time.Millisecond
	// forwardEvery is how often tasks whose wait is over become pending.
	forwardEvery = time.Second
	// maxTasks bounds how many tasks of a lane run in one process: each may need a
	// connection. extraUrgent is how many more urgent tasks may run.
	maxTasks    = 256
	extraUrgent = 4
)

// Deadline is the time limit of one attempt if one HTTP exchange may take timeout:
// three sends, one token call, and time for their slots.
func Deadline(timeout time.Duration) time.Duration { return 4*timeout + 30*time.Second }

// ShutdownTimeout is how long a stop waits for running calls: the longest exchange, the
// slot before it, and the settle after it.
func ShutdownTimeout(timeout time.Duration) time.Duration {
	return timeout + pace.Horizon + 30*time.Second
}

// Config describes a lane.
type Config struct {
	Organisation string
	Tenant       string
	Platform     string // owner of the API, for pauses of the whole platform
	Kind         tasks.Kind
	Limits       []pace.Limit  // initial limits; see Set.SetLimits
	Timeout      time.Duration // of one HTTP exchange
	// Metered reports that calls count against the organisation's month.
	Metered bool
	Quota   pace.Quota // initial quota of the organisation; see Set.SetQuota
	// Address is shared by all lanes that call from one address; nil: none. AddressName
	// names it in holds.
	Address     *pace.Address
	AddressName string
	// Probe checks by an unmetered call whether the tenant's credentials are valid.
	// nil: the platform has no such call, and one task is the probe.
	Probe func(context.Context) error
	// Ask makes that call even if a token is cached, and so checks whether the platform
	// answers this address. nil: Probe is used.
	Ask func(context.Context) error
	// ResendAfter is how long the platform may still carry out a request that was given
	// up. Values that it may have overwritten are sent again then; 0: they are not.
	ResendAfter time.Duration
}

// Name is the lane's name in logs, metrics and queues.
func (c Config) Name() string { return c.Tenant + "." + string(c.Kind) }

// places returns the scopes whose holds apply to the lane.
func (c Config) scopes() []hold.Scope {
	scopes := []hold.Scope{{Level: hold.Lane, Name: c.Name()}, {Level: hold.Tenant, Name: c.Tenant}}
	if c.Metered {
		scopes = append(scopes, hold.Scope{Level: hold.Organisation, Name: c.Organisation})
	}
	if c.AddressName != "" {
		scopes = append(scopes, hold.Scope{Level: hold.Address, Name: c.AddressName})
	}
	return scopes
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
	breaker breaker
	damages damages

	claim          atomic.Pointer[claim] // claim of a probe by a task of this lane; nil: none
	pageAgain      atomic.Bool           // a task has received several HTML pages
	rejoining      atomic.Bool
	resending      atomic.Bool // values that may have been overwritten are being sent again
	hasDeadLetters atomic.Bool // whether the lane may have dead letters
}

// Set is all lanes of a process.
type Set struct {
	rdb    redis.UniversalClient
	shared *redisdb.Autopipeline
	ledger *ledger.Ledger
	holds  *hold.Store
	log    *slog.Logger
	lanes  []*Lane
	quotas sync.Map // organisation → pace.Quota
	name   string   // this worker's name, in holds
	// servers are the run ids of the Redis servers that accepted writes. Only the
	// poller uses servers and memory.
	servers map[string]bool
	memory  *redisdb.Memory
	// unrestored are the holds as they were read before the first memory check that
	// failed. Only the poller uses it.
	unrestored []hold.Hold
	redis      redisState
	faults     logging.Conditions // conditions of repeated steps
	look       chan struct{}
	back       chan struct{}
	// observer and runs may be nil.
	observer Observer
	runs     Runs

	stopping context.Context //nolint:containedctx // ends with the process, not with a request
	stop     context.CancelCauseFunc
	watching sync.WaitGroup
}

// NewSet returns a Set without lanes. The caller closes rdb after Stop. shared uses
// rdb, for the commands that follow each task. name identifies the worker in the holds
// that it adds.
func NewSet(rdb redis.UniversalClient, shared *redisdb.Autopipeline, record *ledger.Ledger, name string, log *slog.Logger) *Set {
	s := &Set{rdb: rdb, shared: shared, ledger: record, holds: hold.NewStore(rdb), name: name, log: log, look: make(chan struct{}, 1), back: make(chan struct{}, 1)}
	s.faults.Log, s.redis.line = log, redisLine(log)
	record.OnDamage(s.Damaged)
	record.GuardBy(s.faults.Guard)
	shared.GuardBy(s.faults.Guard)
	s.stopping, s.stop = context.WithCancelCause(context.Background())
	return s
}

// Add adds a lane whose tasks are carried out by handle.
func (s *Set) Add(cfg Config, handle handler.Func) {
	l := &Lane{
		Config: cfg,
		set:    s,
		handle: handle,
		pacer: pace.New(s.rdb, pace.Config{
			Organisation: cfg.Organisation, Name: cfg.Name(), Limits: cfg.Limits,
			Metered: cfg.Metered, Quota: cfg.Quota, Address: cfg.Address, Dropped: s.dropped, Guard: s.faults.Guard,
		}),
		log: s.log.With("lane", cfg.Name()),
	}
	l.gate = newGate(l)
	if cfg.Metered {
		s.quotas.Store(cfg.Organisation, cfg.Quota)
	}
	l.server = asynq.NewServerFromRedisClient(gated{UniversalClient: s.rdb, gate: l.gate, shared: s.shared}, asynq.Config{
		Concurrency: maxTasks + extraUrgent,
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

// Lanes returns the lanes in the order in which they were added.
func (s *Set) Lanes() []*Lane { return s.lanes }

// SetLimits changes the limits of a tenant's lane from its next slot on. It returns
// false if there is no such lane.
func (s *Set) SetLimits(ctx context.Context, tenant string, kind tasks.Kind, limits []pace.Limit) (bool, error) {
	for _, l := range s.lanes {
		if l.Tenant != tenant || l.Kind != kind {
			continue
		}
		changed := l.pacer.SetLimits(limits)
		for _, h := range s.holds.Of(hold.Scope{Level: hold.Lane, Name: l.Name()}) {
			if changed && h.Class == hold.Quota { // the new limit may allow more calls today
				s.endHold(ctx, h)
			}
		}
		return true, l.pacer.Open(ctx)
	}
	return false, nil
}

// SetQuota changes the quota of an organisation's metered lanes from their next slot
// on.
func (s *Set) SetQuota(ctx context.Context, organisation string, quota pace.Quota) error {
	s.adopt(organisation, quota)
	var failed error
	for _, l := range s.lanes {
		if l.Organisation == organisation && l.Metered {
			failed = errors.Join(failed, l.pacer.Open(ctx))
		}
	}
	s.pollSoon()
	return failed
}

// CredentialsChanged makes the probes of a tenant's refusal holds due at once, after
// its credentials were replaced.
func (s *Set) CredentialsChanged(ctx context.Context, tenant string) error {
	if err := s.holds.Refresh(ctx); err != nil {
		return err
	}
	var failed error
	now := time.Now()
	for _, l := range s.lanes {
		if l.Tenant != tenant {
			continue
		}
		for _, h := range s.holds.Of(l.scopes()...) {
			// If another worker changes the hold at the same time, it was just probed
			// or is about to be.
			if h.Class == hold.Refused && now.Before(h.Next) {
				_, err := s.holds.ProbeNow(ctx, h, now)
				failed = errors.Join(failed, err)
			}
		}
	}
	s.pollSoon()
	return failed
}

// Start lets every lane take tasks, unless a hold prevents it.
func (s *Set) Start(ctx context.Context) error {
	if err := s.holds.Refresh(ctx); err != nil {
		return err
	}
	for _, l := range s.lanes {
		if err := s.HoldDamaged(l.pacer.Open(ctx)); err != nil {
			return err
		}
		l.follow(time.Now())
	}
	if err := s.FindDeadLetters(ctx); err != nil {
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
	s.background("the listener for pauses", func(ctx context.Context) { pace.Listen(ctx, s.rdb, pacers) })
	s.background("the listener for holds", func(ctx context.Context) { hold.Listen(ctx, s.rdb, s.pollSoon) })
	s.background("the poller", s.poll)
	s.background("the resends", newResender(s).run)
	return nil
}

// background runs a goroutine until the Set stops. It runs again after a panic.
func (s *Set) background(of string, run func(context.Context)) {
	s.watching.Go(func() { s.faults.Restart(s.stopping, of, run) })
}

// Stop ends all lanes: no task is taken, tasks that wait for a slot return to their
// queue uncounted, running calls finish. It returns when they have finished, or after
// the longest ShutdownTimeout.
func (s *Set) Stop() {
	s.stop(ErrStopping)
	for _, l := range s.lanes {
		l.gate.close()
	}
	// A server's Stop waits for its poll to end. In sequence, a hundred lanes would
	// take longer than their calls.
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
		if c := l.claim.Load(); c != nil { // no task was taken for the probe
			c.release(context.Background(), 0)
		}
	}
	s.watching.Wait()
	for _, l := range s.lanes {
		l.pacer.Close()
	}
}

// room returns how many tasks of a lane may wait for their slot in this process, and
// how many it may hold in total. The number of running calls follows from rate and
// latency, because each call needs a slot: only the waiting tasks need a bound. Both
// are computed at each dequeue, so that they follow a reload.
func (l *Lane) room() (waiting, together int) {
	rate := l.pacer.Rate()
	waiting = min(int(math.Ceil(rate/4))+2, maxTasks)
	return waiting, min(int(math.Ceil(rate*4))+waiting, maxTasks)
}

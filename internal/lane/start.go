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

	"rollcall/internal/damage"
	"rollcall/internal/handler"
	"rollcall/internal/hold"
	"rollcall/internal/ledger"
	"rollcall/internal/logging"
	"rollcall/internal/pace"
	"rollcall/internal/redisdb"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

// NewSet returns a Set without lanes. The caller closes rdb after Stop. shared uses
// rdb, for the commands that follow each task. name identifies the worker in the holds
// that it adds.
func NewSet(rdb redis.UniversalClient, shared *redisdb.Autopipeline, record *ledger.Ledger, name string, log *slog.Logger) *Set {
	s := &Set{
		rdb: rdb, shared: shared, ledger: record, holds: hold.NewStore(rdb), name: name, log: log,
		quotas: map[string]pace.Quota{}, look: make(chan struct{}, 1), back: make(chan struct{}, 1),
	}
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
		s.quotas[cfg.Organisation] = cfg.Quota
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
		Logger:                   asynqLog{Asynq: logging.Asynq{Log: l.log, Faults: &s.faults, Attrs: []any{"lane", l.Name()}}, lane: l},
		LogLevel:                 asynq.InfoLevel,
	})
	s.lanes = append(s.lanes, l)
}

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
	s.quoting.Lock()
	defer s.quoting.Unlock()
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
	if err := s.holds.Refresh(ctx); damage.WrongType(err) {
		return &ledger.DamagedError{Damage: ledger.Damage{Key: hold.Key, What: "is not a hash: no lane starts, as it may be on hold"}}
	} else if err != nil {
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

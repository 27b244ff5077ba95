package schedule

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/logging"
	"rollcall/internal/redisdb"
)

const (
	// beatEvery is how often asynqmon's page of entries is updated. The entries of a
	// dead leader are shown for twice that.
	beatEvery = 2 * time.Second
	// settled is the age from which a tick is checked for being enqueued: asynq's
	// scheduler, which keeps a history of its ticks, goes first.
	settled = 2 * time.Second
	// tidyBound is how long the shutdown of asynq's scheduler may take.
	tidyBound = 3 * time.Second
	// lateMost is how late a tick is still enqueued by a worker that was running while
	// Redis was unavailable.
	lateMost = time.Hour
)

// campaign competes for the lease until ctx ends, and leads while it holds it.
func (s *Schedule) campaign(ctx context.Context, rdb redis.UniversalClient) {
	l := lease{rdb: rdb, key: keyPrefix + "leader", token: uuid.NewString(), life: s.lease}
	silent := false // Redis does not answer; logged once
	for ctx.Err() == nil {
		if !s.awaitEntries(ctx) {
			return
		}
		asked := time.Now()
		elected, err := l.take(ctx)
		switch {
		case err != nil && ctx.Err() == nil && !silent:
			s.log.Warn("schedule: redis unavailable; nothing is enqueued by time until it answers", "err", err)
		case elected:
			s.lead(ctx, l, asked)
		}
		silent = err != nil
		pause(ctx, s.lease/3)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// lead runs the scheduler until ctx ends, the lease is lost or there are no entries.
func (s *Schedule) lead(ctx context.Context, l lease, taken time.Time) {
	held, leave := l.keep(ctx, taken)
	defer leave()
	s.log.Info("schedule: this worker leads", "lease", l.token)
	for held.Err() == nil {
		entries, changed := s.current()
		if len(entries) == 0 {
			break
		}
		s.ring(held, l.rdb, entries, changed)
	}
	if ctx.Err() == nil {
		s.log.Info("schedule: this worker no longer leads", "cause", context.Cause(held))
	}
}

// ring runs asynq's scheduler with the entries until ctx ends or they change.
func (s *Schedule) ring(ctx context.Context, rdb redis.UniversalClient, entries map[string]*planned, changed <-chan struct{}) {
	stop, err := s.startScheduler(entries)
	if err != nil {
		// The entries were validated with the same library, so this is a defect.
		s.log.Error("schedule: entries rejected by asynq, nothing is enqueued by time; please report it", "err", err)
		pause(ctx, s.lease)
		return
	}
	defer stop()
	ticker := time.NewTicker(s.lease / 3)
	defer ticker.Stop()
	for {
		s.makeGood(ctx, rdb, entries)
		select {
		case <-ctx.Done():
			return
		case <-changed:
			return
		case <-ticker.C:
		}
	}
}

func (s *Schedule) startScheduler(entries map[string]*planned) (stop func(), err error) {
	b := &tickers{options: make(map[string][]asynq.Option, len(entries))}
	client := redisdb.New(&s.redis)
	scheduler := asynq.NewScheduler(redisdb.ConnOpt(client), &asynq.SchedulerOpts{
		HeartbeatInterval: beatEvery,
		Logger:            logging.Asynq{Log: s.log},
		LogLevel:          asynq.InfoLevel,
		PreEnqueueFunc: func(task *asynq.Task, _ []asynq.Option) {
			if t, err := dueTick(task, entries, s.now()); err != nil {
				s.log.Error("schedule: asynq fired at a wrong time; please report it", "err", err)
			} else {
				b.set(t)
			}
		},
		PostEnqueueFunc: func(_ *asynq.TaskInfo, err error) {
			b.fired()
			if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
				s.log.Warn("schedule: tick not enqueued; retried in a few seconds", "err", err)
			}
		},
	})
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		if _, err := scheduler.Register(entries[name].spec(), asynq.NewTask(Type, encodePayload(name)), b.add(name)...); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", name, err), client.Close())
		}
	}
	if err := scheduler.Start(); err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return func() {
		// The shutdown sends one command per entry. A Redis that hangs could block each
		// of them for a long time.
		enough := time.AfterFunc(tidyBound, func() { s.close("scheduler's client", client) })
		defer enough.Stop()
		scheduler.Shutdown()
	}, nil
}

// dueTick returns the tick that asynq is about to enqueue a task for.
func dueTick(task *asynq.Task, entries map[string]*planned, now time.Time) (Tick, error) {
	var p payload
	if err := json.Unmarshal(task.Payload(), &p); err != nil {
		return Tick{}, err
	}
	entry := entries[p.Schedule]
	if entry == nil {
		return Tick{}, fmt.Errorf("there is no schedule %s", p.Schedule)
	}
	at, ok := entry.due(now)
	if !ok {
		return Tick{}, fmt.Errorf("schedule %s has no tick before %s", p.Schedule, now)
	}
	return Tick{Schedule: p.Schedule, At: at}, nil
}

// makeGood checks that the last tick of each entry is enqueued: asynq's scheduler fires
// once without a retry, and between two leaders no scheduler runs. If several ticks
// were missed, the last one is enough, because the roster is read again.
func (s *Schedule) makeGood(ctx context.Context, rdb redis.UniversalClient, entries map[string]*planned) {
	now := s.now()
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		at, missed := entries[name].latest(s.coveredUntil(name, now), now.Add(-settled))
		if !missed {
			continue
		}
		t := Tick{Schedule: name, At: at}
		// The client owns no connection. Enqueueing lists the queue again in case a
		// person deleted it.
		client := asynq.NewClientFromRedisClient(rdb)
		_, err := client.EnqueueContext(ctx, asynq.NewTask(Type, encodePayload(name)), append(options(), asynq.TaskID(t.ID()))...)
		switch {
		case err == nil:
			s.log.Info("schedule: missed tick enqueued", "schedule", name, "tick", t.At)
		case !errors.Is(err, asynq.ErrTaskIDConflict):
			continue
		}
		s.cover(name, entries[name], at)
	}
}

// cover records that a tick is enqueued, unless its entry was replaced in the meantime.
func (s *Schedule) cover(name string, entry *planned, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries[name] == entry {
		s.covered[name] = at
	}
}

// coveredUntil returns the time up to which no tick of an entry can be missing. A
// worker that has not led yet looks back far enough to cover the end of a leader that
// died.
func (s *Schedule) coveredUntil(name string, now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	until, known := s.covered[name]
	if !known {
		until = now.Add(-4 * s.lease)
		s.covered[name] = until
	}
	if earliest := now.Add(-lateMost); until.Before(earliest) {
		return earliest
	}
	return until
}

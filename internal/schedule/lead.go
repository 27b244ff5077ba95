package schedule

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/backlog"
)

const (
	// missedAfter is the age from which a tick is reported as missed.
	missedAfter = 2 * time.Second
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
			s.log.Warn("schedule: no lease from redis; nothing is enqueued by time until there is", "err", err)
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

// lead enqueues ticks until ctx ends, the lease is lost or there are no entries.
func (s *Schedule) lead(ctx context.Context, l lease, taken time.Time) {
	held, leave := l.keep(ctx, taken)
	defer leave()
	s.log.Info("schedule: this worker leads", "lease", l.token)
	defer s.hide(ctx, l)
	for held.Err() == nil {
		entries, changed := s.current()
		if len(entries) == 0 {
			break
		}
		s.enqueueDue(held, l.rdb, entries)
		s.show(held, l, entries)
		select {
		case <-held.Done():
		case <-changed:
		case <-time.After(s.untilNext(entries)):
		}
	}
	if ctx.Err() == nil {
		s.log.Info("schedule: this worker no longer leads", "cause", context.Cause(held))
	}
}

// untilNext returns the time to the next tick of any entry, at most a third of the
// lease: a tick that could not be enqueued is tried again then.
func (s *Schedule) untilNext(entries map[string]*planned) time.Duration {
	now, wait := s.now(), s.lease/3
	for _, entry := range entries {
		if next := entry.next(now); !next.IsZero() {
			wait = min(wait, next.Sub(now))
		}
	}
	return max(wait, time.Millisecond)
}

// enqueueDue enqueues the last tick of each entry that is not known to be enqueued. If
// several ticks were missed, the last one is enough, because the roster is read again.
// Two leaders enqueue a tick under the same id, and asynq rejects the second.
func (s *Schedule) enqueueDue(ctx context.Context, rdb redis.UniversalClient, entries map[string]*planned) {
	now := s.now()
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		at, due := entries[name].latest(s.coveredUntil(name, now), now)
		if !due {
			continue
		}
		t := Tick{Schedule: name, At: at}
		// The client owns no connection. Enqueueing lists the queue again in case a
		// person deleted it.
		client := asynq.NewClientFromRedisClient(backlog.Tolerant(rdb))
		_, err := client.EnqueueContext(ctx, asynq.NewTask(Type, encodePayload(name)), append(options(), asynq.TaskID(t.ID()))...)
		if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
			if ctx.Err() == nil {
				s.log.Warn("schedule: tick not enqueued; retried in a few seconds", "tick", t.ID(), "err", err)
			}
			continue
		}
		if err == nil && now.Sub(at) > missedAfter {
			s.log.Info("schedule: missed tick enqueued", "schedule", name, "tick", at)
		}
		s.cover(name, entries[name], at)
		if err == nil {
			s.shown(backlog.RecordTick(ctx, rdb, name, t.ID(), now))
		}
	}
}

// show lists the entries on the page of asynq's web UI. They disappear there when two
// updates are missed.
func (s *Schedule) show(ctx context.Context, l lease, entries map[string]*planned) {
	now := s.now()
	all := make([]backlog.Entry, 0, len(entries))
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		e := backlog.Entry{
			ID: name, Spec: entries[name].spec(), Type: Type, Payload: encodePayload(name), Next: entries[name].next(now),
		}
		for _, o := range options() {
			e.Options = append(e.Options, o.String())
		}
		s.mu.Lock()
		e.Prev = s.enqueued[name]
		s.mu.Unlock()
		all = append(all, e)
	}
	s.shown(backlog.ShowEntries(ctx, l.rdb, l.token, all, s.lease))
}

// hide removes the entries from that page, for the next leader.
func (s *Schedule) hide(ctx context.Context, l lease) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(s.lease/3, time.Second))
	defer cancel()
	s.shown(backlog.HideEntries(ctx, l.rdb, l.token))
}

// shown takes the result of an update of the page, which nothing depends on.
func (s *Schedule) shown(err error) {
	if err != nil {
		s.log.Debug("schedule: page of schedules not updated", "err", err)
	}
}

// cover records that a tick is enqueued, unless its entry was replaced in the meantime.
func (s *Schedule) cover(name string, entry *planned, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries[name] == entry {
		s.covered[name], s.enqueued[name] = at, at
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

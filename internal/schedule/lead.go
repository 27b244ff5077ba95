package schedule

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/backlog"
)

// missedAfter is the age from which a tick is reported as missed.
const missedAfter = 2 * time.Second

// campaign competes for the lease until ctx ends, and leads while it holds it.
func (s *Schedule) campaign(ctx context.Context, rdb redis.UniversalClient) {
	l := lease{rdb: rdb, key: leaderKey, token: uuid.NewString(), life: s.lease}
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

// leading is the work of the worker that leads.
type leading struct {
	*Schedule

	store *Store
	lease lease
}

// lead enqueues ticks until ctx ends, the lease is lost or there are no entries.
func (s *Schedule) lead(ctx context.Context, l lease, taken time.Time) {
	held, leave := l.keep(ctx, taken)
	defer leave()
	s.log.Info("schedule: this worker leads", "lease", l.token)
	defer s.hide(ctx, l)
	w := &leading{Schedule: s, store: NewStore(l.rdb), lease: l}
	var published map[string]*planned
	for held.Err() == nil {
		entries, changed := s.current()
		if len(entries) == 0 {
			break
		}
		if !maps.Equal(published, entries) && w.publish(held, entries) {
			published = entries
		}
		wait := w.look(held, entries)
		select {
		case <-held.Done():
		case <-changed:
		case <-time.After(wait):
		}
	}
	if ctx.Err() == nil {
		s.log.Info("schedule: this worker no longer leads", "cause", context.Cause(held))
	}
}

// publish lists the entries for commands; false if it could not.
func (w *leading) publish(ctx context.Context, entries map[string]*planned) bool {
	err := w.store.publish(ctx, entries)
	if err != nil && ctx.Err() == nil {
		w.log.Warn("schedule: entries not published for rollcall schedule list; retried in a few seconds", "err", err)
	}
	return err == nil
}

// look enqueues what is due, and returns the time until the next look: when the next tick
// of any entry is due, at most a third of the lease. A tick that could not be enqueued is
// tried again then.
func (w *leading) look(ctx context.Context, entries map[string]*planned) time.Duration {
	wait, names := w.Schedule.lease/3, slices.Sorted(maps.Keys(entries))
	looked := time.Now()
	now, all, err := w.store.look(ctx, names)
	if err != nil {
		if ctx.Err() == nil {
			w.log.Warn("schedule: nothing is enqueued until redis answers; retried in a few seconds", "err", err)
		}
		return wait
	}
	for _, name := range names {
		entry, seen := entries[name], all[name]
		if err := w.decide(ctx, entry, &seen, now); err != nil && ctx.Err() == nil {
			w.log.Warn("schedule: tick not enqueued; retried in a few seconds", "schedule", name, "err", err)
		}
		all[name] = seen
		if next := entry.next(now); !next.IsZero() {
			wait = min(wait, next.Sub(now))
		}
	}
	w.show(ctx, entries, all, now)
	return max(wait-time.Since(looked), time.Millisecond)
}

// decide enqueues the last tick of an entry that is due and not decided. If several ticks
// were missed, the last one is enough, because the source is read again. seen gets the
// tick.
func (w *leading) decide(ctx context.Context, entry *planned, seen *look, now time.Time) error {
	if seen.damaged != "" {
		return fmt.Errorf("damaged key in Redis, %q: has another type: see rollcall repair", seen.damaged)
	}
	for _, open := range seen.open { // recorded by a person, or by a leader that died then
		if State(open.state) != Due {
			continue
		}
		t, err := parseID(open.id)
		if err != nil {
			continue // not one of ours
		}
		if err := w.enqueue(ctx, t, now); err != nil {
			return err
		}
	}
	a := addition{name: entry.Name, leader: w.lease.token, before: seen.until, until: now, times: entry.shown(), alone: entry.Overlap == Skip}
	until := unix(seen.until)
	// A new entry, or one with new times: from now on. If Redis' clock was set back,
	// times come again, but not their ticks: they have the same ids.
	if seen.until == "" || seen.times != a.times || until.After(now) {
		_, _, err := w.store.add(ctx, a)
		return err
	}
	if seen.paused {
		return nil
	}
	at, missed, late, due := entry.due(until, now)
	if !due {
		return nil
	}
	a.until, a.tick, a.missed, a.state = at, &Tick{Schedule: entry.Name, At: at}, missed, Due
	if late {
		a.state, a.reason = Missed, "no worker was running within "+entry.MisfireWindow.String()
	}
	return w.addTick(ctx, a, seen, now)
}

func (w *leading) addTick(ctx context.Context, a addition, seen *look, now time.Time) error {
	if err := w.store.settle(ctx, a.name, seen.open); err != nil {
		return err
	}
	outcome, other, err := w.store.add(ctx, a)
	if err != nil {
		return err
	}
	switch outcome {
	case "added":
		seen.last = a.tick.At
		if now.Sub(a.tick.At) > missedAfter {
			w.log.Info("schedule: missed tick enqueued", "schedule", a.name, "tick", a.tick.At, "missed_before", a.missed)
		}
		return w.enqueue(ctx, *a.tick, now)
	case string(Skipped):
		w.log.Warn("schedule: tick skipped: another has not ended", "schedule", a.name, "tick", a.tick.At, "other", other)
	case string(Missed):
		w.log.Warn("schedule: tick missed", "schedule", a.name, "tick", a.tick.At, "reason", a.reason)
	}
	return nil
}

func (w *leading) enqueue(ctx context.Context, t Tick, now time.Time) error {
	added, err := w.store.enqueue(ctx, t)
	if added {
		w.shown(backlog.RecordTick(ctx, w.lease.rdb, t.Schedule, t.ID(), now))
	}
	return err
}

// show lists the entries on the page of asynq's web UI. They disappear there when two
// updates are missed.
func (w *leading) show(ctx context.Context, entries map[string]*planned, seen map[string]look, now time.Time) {
	all := make([]backlog.Entry, 0, len(entries))
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		e := backlog.Entry{
			ID: name, Spec: entries[name].shown(), Type: Type, Payload: encodePayload(Tick{Schedule: name}),
			Next: entries[name].next(now), Prev: seen[name].last,
		}
		if seen[name].paused {
			e.Spec += " (paused)"
		}
		for _, o := range options() {
			e.Options = append(e.Options, o.String())
		}
		all = append(all, e)
	}
	w.shown(backlog.ShowEntries(ctx, w.lease.rdb, w.lease.token, all, w.Schedule.lease))
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

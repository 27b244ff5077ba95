package lane

import (
	"context"
	"slices"
	"time"

	"rollcall/internal/backlog"
	"rollcall/internal/hold"
	"rollcall/tasks"
)

const (
	// lookEvery is how often the lanes' queues are looked at for pending tasks:
	// one round trip for all of them. It is what an idle lane costs.
	lookEvery = 100 * time.Millisecond
	// readEvery is how often the holds and the months are read. A word from
	// another worker makes it at once.
	readEvery = 2 * time.Second
	// lookWithin bounds a look.
	lookWithin = 5 * time.Second
)

// lookSoon has the lookout read holds and months at once.
func (s *Set) lookSoon() {
	select {
	case s.look <- struct{}{}:
	default:
	}
}

// lookOut keeps the gates informed until ctx ends. While Redis is away nothing
// is pending to them: nothing is taken, and a dead Redis is asked only here.
func (s *Set) lookOut(ctx context.Context) {
	var queues []string
	for _, l := range s.lanes {
		queues = append(queues, tasks.Queue(l.Tenant, l.Kind, true), tasks.Queue(l.Tenant, l.Kind, false))
	}
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	var read time.Time
	failed := false
	for {
		now := time.Now()
		if failed {
			s.recall(ctx) // before any task is taken
		}
		err := s.count(ctx, queues)
		if err == nil && now.Sub(read) >= readEvery {
			read = now
			err = s.read(ctx, now)
		}
		if (err != nil) != failed && ctx.Err() == nil {
			failed = err != nil
			if failed {
				s.log.Warn("Redis cannot be read; no task is taken until it can", "err", err)
			} else {
				s.log.Info("Redis can be read again")
				s.returned(ctx)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-s.look:
			read = time.Time{}
		case <-ticker.C:
		}
	}
}

// returned tells anew what a Redis that was away may have forgotten.
func (s *Set) returned(ctx context.Context) {
	for _, l := range s.lanes {
		if err := l.pacer.Remind(ctx); err != nil {
			l.log.Warn("what the lane is held to could not be told to those who look", "err", err)
		}
	}
	select {
	case s.back <- struct{}{}:
	default:
	}
}

// Back tells when a Redis that was away is back, maybe without its memory.
func (s *Set) Back() <-chan struct{} { return s.back }

// count tells the gates how many tasks are pending.
func (s *Set) count(ctx context.Context, queues []string) error {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	pending, err := backlog.Pending(ctx, s.rdb, queues)
	for i, l := range s.lanes {
		if err != nil {
			l.gate.saw(0, 0)
			continue
		}
		l.gate.saw(pending[2*i], pending[2*i+1])
	}
	return err
}

// read reads the holds, sees whether Redis lost its memory, ends those that are over, and lets one worker probe.
func (s *Set) read(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	if err := s.board.Refresh(ctx); err != nil {
		return err
	}
	s.recall(ctx)
	if err := s.months(ctx, now); err != nil {
		return err
	}
	for _, h := range s.board.All() {
		if !h.Until.IsZero() && !now.Before(h.Until) {
			s.lift(ctx, h)
		}
	}
	s.followAll()
	for _, h := range s.board.All() {
		if h.Probe != hold.ByTime && !now.Before(h.Next) {
			s.probe(ctx, h, now)
		}
	}
	return nil
}

// probe finds out whether a hold is over, if a lane of this process can.
func (s *Set) probe(ctx context.Context, h hold.Hold, now time.Time) {
	lane := s.prober(h)
	if lane == nil {
		return
	}
	claimed, mine, err := s.board.Claim(ctx, h, now)
	if err != nil {
		s.log.Warn("a hold could not be probed; the next look tries again", "hold", h.String(), "err", err)
	}
	if !mine {
		return
	}
	if h.Probe == hold.ByTask {
		lane.gate.letProbe()
		return
	}
	s.watching.Go(func() {
		// The process' own end bounds it, and the client's timeout.
		if err := lane.Probe(s.stopping); err != nil {
			s.log.Info("still on hold", "hold", h.String(), "next", claimed.Next, "err", err)
			return
		}
		s.lift(context.WithoutCancel(s.stopping), claimed)
	})
}

// prober is a lane that can probe a hold: one with a task that waits, if it is
// to be found out by a task, and that nothing else keeps from taking it.
func (s *Set) prober(h hold.Hold) *Lane {
	for _, l := range s.lanes {
		if !slices.Contains(l.places(), h.Place) {
			continue
		}
		if h.Probe == hold.ByToken && l.Probe != nil || h.Probe == hold.ByTask && l.gate.waits() && l.probes() {
			return l
		}
	}
	return nil
}

// probes reports whether no hold keeps the lane but those that a task finds out
// about.
func (l *Lane) probes() bool {
	return !slices.ContainsFunc(l.set.board.Of(l.places()...), func(h hold.Hold) bool { return !h.Bulk && h.Probe != hold.ByTask })
}

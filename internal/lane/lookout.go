package lane

import (
	"cmp"
	"context"
	"time"

	"rollcall/internal/backlog"
	"rollcall/internal/hold"
	"rollcall/internal/redisdb"
	"rollcall/internal/registry"
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
	// lookAgain is how long a Redis that is unavailable is left alone.
	lookAgain = 500 * time.Millisecond
)

// lookSoon has the lookout read holds and months at once.
func (s *Set) lookSoon() {
	select {
	case s.look <- struct{}{}:
	default:
	}
}

// lookOut keeps the gates informed until ctx ends. While Redis is unavailable, or
// takes no writes, nothing is pending to them: nothing is taken.
func (s *Set) lookOut(ctx context.Context) {
	var queues []string
	for _, l := range s.lanes {
		queues = append(queues, registry.Queue(l.Tenant, l.Kind, true), registry.Queue(l.Tenant, l.Kind, false))
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	var read time.Time
	for {
		now := time.Now()
		var err error
		_, unavailable := s.redis.fault()
		if unavailable || now.Sub(read) >= readEvery {
			read = now
			err = s.read(ctx, now, unavailable)
		}
		if _, faulty := redisdb.FaultOf(err); faulty {
			s.see(nil)
		} else {
			err = cmp.Or(s.count(ctx, queues), err)
		}
		if ctx.Err() == nil {
			if s.redis.report(err) {
				s.returned(ctx)
			}
			s.outcome("holds or queues not read; the next look tries again", "holds and queues are read again", err)
		}
		timer.Reset(lookEvery)
		if err != nil {
			timer.Reset(lookAgain)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.look:
			read = time.Time{}
		case <-timer.C:
		}
	}
}

// returned has the worker publish again what a Redis that was unavailable may have
// forgotten.
func (s *Set) returned(ctx context.Context) {
	if err := s.remind(ctx); err != nil {
		s.memory.Forget() // the next look tries again
	}
	select {
	case s.back <- struct{}{}:
	default:
	}
}

// remind publishes the limits of all lanes and the quotas again.
func (s *Set) remind(ctx context.Context) error {
	var err error
	for _, l := range s.lanes {
		if err = l.pacer.Remind(ctx); err != nil {
			break
		}
	}
	s.outcome("limits of lanes not published; the next look tries again", "limits of lanes published again", err)
	return err
}

// Back reports that Redis is available again, or has lost its data: what only the
// worker knows is to be published again.
func (s *Set) Back() <-chan struct{} { return s.back }

// count tells the gates how many tasks are pending.
func (s *Set) count(ctx context.Context, queues []string) error {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	pending, err := backlog.Pending(ctx, s.rdb, queues)
	s.see(pending)
	return err
}

// see has each gate know how many tasks are pending in its two queues; nil: none.
func (s *Set) see(pending []int64) {
	for i, l := range s.lanes {
		if pending == nil {
			l.gate.saw(0, 0)
			continue
		}
		l.gate.saw(pending[2*i], pending[2*i+1])
	}
}

// read reads the holds, checks whether Redis takes writes and has kept its data,
// ends the holds that are over, and lets one worker probe.
func (s *Set) read(ctx context.Context, now time.Time, unavailable bool) error {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	if unavailable {
		s.recall(ctx) // before any task is taken
	}
	before := s.board.All()
	if err := s.board.Refresh(ctx); err != nil {
		return err
	}
	// After the holds were read: what was lost before is noticed here.
	if err := s.checkMemory(ctx, before); err != nil {
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
	for _, l := range s.lanes {
		if err := l.pacer.LookAtPause(ctx); err != nil {
			return err
		}
	}
	for _, h := range s.board.All() {
		if h.Probe != hold.ByTime && !now.Before(h.Next) {
			s.probe(ctx, h, now)
		}
	}
	return nil
}

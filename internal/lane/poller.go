package lane

import (
	"cmp"
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/backlog"
	"rollcall/internal/hold"
	"rollcall/internal/ledger"
	"rollcall/internal/redisdb"
	"rollcall/internal/registry"
)

const (
	// pollEvery is how often the lanes' queues are checked for pending tasks: one round
	// trip for all of them. It is the cost of an idle lane.
	pollEvery = 100 * time.Millisecond
	// readEvery is how often the holds and the months are read. A notification of
	// another worker triggers a read at once.
	readEvery = 2 * time.Second
	// pollTimeout bounds one poll.
	pollTimeout = 5 * time.Second
	// pollAgain is how long the poller waits before it tries an unavailable Redis
	// again.
	pollAgain = 500 * time.Millisecond
)

// pollSoon makes the poller read holds and months at once.
func (s *Set) pollSoon() {
	select {
	case s.look <- struct{}{}:
	default:
	}
}

// poll keeps the gates informed until ctx ends. While Redis is unavailable or accepts
// no writes, the gates see no pending task, so no task is taken.
func (s *Set) poll(ctx context.Context) {
	var queues []string
	for _, l := range s.lanes {
		queues = append(queues, registry.Queues(l.Tenant, l.Kind)...)
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
			s.Outcome("holds or queues not read; retried at the next poll", "holds and queues read again", err)
		}
		timer.Reset(pollEvery)
		if err != nil {
			timer.Reset(pollAgain)
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

// returned makes the worker publish again what an unavailable Redis may have lost.
func (s *Set) returned(ctx context.Context) {
	if err := s.remind(ctx); err != nil {
		s.memory.Forget() // retried at the next poll
	}
	s.PublishSoon()
}

// remind publishes the limits of all lanes and the quotas again.
func (s *Set) remind(ctx context.Context) error {
	var err error
	for _, l := range s.lanes {
		if err = s.HoldDamaged(l.pacer.Remind(ctx)); err != nil {
			break
		}
	}
	s.Outcome("limits of lanes not published; retried at the next poll", "limits of lanes published again", err)
	return err
}

// Back receives a value when Redis is available again or has lost its data: the worker
// must publish again what only it knows.
func (s *Set) Back() <-chan struct{} { return s.back }

// count reads how many tasks are pending, and passes the numbers to the gates.
func (s *Set) count(ctx context.Context, queues []string) error {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	pending, err := backlog.Pending(ctx, s.rdb, queues)
	s.see(pending)
	return s.HoldDamaged(err)
}

// see passes each gate the number of pending tasks in its two queues; nil: none.
func (s *Set) see(pending []int64) {
	for i, l := range s.lanes {
		if pending == nil {
			l.gate.saw(0, 0)
			continue
		}
		l.gate.saw(pending[2*i], pending[2*i+1])
	}
}

// read reads the holds, checks whether Redis accepts writes and still has its data,
// ends the holds that are over, and lets one worker probe.
func (s *Set) read(ctx context.Context, now time.Time, unavailable bool) error {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	if unavailable {
		s.recall(ctx) // before any task is taken
	}
	before := s.holds.All()
	// With a damaged key, the holds stay as they were last read.
	if err := s.holds.Refresh(ctx); redis.HasErrorPrefix(err, "WRONGTYPE") {
		s.Damaged(ledger.Damage{Key: hold.Key, What: "is not a hash: the holds stay as they were last read"})
	} else if err != nil {
		return err
	}
	// This check follows the read of the holds, so it detects a loss that happened
	// before that read.
	if err := s.checkMemory(ctx, before); err != nil {
		return err
	}
	s.recall(ctx)
	if err := s.months(ctx, now); err != nil {
		return err
	}
	for _, h := range s.holds.All() {
		if !h.Until.IsZero() && !now.Before(h.Until) {
			s.endHold(ctx, h)
		}
	}
	s.followAll()
	for _, l := range s.lanes {
		if err := s.HoldDamaged(l.pacer.LookAtPause(ctx)); err != nil {
			return err
		}
	}
	for _, h := range s.holds.All() {
		if h.Probe != hold.ByTime && !now.Before(h.Next) {
			s.probe(ctx, h, now)
		}
	}
	return nil
}

package lane

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"rollcall/internal/hold"
	"rollcall/internal/outcome"
	"rollcall/providers"
)

// claim is a probe that this worker owns. It is renewed while the worker lives and the
// probe runs, so that another worker takes over within seconds if this one dies.
type claim struct {
	set   *Set
	lane  *Lane // the lane whose task is the probe; nil: an unmetered call is the probe
	began time.Time
	quit  chan struct{}

	mu    sync.Mutex
	hold  hold.Hold
	ended bool
}

// askWithin bounds a round trip that changes a claim.
const askWithin = 2 * time.Second

func (s *Set) keep(h hold.Hold, l *Lane) *claim {
	c := &claim{set: s, lane: l, began: time.Now(), quit: make(chan struct{}), hold: h}
	s.watching.Go(func() {
		_ = s.faults.Guard("the renewal of a probe", func() error { c.renew(); return nil }) // else the claim expires
	})
	return c
}

func (c *claim) renew() {
	ticker := time.NewTicker(hold.Lease / 4)
	defer ticker.Stop()
	for {
		select {
		case <-c.quit:
			return
		case <-ticker.C:
		}
		if c.lane != nil && !c.lane.gate.probeGoesOn() {
			// No task was found: the next worker that sees one probes.
			c.release(context.Background(), 0)
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), askWithin)
		c.mu.Lock()
		if !c.ended {
			if h, mine, err := c.set.holds.Renew(ctx, c.hold, time.Now()); err == nil && mine {
				c.hold = h
			}
		}
		c.mu.Unlock()
		cancel()
	}
}

// known returns the hold as last written or read.
func (c *claim) known() hold.Hold {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hold
}

// close ends the claim without writing to Redis: the hold was removed or replaced.
func (c *claim) close() (first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return false
	}
	c.ended = true
	close(c.quit)
	if c.lane != nil {
		c.lane.claim.CompareAndSwap(c, nil)
	}
	return true
}

// failed ends a probe whose answer leaves the hold in place. The wait counts from the
// start of the probe, which may last as long as a call.
func (c *claim) failed(ctx context.Context) {
	tries := c.known().Tries + 1
	next := c.began.Add(c.known().Wait(tries))
	if soon := time.Now().Add(time.Second); next.Before(soon) {
		next = soon
	}
	c.end(ctx, tries, next)
}

// release returns a probe without a result. Another may be tried after a while.
func (c *claim) release(ctx context.Context, after time.Duration) {
	c.end(ctx, c.known().Tries, time.Now().Add(after))
}

func (c *claim) end(ctx context.Context, tries int, next time.Time) {
	if !c.close() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	if _, _, err := c.set.holds.EndProbe(ctx, c.known(), tries, next); err != nil {
		c.set.log.Debug("end of a probe not stored; its claim expires", "hold", c.known().String(), "err", err)
	}
}

// probe tests whether the cause of a hold is over, if a lane of this process can.
func (s *Set) probe(ctx context.Context, h hold.Hold, now time.Time) {
	l := s.prober(h)
	if l == nil {
		return
	}
	claimed, mine, err := s.holds.Claim(ctx, h, now, s.name)
	s.Outcome("hold not probed; retried at the next poll", "holds are probed again", err, "hold", h.String())
	if !mine {
		return
	}
	if h.Probe == hold.ByTask {
		l.claim.Store(s.keep(claimed, l))
		l.gate.letProbe()
		return
	}
	c := s.keep(claimed, nil)
	s.watching.Go(func() { // bounded by the end of the process and by the client's timeout
		_ = s.faults.Guard("a probe", func() error {
			if h.Probe == hold.ByAddress {
				s.probeAddress(s.stopping, l, c)
			} else {
				s.probeToken(s.stopping, l, c)
			}
			return nil
		})
		c.release(context.WithoutCancel(s.stopping), 0) // unless the probe has ended
	})
}

// probeToken checks whether refused credentials are accepted again.
func (s *Set) probeToken(ctx context.Context, l *Lane, c *claim) {
	err := l.Probe(ctx)
	ctx = context.WithoutCancel(ctx)
	e, ok := errors.AsType[*providers.Error](err)
	switch {
	case err == nil:
		c.close()
		s.endHold(ctx, c.known())
	case s.stopping.Err() != nil:
		c.release(ctx, 0)
	default:
		level := s.log.Info
		if c.known().Tries > quietAfter {
			level = s.log.Debug
		}
		level("still on hold", "hold", c.known().String(), "probes", c.known().Tries+1, "err", err)
		if ok && e.Kind == providers.Misconfigured {
			l.holdRefused(ctx, e) // adds this refusal to the hold's record
		}
		c.failed(ctx)
	}
}

// quietAfter is the number of probes after which the log no longer reports that a hold
// continues.
const quietAfter = 5

// prober returns a lane that can probe a hold: no other hold stops it, and it has a
// pending task if the probe is a task.
func (s *Set) prober(h hold.Hold) *Lane {
	for _, l := range s.lanes {
		if !slices.Contains(l.scopes(), h.Scope) {
			continue
		}
		switch h.Probe {
		case hold.ByToken, hold.ByAddress:
			if l.Probe != nil {
				return l
			}
		case hold.ByTask:
			if l.claim.Load() == nil && l.gate.waits() && l.probes() {
				return l
			}
		case hold.ByTime:
		}
	}
	return nil
}

// probes reports whether the lane is held only by holds that a task can probe.
func (l *Lane) probes() bool {
	return !slices.ContainsFunc(l.set.holds.Of(l.scopes()...), func(h hold.Hold) bool { return !h.Bulk && h.Probe != hold.ByTask })
}

// probed evaluates the result of a probing task: the hold is over if the platform
// answered anything else than the cause of the hold. A task that sent nothing, because
// its change was already applied or superseded, leaves the probe to the next task.
func (l *Lane) probed(ctx context.Context, a *attempt, v Verdict) {
	c := l.claim.Load()
	if c == nil { // another worker took over, or a person released the hold
		c = &claim{set: l.set, ended: true}
	}
	e, _ := errors.AsType[*providers.Error](v.Err)
	if again := l.findsOut(ctx, c, a, v, e); again {
		l.gate.endProbe()
		l.gate.letProbe()
		return
	}
	l.gate.endProbe()
}

// findsOut ends the probe with the result of its task. again is true if the next task
// must probe.
func (l *Lane) findsOut(ctx context.Context, c *claim, a *attempt, v Verdict, e *providers.Error) (again bool) {
	fault, _ := healthSignal(a, v)
	switch {
	case v.Class == outcome.Stopping:
		c.release(ctx, 0)
		return false
	case fault, v.Class == outcome.Refused, v.Class == outcome.Quota, e != nil && e.Suspect:
		c.failed(ctx)
		return false
	case v.Class == outcome.Throttled, v.Class == outcome.Busy, v.Class == outcome.Paced, v.Class == outcome.Held, v.Class == outcome.Internal:
		c.release(ctx, 2*time.Second) // no evidence about the cause, or no request was sent
		return false
	case !a.asked() && l.probes():
		return true
	case !a.asked(), v.Class == outcome.Overtaken, v.Class == outcome.Panic: // unknown
		c.release(ctx, time.Second)
		return false
	}
	c.close()
	for _, h := range l.set.holds.Of(l.scopes()...) {
		if h.Probe == hold.ByTask {
			l.set.endHold(ctx, h)
		}
	}
	return false
}

package lane

import (
	"errors"
	"sync"
	"time"

	"rollcall/internal/hold"
	"rollcall/providers"
)

// A lane is held when at least this share of at least this many responses within the
// window were faults. A hold shares that with the other workers, and its probe decides
// when the lane continues.
const (
	breakerWindow  = 30 * time.Second
	breakerBuckets = 6
	breakerCalls   = 10
	breakerShare   = 0.5
)

// breaker counts the responses of a lane's platform within the window, in buckets of
// five seconds. The zero value has counted nothing.
type breaker struct {
	mu      sync.Mutex
	buckets [breakerBuckets]bucket
}

type bucket struct {
	number        int64 // start in Unix time, divided by the bucket's length
	calls, faults int
	first         time.Time // of the faults
}

func (b *breaker) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buckets = [breakerBuckets]bucket{}
}

// count adds a response. It returns the faults in the window, the time of the first of
// them, and whether the lane is to be held.
func (b *breaker) count(at time.Time, fault bool) (faults int, first time.Time, open bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	number := at.UnixNano() / int64(breakerWindow/breakerBuckets)
	now := &b.buckets[number%breakerBuckets]
	if now.number != number {
		*now = bucket{number: number}
	}
	now.calls++
	if fault {
		now.faults++
		if now.faults == 1 {
			now.first = at
		}
	}
	calls := 0
	for _, k := range b.buckets {
		if k.number <= number-breakerBuckets {
			continue
		}
		calls += k.calls
		faults += k.faults
		if k.faults > 0 && (first.IsZero() || k.first.Before(first)) {
			first = k.first
		}
	}
	return faults, first, calls >= breakerCalls && float64(faults) >= breakerShare*float64(calls)
}

// recordAtBreaker counts an attempt. It returns true, and the faults seen, if this
// attempt was a fault and the lane is to be held.
func (l *Lane) recordAtBreaker(a *attempt, v Verdict) (hold.Seen, bool) {
	fault, counts := healthSignal(a, v)
	if !counts {
		return hold.Seen{}, false
	}
	n, first, open := l.breaker.count(time.Now(), fault)
	e, ok := errors.AsType[*providers.Error](v.Err)
	if !ok || !fault || !open {
		return hold.Seen{}, false
	}
	s := seen(e)
	s.Count, s.First = n, first
	return s, true
}

// healthSignal returns whether an attempt shows a fault of the platform, and whether it
// shows anything about the platform. An attempt that sent nothing counts only if the
// platform was the reason.
func healthSignal(a *attempt, v Verdict) (fault, counts bool) {
	if v.Err == nil {
		return false, a.asked()
	}
	e, ok := errors.AsType[*providers.Error](v.Err)
	switch {
	case !ok, e.Kind == providers.Unsent, e.Kind == providers.Ambiguous && !a.asked():
		return false, false
	case e.Kind == providers.Transient, e.Kind == providers.Ambiguous, e.Kind == providers.Unknown:
		return e.HTTPStatus == 0 || e.HTTPStatus >= 500, true
	}
	return false, true
}

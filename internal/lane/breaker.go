package lane

import (
	"errors"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"rollcall/internal/hold"
	"rollcall/providers"
)

// The breaker of a lane opens when at least this share of at least this many calls
// within the window failed. A hold shares that state with the other workers, and the
// hold's probe decides when the lane continues. The breaker's own half-open state is
// therefore skipped. A lane that continues gets a new breaker, so its count starts from
// zero.
const (
	breakerWindow = 30 * time.Second
	breakerBucket = 5 * time.Second
	breakerCalls  = 10
	breakerShare  = 0.5
)

var (
	errFailed  = errors.New("the platform failed")
	errNeutral = errors.New("no evidence about the platform")
)

func newBreaker(name string) *gobreaker.TwoStepCircuitBreaker[struct{}] {
	return gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name: name, MaxRequests: 1, Interval: breakerWindow, BucketPeriod: breakerBucket, Timeout: time.Nanosecond,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.Requests >= breakerCalls && float64(c.TotalFailures) >= breakerShare*float64(c.Requests)
		},
		IsExcluded: func(err error) bool { return errors.Is(err, errNeutral) },
	})
}

// recordAtBreaker counts an attempt. It returns true, and the failures seen, if the
// breaker is open and this attempt failed.
func (l *Lane) recordAtBreaker(a *attempt, v Verdict) (hold.Seen, bool) {
	word := healthSignal(a, v)
	if errors.Is(word, errNeutral) {
		return hold.Seen{}, false
	}
	breaker := l.breaker.Load()
	done, err := breaker.Allow()
	if err != nil {
		return hold.Seen{}, false // the breaker is open, and another attempt is being counted
	}
	counted := hold.Seen{Count: 1}
	if breaker.State() == gobreaker.StateClosed {
		counted.Count += int(breaker.Counts().TotalFailures)
	}
	done(word)
	if !errors.Is(word, errFailed) {
		return counted, false
	}
	if e, ok := errors.AsType[*providers.Error](v.Err); ok {
		n := counted.Count
		counted = seen(e)
		counted.Count = n
	}
	counted.First = l.faults.since(counted.Last)
	return counted, breaker.State() != gobreaker.StateClosed
}

// faults are the consecutive faults of a lane within the breaker's window.
type faults struct {
	mu          sync.Mutex
	first, last time.Time
}

// since records a fault, and returns the time of the first fault in the window.
func (f *faults) since(at time.Time) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if at.Sub(f.last) > breakerWindow || at.Sub(f.first) > breakerWindow {
		f.first = at
	}
	f.last = at
	return f.first
}

// healthSignal is what an attempt shows about the health of the platform. An attempt
// that sent nothing counts only if the platform was the reason.
func healthSignal(a *attempt, v Verdict) error {
	if v.Err == nil {
		if !a.asked() {
			return errNeutral
		}
		return nil
	}
	e, ok := errors.AsType[*providers.Error](v.Err)
	switch {
	case !ok, e.Kind == providers.Unsent, e.Kind == providers.Ambiguous && !a.asked():
		return errNeutral
	case e.Kind == providers.Transient, e.Kind == providers.Ambiguous, e.Kind == providers.Unknown:
		if e.HTTPStatus == 0 || e.HTTPStatus >= 500 {
			return errFailed
		}
	}
	return nil
}

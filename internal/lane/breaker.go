package lane

import (
	"errors"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"rollcall/internal/hold"
	"rollcall/providers"
)

// A lane's breaker opens when so large a share of so many calls within a while
// failed. That it did is shared by a hold; whether it may close again is found
// out by the hold's probe, so its own half-open state comes at once. A lane that
// goes on gets a new one: whoever has opened the hold, it counts from nothing.
const (
	breakerWindow = 30 * time.Second
	breakerBucket = 5 * time.Second
	breakerCalls  = 10
	breakerShare  = 0.5
)

var (
	errFailed = errors.New("the platform failed")
	errAside  = errors.New("says nothing about the platform")
)

func newBreaker(name string) *gobreaker.TwoStepCircuitBreaker[struct{}] {
	return gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name: name, MaxRequests: 1, Interval: breakerWindow, BucketPeriod: breakerBucket, Timeout: time.Nanosecond,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.Requests >= breakerCalls && float64(c.TotalFailures) >= breakerShare*float64(c.Requests)
		},
		IsExcluded: func(err error) bool { return errors.Is(err, errAside) },
	})
}

// trips counts an attempt at the breaker, and reports whether that is open and
// the attempt one of those that failed, and what was seen of the failures.
func (l *Lane) trips(a *attempt, v Verdict) (hold.Seen, bool) {
	word := speaks(a, v)
	if errors.Is(word, errAside) {
		return hold.Seen{}, false
	}
	breaker := l.breaker.Load()
	done, err := breaker.Allow()
	if err != nil {
		return hold.Seen{}, false // it is open, and another attempt is just being counted
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

// faults are those of a lane that followed each other within the breaker's window.
type faults struct {
	mu          sync.Mutex
	first, last time.Time
}

// since takes in a fault and returns when the first of those was.
func (f *faults) since(at time.Time) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if at.Sub(f.last) > breakerWindow || at.Sub(f.first) > breakerWindow {
		f.first = at
	}
	f.last = at
	return f.first
}

// speaks is what an attempt says about the health of the platform. One that sent
// nothing says something only if that was because the platform failed.
func speaks(a *attempt, v Verdict) error {
	if v.Err == nil {
		if !a.asked() {
			return errAside
		}
		return nil
	}
	e, ok := errors.AsType[*providers.Error](v.Err)
	switch {
	case !ok, e.Kind == providers.Unsent, e.Kind == providers.Ambiguous && !a.asked():
		return errAside
	case e.Kind == providers.Transient, e.Kind == providers.Ambiguous, e.Kind == providers.Unknown:
		if e.HTTPStatus == 0 || e.HTTPStatus >= 500 {
			return errFailed
		}
	}
	return nil
}

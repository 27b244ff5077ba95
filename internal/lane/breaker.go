package lane

import (
	"errors"
	"time"

	"github.com/sony/gobreaker/v2"

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
// the attempt one of those that failed.
func (l *Lane) trips(a *attempt, v Verdict) bool {
	word := speaks(a, v)
	if errors.Is(word, errAside) {
		return false
	}
	breaker := l.breaker.Load()
	done, err := breaker.Allow()
	if err != nil {
		return false // it is open, and another attempt is just being counted
	}
	done(word)
	return errors.Is(word, errFailed) && breaker.State() != gobreaker.StateClosed
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

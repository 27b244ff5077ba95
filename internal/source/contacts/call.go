package contacts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"rollcall/internal/source"
	"rollcall/providers"
)

// waits are the waits between the tries of a call. The calls of a reading have no effect
// and are not metered, so they are repeated here: a reading of 2,000 calls would
// otherwise hardly end while other programs use the same app.
type waits struct {
	tries int           // at most
	first time.Duration // before the second try; doubled for each further one
	most  time.Duration // a longer wait ends the reading
}

var usualWaits = waits{tries: 6, first: time.Second, most: time.Minute}

// call makes a call for a department, and repeats it while the platform is busy. A
// refusal of this department makes the reading incomplete; another error ends it.
func call[T any](
	ctx context.Context, r *reading, d department, api string, do func(ctx context.Context, gate providers.Gate, department int64) (T, error),
) (answer T, refused bool, _ error) {
	gate := func(ctx context.Context) error { return r.pace.Wait(ctx, api) }
	answer, err := do(ctx, gate, d.id)
	for try := 1; err != nil && ctx.Err() == nil; try++ {
		wait, again := r.waits.after(err, try)
		if !again {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
			answer, err = do(ctx, gate, d.id)
		}
	}
	switch e, ok := errors.AsType[*providers.Error](err); {
	case err == nil:
		return answer, false, nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return answer, false, source.Errorf(source.Slow, "read DingTalk's contacts: not within the time limit; allow more time")
	case ctx.Err() != nil:
		return answer, false, fmt.Errorf("read DingTalk's contacts: %w", ctx.Err())
	case !ok || e.Kind == providers.Unsent:
		return answer, false, fmt.Errorf("read DingTalk's contacts: %w", err) // of the pace
	case e.Kind == providers.Rejected || e.Kind == providers.Unknown:
		why := fmt.Sprintf("%s is refused: %s", d, advised(e))
		r.why, r.refusal = append(r.why, why), cmp.Or(r.refusal, why)
		return answer, true, nil
	default:
		return answer, false, source.Errorf(cause(e), "read DingTalk's contacts: %s", advised(e))
	}
}

// after returns how long to wait before a failed call is made again.
func (w waits) after(err error, try int) (wait time.Duration, again bool) {
	e, ok := errors.AsType[*providers.Error](err)
	if !ok || try >= w.tries || e.Kind != providers.Throttled && e.Kind != providers.Transient {
		return 0, false
	}
	wait = max(w.first<<(try-1), e.RetryAfter, e.Period)
	return wait, wait <= w.most
}

func cause(e *providers.Error) source.Cause {
	switch {
	case e.Kind == providers.Misconfigured, e.Kind == providers.QuotaSpent:
		return source.Refused
	case errors.Is(e.Err, context.DeadlineExceeded), os.IsTimeout(e.Err):
		return source.Slow
	case e.HTTPStatus >= 200 && e.HTTPStatus < 300 && (e.Code == "" || e.Code == "0"):
		return source.Malformed
	}
	return source.Down
}

// advised is the platform's answer, and what to do.
func advised(e *providers.Error) string {
	text := e.Brief()
	if e.Fix != "" {
		text += "; " + e.Fix
	}
	return text
}

// EvenPace spaces the requests to each API evenly, within this process.
type EvenPace struct {
	limit rate.Limit

	mu       sync.Mutex
	limiters map[string]*rate.Limiter
}

// NewEvenPace returns a Pace of so many requests a second to each API. The platform
// accepts 20 from one app; other programs with the same app need their share.
func NewEvenPace(perSecond float64) *EvenPace {
	return &EvenPace{limit: rate.Limit(perSecond), limiters: map[string]*rate.Limiter{}}
}

// Wait implements [Pace].
func (p *EvenPace) Wait(ctx context.Context, api string) error {
	p.mu.Lock()
	limiter := p.limiters[api]
	if limiter == nil {
		limiter = rate.NewLimiter(p.limit, 1)
		p.limiters[api] = limiter
	}
	p.mu.Unlock()
	return limiter.Wait(ctx)
}

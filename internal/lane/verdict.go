package lane

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hibiken/asynq"
	"github.com/sethvargo/go-retry"

	"rollcall/internal/handler"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/outcome"
	"rollcall/internal/pace"
	"rollcall/providers"
	"rollcall/tasks"
)

// Verdict is the outcome of an attempt for its task, and the reason.
type Verdict struct {
	Action  outcome.Action
	Class   outcome.Class
	Counted bool
	Attempt int           // number of attempts that ended in this class; 0 if not counted
	Allowed int           // largest allowed number; 0 if not counted
	After   time.Duration // for Retry: how long to wait
	Err     error
}

// Attempts returns how often a task has ended in a class, including this attempt, and
// when it first did.
type Attempts func(outcome.Class) (n int, first time.Time, err error)

// Judge returns the verdict on an attempt that ended in err. It is the only place that
// turns an error into an outcome. attempts is called only for classes whose attempts
// are counted. If it fails, the attempt is not counted.
func Judge(err error, now time.Time, attempts Attempts) Verdict {
	if err == nil {
		return Verdict{Action: outcome.Done}
	}
	class := classify(err)
	if class == outcome.Throttled && repeated(err, attempts) {
		class = outcome.Refused
	}
	r := class.Rule()
	v := Verdict{Action: outcome.Retry, Class: class, Err: err}
	if class == outcome.Cancelled {
		v.Action = outcome.Done
		return v
	}
	if r.Dead {
		v.Action = outcome.Dead
		return v
	}
	n := 1
	if r.Attempts > 0 {
		count, first, countErr := attempts(class)
		if countErr == nil {
			n = count
			v.Counted, v.Attempt, v.Allowed = true, count, allowed(r, err)
			if count >= v.Allowed || now.Sub(first) >= r.Horizon {
				v.Action = outcome.Dead
				return v
			}
		}
	}
	v.After = max(backoff(r, n), asked(err))
	return v
}

// repeated reports whether a refusal that may be for the rate has occurred as often as
// the platform's documentation allows. A bare 403 is a rate limit, which passes, or a
// missing permission, which does not.
func repeated(err error, attempts Attempts) bool {
	e, ok := errors.AsType[*providers.Error](err)
	if !ok || e.Tries == 0 {
		return false
	}
	n, _, err := attempts(outcome.Throttled)
	return err == nil && n >= e.Tries
}

// allowed returns the class's bound, or the platform's bound for this code if that is
// lower.
func allowed(r outcome.Rule, err error) int {
	if e, ok := errors.AsType[*providers.Error](err); ok && e.Tries > 0 {
		return min(r.Attempts, e.Tries)
	}
	return r.Attempts
}

// asked returns how long the platform, or the task that holds the target's lease, asks
// to wait. A little is added, never subtracted, so that many tasks with the same answer
// do not run again at the same moment.
func asked(err error) time.Duration {
	var d time.Duration
	if e, ok := errors.AsType[*providers.Error](err); ok {
		d = e.RetryAfter
		if e.Kind == providers.Throttled && e.Scope != providers.ScopeTask {
			d = min(d, time.Second) // its lane pauses or is held: the task waits in its queue until the lane continues
		}
	}
	if busy, ok := errors.AsType[*ledger.BusyError](err); ok {
		// The lease is released when the other task ends, long before it expires. A
		// task far back in the edit queue checks less often.
		d = min(busy.For+time.Duration(busy.Before)*time.Second, 2*time.Second+time.Duration(busy.Before)*time.Second/2, 30*time.Second)
	}
	if again, ok := errors.AsType[*handler.AgainError](err); ok {
		d = max(d, again.After)
	}
	if paced, ok := errors.AsType[*pace.BookedOutError](err); ok {
		d = min(paced.For, time.Second) // likewise
	}
	if halted, ok := errors.AsType[*RunHaltedError](err); ok {
		d = halted.wait()
	}
	if is[*ledger.DamagedError](err) {
		d = repairWait
	}
	if d <= 0 {
		return 0
	}
	return d + rand.N(d/4+time.Millisecond) //nolint:gosec // spreads load, protects no secret
}

// repairWait is how long a task of a damaged target waits: a person repairs it.
const repairWait = 30 * time.Second

// backoff is the wait before attempt n+1: full jitter over a doubling wait.
func backoff(r outcome.Rule, n int) time.Duration {
	if r.Base == 0 {
		return 0
	}
	b := retry.WithCappedDuration(r.Limit, retry.NewExponential(r.Base))
	if r.Attempts == 0 {
		n = 1
	}
	for range n - 1 {
		b.Next()
	}
	wait, _ := retry.WithFullJitter(b).Next()
	return max(wait, r.Base/4)
}

// classify decides whose fault an error is.
func classify(err error) outcome.Class {
	// The cause of a cancelled attempt is more specific than the error it ended with.
	switch {
	case errors.Is(err, ErrStopping):
		return outcome.Stopping
	case errors.Is(err, ledger.ErrStale), errors.Is(err, ledger.ErrLeaseLost):
		return outcome.Overtaken
	case is[*handler.AgainError](err):
		return outcome.Unknown
	}
	if e, ok := errors.AsType[*providers.Error](err); ok {
		return classifyProvider(e)
	}
	switch class, ok := classifyGate(err); {
	case is[*ledger.BusyError](err):
		return outcome.Waiting
	case ok:
		return class
	case is[*kinds.NewerVersionError](err):
		return outcome.Newer
	case is[*kinds.PayloadError](err), is[*tasks.ValidationError](err), is[*kinds.UnknownTypeError](err),
		is[*handler.MisplacedError](err), is[*UndecodableError](err), is[*ledger.FutureError](err):
		return outcome.Malformed
	case is[*PanicError](err):
		return outcome.Panic
	case is[*PoisonError](err):
		return outcome.Poison
	}
	return outcome.Internal
}

// classifyGate classifies the reasons for which the lane itself lets no request leave; false
// for any other error.
func classifyGate(err error) (outcome.Class, bool) {
	switch {
	case is[*HeldError](err):
		return outcome.Held, true
	case is[*RunHaltedError](err):
		return outcome.Halted, true
	case is[*RunCancelledError](err):
		return outcome.Cancelled, true
	case is[*pace.BookedOutError](err), is[*CrowdedError](err):
		return outcome.Paced, true
	case is[*pace.SpentError](err):
		return outcome.Quota, true
	}
	return "", false
}

func is[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

func classifyProvider(e *providers.Error) outcome.Class {
	switch e.Kind {
	case providers.Transient:
		return outcome.Busy
	case providers.Partial:
		return outcome.Partial
	case providers.Throttled:
		return outcome.Throttled
	case providers.QuotaSpent:
		return outcome.Quota
	case providers.TokenRejected, providers.Misconfigured:
		return outcome.Refused
	case providers.Rejected:
		return outcome.Rejected
	case providers.Ambiguous:
		return outcome.Unverified
	case providers.Unsent:
		return classifyUnsent(e)
	case providers.Unknown:
		return outcome.Unlisted
	}
	return outcome.Unlisted
}

// classifyUnsent classifies a request that never left: by the gate's reason, or the end
// of the attempt's own time.
func classifyUnsent(e *providers.Error) outcome.Class {
	if class, ok := classifyGate(e.Err); ok {
		return class
	}
	if errors.Is(e.Err, context.DeadlineExceeded) {
		return outcome.Busy
	}
	return outcome.Internal
}

// Cause returns in one line what happened and what to do. asynqmon shows it with the
// task.
func (v Verdict) Cause() string {
	if v.Err == nil {
		return ""
	}
	text := string(v.Class) + ": "
	if e, ok := errors.AsType[*providers.Error](v.Err); ok {
		text += e.Brief()
		if e.Fix != "" {
			text += " · to do: " + e.Fix
		}
	} else {
		text += v.Err.Error()
	}
	switch {
	case v.Action == outcome.Dead && v.Counted:
		text += fmt.Sprintf(" · given up after %d of %d attempts", v.Attempt, v.Allowed)
	case v.Counted:
		text += fmt.Sprintf(" · attempt %d of %d", v.Attempt, v.Allowed)
	}
	return text
}

// verdictError carries a verdict through asynq, as the error of its handler.
type verdictError struct{ Verdict }

// Error returns the verdict's cause.
func (f verdictError) Error() string { return f.Cause() }

// Is makes asynq archive a dead task.
func (f verdictError) Is(target error) bool {
	return f.Action == outcome.Dead && target == asynq.SkipRetry
}

// asynqError returns nil for a done task.
func (v Verdict) asynqError() error {
	if v.Action == outcome.Done {
		return nil
	}
	return verdictError{v}
}

// counts is asynq's IsFailure: asynq's counter of attempts must equal rollcall's. A
// task whose lease expired belongs to a dead worker, which is not the task's fault.
func counts(err error) bool {
	f, ok := errors.AsType[verdictError](err)
	return ok && f.Counted
}

// delay is asynq's RetryDelayFunc. An error without a verdict means that asynq
// cancelled the attempt.
func delay(_ int, err error, _ *asynq.Task) time.Duration {
	if f, ok := errors.AsType[verdictError](err); ok {
		return f.After
	}
	return time.Second
}

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
	"rollcall/internal/pace"
	"rollcall/providers"
	"rollcall/tasks"
)

// Action is what happens to a task after an attempt.
type Action string

const (
	// Done means that the task is finished.
	Done Action = "done"
	// Retry means that the task runs again after a wait.
	Retry Action = "retry"
	// Dead means that no retry will help: the task is archived for a person to check.
	Dead Action = "dead"
)

// Class groups errors that are treated the same. Its values appear in logs and docs.
type Class string

// The classes.
const (
	ClassBusy       Class = "busy"       // the platform or the network; temporary
	ClassPartial    Class = "partial"    // some members were changed and others not
	ClassUnlisted   Class = "unlisted"   // an answer that is in no table
	ClassThrottled  Class = "throttled"  // sent too fast
	ClassPaced      Class = "paced"      // the task's slot is too far in the future to wait for
	ClassQuota      Class = "quota"      // the month's calls are spent
	ClassRefused    Class = "refused"    // credentials, permissions, our own code
	ClassRejected   Class = "rejected"   // the task itself is wrong; a retry cannot succeed
	ClassUnverified Class = "unverified" // unknown outcome, and the request must not be repeated
	ClassMalformed  Class = "malformed"  // the message is not a readable task
	ClassNewer      Class = "newer"      // written by a newer version of the producer
	ClassWaiting    Class = "waiting"    // another task holds the lease of the target
	ClassUnknown    Class = "doubtful"   // unknown outcome: the same request is sent again, minutes later
	ClassOvertaken  Class = "overtaken"  // the lease of the target was lost or a later change exists: decide again
	ClassHeld       Class = "held"       // the lane is on hold
	ClassStopping   Class = "stopping"   // the worker is stopping
	ClassInternal   Class = "internal"   // Redis or an error of rollcall
	ClassPanic      Class = "panic"      // a defect of rollcall
	ClassPoison     Class = "poison"     // too many workers died while they ran it
)

// rule describes how a class is treated.
type rule struct {
	// attempts bounds how often a task may end in this class. 0: attempts are not
	// counted, and the task returns to its queue unchanged.
	attempts int
	// horizon bounds the time since the task's first attempt that ended in this class;
	// 0: no bound.
	horizon time.Duration
	// base and limit are the shortest and longest wait before full jitter. The wait
	// doubles from base with every counted attempt.
	base, limit time.Duration
	dead        bool // archived after the first attempt
}

// A task that a hold stops waits in its queue until the lane continues. Its own wait of
// a second only returns it to the queue.

// rules is the one table of how often, and for how long, each class is retried.
var rules = map[Class]rule{
	ClassBusy:       {attempts: 12, horizon: 6 * time.Hour, base: 2 * time.Second, limit: 10 * time.Minute},
	ClassPartial:    {attempts: 3, horizon: 24 * time.Hour, base: 20 * time.Second, limit: 10 * time.Minute},
	ClassUnlisted:   {attempts: 3, horizon: time.Hour, base: 5 * time.Second, limit: time.Minute},
	ClassPanic:      {attempts: 3, horizon: time.Hour, base: 5 * time.Second, limit: time.Minute},
	ClassThrottled:  {base: time.Second, limit: time.Second},
	ClassPaced:      {base: time.Second, limit: time.Second},
	ClassQuota:      {base: time.Second, limit: time.Second},
	ClassRefused:    {base: time.Second, limit: time.Second},
	ClassNewer:      {base: time.Minute, limit: time.Minute},
	ClassWaiting:    {base: time.Second, limit: time.Second},
	ClassUnknown:    {base: time.Second, limit: time.Second},
	ClassOvertaken:  {base: time.Second, limit: time.Second},
	ClassHeld:       {base: time.Second, limit: time.Second},
	ClassStopping:   {},
	ClassInternal:   {base: 5 * time.Second, limit: 5 * time.Second},
	ClassRejected:   {dead: true},
	ClassUnverified: {dead: true},
	ClassMalformed:  {dead: true},
	ClassPoison:     {dead: true},
}

// Verdict is the outcome of an attempt for its task, and the reason.
type Verdict struct {
	Action  Action
	Class   Class
	Counted bool
	Attempt int           // number of attempts that ended in this class; 0 if not counted
	Allowed int           // largest allowed number; 0 if not counted
	After   time.Duration // for Retry: how long to wait
	Err     error
}

// Attempts returns how often a task has ended in a class, including this attempt, and
// when it first did.
type Attempts func(Class) (n int, first time.Time, err error)

// Judge returns the verdict on an attempt that ended in err. It is the only place that
// turns an error into an outcome. attempts is called only for classes whose attempts
// are counted. If it fails, the attempt is not counted.
func Judge(err error, now time.Time, attempts Attempts) Verdict {
	if err == nil {
		return Verdict{Action: Done}
	}
	class := classify(err)
	if class == ClassThrottled && repeated(err, attempts) {
		class = ClassRefused
	}
	r := rules[class]
	v := Verdict{Action: Retry, Class: class, Err: err}
	if r.dead {
		v.Action = Dead
		return v
	}
	n := 1
	if r.attempts > 0 {
		count, first, countErr := attempts(class)
		if countErr == nil {
			n = count
			v.Counted, v.Attempt, v.Allowed = true, count, allowed(r, err)
			if count >= v.Allowed || now.Sub(first) >= r.horizon {
				v.Action = Dead
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
	n, _, err := attempts(ClassThrottled)
	return err == nil && n >= e.Tries
}

// allowed returns the class's bound, or the platform's bound for this code if that is
// lower.
func allowed(r rule, err error) int {
	if e, ok := errors.AsType[*providers.Error](err); ok && e.Tries > 0 {
		return min(r.attempts, e.Tries)
	}
	return r.attempts
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
	if d <= 0 {
		return 0
	}
	return d + rand.N(d/4+time.Millisecond) //nolint:gosec // spreads load, protects no secret
}

// backoff is the wait before attempt n+1: full jitter over a doubling wait.
func backoff(r rule, n int) time.Duration {
	if r.base == 0 {
		return 0
	}
	b := retry.WithCappedDuration(r.limit, retry.NewExponential(r.base))
	if r.attempts == 0 {
		n = 1
	}
	for range n - 1 {
		b.Next()
	}
	wait, _ := retry.WithFullJitter(b).Next()
	return max(wait, r.base/4)
}

// classify decides whose fault an error is.
func classify(err error) Class {
	// The cause of a cancelled attempt is more specific than the error it ended with.
	switch {
	case errors.Is(err, ErrStopping):
		return ClassStopping
	case errors.Is(err, ledger.ErrStale), errors.Is(err, ledger.ErrLeaseLost):
		return ClassOvertaken
	case is[*handler.AgainError](err):
		return ClassUnknown
	}
	if e, ok := errors.AsType[*providers.Error](err); ok {
		return classifyProvider(e)
	}
	switch {
	case is[*ledger.BusyError](err):
		return ClassWaiting
	case is[*HeldError](err):
		return ClassHeld
	case is[*pace.BookedOutError](err), is[*CrowdedError](err):
		return ClassPaced
	case is[*pace.SpentError](err):
		return ClassQuota
	case is[*kinds.NewerVersionError](err):
		return ClassNewer
	case is[*kinds.PayloadError](err), is[*tasks.ValidationError](err), is[*kinds.UnknownTypeError](err),
		is[*handler.MisplacedError](err), is[*UndecodableError](err):
		return ClassMalformed
	case is[*PanicError](err):
		return ClassPanic
	case is[*PoisonError](err):
		return ClassPoison
	}
	return ClassInternal
}

func is[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

func classifyProvider(e *providers.Error) Class {
	switch e.Kind {
	case providers.Transient:
		return ClassBusy
	case providers.Partial:
		return ClassPartial
	case providers.Throttled:
		return ClassThrottled
	case providers.QuotaSpent:
		return ClassQuota
	case providers.TokenRejected, providers.Misconfigured:
		return ClassRefused
	case providers.Rejected:
		return ClassRejected
	case providers.Ambiguous:
		return ClassUnverified
	case providers.Unsent:
		return classifyUnsent(e)
	case providers.Unknown:
		return ClassUnlisted
	}
	return ClassUnlisted
}

// classifyUnsent classifies a request that never left: by the gate's reason, or the end
// of the attempt's own time.
func classifyUnsent(e *providers.Error) Class {
	switch {
	case is[*HeldError](e.Err):
		return ClassHeld
	case is[*pace.BookedOutError](e.Err), is[*CrowdedError](e.Err):
		return ClassPaced
	case is[*pace.SpentError](e.Err):
		return ClassQuota
	case errors.Is(e.Err, context.DeadlineExceeded):
		return ClassBusy
	}
	return ClassInternal
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
	case v.Action == Dead && v.Counted:
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
func (f verdictError) Is(target error) bool { return f.Action == Dead && target == asynq.SkipRetry }

// asynqError returns nil for a done task.
func (v Verdict) asynqError() error {
	if v.Action == Done {
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

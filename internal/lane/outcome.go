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

// Action is what becomes of a task after an attempt.
type Action string

const (
	// Done means that nothing more is to be done.
	Done Action = "done"
	// Retry means that it is tried again after a while.
	Retry Action = "retry"
	// Dead means that no retry will mend it: archived, for a person.
	Dead Action = "dead"
)

// Class groups errors that are treated alike. Its names stand in logs and docs.
type Class string

// The classes.
const (
	ClassBusy       Class = "busy"       // the platform or the network; passes by itself
	ClassPartial    Class = "partial"    // some members were changed and others not
	ClassUnlisted   Class = "unlisted"   // an answer that no table knows
	ClassThrottled  Class = "throttled"  // too fast
	ClassPaced      Class = "paced"      // the task's slot is too far away to wait for
	ClassQuota      Class = "quota"      // the month's calls are spent
	ClassRefused    Class = "refused"    // credentials, permissions, our own code
	ClassRejected   Class = "rejected"   // the task is wrong and stays wrong
	ClassUnverified Class = "unverified" // may or may not have been applied, and must not be repeated
	ClassMalformed  Class = "malformed"  // no task can be read out of it
	ClassNewer      Class = "newer"      // written by a newer producer
	ClassWaiting    Class = "waiting"    // another task is at the target
	ClassDoubtful   Class = "doubtful"   // may have been applied: the same is sent again, minutes later
	ClassOvertaken  Class = "overtaken"  // the target changed hands or a newer wish came: look again
	ClassHeld       Class = "held"       // the lane is on hold
	ClassStopping   Class = "stopping"   // the worker stops
	ClassInternal   Class = "internal"   // Redis or something of ours
	ClassPanic      Class = "panic"      // a defect of ours
	ClassPoison     Class = "poison"     // too many workers died with it
)

// rule is how a class is treated.
type rule struct {
	// attempts bounds how often a task may end in this class; 0: attempts are
	// not counted, the task goes back as if nothing had happened.
	attempts int
	// horizon bounds the time since its first attempt that ended so; 0: none.
	horizon time.Duration
	// base and limit are the shortest and longest wait before full jitter: the
	// wait doubles from base with every attempt counted.
	base, limit time.Duration
	dead        bool // archived on the first answer
}

// A task that a hold keeps back waits in its queue, where it stays until the
// lane goes on; the wait of a second only brings it there.

// rules is the one table of how often and how long each class is tried.
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
	ClassDoubtful:   {base: time.Second, limit: time.Second},
	ClassOvertaken:  {base: time.Second, limit: time.Second},
	ClassHeld:       {base: time.Second, limit: time.Second},
	ClassStopping:   {},
	ClassInternal:   {base: 5 * time.Second, limit: 5 * time.Second},
	ClassRejected:   {dead: true},
	ClassUnverified: {dead: true},
	ClassMalformed:  {dead: true},
	ClassPoison:     {dead: true},
}

// Verdict is what becomes of a task, and why.
type Verdict struct {
	Action  Action
	Class   Class
	Counted bool
	Attempt int           // how often it has ended in this class now; 0 if not counted
	Allowed int           // how often it may; 0 if not counted
	After   time.Duration // Retry: how long to wait
	Err     error
}

// Attempts tells how often a task has ended in a class, this time included, and
// when it first did.
type Attempts func(Class) (n int, first time.Time, err error)

// Judge gives the verdict on an attempt that ended in err. It is the only place
// that turns an error into a fate. attempts is asked only for classes whose
// attempts are counted; when it does not know, the attempt is not counted.
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

// repeated reports whether a refusal that may be for the rate has come as often
// as the platform says such a one is worth trying: a bare 403 is either that or
// a missing permission, and the rate passes.
func repeated(err error, attempts Attempts) bool {
	e, ok := errors.AsType[*providers.Error](err)
	if !ok || e.Tries == 0 {
		return false
	}
	n, _, err := attempts(ClassThrottled)
	return err == nil && n >= e.Tries
}

// allowed is the class's bound, or the platform's own for this code if that is
// lower.
func allowed(r rule, err error) int {
	if e, ok := errors.AsType[*providers.Error](err); ok && e.Tries > 0 {
		return min(r.attempts, e.Tries)
	}
	return r.attempts
}

// asked is how long the platform, or the task that is at the target, wants to
// be left alone. A little is added, never taken away, so that many that were
// told the same do not come back at once.
func asked(err error) time.Duration {
	var d time.Duration
	if e, ok := errors.AsType[*providers.Error](err); ok {
		d = e.RetryAfter
		if e.Kind == providers.Throttled && e.Scope != providers.ScopeTask {
			d = min(d, time.Second) // its lane pauses or is held: it waits in its queue, and goes on when the lane does
		}
	}
	if busy, ok := errors.AsType[*ledger.BusyError](err); ok {
		// The mark is let go when the other task ends, long before it runs out. Who
		// is far back in a line of edits need not look as often.
		d = min(busy.For+time.Duration(busy.Place)*time.Second, 2*time.Second+time.Duration(busy.Place)*time.Second/2, 30*time.Second)
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
	return d + rand.N(d/4+time.Millisecond) //nolint:gosec // spreads load, keeps no secret
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

// classify asks one question: whose fault is it?
func classify(err error) Class {
	// The cause of an attempt that was cut off says more than how it ended.
	switch {
	case errors.Is(err, ErrStopping):
		return ClassStopping
	case errors.Is(err, ledger.ErrStale), errors.Is(err, ledger.ErrLost):
		return ClassOvertaken
	case is[*handler.AgainError](err):
		return ClassDoubtful
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

// classifyUnsent is for what never left: the gate's reason, or the end of the
// attempt's own time.
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

// Cause says in one line what happened and what to do. It is what asynqmon
// shows beside the task.
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

// fate is how a verdict travels through asynq: as the error of its handler.
type fate struct{ Verdict }

// Error is the verdict's cause.
func (f fate) Error() string { return f.Cause() }

// Is makes asynq archive what is dead.
func (f fate) Is(target error) bool { return f.Action == Dead && target == asynq.SkipRetry }

// asynqError is nil for a task that is done.
func (v Verdict) asynqError() error {
	if v.Action == Done {
		return nil
	}
	return fate{v}
}

// counts is asynq's IsFailure: its counter of attempts is to show ours. A task
// whose lease ran out has crashed, which is not its fault.
func counts(err error) bool {
	f, ok := errors.AsType[fate](err)
	return ok && f.Counted
}

// delay is asynq's RetryDelayFunc. What carries no verdict was cut off by asynq
// itself.
func delay(_ int, err error, _ *asynq.Task) time.Duration {
	if f, ok := errors.AsType[fate](err); ok {
		return f.After
	}
	return time.Second
}

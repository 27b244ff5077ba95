package lane

import (
	"time"

	"rollcall/internal/handler"
	"rollcall/internal/hold"
	"rollcall/internal/outcome"
)

// Observer receives what happens in the lanes, for metrics. Its methods are called from
// many goroutines, between tasks: they must not block.
type Observer interface {
	// Attempt is called once for each attempt that reached a verdict. An attempt that
	// asynq cancelled, or that ended with its process, has none.
	Attempt(Attempt)
	// Recovered is called when a task of a dead worker was made pending again.
	Recovered(lane string)
	// DiedOutsideAttempt is called when a task died without an attempt's verdict: too
	// many workers died while they ran it, asynq archived it, or asynq lost it. It is
	// called in one worker only.
	DiedOutsideAttempt(lane string, class outcome.Class)
	// Closed is called when a dead letter was closed automatically. It is called in one
	// worker only.
	Closed(lane string, class outcome.Class)
	// Late is called every few seconds, in every worker, with the number of targets of a
	// lane whose values an earlier request may have overwritten, and which are sent again.
	Late(lane string, targets int64)
	// Resent is called once for each attempt to send such values again.
	Resent(Attempt)
	// Unserved is called every 30 s, in every worker, with the number of queues that no
	// worker serves and of the tasks that wait there. It is not called if they cannot
	// be counted.
	Unserved(queues int, tasks int64)
	// Hold is called in the one worker that started, changed or ended a hold.
	Hold(hold.Change, hold.Hold)
}

// Attempt is one attempt at one task. Its report holds the target, which may
// name a person.
type Attempt struct {
	Lane    string
	Verdict Verdict
	Report  handler.Report
	Retried int // number of counted attempts before this one
	Start   time.Time
	Took    time.Duration
}

// Observe sets the observer of everything from Start on; without a call there is none.
// Call it before Start.
func (s *Set) Observe(o Observer) { s.observer = o }

func (s *Set) observe(a Attempt) {
	if s.observer != nil {
		s.observer.Attempt(a)
	}
}

// diedOutsideAttempt reports a dead letter that was not the result of an attempt.
func (l *Lane) diedOutsideAttempt(class outcome.Class) {
	if l.set.observer != nil {
		l.set.observer.DiedOutsideAttempt(l.Name(), class)
	}
}

// closed reports a dead letter that was closed automatically.
func (l *Lane) closed(class outcome.Class) {
	if l.set.observer != nil {
		l.set.observer.Closed(l.Name(), class)
	}
}

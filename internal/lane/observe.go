package lane

import (
	"time"

	"rollcall/internal/handler"
	"rollcall/internal/hold"
)

// Observer receives what happens in the lanes, for metrics. Its methods are called from
// many goroutines, between tasks: they must not block.
type Observer interface {
	// Attempt is called once for each attempt that reached a verdict. An attempt that
	// asynq cancelled, or that ended with its process, has none.
	Attempt(Attempt)
	// Late is called every few seconds, in every worker, with the number of targets of a
	// lane whose values an earlier request may have overwritten, and which are sent again.
	Late(lane string, targets int64)
	// Resent is called once for each attempt to send such values again.
	Resent(Attempt)
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

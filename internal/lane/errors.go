package lane

import (
	"errors"
	"fmt"
	"time"

	"rollcall/internal/hold"
)

// The errors in which an attempt ends besides those of the handler, the pace and the
// ledger. verdict.go classifies them all.

// ErrStopping is the error of a task that waited for its slot when the worker stopped.
var ErrStopping = errors.New("the worker is stopping")

// HeldError reports that a lane is on hold.
type HeldError struct{ hold.Hold }

// Error returns the scope and the reason of the hold.
func (e *HeldError) Error() string {
	text := fmt.Sprintf("the lane is on hold (%s)", e.Class)
	if !e.Until.IsZero() {
		text += " until " + e.Until.UTC().Format(time.RFC3339)
	}
	return text + ": " + e.Reason
}

// CrowdedError reports that the slot for a send did not come in time.
type CrowdedError struct{}

// Error returns the message, with the possible reasons.
func (*CrowdedError) Error() string {
	return "no slot in time: too many tasks wait for this lane's limit, or urgent tasks are sent first"
}

// RunHaltedError reports that no row of a run may be sent now.
type RunHaltedError struct {
	Run string
	For time.Duration // since when it is paused; 0: not known
}

// mostHalted is the longest wait of a row of a paused run before it looks again. A run
// that is resumed wakes its rows.
const mostHalted = 5 * time.Minute

// wait is how long the row waits at least: a long pause costs little.
func (e *RunHaltedError) wait() time.Duration { return min(e.For/4, mostHalted) }

// Error names the run, and says what its rows wait for.
func (e *RunHaltedError) Error() string {
	return fmt.Sprintf("run %s is paused, or its state could not be read: its rows wait", e.Run)
}

// RunCancelledError reports that no row of a run may ever be sent again.
type RunCancelledError struct{ Run string }

// Error names the run.
func (e *RunCancelledError) Error() string { return fmt.Sprintf("run %s was cancelled", e.Run) }

// PanicError is a panic in a handler: a defect of rollcall.
type PanicError struct{ Value any }

// Error includes the value of the panic.
func (e *PanicError) Error() string {
	return fmt.Sprintf("rollcall has a defect, please report it: panic: %v", e.Value)
}

// PoisonError reports a task while which too many workers died.
type PoisonError struct {
	Workers int
	Within  time.Duration // from the first detected death to the last
}

// PoisonTodo is what a person should do about such a task.
const PoisonTodo = "find out from the workers' logs and their service manager why they died; " +
	"where several tasks died together, replay one after another: the one that kills again is to blame"

// Error returns what happened, and what to do.
func (e *PoisonError) Error() string {
	return fmt.Sprintf("%d workers died while they ran this task, all within %s; the task may not be the cause · to do: %s",
		e.Workers, max(e.Within, time.Second).Round(time.Second), PoisonTodo)
}

// UndecodableError reports a message that asynq cannot read.
type UndecodableError struct {
	Queue, ID string
	Bytes     int
}

// Error returns what was found in which queue, and what to do.
func (e *UndecodableError) Error() string {
	if e.Bytes == 0 {
		return fmt.Sprintf("queue %s listed a task %s that has no message in Redis: enqueue it again if it is still needed", e.Queue, e.ID)
	}
	return fmt.Sprintf("queue %s held a message %s of %d bytes that is not an asynq task, or too long for one; its first bytes are kept in field raw: "+
		"find the other program that writes to this Redis, and enqueue the task again with the enqueue command", e.Queue, e.ID, e.Bytes)
}

package lane

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/hibiken/asynq"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
)

// Runs knows whether rows of runs may be sent.
type Runs interface {
	// Await returns when the state of a run is known, or after a second without it.
	Await(ctx context.Context, run string)
	// Sends reports whether a call of a run may leave now; ended, that none ever may again.
	// Neither is true if the run is paused or its state is not known.
	Sends(run string) (now, ended bool)
	// HaltedFor returns how long a run has been paused, as far as this worker knows.
	HaltedFor(run string) time.Duration
}

// SetRuns sets what is asked just before each call of a row of a run. Call it before
// Start. Without it rows of runs are sent in any state of their run.
func (s *Set) SetRuns(r Runs) { s.runs = r }

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

// runOf returns the run of which a task is a row that was fed; "" for any other task, and
// for a row that a person replayed from its dead letter.
func runOf(id string, task *asynq.Task) string {
	run, row := kinds.RunOf(task.Headers())
	if !ledger.IsRunID(run) || id != run+":"+strconv.Itoa(row) {
		return ""
	}
	return run
}

// await waits until the state of the attempt's run is known, and judges it.
func (a *attempt) await(ctx context.Context) error {
	if a.run == "" || a.lane.set.runs == nil {
		return nil
	}
	a.lane.set.runs.Await(ctx, a.run)
	return a.halted()
}

// halted returns why the row may not be sent now, or nil.
func (a *attempt) halted() error {
	if a.run == "" || a.lane.set.runs == nil {
		return nil
	}
	now, ended := a.lane.set.runs.Sends(a.run)
	switch {
	case now:
		return nil
	case ended:
		return &RunCancelledError{Run: a.run}
	}
	return &RunHaltedError{Run: a.run, For: a.lane.set.runs.HaltedFor(a.run)}
}

// cancel ends the task of a row whose run was cancelled, without a dead letter.
func (l *Lane) cancel(ctx context.Context, id string, task *asynq.Task) error {
	decoded, _, err := kinds.Decode(task.Type(), task.Payload())
	if err != nil {
		return err
	}
	target, _ := kinds.Change(decoded, l.Organisation)
	run, row := kinds.RunOf(task.Headers())
	return l.set.ledger.Cancel(ctx, target, id, ledger.Row{Tenant: l.Tenant, Run: run, Row: row})
}

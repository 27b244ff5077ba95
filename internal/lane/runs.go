package lane

import (
	"context"
	"strconv"
	"time"

	"rollcall/internal/handler"
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

// runOf returns the run of which a task is a row that was fed; "" for any other task, and
// for a row that a person replayed from its dead letter.
func runOf(d handler.Delivery) string {
	if !ledger.IsRunID(d.Run) || d.TaskID != d.Run+":"+strconv.Itoa(d.Row) {
		return ""
	}
	return d.Run
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
func (l *Lane) cancel(ctx context.Context, d handler.Delivery) error {
	task, _, err := kinds.Decode(d.Type, d.Payload)
	if err != nil {
		return err
	}
	target, _ := kinds.Change(task, l.Organisation)
	return l.set.ledger.Cancel(ctx, target, d.TaskID, ledger.Row{Tenant: l.Tenant, Run: d.Run, Row: d.Row})
}

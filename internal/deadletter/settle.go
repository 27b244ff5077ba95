package deadletter

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/audit"
	"rollcall/internal/backlog"
	"rollcall/internal/console"
	"rollcall/internal/ledger"
	"rollcall/internal/outcome"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

// together is how many dead letters of a page are processed concurrently.
const together = 32

// Outcome is the result for one dead letter.
type Outcome string

// The outcomes.
const (
	Replayed  Outcome = "replayed"  // stored again; the dead letter was removed
	Underway  Outcome = "underway"  // its task was already run again; the dead letter was removed
	Discarded Outcome = "discarded" // the dead letter and the archived task were removed
	Refused   Outcome = "refused"   // it would fail again; the dead letter stays
	Failed    Outcome = "failed"    // Redis failed, or its answer was lost; the dead letter stays
)

// Settled is a dead letter and the result for it.
type Settled struct {
	DeadLetter ledger.DeadLetter
	Outcome    Outcome
	TaskID     string // id of the task that replaces it
	Err        error  // for Refused and Failed
}

// ActiveError reports that a dead letter's task is running: it was delivered again, or
// is being archived.
type ActiveError struct{ ID string }

// Error includes what to do.
func (e *ActiveError) Error() string {
	return fmt.Sprintf("task %s is running: try again in a minute", e.ID)
}

// Replay stores tasks again unchanged, with their old revisions, and then removes their
// dead letters. If it fails in between, it can be repeated.
func (d *Service) Replay(ctx context.Context, dead []ledger.DeadLetter) []Settled {
	return d.settle(ctx, dead, func(dead ledger.DeadLetter) Settled {
		return d.restore(ctx, dead, func() tasks.Result { return d.client.Replay(ctx, dead) })
	})
}

// Replace stores a corrected task in place of a dead letter's, with a new revision.
func (d *Service) Replace(ctx context.Context, dead ledger.DeadLetter, task tasks.Task) Settled {
	return d.settle(ctx, []ledger.DeadLetter{dead}, func(dead ledger.DeadLetter) Settled {
		return d.restore(ctx, dead, func() tasks.Result { return d.client.Replace(ctx, dead, task) })
	})[0]
}

// Discard removes dead letters and their archived tasks.
func (d *Service) Discard(ctx context.Context, dead []ledger.DeadLetter) []Settled {
	return d.settle(ctx, dead, func(dead ledger.DeadLetter) Settled {
		s, free := d.look(ctx, dead, backlog.Unarchive)
		if free {
			s.Outcome = Discarded
		}
		return s
	})
}

// look returns the result for a dead letter whose task may be running again, or that this
// version cannot read; free is true for any other. read returns the state of the task.
func (d *Service) look(
	ctx context.Context, dead ledger.DeadLetter, read func(ctx context.Context, rdb redis.UniversalClient, queue, id string) (state string, err error),
) (s Settled, free bool) {
	s = Settled{DeadLetter: dead, Outcome: Failed}
	if dead.Class == string(outcome.Unreadable) {
		s.Outcome, s.Err = Refused, errUnreadable
		return s, false
	}
	state, err := read(ctx, d.rdb, queue(dead), dead.ID)
	switch {
	case err != nil:
		s.Err = err
	case state == "active":
		s.Outcome, s.Err = Refused, &ActiveError{ID: dead.ID}
	case putBack(state):
		s.Outcome, s.TaskID = Underway, dead.ID
	default:
		return s, true
	}
	return s, false
}

var errUnreadable = errors.New("the dead letter was written by a newer version of rollcall: use that version")

// restore stores a task before it removes anything. It removes the archived task before
// the dead letter: otherwise a worker that sweeps the archive would write the dead
// record again.
func (d *Service) restore(ctx context.Context, dead ledger.DeadLetter, store func() tasks.Result) Settled {
	s, free := d.look(ctx, dead, backlog.State)
	if !free {
		return s
	}
	result := store()
	s.TaskID, s.Err = result.TaskID, result.Err
	switch result.Outcome {
	case tasks.Refused:
		s.Outcome = Refused
		return s
	case tasks.NotStored, tasks.NotKnown:
		return s
	case tasks.Stored, tasks.AlreadyThere, tasks.Outdated: // Outdated does not occur without a source
	}
	if _, err := backlog.Unarchive(ctx, d.rdb, queue(dead), dead.ID); err != nil {
		s.Err = fmt.Errorf("task %s is stored as %s, but its dead letter could not be removed; safe to retry: %w", dead.ID, s.TaskID, err)
		return s
	}
	s.Outcome = Replayed
	return s
}

// putBack reports whether a task with this state was run again from asynq's web UI, or
// succeeded.
func putBack(state string) bool {
	switch state {
	case "pending", "scheduled", "retry", "aggregating", "completed":
		return true
	}
	return false
}

func queue(dead ledger.DeadLetter) string {
	return registry.Queue(dead.Tenant, tasks.Kind(dead.Kind), dead.Urgent)
}

// guarded processes a dead letter. A panic is its own failure: the others are processed.
func guarded(dead ledger.DeadLetter, do func(ledger.DeadLetter) Settled) (settled Settled) {
	defer func() {
		if value := recover(); value != nil {
			settled = Settled{DeadLetter: dead, Outcome: Failed, Err: fmt.Errorf("rollcall has a defect, please report it: panic at task %s: %v", dead.ID, value)}
		}
	}()
	return do(dead)
}

// settle processes dead letters concurrently, and then removes those that are done.
func (d *Service) settle(ctx context.Context, dead []ledger.DeadLetter, do func(ledger.DeadLetter) Settled) []Settled {
	settled := make([]Settled, len(dead))
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(together, len(dead)) {
		workers.Go(func() {
			for i := range next {
				settled[i] = guarded(dead[i], do)
			}
		})
	}
	for i := range dead {
		next <- i
	}
	close(next)
	workers.Wait()

	over := map[string][]string{}
	for _, s := range settled {
		if s.over() {
			over[s.DeadLetter.Lane] = append(over[s.DeadLetter.Lane], s.DeadLetter.ID)
		}
	}
	for lane, ids := range over {
		if _, err := d.ledger.RemoveDeadLetters(ctx, lane, ids...); err != nil {
			for i := range settled {
				if settled[i].over() && settled[i].DeadLetter.Lane == lane {
					settled[i].Outcome, settled[i].Err = Failed, fmt.Errorf("task %s is done, but its dead letter could not be removed; safe to retry: %w", settled[i].DeadLetter.ID, err)
				}
			}
		}
	}
	return settled
}

func (s Settled) over() bool {
	return s.Outcome == Replayed || s.Outcome == Underway || s.Outcome == Discarded
}

// noteFor bounds how long the events about what was done may take.
const noteFor = 5 * time.Second

// Counts counts what was done to dead letters, for the events.
type Counts map[[2]string]int // lane, class

// Add counts the replayed or discarded ones.
func (t Counts) Add(settled []Settled) {
	for _, s := range settled {
		if s.Outcome == Replayed || s.Outcome == Discarded {
			t[[2]string{s.DeadLetter.Lane, s.DeadLetter.Class}]++
		}
	}
}

// Note writes an event for each lane and class of a Counts: who did what to how many,
// and why. It does so even if ctx has ended.
func (d *Service) Note(ctx context.Context, outcome Outcome, counts Counts, reason, by string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteFor)
	defer cancel()
	var failed error
	for of, n := range counts {
		what := console.Count(n, "dead letter")
		if reason != "" {
			what += ": " + reason
		}
		err := audit.Write(ctx, d.rdb, audit.Event{
			Event: "dead." + string(outcome), Level: audit.Lane, Name: of[0], Class: of[1], Reason: what, By: by,
			More: map[string]string{"count": strconv.Itoa(n)},
		})
		failed = errors.Join(failed, err)
	}
	return failed
}

// State returns the state in asynq of a dead letter's task; "" if asynq does not know
// it.
func (d *Service) State(ctx context.Context, dead ledger.DeadLetter) (string, error) {
	return backlog.State(ctx, d.rdb, queue(dead), dead.ID)
}

package deadletter

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"rollcall/internal/backlog"
	"rollcall/internal/enqueue"
	"rollcall/internal/hold"
	"rollcall/internal/ledger"
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
	Letter  ledger.Letter
	Outcome Outcome
	TaskID  string // id of the task that replaces it
	Err     error  // for Refused and Failed
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
func (d *Desk) Replay(ctx context.Context, letters []ledger.Letter) []Settled {
	return d.settle(ctx, letters, func(letter ledger.Letter) Settled {
		return d.restore(ctx, letter, func(again enqueue.Previous) tasks.Result { return d.client.Replay(ctx, again) })
	})
}

// Replace stores a corrected task in place of a dead letter's, with a new revision.
func (d *Desk) Replace(ctx context.Context, letter ledger.Letter, task tasks.Task) Settled {
	return d.settle(ctx, []ledger.Letter{letter}, func(letter ledger.Letter) Settled {
		return d.restore(ctx, letter, func(again enqueue.Previous) tasks.Result { return d.client.Replace(ctx, again, task) })
	})[0]
}

// Discard removes dead letters and their archived tasks.
func (d *Desk) Discard(ctx context.Context, letters []ledger.Letter) []Settled {
	return d.settle(ctx, letters, func(letter ledger.Letter) Settled {
		if letter.Class == ledger.Unreadable {
			return Settled{Letter: letter, Outcome: Refused, Err: errUnreadable}
		}
		state, err := backlog.Unarchive(ctx, d.rdb, queue(letter), letter.ID)
		switch {
		case err != nil:
			return Settled{Letter: letter, Outcome: Failed, Err: err}
		case state == "active":
			return Settled{Letter: letter, Outcome: Refused, Err: &ActiveError{ID: letter.ID}}
		case putBack(state):
			return Settled{Letter: letter, Outcome: Underway, TaskID: letter.ID}
		}
		return Settled{Letter: letter, Outcome: Discarded}
	})
}

var errUnreadable = errors.New("the dead letter was written by a newer version of rollcall: use that version")

// restore stores a task before it removes anything. It removes the archived task before
// the dead letter: otherwise a worker that sweeps the archive would write the dead
// letter again.
func (d *Desk) restore(ctx context.Context, letter ledger.Letter, store func(enqueue.Previous) tasks.Result) Settled {
	if letter.Class == ledger.Unreadable {
		return Settled{Letter: letter, Outcome: Refused, Err: errUnreadable}
	}
	s := Settled{Letter: letter, Outcome: Failed}
	state, err := backlog.State(ctx, d.rdb, queue(letter), letter.ID)
	switch {
	case err != nil:
		s.Err = err
		return s
	case state == "active":
		s.Outcome, s.Err = Refused, &ActiveError{ID: letter.ID}
		return s
	case putBack(state):
		s.Outcome, s.TaskID = Underway, letter.ID
		return s
	}
	result := store(enqueue.Previous{
		TaskID: letter.ID, Tenant: letter.Tenant, Kind: tasks.Kind(letter.Kind), Urgent: letter.Urgent, Key: letter.Key,
		Run: letter.Run, Row: letter.Row, Type: letter.Type, Payload: letter.Payload,
	})
	s.TaskID, s.Err = result.TaskID, result.Err
	switch result.Outcome {
	case tasks.Refused:
		s.Outcome = Refused
		return s
	case tasks.NotStored, tasks.NotKnown:
		return s
	case tasks.Stored, tasks.AlreadyThere, tasks.Outdated: // Outdated does not occur without a source
	}
	if _, err := backlog.Unarchive(ctx, d.rdb, queue(letter), letter.ID); err != nil {
		s.Err = fmt.Errorf("task %s is stored as %s, but its dead letter could not be removed; safe to retry: %w", letter.ID, s.TaskID, err)
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

func queue(letter ledger.Letter) string {
	return registry.Queue(letter.Tenant, tasks.Kind(letter.Kind), letter.Urgent)
}

// settle processes dead letters concurrently, and then removes those that are done.
func (d *Desk) settle(ctx context.Context, letters []ledger.Letter, do func(ledger.Letter) Settled) []Settled {
	settled := make([]Settled, len(letters))
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(together, len(letters)) {
		workers.Go(func() {
			for i := range next {
				settled[i] = do(letters[i])
			}
		})
	}
	for i := range letters {
		next <- i
	}
	close(next)
	workers.Wait()

	over := map[string][]string{}
	for _, s := range settled {
		if s.over() {
			over[s.Letter.Lane] = append(over[s.Letter.Lane], s.Letter.ID)
		}
	}
	for lane, ids := range over {
		if _, err := d.ledger.Unbury(ctx, lane, ids...); err != nil {
			for i := range settled {
				if settled[i].over() && settled[i].Letter.Lane == lane {
					settled[i].Outcome, settled[i].Err = Failed, fmt.Errorf("task %s is done, but its dead letter could not be removed; safe to retry: %w", settled[i].Letter.ID, err)
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

// Tally counts what was done to dead letters, for the events.
type Tally map[[2]string]int // lane, class

// Add counts the replayed or discarded ones.
func (t Tally) Add(settled []Settled) {
	for _, s := range settled {
		if s.Outcome == Replayed || s.Outcome == Discarded {
			t[[2]string{s.Letter.Lane, s.Letter.Class}]++
		}
	}
}

// Note writes an event for each lane and class of a Tally: who did what to how many,
// and why. It does so even if ctx has ended.
func (d *Desk) Note(ctx context.Context, outcome Outcome, tally Tally, reason, by string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteFor)
	defer cancel()
	var failed error
	for of, n := range tally {
		what := strconv.Itoa(n) + " letters"
		if n == 1 {
			what = "1 letter"
		}
		if reason != "" {
			what += ": " + reason
		}
		err := hold.Note(ctx, d.rdb, "dead."+string(outcome), hold.Place{Level: hold.Lane, Name: of[0]}, of[1], what, by, "count", strconv.Itoa(n))
		failed = errors.Join(failed, err)
	}
	return failed
}

// State returns the state in asynq of a dead letter's task; "" if asynq does not know
// it.
func (d *Desk) State(ctx context.Context, letter ledger.Letter) (string, error) {
	return backlog.State(ctx, d.rdb, queue(letter), letter.ID)
}

package sweep

import (
	"context"
	"errors"
	"strconv"
	"time"

	"rollcall/internal/audit"
	"rollcall/internal/backlog"
	"rollcall/internal/kinds"
	"rollcall/internal/lane"
	"rollcall/internal/ledger"
	"rollcall/internal/outcome"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

// correctedPage is how many dead letters of a lane one sweep compares with the applied
// revisions: 10,000 dead letters take 9 minutes.
const correctedPage = 100

// closedReason is the reason recorded for a dead letter that is closed automatically.
const closedReason = "all its fields were applied at a higher revision"

// corrections closes the dead letters whose fields were all applied at a higher revision:
// a later change replaced what the task wanted. Nothing is recorded when a task runs, so
// a worker that dies, or a dead letter of an older version, only delays the close to a
// later sweep.
type corrections struct {
	common

	cursors map[*lane.Lane]ledger.Cursor // position in the lane's dead letters
}

// run continues through the dead letters of each lane that has any. Cost: two round trips
// for such a lane, three more for each dead letter that is closed.
func (s *corrections) run(ctx context.Context, now time.Time) error {
	var faults []error
	for _, l := range s.Lanes.Lanes() {
		if !l.HasDeadLetters() {
			continue
		}
		dead, next, err := s.Ledger.DeadPage(ctx, ledger.DeadLetterFilter{Lane: l.Name()}, s.cursors[l], correctedPage)
		if err == nil {
			s.cursors[l] = next
			err = s.closeCorrected(ctx, l, dead, now)
		}
		faults = append(faults, unlessDamaged(err))
	}
	return errors.Join(faults...)
}

// closeCorrected closes the dead letters of a page that are corrected.
func (s *corrections) closeCorrected(ctx context.Context, l *lane.Lane, dead []ledger.DeadLetter, now time.Time) error {
	var candidates []ledger.DeadLetter
	var changes []ledger.Change
	for _, dead := range dead {
		task, _, err := kinds.Decode(dead.Type, dead.Payload)
		if err != nil || dead.Class == string(outcome.Unverified) || dead.Revision <= 0 {
			continue // it names no field, or a person must check it
		}
		target, fields := kinds.Change(task, l.Organisation)
		candidates, changes = append(candidates, dead), append(changes, ledger.Change{Target: target, Fields: fields})
	}
	applied, err := s.Ledger.Applied(ctx, changes...)
	if err != nil {
		return err
	}
	closed := map[string]int{} // by class
	var faults []error
	for i, dead := range candidates {
		if applied[i] <= dead.Revision {
			continue
		}
		done, err := s.closeDeadLetter(ctx, dead, applied[i], now)
		faults = append(faults, err)
		if done {
			closed[dead.Class]++
			s.Observer.Closed(l.Name(), outcome.Class(dead.Class))
		}
	}
	for class, n := range closed {
		s.logOf(l).Info("dead letters closed", "class", class, "count", n, "reason", closedReason)
		faults = append(faults, audit.Write(ctx, s.Redis, audit.Event{
			Event: "dead.closed", Level: audit.Lane, Name: l.Name(), Class: class, By: "worker",
			Reason: strconv.Itoa(n) + " closed automatically: " + closedReason, More: map[string]string{"count": strconv.Itoa(n)},
		}))
	}
	return errors.Join(faults...)
}

// closeDeadLetter removes the archived task first: otherwise a sweep of the archive would
// write a dead letter for it again. A task that is to run again is left alone: it ends
// as superseded, and that removes its dead letter.
func (s *corrections) closeDeadLetter(ctx context.Context, dead ledger.DeadLetter, applied int64, now time.Time) (bool, error) {
	state, err := backlog.Unarchive(ctx, s.Redis, registry.Queue(dead.Tenant, tasks.Kind(dead.Kind), dead.Urgent), dead.ID)
	if err != nil || state != "" && state != "archived" && state != "completed" {
		return false, err
	}
	return s.Ledger.CloseDeadLetter(ctx, dead, applied, now)
}

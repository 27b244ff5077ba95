package lane

import (
	"context"
	"errors"
	"strconv"
	"time"

	"rollcall/internal/backlog"
	"rollcall/internal/hold"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

// correctedPage is how many dead letters of a lane one sweep compares with the applied
// revisions: 10,000 dead letters take 9 minutes.
const correctedPage = 100

// closedReason is the reason recorded for a dead letter that is closed automatically.
const closedReason = "all its fields were applied at a higher revision"

// corrected continues through the dead letters of each lane that has any. It closes
// those whose fields were all applied at a higher revision: a later change replaced
// what the task wanted. Nothing is recorded when a task runs, so a worker that dies, or
// a dead letter of an older version, only delays the close to a later sweep. Cost: two
// round trips for a lane that has dead letters, three more for each that is closed.
func (s *sweeper) corrected(ctx context.Context, now time.Time) error {
	var faults []error
	for _, l := range s.set.lanes {
		if !l.hasLetters.Load() {
			continue
		}
		letters, next, err := s.set.ledger.DeadPage(ctx, ledger.Letters{Lane: l.Name()}, s.corrections[l], correctedPage)
		if err == nil {
			s.corrections[l] = next
			err = s.closeCorrected(ctx, l, letters, now)
		}
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// closeCorrected closes the dead letters of a page that are corrected, and reports how
// many.
func (s *sweeper) closeCorrected(ctx context.Context, l *Lane, letters []ledger.Letter, now time.Time) error {
	var candidates []ledger.Letter
	var wishes []ledger.Wish
	for _, letter := range letters {
		task, _, err := kinds.Decode(letter.Type, letter.Payload)
		if err != nil || letter.Class == string(ClassUnverified) || letter.Revision <= 0 {
			continue // it names no field, or a person must check it
		}
		target, fields := kinds.Change(task, l.Organisation)
		candidates, wishes = append(candidates, letter), append(wishes, ledger.Wish{Target: target, Fields: fields})
	}
	applied, err := s.set.ledger.Applied(ctx, wishes...)
	if err != nil {
		return err
	}
	closed := map[string]int{} // by class
	var faults []error
	for i, letter := range candidates {
		if applied[i] <= letter.Revision {
			continue
		}
		done, err := s.closeLetter(ctx, letter, applied[i], now)
		faults = append(faults, err)
		if done {
			closed[letter.Class]++
			l.closed(Class(letter.Class))
		}
	}
	for class, n := range closed {
		l.log.Info("dead letters closed", "class", class, "count", n, "reason", closedReason)
		faults = append(faults, hold.Note(ctx, s.set.rdb, "dead.closed", hold.Place{Level: hold.Lane, Name: l.Name()}, class,
			strconv.Itoa(n)+" closed automatically: "+closedReason, "worker", "count", strconv.Itoa(n)))
	}
	return errors.Join(faults...)
}

// closeLetter removes the archived task first: otherwise a sweep of the archive would
// write a dead letter for it again. A task that is to run again is left alone: it ends
// as superseded, and that removes its dead letter.
func (s *sweeper) closeLetter(ctx context.Context, letter ledger.Letter, applied int64, now time.Time) (bool, error) {
	state, err := backlog.Unarchive(ctx, s.set.rdb, registry.Queue(letter.Tenant, tasks.Kind(letter.Kind), letter.Urgent), letter.ID)
	if err != nil || state != "" && state != "archived" && state != "completed" {
		return false, err
	}
	return s.set.ledger.CloseLetter(ctx, letter, applied, now)
}

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

// correctedPage is how many dead letters of a lane one sweep compares with what
// was applied: 10,000 are gone through in 9 minutes.
const correctedPage = 100

// closedReason is why a dead letter closes itself.
const closedReason = "all its fields were applied at a higher revision"

// corrected goes on through the dead letters of each lane that has any, and closes
// those whose fields were all applied at a higher revision: what the task wanted
// was replaced. Nothing is noted on the way of a task, so a worker that dies, and a
// letter from before this version, only wait for a later sweep. Two round trips for
// a lane that has letters, three more for one that is closed.
func (s *sweeper) corrected(ctx context.Context, now time.Time) error {
	var faults []error
	for _, l := range s.set.lanes {
		if !l.buried.Load() {
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

// closeCorrected closes those of a page that are corrected, and notes how many.
func (s *sweeper) closeCorrected(ctx context.Context, l *Lane, letters []ledger.Letter, now time.Time) error {
	var candidates []ledger.Letter
	var wishes []ledger.Wish
	for _, letter := range letters {
		task, _, err := kinds.Decode(letter.Type, letter.Payload)
		if err != nil || letter.Class == string(ClassUnverified) || letter.Revision <= 0 {
			continue // it names no field, or a person must look
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

// closeLetter removes the archived task first: else a look through the archive
// would write a letter for it again. A task that is to run is left alone: it ends
// as superseded, and its letter with it.
func (s *sweeper) closeLetter(ctx context.Context, letter ledger.Letter, applied int64, now time.Time) (bool, error) {
	state, err := backlog.Unarchive(ctx, s.set.rdb, registry.Queue(letter.Tenant, tasks.Kind(letter.Kind), letter.Urgent), letter.ID)
	if err != nil || state != "" && state != "archived" && state != "completed" {
		return false, err
	}
	return s.set.ledger.CloseLetter(ctx, letter, applied, now)
}

package deadletter

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/tasks"
)

const (
	// FreedAfter is how long an organisation must have changed no ID before the IDs
	// that were taken are tried again: those that are handed on in one file are
	// changed one after another, and an attempt may take as long.
	FreedAfter = time.Minute
	// freedFor is how old a letter may be to be replayed automatically.
	freedFor = 7 * 24 * time.Hour
	// freedTries bounds the replays of a task: each is a metered call. More than one,
	// as an ID that is handed on may wait for another that is.
	freedTries = 3
)

// The cause of the letters of IDs that are taken.
const (
	takenClass = "rejected"
	takenCode  = "incorrect.reserved"
)

// ReplayFreed replays the letters of a tenant's ID changes that died as their ID was
// taken, once another ID of the organisation was changed after the time given: the
// old one is free, and which it was is not known. It returns how many it replayed, and
// the time of the change that needs no other look: to be given the next time. It does
// nothing before the organisation has changed no ID for FreedAfter.
//
// A letter is replayed three times at most, in the seven days after it died, and
// never if the person has a newer change, an unknown outcome or a lock. One round
// trip if there is nothing to do; else one a letter and those of Replay.
func (d *Desk) ReplayFreed(ctx context.Context, organisation, tenant string, after, now time.Time, by string) (n int, looked time.Time, err error) {
	changed, err := d.ledger.LastChanged(ctx, organisation, string(tasks.KindID))
	if err != nil || !changed.After(after) || now.Before(changed.Add(FreedAfter)) {
		return 0, after, err
	}
	tally := Tally{}
	h := heap{Letters: ledger.Letters{
		Lane: tenant + "." + string(tasks.KindID), ByCause: true, Class: takenClass, Code: takenCode,
		// A letter of an attempt that was under way when the ID became free counts.
		Since: now.Add(-freedFor), Until: changed.Add(FreedAfter),
	}}
	err = d.pages(ctx, h, page, func(letters []ledger.Letter) (bool, error) {
		var due []ledger.Letter
		for _, letter := range letters {
			replay, err := d.mayBeFree(ctx, letter, organisation, now)
			if err != nil {
				return false, err
			}
			if replay {
				due = append(due, letter)
			}
		}
		settled := d.Replay(ctx, due)
		tally.Add(settled)
		var failed error
		for _, s := range settled {
			if s.Outcome == Failed {
				failed = errors.Join(failed, s.Err)
			}
		}
		return failed == nil, failed
	})
	for _, replayed := range tally {
		n += replayed
	}
	if n > 0 {
		reason := fmt.Sprintf("another ID of the organisation was changed at %s, so the wanted ID may have become free; sent again",
			changed.UTC().Format("2006-01-02 15:04:05 UTC"))
		err = errors.Join(err, d.Note(ctx, Replayed, tally, reason, by))
	}
	if err != nil {
		return n, after, err
	}
	return n, changed, nil
}

// mayBeFree reports whether a letter of a taken ID is to be replayed. One round trip.
func (d *Desk) mayBeFree(ctx context.Context, letter ledger.Letter, organisation string, now time.Time) (bool, error) {
	task, meta, err := kinds.Decode(letter.Type, letter.Payload)
	if err != nil || replays(letter.ID) >= freedTries {
		return false, nil //nolint:nilerr // a letter in which no task can be read is left to a person
	}
	target, fields := kinds.Change(task, organisation)
	record, err := d.ledger.Look(ctx, target)
	if err != nil {
		return false, err
	}
	for _, f := range fields {
		s := record.Fields[f.Name]
		if s.Newest > meta.Revision || s.Applied >= meta.Revision || s.Doubt != 0 || s.Lock != nil && s.Lock.Until.After(now) {
			return false, nil
		}
	}
	return true, nil
}

// replays returns how often a task was replayed, by its id: id, id~1, id~2.
func replays(id string) int {
	_, last, _ := strings.Cut(id, "~")
	number, _, _ := strings.Cut(last, "-")
	n, _ := strconv.Atoi(number)
	return n
}

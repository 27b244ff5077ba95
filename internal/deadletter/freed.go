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
	// FreedAfter is how long an organisation must have changed no ID before IDs that
	// were taken are tried again. IDs that are exchanged in one file are changed one
	// after another, and one attempt may take that long.
	FreedAfter = time.Minute
	// freedFor is the largest age of a dead letter that is replayed automatically.
	freedFor = 7 * 24 * time.Hour
	// freedTries bounds the replays of a task: each is a metered call. It is above one
	// because an exchanged ID may wait for another one.
	freedTries = 3
)

// Freed is one look for IDs that have become free.
type Freed struct {
	Organisation, Tenant string
	Class, Code          string    // of the dead letters of taken IDs
	After                time.Time // last change of an ID that an earlier look considered
	By                   string    // for the audit log
}

// ReplayFreed replays the dead letters of a tenant's ID changes that died because their
// ID was taken, once another ID of the organisation was changed after the given time:
// the old ID is free, but which ID it was is unknown. It returns how many it replayed,
// and the time of the last change it considered: pass that time to the next call. It
// does nothing until the organisation has changed no ID for FreedAfter.
//
// A dead letter is replayed at most three times, within seven days of the death, and
// never if the user has a newer change, an unknown outcome or a lock. Cost: one round
// trip if there is nothing to do; otherwise one per dead letter and those of Replay.
func (d *Service) ReplayFreed(ctx context.Context, f Freed, now time.Time) (n int, considered time.Time, err error) {
	after := f.After
	changed, err := d.ledger.LastChanged(ctx, f.Organisation, string(tasks.KindID))
	if err != nil || !changed.After(after) || now.Before(changed.Add(FreedAfter)) {
		return 0, after, err
	}
	counts := Counts{}
	h := selection{DeadLetterFilter: ledger.DeadLetterFilter{
		Lane: f.Tenant + "." + string(tasks.KindID), ByCause: true, Class: f.Class, Code: f.Code,
		// A dead letter of an attempt that was running when the ID became free counts,
		// too.
		Since: now.Add(-freedFor), Until: changed.Add(FreedAfter),
	}}
	err = d.pages(ctx, h, page, func(dead []ledger.DeadLetter) (bool, error) {
		var due []ledger.DeadLetter
		for _, dead := range dead {
			replay, err := d.mayBeFree(ctx, dead, f.Organisation, now)
			if err != nil {
				return false, err
			}
			if replay {
				due = append(due, dead)
			}
		}
		settled := d.Replay(ctx, due)
		counts.Add(settled)
		var failed error
		for _, s := range settled {
			if s.Outcome == Failed {
				failed = errors.Join(failed, s.Err)
			}
		}
		return failed == nil, failed
	})
	for _, replayed := range counts {
		n += replayed
	}
	if n > 0 {
		reason := fmt.Sprintf("another ID of the organisation was changed at %s, so the wanted ID may have become free; sent again",
			changed.UTC().Format("2006-01-02 15:04:05 UTC"))
		err = errors.Join(err, d.Note(ctx, Replayed, counts, reason, f.By))
	}
	if err != nil {
		return n, after, err
	}
	return n, changed, nil
}

// mayBeFree reports whether a dead letter of a taken ID is to be replayed. Cost: one
// round trip.
func (d *Service) mayBeFree(ctx context.Context, dead ledger.DeadLetter, organisation string, now time.Time) (bool, error) {
	task, meta, err := kinds.Decode(dead.Type, dead.Payload)
	if err != nil || replays(dead.ID) >= freedTries {
		return false, nil //nolint:nilerr // a dead letter without a readable task is left to a person
	}
	target, fields := kinds.Change(task, organisation)
	record, err := d.ledger.Look(ctx, target)
	if err != nil {
		return false, err
	}
	for _, f := range fields {
		s := record.Fields[f.Name]
		if s.Latest > meta.Revision || s.Applied >= meta.Revision || s.Unknown != 0 || s.Lock != nil && s.Lock.Until.After(now) {
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

package sweep

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"rollcall/internal/backlog"
	"rollcall/internal/ledger"
)

const (
	// addFor bounds how long a sweep adds dead letters, over all archives, so that the
	// rescue of lost tasks is not delayed. The next sweep continues.
	addFor = time.Second
	// archivePage is how many archived tasks are checked for a dead letter per round
	// trip.
	archivePage = 500
)

// archives adds a dead letter for every archived task that has none.
type archives struct {
	common

	seen []archive // by queue
}

// archive is the progress through the archive of one queue.
type archive struct {
	latest float64 // score of the newest entry seen; 0: none yet
	there  int64   // entries of that second: more may follow in the same second
	future int64   // entries with a score that is no time: they are always listed
}

// future reports whether a score is more than a day ahead of now: it is damaged.
func future(score float64, now time.Time) bool {
	return score > float64(now.Add(24*time.Hour).Unix())
}

// archivedAt returns when an entry was archived, now if that is not known.
func archivedAt(score float64) time.Time {
	if now := time.Now(); future(score, now) || score < 0 {
		return now
	}
	return time.UnixMilli(int64(score * 1000))
}

// run looks at all archives. It costs one round trip for all queues if nothing was
// archived since the last sweep.
func (s *archives) run(ctx context.Context, _ time.Time) error {
	from := make([]float64, len(s.queues))
	for i := range s.queues {
		from[i] = s.seen[i].latest
	}
	there, err := backlog.ArchivedSince(ctx, s.Redis, s.names, from)
	if err := s.Lanes.HoldDamaged(err); err != nil {
		return err
	}
	until := time.Now().Add(addFor)
	var faults []error
	for i, q := range s.queues {
		if there[i] != s.seen[i].there+s.seen[i].future && len(q.lane.Damages()) == 0 {
			faults = append(faults, s.archived(ctx, q, &s.seen[i], until))
		}
	}
	return errors.Join(faults...)
}

// archived processes one archive: it lists the entries since the last sweep, and writes
// a dead letter for each that has none.
func (s *archives) archived(ctx context.Context, q queue, seen *archive, until time.Time) error {
	// At most 9,999 short ids are listed at once, and that many only once in the life
	// of a worker. Pages would miss entries that move when asynq drops the oldest.
	entries, err := backlog.Archived(ctx, s.Redis, q.name, seen.latest)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if future(e.Score, time.Now()) {
			s.Lanes.Damaged(ledger.Damage{
				Key: backlog.Key(q.name, "archived"), Entry: e.ID, What: fmt.Sprintf("the time of task %s is %g, which has not come", e.ID, e.Score),
			})
		}
	}
	added, reached := 0, archive{latest: seen.latest}
	for page := range slices.Chunk(entries, archivePage) {
		var n int
		var all bool
		n, all, err = s.addDeadLetters(ctx, q, page, until)
		added += n
		if !all {
			break
		}
		reached.take(page)
	}
	*seen = reached
	if added > 0 {
		q.lane.NoteDeadLetters()
		q.log.Warn("dead letters written for tasks that asynq archived", "queue", q.name, "letters", added)
	}
	return err
}

// take records that entries were processed. The oldest entry is first.
func (a *archive) take(entries []backlog.ArchivedTask) {
	for _, e := range entries {
		if future(e.Score, time.Now()) {
			a.future++
			continue
		}
		if e.Score != a.latest {
			a.latest, a.there = e.Score, 0
		}
		a.there++
	}
}

// addDeadLetters writes dead letters for the tasks of a page that have none, until its
// time is over. all reports that none is left.
func (s *archives) addDeadLetters(ctx context.Context, q queue, page []backlog.ArchivedTask, until time.Time) (added int, all bool, err error) {
	ids, at := make([]string, len(page)), make(map[string]time.Time, len(page))
	for i, e := range page {
		ids[i], at[e.ID] = e.ID, archivedAt(e.Score)
	}
	without, err := s.Ledger.WithoutDeadLetter(ctx, q.lane.Name(), ids)
	if err != nil {
		return 0, false, err
	}
	for _, id := range without {
		if time.Now().After(until) {
			return added, false, nil
		}
		fresh, err := s.addArchived(ctx, q, id, at[id])
		if err != nil {
			return added, false, err
		}
		if fresh {
			added++
		}
	}
	return added, true, nil
}

package lane

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"rollcall/internal/backlog"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/outcome"
)

const (
	// addFor bounds how long a sweep adds dead letters, over all archives, so that the
	// rescue of lost tasks is not delayed. The next sweep continues.
	addFor = time.Second
	// archivePage is how many archived tasks are checked for a dead letter per round
	// trip.
	archivePage = 500
)

// archive is the progress of the sweeps through the archive of one queue.
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

// archives adds a dead letter for every archived task that has none. It costs one round
// trip for all queues if nothing was archived since the last sweep.
func (s *sweeper) archives(ctx context.Context) error {
	from := make([]float64, len(s.queues))
	for i, q := range s.queues {
		from[i] = q.archive.latest
	}
	there, err := backlog.ArchivedSince(ctx, s.set.rdb, s.names, from)
	if err := s.set.judge(err); err != nil {
		return err
	}
	until := time.Now().Add(addFor)
	var faults []error
	for i, q := range s.queues {
		if there[i] != q.archive.there+q.archive.future && len(q.lane.damages.now()) == 0 {
			faults = append(faults, s.archived(ctx, q.lane, q.name, q.urgent, &q.archive, until))
		}
	}
	return errors.Join(faults...)
}

// archived processes one archive: it lists the entries since the last sweep, and writes
// a dead letter for each that has none.
func (s *sweeper) archived(ctx context.Context, l *Lane, queue string, urgent bool, seen *archive, until time.Time) error {
	// At most 9,999 short ids are listed at once, and that many only once in the life
	// of a worker. Pages would miss entries that move when asynq drops the oldest.
	entries, err := backlog.Archived(ctx, s.set.rdb, queue, seen.latest)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if future(e.Score, time.Now()) {
			s.set.Damaged(ledger.Damage{
				Key: backlog.Key(queue, "archived"), Entry: e.ID, What: fmt.Sprintf("the time of task %s is %g, which has not come", e.ID, e.Score),
			})
		}
	}
	added, reached := 0, archive{latest: seen.latest}
	for page := range slices.Chunk(entries, archivePage) {
		var n int
		var all bool
		n, all, err = s.addDeadLetters(ctx, l, queue, urgent, page, until)
		added += n
		if !all {
			break
		}
		reached.take(page)
	}
	*seen = reached
	if added > 0 {
		l.hasDeadLetters.Store(true)
		l.log.Warn("dead letters written for tasks that asynq archived", "queue", queue, "letters", added)
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

// addLetters writes dead letters for the tasks of a page that have none, until its time
// is over. all reports that none is left.
func (s *sweeper) addDeadLetters(
	ctx context.Context, l *Lane, queue string, urgent bool, page []backlog.ArchivedTask, until time.Time,
) (added int, all bool, err error) {
	ids, at := make([]string, len(page)), make(map[string]time.Time, len(page))
	for i, e := range page {
		ids[i], at[e.ID] = e.ID, archivedAt(e.Score)
	}
	without, err := s.set.ledger.WithoutDeadLetter(ctx, l.Name(), ids)
	if err != nil {
		return 0, false, err
	}
	for _, id := range without {
		if time.Now().After(until) {
			return added, false, nil
		}
		fresh, err := s.addDeadLetter(ctx, l, queue, id, urgent, at[id])
		if err != nil {
			return added, false, err
		}
		if fresh {
			added++
		}
	}
	return added, true, nil
}

func (s *sweeper) addDeadLetter(ctx context.Context, l *Lane, queue, id string, urgent bool, at time.Time) (fresh bool, err error) {
	task, found, err := s.repairer.Archived(ctx, queue, id)
	if s.damagedTask(err) {
		return false, nil
	}
	if err != nil || !found {
		return false, err // not found: deleted or run again after it was listed
	}
	var dead ledger.DeadLetter
	if task.Info == nil {
		dead = l.deadLetter(id, typeUndecodable, nil, urgent)
		dead.Cut(task.Raw)
	} else {
		dead = l.deadLetter(id, task.Info.Type, task.Info.Payload, urgent)
		dead.Key = task.Info.Headers[kinds.KeyHeader]
		dead.Run, dead.Row = kinds.RunOf(task.Info.Headers)
	}
	dead.Class, dead.Last = string(outcome.Archived), at
	dead.Todo = "find out why; replay the task if it still matters"
	dead.Cause = string(outcome.Archived) + ": asynq's recoverer archived the task, or a person did in the web UI: " +
		cmp.Or(task.LastErr(), "no error was recorded") + " · to do: " + dead.Todo
	attempts, first, err := s.set.ledger.Attempts(ctx, id)
	if err != nil {
		return false, err
	}
	if first.IsZero() {
		first = at
	}
	dead.Attempts, dead.First = attempts, first
	if fresh, err = s.set.ledger.AddDeadLetterOnce(ctx, dead); err != nil {
		return fresh, err
	}
	if fresh {
		l.diedOutsideAttempt(outcome.Archived)
	}
	l.end(ctx, dead)
	return fresh, nil
}

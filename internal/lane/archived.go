package lane

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"rollcall/internal/backlog"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
)

// Archived is the class of letters of tasks that asynq archived by itself: its
// recoverer, or somebody in its web UI. No verdict has it.
const Archived = "archived"

const (
	// addFor bounds how long a sweep adds letters, of all archives together: lost
	// tasks are not to be kept waiting. The next sweep goes on.
	addFor = time.Second
	// archivePage is how many entries are asked for their letters at once.
	archivePage = 500
)

// archive is how far a queue's archive has been looked through.
type archive struct {
	newest float64 // the newest entry that was seen; 0: none yet
	there  int64   // entries of that second: more may come within it
}

// archives adds letters for what lies in the archives and has none. One round
// trip for all where nothing came.
func (s *sweeper) archives(ctx context.Context) error {
	from := make([]float64, len(s.queues))
	for i, q := range s.queues {
		from[i] = q.archive.newest
	}
	there, err := backlog.ArchivedSince(ctx, s.set.rdb, s.names, from)
	if err != nil {
		return err
	}
	until := time.Now().Add(addFor)
	var faults []error
	for i, q := range s.queues {
		if there[i] != q.archive.there {
			faults = append(faults, s.archived(ctx, q.lane, q.name, q.urgent, &q.archive, until))
		}
	}
	return errors.Join(faults...)
}

// archived goes through one archive: the entries since the last look are listed,
// and each without a letter is read and written down.
func (s *sweeper) archived(ctx context.Context, l *Lane, queue string, urgent bool, seen *archive, until time.Time) error {
	// At most 9,999 short ids at once, and so many once in the life of a worker:
	// pages would miss what moves while asynq drops the oldest.
	entries, err := backlog.Archived(ctx, s.set.rdb, queue, seen.newest)
	if err != nil {
		return err
	}
	added, reached := 0, archive{newest: seen.newest}
	for page := range slices.Chunk(entries, archivePage) {
		var n int
		var all bool
		n, all, err = s.addLetters(ctx, l, queue, urgent, page, until)
		added += n
		if !all {
			break
		}
		reached.take(page)
	}
	*seen = reached
	if added > 0 {
		l.buried.Store(true)
		l.log.Warn("tasks that asynq archived by itself have a dead letter now", "queue", queue, "letters", added)
	}
	return err
}

// take moves on over entries, the oldest first.
func (a *archive) take(entries []backlog.ArchivedTask) {
	for _, e := range entries {
		if e.Score != a.newest {
			a.newest, a.there = e.Score, 0
		}
		a.there++
	}
}

// addLetters writes letters for those of a page that have none, until its time is
// over. all tells that none is left.
func (s *sweeper) addLetters(
	ctx context.Context, l *Lane, queue string, urgent bool, page []backlog.ArchivedTask, until time.Time,
) (added int, all bool, err error) {
	ids, at := make([]string, len(page)), make(map[string]time.Time, len(page))
	for i, e := range page {
		ids[i], at[e.ID] = e.ID, time.UnixMilli(int64(e.Score*1000))
	}
	without, err := s.set.ledger.Unburied(ctx, l.Name(), ids)
	if err != nil {
		return 0, false, err
	}
	for _, id := range without {
		if time.Now().After(until) {
			return added, false, nil
		}
		fresh, err := s.addLetter(ctx, l, queue, id, urgent, at[id])
		if err != nil {
			return added, false, err
		}
		if fresh {
			added++
		}
	}
	return added, true, nil
}

func (s *sweeper) addLetter(ctx context.Context, l *Lane, queue, id string, urgent bool, at time.Time) (fresh bool, err error) {
	task, found, err := s.mender.Archived(ctx, queue, id)
	if err != nil || !found {
		return false, err // not found: deleted or run again since it was listed
	}
	var letter ledger.Letter
	if task.Info == nil {
		letter = l.letter(id, typeUndecodable, nil, urgent)
		letter.Payload = task.Raw
	} else {
		letter = l.letter(id, task.Info.Type, task.Info.Payload, urgent)
		letter.Key = task.Info.Headers[kinds.KeyHeader]
		letter.Run, letter.Row = kinds.RunOf(task.Info.Headers)
	}
	letter.Class, letter.Last = Archived, at
	letter.Todo = "see why; replay it if it still matters"
	letter.Cause = Archived + ": asynq archived the task by itself, or somebody did in its web UI: " +
		cmp.Or(task.LastErr(), "no error is known of it") + " · to do: " + letter.Todo
	attempts, first, err := s.set.ledger.Attempts(ctx, id)
	if err != nil {
		return false, err
	}
	if first.IsZero() {
		first = at
	}
	letter.Attempts, letter.First = attempts, first
	if fresh, err = s.set.ledger.BuryNew(ctx, letter); err != nil {
		return fresh, err
	}
	if fresh {
		l.condemned(Archived)
	}
	l.end(ctx, letter)
	return fresh, nil
}

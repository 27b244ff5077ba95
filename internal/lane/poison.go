package lane

import (
	"context"
	"fmt"
	"time"

	"rollcall/internal/backlog"
	"rollcall/internal/kinds"
)

// poisonous bounds how often a task is rescued: three workers died while they ran it,
// each within an hour of the one before. Which of its tasks killed a worker is unknown,
// so all of them are counted. A task runs for seconds: an innocent one does not run at
// three deaths in a row, unless the workers of its lane die all the time, and then only
// this bound ends that. The hour is for workers that are killed now and then, for
// example at every deployment by a stop timeout that is too short.
var poisonous = backlog.Bound{Kills: 3, Forget: time.Hour}

// poisonTodo is what a person should do about such a task.
const poisonTodo = "find out from the workers' logs and their service manager why they died; " +
	"where several tasks died together, replay one after another: the one that kills again is to blame"

// PoisonError reports a task while which too many workers died.
type PoisonError struct {
	Workers int
	Within  time.Duration // from the first detected death to the last
}

// Error returns what happened, and what to do.
func (e *PoisonError) Error() string {
	return fmt.Sprintf("%d workers died while they ran this task, all within %s; the task may not be the cause · to do: %s",
		e.Workers, max(e.Within, time.Second).Round(time.Second), poisonTodo)
}

// archivePoison archives a task that has lost too many workers. Its dead letter is
// written first, as for every death. Cost: six round trips.
func (s *sweeper) archivePoison(ctx context.Context, q *swept, orphan backlog.Orphan, kills backlog.Kills) error {
	l := q.lane
	info, found, err := s.repairer.Info(q.name, orphan.ID)
	if err != nil || !found {
		return err
	}
	v := Judge(&PoisonError{Workers: kills.Times, Within: kills.Last.Sub(kills.First)}, kills.Last, nil)
	dead := l.deadLetter(orphan.ID, info.Type, info.Payload, q.urgent)
	dead.Key = info.Headers[kinds.KeyHeader]
	dead.Run, dead.Row = kinds.RunOf(info.Headers)
	dead.Class, dead.Cause, dead.Todo = string(v.Class), v.Cause(), poisonTodo
	attempts, first, err := s.set.ledger.Attempts(ctx, orphan.ID)
	if err != nil {
		return err
	}
	attempts[string(v.Class)] = kills.Times
	if first.IsZero() || kills.First.Before(first) {
		first = kills.First
	}
	dead.Attempts, dead.First, dead.Last = attempts, first, kills.Last
	if _, err := s.set.ledger.AddDeadLetter(ctx, dead); err != nil {
		return err
	}
	l.hasDeadLetters.Store(true)
	archived, err := s.repairer.ArchiveOrphan(ctx, q.name, orphan, dead.Cause, kills.Last)
	if err != nil {
		return err // the next sweep finds it unchanged
	}
	if !archived {
		return s.removeUnarchived(ctx, q, orphan.ID)
	}
	l.end(ctx, dead)
	l.log.Error("dead letter", "task", orphan.ID, "type", info.Type, "class", v.Class, "cause", dead.Cause)
	l.diedOutsideAttempt(v.Class)
	if err := s.set.ledger.ForgetAttempts(ctx, orphan.ID); err != nil {
		l.log.Debug("counters of a dead task not deleted; they expire", "task", orphan.ID, "err", err)
	}
	return nil
}

// removeUnarchived removes the dead letter of a task that was not archived after all,
// because asynq's recoverer was faster. If another sweeper archived the task, the dead
// letter stays.
func (s *sweeper) removeUnarchived(ctx context.Context, q *swept, id string) error {
	state, err := backlog.State(ctx, s.set.rdb, q.name, id)
	if err != nil || state == "archived" {
		return err
	}
	_, err = s.set.ledger.RemoveDeadLetters(ctx, q.lane.Name(), id)
	return err
}

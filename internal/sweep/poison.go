package sweep

import (
	"context"
	"time"

	"rollcall/internal/backlog"
	"rollcall/internal/lane"
)

// poisonous bounds how often a task is rescued: three workers died while they ran it,
// each within an hour of the one before. Which of its tasks killed a worker is unknown,
// so all of them are counted. A task runs for seconds: an innocent one does not run at
// three deaths in a row, unless the workers of its lane die all the time, and then only
// this bound ends that. The hour is for workers that are killed now and then, for
// example at every deployment by a stop timeout that is too short.
var poisonous = backlog.Bound{Kills: 3, Forget: time.Hour}

// archivePoison archives a task that has lost too many workers. Its dead letter is
// written first, as for every death. Cost: six round trips.
func (s *orphans) archivePoison(ctx context.Context, q queue, orphan backlog.Orphan, kills backlog.Kills) error {
	info, found, err := s.repairer.Info(q.name, orphan.ID)
	if err != nil || !found {
		return err
	}
	dead, err := q.lane.DeadLetter(ctx,
		lane.Message{ID: orphan.ID, Type: info.Type, Payload: info.Payload, Headers: info.Headers, Urgent: q.urgent}, kills.Last)
	if err != nil {
		return err
	}
	v := lane.Judge(&lane.PoisonError{Workers: kills.Times, Within: kills.Last.Sub(kills.First)}, kills.Last, nil)
	dead.Class, dead.Cause, dead.Todo = string(v.Class), v.Cause(), lane.PoisonTodo
	dead.Attempts[dead.Class] = kills.Times
	if kills.First.Before(dead.First) {
		dead.First = kills.First
	}
	if _, err := s.Ledger.AddDeadLetter(ctx, dead); err != nil {
		return err
	}
	q.lane.NoteDeadLetters()
	archived, err := s.repairer.ArchiveOrphan(ctx, q.name, orphan, dead.Cause, kills.Last)
	if err != nil {
		return err // the next sweep finds it unchanged
	}
	if !archived {
		return s.removeUnarchived(ctx, q, orphan.ID)
	}
	q.lane.CloseDead(ctx, dead)
	q.log.Error("dead letter", "task", orphan.ID, "type", info.Type, "class", dead.Class, "cause", dead.Cause)
	s.Observer.DiedOutsideAttempt(q.lane.Name(), v.Class)
	if err := s.Ledger.ForgetAttempts(ctx, orphan.ID); err != nil {
		q.log.Debug("counters of a dead task not deleted; they expire", "task", orphan.ID, "err", err)
	}
	return nil
}

// removeUnarchived removes the dead letter of a task that was not archived after all,
// because asynq's recoverer was faster. If another sweeper archived the task, the dead
// letter stays.
func (s *orphans) removeUnarchived(ctx context.Context, q queue, id string) error {
	state, err := backlog.State(ctx, s.Redis, q.name, id)
	if err != nil || state == "archived" {
		return err
	}
	_, err = s.Ledger.RemoveDeadLetters(ctx, q.lane.Name(), id)
	return err
}

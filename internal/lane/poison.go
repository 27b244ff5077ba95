package lane

import (
	"context"
	"fmt"
	"time"

	"rollcall/internal/backlog"
	"rollcall/internal/kinds"
)

// poisonous says when a task is not tried once more: three workers died with it,
// each within an hour of the one before. Which of the tasks that a dead worker was
// at killed it nobody can tell, so all of them are counted. A task is under way
// for seconds: one that only happened to be there is not there three times in a
// row, unless its lane does little else than lose workers, and then nothing else
// would end that. The hour is there for workers that are killed now and then, at
// every deployment say, by a stop timeout that is too short.
var poisonous = backlog.Bound{Kills: 3, Forget: time.Hour}

// poisonTodo is what to do about such a task.
const poisonTodo = "find out from the workers' logs and their service manager why they died; " +
	"where several tasks died together, replay one after another: the one that kills again is to blame"

// PoisonError tells of a task that too many workers died with.
type PoisonError struct {
	Workers int
	Within  time.Duration // from the first that was found dead to the last
}

// Error says what happened, and what to do.
func (e *PoisonError) Error() string {
	return fmt.Sprintf("%d workers died while they were at this task, all within %s; it may be innocent of it · to do: %s",
		e.Workers, max(e.Within, time.Second).Round(time.Second), poisonTodo)
}

// condemn makes a dead letter of a task that has lost too many workers. The letter
// comes first, as for every death. Six round trips.
func (s *sweeper) condemn(ctx context.Context, q *swept, orphan backlog.Orphan, kills backlog.Kills) error {
	l := q.lane
	info, found, err := s.mender.Info(q.name, orphan.ID)
	if err != nil || !found {
		return err
	}
	v := Judge(&PoisonError{Workers: kills.Times, Within: kills.Last.Sub(kills.First)}, kills.Last, nil)
	letter := l.letter(orphan.ID, info.Type, info.Payload, q.urgent)
	letter.Key = info.Headers[kinds.KeyHeader]
	letter.Run, letter.Row = kinds.RunOf(info.Headers)
	letter.Class, letter.Cause, letter.Todo = string(v.Class), v.Cause(), poisonTodo
	attempts, first, err := s.set.ledger.Attempts(ctx, orphan.ID)
	if err != nil {
		return err
	}
	attempts[string(v.Class)] = kills.Times
	if first.IsZero() || kills.First.Before(first) {
		first = kills.First
	}
	letter.Attempts, letter.First, letter.Last = attempts, first, kills.Last
	if _, err := s.set.ledger.Bury(ctx, letter); err != nil {
		return err
	}
	l.buried.Store(true)
	archived, err := s.mender.Condemn(ctx, q.name, orphan, letter.Cause, kills.Last)
	if err != nil {
		return err // the next sweep finds it as it was
	}
	if !archived {
		return s.spare(ctx, q, orphan.ID)
	}
	l.end(ctx, letter)
	l.log.Error("dead letter", "task", orphan.ID, "type", info.Type, "class", v.Class, "cause", letter.Cause)
	l.condemned(v.Class)
	if err := s.set.ledger.ForgetAttempts(ctx, orphan.ID); err != nil {
		l.log.Debug("counters of a dead task are left to expire", "task", orphan.ID, "err", err)
	}
	return nil
}

// spare removes the letter of a task that is not archived after all: asynq's
// recoverer came in between. Another sweeper that was faster has archived it, and
// then the letter is right.
func (s *sweeper) spare(ctx context.Context, q *swept, id string) error {
	state, err := backlog.State(ctx, s.set.rdb, q.name, id)
	if err != nil || state == "archived" {
		return err
	}
	_, err = s.set.ledger.Unbury(ctx, q.lane.Name(), id)
	return err
}

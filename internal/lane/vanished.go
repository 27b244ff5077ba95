package lane

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"rollcall/internal/backlog"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/outcome"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

const (
	// openPage is how many open tasks of an organisation's API one sweep checks:
	// 100,000 tasks take 17 minutes.
	openPage = 500
	// youngest is the age at which a task that asynq does not know counts as missing.
	youngest = time.Minute
	// missedFor is how long a task must be missing, at two looks. A single look may
	// meet a task that is moving, or a replica that has just become the master.
	missedFor = 10 * time.Second
	// endFor bounds how long one sweep ends missing tasks, over all lanes, so that the
	// rescue of lost tasks is not delayed. The next sweep continues.
	endFor = time.Second
)

// register is the progress through the open tasks of an organisation's API. They are
// read once for all lanes that share them.
type register struct {
	organisation string
	kind         tasks.Kind
	lanes        map[string]*Lane // by queue
	log          *slog.Logger

	cursor uint64
	missed map[string]time.Time // by task id: since when asynq has nothing left to do for it
	lost   map[string]lostTask  // by task id: those that no list of asynq holds
	logged bool                 // that some records cannot be read
}

func registers(lanes []*Lane) []*register {
	var all []*register
	of := map[ledger.Target]*register{}
	for _, l := range lanes {
		tag := ledger.Target{Organisation: l.Organisation, API: string(l.Kind)}
		r := of[tag]
		if r == nil {
			r = &register{
				organisation: l.Organisation, kind: l.Kind, lanes: map[string]*Lane{}, log: l.set.log, missed: map[string]time.Time{}, lost: map[string]lostTask{},
			}
			of[tag], all = r, append(all, r)
		}
		r.lanes[registry.Queue(l.Tenant, l.Kind, true)] = l
		r.lanes[registry.Queue(l.Tenant, l.Kind, false)] = l
	}
	return all
}

// vanished continues through the open tasks of all lanes. It closes the record of a
// task that was settled, and writes a dead letter for a task that asynq lost. now is
// this worker's clock.
func (s *sweeper) vanished(ctx context.Context, now time.Time) error {
	until := time.Now().Add(endFor)
	var faults []error
	for _, r := range s.registers {
		err := errors.Join(s.endMissed(ctx, r, now, until), s.relist(ctx, r, now))
		if err == nil && len(r.missed) < openPage {
			err = s.lookFurther(ctx, r, now)
		}
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// lookFurther checks the next page. Cost: one round trip if no task is open, else two.
func (s *sweeper) lookFurther(ctx context.Context, r *register, now time.Time) error {
	open, next, err := s.set.ledger.OpenTasks(ctx, r.organisation, string(r.kind), r.cursor, openPage)
	if err != nil {
		return unlessDamaged(err)
	}
	r.cursor = next
	var asked []backlog.Task
	var revisions []int64
	for _, task := range open {
		switch {
		case task.Damaged: // the ledger has reported it
		case task.Queue == "":
			r.unreadable(task)
		case r.lanes[task.Queue] != nil:
			asked = append(asked, backlog.Task{Queue: task.Queue, ID: task.Change.TaskID})
			revisions = append(revisions, task.Revision)
		}
	}
	if len(asked) == 0 {
		return nil
	}
	states, clock, err := backlog.States(ctx, s.set.rdb, asked)
	if err != nil {
		return err
	}
	var waiting []backlog.Task
	for i, task := range asked {
		_, known := r.missed[task.ID]
		switch {
		case states[i] == backlog.Damaged:
			s.set.Damaged(ledger.Damage{Key: backlog.Key(task.Queue, "t:"+task.ID), What: "is not a hash: the task does not run"})
		case !over(states[i]):
			waiting = append(waiting, task)
		case !known && clock.Sub(time.UnixMicro(revisions[i])) >= youngest:
			r.missed[task.ID] = now
		}
	}
	return s.findLost(ctx, r, waiting, now)
}

// over reports that asynq has nothing left to do for a task in this state.
func over(state string) bool { return state == "" || state == "completed" || state == "archived" }

// unreadable skips a record that this build cannot read: a newer build wrote it, and
// handles it.
func (r *register) unreadable(task ledger.Open) {
	if r.logged {
		return
	}
	r.logged = true
	r.log.Warn("open tasks of a newer version skipped; logged once",
		"organisation", r.organisation, "kind", r.kind, "task", task.Change.TaskID)
}

// endMissed ends the tasks that have been missing long enough. Cost: about seven round
// trips per task.
func (s *sweeper) endMissed(ctx context.Context, r *register, now, until time.Time) error {
	dead := map[*Lane]int{}
	defer func() {
		for l, n := range dead {
			l.hasDeadLetters.Store(true)
			l.log.Warn("dead letters written for tasks that asynq lost", "letters", n)
		}
	}()
	for id, since := range r.missed {
		if now.Sub(since) < missedFor {
			continue
		}
		if time.Now().After(until) {
			return nil
		}
		l, fresh, err := s.endOne(ctx, r, id, now)
		if err != nil {
			return err
		}
		delete(r.missed, id)
		if fresh {
			dead[l]++
		}
	}
	return nil
}

// endOne checks a missing task once more, and ends it. fresh reports that it has a new
// dead letter.
func (s *sweeper) endOne(ctx context.Context, r *register, id string, now time.Time) (l *Lane, fresh bool, err error) {
	task, found, err := s.set.ledger.OpenTask(ctx, r.organisation, string(r.kind), id)
	if l = r.lanes[task.Queue]; err != nil || !found || l == nil {
		return nil, false, err
	}
	state, err := backlog.State(ctx, s.set.rdb, task.Queue, id)
	if err != nil || !over(state) {
		return l, false, err
	}
	if state == "archived" {
		fresh, err = s.endArchived(ctx, l, task, now)
		return l, fresh, err
	}
	if state == "" { // its hash may have lost its state alone
		there, err := s.withoutState(ctx, r, backlog.Task{Queue: task.Queue, ID: id}, now)
		if err != nil || there {
			return l, false, err
		}
	}
	decoded, _, err := kinds.Decode(task.Type, task.Payload)
	switch {
	case is[*kinds.NewerVersionError](err), is[*kinds.UnknownTypeError](err):
		r.unreadable(task)
		return l, false, nil
	case err == nil:
		_, task.Change.Fields = kinds.Change(decoded, r.organisation)
		ended, err := s.set.ledger.CloseEnded(ctx, task)
		if err != nil || ended {
			return l, false, err
		}
	}
	if state == "completed" {
		return l, false, nil // Redis has no record of a settle: keep it until asynq has forgotten it, too
	}
	fresh, err = s.addVanished(ctx, l, task, now)
	return l, fresh, err
}

// urgent reports whether queue is the lane's urgent queue.
func (l *Lane) urgent(queue string) bool { return queue == registry.Queue(l.Tenant, l.Kind, true) }

// endArchived closes a dead task whose dead letter was written but whose record was not
// closed. A task without a dead letter gets one, as in the pass over the archive: asynq
// drops tasks from that list but keeps their messages as archived.
func (s *sweeper) endArchived(ctx context.Context, l *Lane, task ledger.Open, now time.Time) (fresh bool, err error) {
	id := task.Change.TaskID
	without, err := s.set.ledger.WithoutDeadLetter(ctx, l.Name(), []string{id})
	if err != nil {
		return false, err
	}
	if len(without) > 0 {
		return s.addDeadLetter(ctx, l, task.Queue, id, l.urgent(task.Queue), now)
	}
	return false, s.set.ledger.Close(ctx, task.Change.Target, id, task.Row)
}

const (
	vanishedTodo  = "replay it if it still matters, or discard it"
	vanishedCause = string(outcome.Vanished) + ": the task was stored and had not ended, and asynq no longer knows it: it was deleted in the web UI, " +
		"or a failover or a restored Redis lost it · to do: " + vanishedTodo
)

// addVanished writes the dead letter and then closes the task. If that fails in
// between, the next look completes it.
func (s *sweeper) addVanished(ctx context.Context, l *Lane, task ledger.Open, now time.Time) (fresh bool, err error) {
	id := task.Change.TaskID
	dead := l.deadLetter(id, task.Type, task.Payload, l.urgent(task.Queue))
	dead.Target, dead.Revision = task.Change.Target.Key, task.Revision
	dead.Key, dead.Run, dead.Row = task.Key, task.Row.Run, task.Row.Row
	dead.Class, dead.Cause, dead.Todo = string(outcome.Vanished), vanishedCause, vanishedTodo
	attempts, first, err := s.set.ledger.Attempts(ctx, id)
	if err != nil {
		return false, err
	}
	if first.IsZero() {
		first = now
	}
	dead.Attempts, dead.First, dead.Last = attempts, first, now
	fresh, err = s.set.ledger.AddDeadLetterOnce(ctx, dead)
	if err != nil {
		return false, err
	}
	if fresh {
		l.diedOutsideAttempt(outcome.Vanished)
	}
	return fresh, s.set.ledger.CloseDead(ctx, dead)
}

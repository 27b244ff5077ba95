package sweep

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"rollcall/internal/backlog"
	"rollcall/internal/kinds"
	"rollcall/internal/lane"
	"rollcall/internal/ledger"
	"rollcall/internal/outcome"
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
	queues       map[string]queue // by name
	log          *slog.Logger

	cursor uint64
	missed map[string]time.Time // by task id: since when asynq has nothing left to do for it
	lost   map[string]lostTask  // by task id: those that no list of asynq holds
	logged bool                 // that some records cannot be read
}

// vanished closes the record of an open task that was settled, and writes a dead letter
// for one that asynq lost.
type vanished struct {
	common

	registers []*register
}

func newVanished(c common) *vanished {
	v := &vanished{common: c}
	of := map[ledger.Target]*register{}
	for _, q := range c.queues {
		tag := ledger.Target{Organisation: q.lane.Organisation, API: string(q.lane.Kind)}
		r := of[tag]
		if r == nil {
			r = &register{
				organisation: q.lane.Organisation, kind: q.lane.Kind, queues: map[string]queue{}, log: c.Log,
				missed: map[string]time.Time{}, lost: map[string]lostTask{},
			}
			of[tag], v.registers = r, append(v.registers, r)
		}
		r.queues[q.name] = q
	}
	return v
}

// run continues through the open tasks of all lanes.
func (s *vanished) run(ctx context.Context, now time.Time) error {
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
func (s *vanished) lookFurther(ctx context.Context, r *register, now time.Time) error {
	open, next, err := s.Ledger.OpenTasks(ctx, r.organisation, string(r.kind), r.cursor, openPage)
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
		case r.queues[task.Queue].lane != nil:
			asked = append(asked, backlog.Task{Queue: task.Queue, ID: task.Change.TaskID})
			revisions = append(revisions, task.Revision)
		}
	}
	if len(asked) == 0 {
		return nil
	}
	states, clock, err := backlog.States(ctx, s.Redis, asked)
	if err != nil {
		return err
	}
	var waiting []backlog.Task
	for i, task := range asked {
		_, known := r.missed[task.ID]
		switch {
		case states[i] == backlog.Damaged:
			s.Lanes.Damaged(ledger.Damage{Key: backlog.Key(task.Queue, "t:"+task.ID), What: "is not a hash: the task does not run"})
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

// newer reports whether a newer build wrote what could not be decoded.
func newer(err error) bool {
	_, version := errors.AsType[*kinds.NewerVersionError](err)
	_, unknown := errors.AsType[*kinds.UnknownTypeError](err)
	return version || unknown
}

// endMissed ends the tasks that have been missing long enough. Cost: about seven round
// trips per task.
func (s *vanished) endMissed(ctx context.Context, r *register, now, until time.Time) error {
	dead := map[*lane.Lane]int{}
	defer func() {
		for l, n := range dead {
			l.NoteDeadLetters()
			s.logOf(l).Warn("dead letters written for tasks that asynq lost", "letters", n)
		}
	}()
	for id, since := range r.missed {
		if now.Sub(since) < missedFor {
			continue
		}
		if time.Now().After(until) {
			return nil
		}
		q, fresh, err := s.endOne(ctx, r, id, now)
		if err != nil {
			return err
		}
		delete(r.missed, id)
		if fresh {
			dead[q.lane]++
		}
	}
	return nil
}

// endOne checks a missing task once more, and ends it. fresh reports that it has a new
// dead letter.
func (s *vanished) endOne(ctx context.Context, r *register, id string, now time.Time) (q queue, fresh bool, err error) {
	task, found, err := s.Ledger.OpenTask(ctx, r.organisation, string(r.kind), id)
	if q = r.queues[task.Queue]; err != nil || !found || q.lane == nil {
		return queue{}, false, err
	}
	state, err := backlog.State(ctx, s.Redis, task.Queue, id)
	if err != nil || !over(state) {
		return q, false, err
	}
	if state == "archived" {
		fresh, err = s.endArchived(ctx, q, task, now)
		return q, fresh, err
	}
	if state == "" { // its hash may have lost its state alone
		there, err := s.withoutState(ctx, r, backlog.Task{Queue: task.Queue, ID: id}, now)
		if err != nil || there {
			return q, false, err
		}
	}
	decoded, _, err := kinds.Decode(task.Type, task.Payload)
	switch {
	case newer(err):
		r.unreadable(task)
		return q, false, nil
	case err == nil:
		_, task.Change.Fields = kinds.Change(decoded, r.organisation)
		ended, err := s.Ledger.CloseEnded(ctx, task)
		if err != nil || ended {
			return q, false, err
		}
	}
	if state == "completed" {
		return q, false, nil // Redis has no record of a settle: keep it until asynq has forgotten it, too
	}
	fresh, err = s.addVanished(ctx, q, task, now)
	return q, fresh, err
}

// endArchived closes a dead task whose dead letter was written but whose record was not
// closed. A task without a dead letter gets one, as in the pass over the archive: asynq
// drops tasks from that list but keeps their messages as archived.
func (s *vanished) endArchived(ctx context.Context, q queue, task ledger.Open, now time.Time) (fresh bool, err error) {
	id := task.Change.TaskID
	without, err := s.Ledger.WithoutDeadLetter(ctx, q.lane.Name(), []string{id})
	if err != nil {
		return false, err
	}
	if len(without) > 0 {
		return s.addArchived(ctx, q, id, now)
	}
	return false, s.Ledger.Close(ctx, task.Change.Target, id, task.Row)
}

const (
	vanishedTodo  = "replay it if it still matters, or discard it"
	vanishedCause = string(outcome.Vanished) + ": the task was stored and had not ended, and asynq no longer knows it: it was deleted in the web UI, " +
		"or a failover or a restored Redis lost it · to do: " + vanishedTodo
)

// addVanished writes the dead letter and then closes the task. If that fails in
// between, the next look completes it.
func (s *vanished) addVanished(ctx context.Context, q queue, task ledger.Open, now time.Time) (fresh bool, err error) {
	dead, err := q.lane.DeadLetter(ctx, lane.Message{ID: task.Change.TaskID, Type: task.Type, Payload: task.Payload, Urgent: q.urgent}, now)
	if err != nil {
		return false, err
	}
	dead.Target, dead.Revision = task.Change.Target.Key, task.Revision
	dead.Key, dead.Run, dead.Row = task.Key, task.Row.Run, task.Row.Row
	dead.Class, dead.Cause, dead.Todo = string(outcome.Vanished), vanishedCause, vanishedTodo
	if fresh, err = s.addFound(ctx, q.lane, dead); err != nil {
		return false, err
	}
	return fresh, s.Ledger.CloseDead(ctx, dead)
}

package lane

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"rollcall/internal/backlog"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

// Vanished is the class of letters of tasks that were stored and have not ended,
// and that asynq does not know any more. No verdict has it.
const Vanished = "vanished"

const (
	// openPage is how many open tasks of an organisation's API are looked at in
	// one sweep: 100,000 are gone through in 17 minutes.
	openPage = 500
	// youngest is the age from which a task that asynq does not know is missed.
	youngest = time.Minute
	// missedFor is how long a task must be missed, at two looks. One look may meet
	// a task on its way, or a replica that has just become the master.
	missedFor = 10 * time.Second
	// endFor bounds how long one sweep deals with what was missed, of all together:
	// lost tasks are not to be kept waiting. The next sweep goes on.
	endFor = time.Second
)

// register is how far the open tasks of an organisation's API have been looked
// through. They are read once for all lanes that share them.
type register struct {
	organisation string
	kind         tasks.Kind
	lanes        map[string]*Lane // by queue
	log          *slog.Logger

	cursor uint64
	missed map[string]time.Time // by task id: since when asynq has no more to do for it
	told   bool                 // that some cannot be read
}

func registers(lanes []*Lane) []*register {
	var all []*register
	of := map[ledger.Target]*register{}
	for _, l := range lanes {
		tag := ledger.Target{Organisation: l.Organisation, API: string(l.Kind)}
		r := of[tag]
		if r == nil {
			r = &register{
				organisation: l.Organisation, kind: l.Kind, lanes: map[string]*Lane{}, log: l.set.log, missed: map[string]time.Time{},
			}
			of[tag], all = r, append(all, r)
		}
		r.lanes[registry.Queue(l.Tenant, l.Kind, true)] = l
		r.lanes[registry.Queue(l.Tenant, l.Kind, false)] = l
	}
	return all
}

// vanished goes on through the open tasks of all lanes: the end of what was
// settled and not closed is noted, and what asynq has lost gets its letter. now is
// this worker's clock.
func (s *sweeper) vanished(ctx context.Context, now time.Time) error {
	until := time.Now().Add(endFor)
	var faults []error
	for _, r := range s.registers {
		err := s.endMissed(ctx, r, now, until)
		if err == nil && len(r.missed) < openPage {
			err = s.lookFurther(ctx, r, now)
		}
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// lookFurther looks at the next page. One round trip where no task is open, else
// two.
func (s *sweeper) lookFurther(ctx context.Context, r *register, now time.Time) error {
	open, next, err := s.set.ledger.OpenTasks(ctx, r.organisation, string(r.kind), r.cursor, openPage)
	if err != nil {
		return err
	}
	r.cursor = next
	var asked []backlog.Task
	var revisions []int64
	for _, task := range open {
		switch {
		case task.Queue == "":
			r.unreadable(task)
		case r.lanes[task.Queue] != nil:
			asked = append(asked, backlog.Task{Queue: task.Queue, ID: task.Wish.TaskID})
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
	for i, task := range asked {
		_, known := r.missed[task.ID]
		if over(states[i]) && !known && clock.Sub(time.UnixMicro(revisions[i])) >= youngest {
			r.missed[task.ID] = now
		}
	}
	return nil
}

// over tells that asynq has nothing more to do for a task in a state.
func over(state string) bool { return state == "" || state == "completed" || state == "archived" }

// unreadable leaves a record alone that this build cannot read: a newer one
// wrote it, and deals with it.
func (r *register) unreadable(task ledger.Open) {
	if r.told {
		return
	}
	r.told = true
	r.log.Warn("open tasks that this build cannot read are left to a newer one; this is said once",
		"organisation", r.organisation, "kind", r.kind, "task", task.Wish.TaskID)
}

// endMissed deals with what has been missed for long enough. Some seven round
// trips a task.
func (s *sweeper) endMissed(ctx context.Context, r *register, now, until time.Time) error {
	letters := map[*Lane]int{}
	defer func() {
		for l, n := range letters {
			l.buried.Store(true)
			l.log.Warn("tasks that had not ended are no longer among those that asynq carries out, and have a dead letter now", "letters", n)
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
			letters[l]++
		}
	}
	return nil
}

// endOne looks at a missed task once more, and ends it. fresh tells that it has a
// new letter.
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
	decoded, _, err := kinds.Decode(task.Type, task.Payload)
	switch {
	case is[*kinds.NewerVersionError](err), is[*kinds.UnknownTypeError](err):
		r.unreadable(task)
		return l, false, nil
	case err == nil:
		_, task.Wish.Fields = kinds.Change(decoded, r.organisation)
		ended, err := s.set.ledger.CloseEnded(ctx, task)
		if err != nil || ended {
			return l, false, err
		}
	}
	if state == "completed" {
		return l, false, nil // settled by nobody that Redis remembers: when asynq has forgotten it, too
	}
	fresh, err = s.buryVanished(ctx, l, task, now)
	return l, fresh, err
}

// urgent tells which of the lane's queues one is.
func (l *Lane) urgent(queue string) bool { return queue == registry.Queue(l.Tenant, l.Kind, true) }

// endArchived closes a dead task whose letter was written and whose end was not.
// One without a letter gets it, as from the look at the archive: asynq drops tasks
// from that list, and leaves them behind as archived.
func (s *sweeper) endArchived(ctx context.Context, l *Lane, task ledger.Open, now time.Time) (fresh bool, err error) {
	id := task.Wish.TaskID
	without, err := s.set.ledger.Unburied(ctx, l.Name(), []string{id})
	if err != nil {
		return false, err
	}
	if len(without) > 0 {
		return s.addLetter(ctx, l, task.Queue, id, l.urgent(task.Queue), now)
	}
	return false, s.set.ledger.Close(ctx, task.Wish.Target, id, task.Row)
}

const (
	vanishedTodo  = "replay it if it still matters, or discard it"
	vanishedCause = Vanished + ": the task was stored and had not ended, and asynq does not know it any more: it was deleted in the web UI, " +
		"or a failover or a restored Redis lost it · to do: " + vanishedTodo
)

// buryVanished writes the letter and then closes the task: what fails in between
// is done at the next look.
func (s *sweeper) buryVanished(ctx context.Context, l *Lane, task ledger.Open, now time.Time) (fresh bool, err error) {
	id := task.Wish.TaskID
	letter := l.letter(id, task.Type, task.Payload, l.urgent(task.Queue))
	letter.Target, letter.Revision = task.Wish.Target.Key, task.Revision
	letter.Key, letter.Run, letter.Row = task.Key, task.Row.Run, task.Row.Row
	letter.Class, letter.Cause, letter.Todo = Vanished, vanishedCause, vanishedTodo
	attempts, first, err := s.set.ledger.Attempts(ctx, id)
	if err != nil {
		return false, err
	}
	if first.IsZero() {
		first = now
	}
	letter.Attempts, letter.First, letter.Last = attempts, first, now
	fresh, err = s.set.ledger.BuryNew(ctx, letter)
	if err != nil {
		return false, err
	}
	if fresh {
		l.condemned(Vanished)
	}
	return fresh, s.set.ledger.Close(ctx, task.Wish.Target, id, task.Row)
}

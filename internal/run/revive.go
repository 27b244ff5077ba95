package run

import (
	"context"
	"errors"
	"time"

	"github.com/hibiken/asynq"

	"rollcall/internal/backlog"
	"rollcall/internal/ledger"
)

// missedFor is how long no list of asynq must have held the task of a run.
const missedFor = 10 * time.Second

// revive makes the task of an applied run again if asynq has lost it, or somebody deleted
// or archived it, and names what is damaged. Cost: four round trips while any run is
// applied, else one, and every second time four more.
func (f *Feeder) revive(ctx context.Context, now time.Time) error {
	if now.Sub(f.inspected) > inspectEvery {
		f.inspected = now
		f.outcome(ctx, "keys of runs not checked; retried", f.inspect(ctx))
	}
	ids, err := f.rdb.SMembers(ctx, appliedKey).Result()
	if err != nil || len(ids) == 0 {
		return ofKey(err, appliedKey, "set")
	}
	heads, err := f.loadEach(ctx, ids)
	if err != nil {
		return err
	}
	asked := make([]backlog.Task, len(ids))
	for i, id := range ids {
		asked[i] = backlog.Task{Queue: Queue, ID: id}
	}
	states, _, err := backlog.States(ctx, f.rdb, asked)
	if err != nil {
		return err
	}
	faults := []error{f.relistTasks(ctx, asked, now)}
	for i, id := range ids {
		switch h := heads[i]; {
		case h == nil || h.state().Ended():
			faults = append(faults, f.unlist(ctx, id))
		case !h.state().Applied(): // it is being applied at this moment
		case states[i] == "":
			f.log.Info("run given a task again", "run", id)
			if err := f.enlist(ctx, id); !errors.Is(err, asynq.ErrTaskIDConflict) {
				faults = append(faults, err)
			}
		case states[i] == "archived":
			f.kick(ctx, id)
		}
	}
	return errors.Join(faults...)
}

// relistTasks makes tasks of runs pending again that no list of asynq has held for ten
// seconds, or whose time is too far ahead: another program removed or changed them, or a
// list was discarded because it was damaged. Cost: one round trip.
func (f *Feeder) relistTasks(ctx context.Context, tasks []backlog.Task, now time.Time) error {
	lost, odd, err := backlog.FindUnlisted(ctx, f.rdb, tasks)
	for _, o := range odd {
		f.damaged(ledger.Damage{Key: backlog.Key(o.Queue, "t:"+o.ID), Entry: "state", What: "has a state that asynq does not have"})
	}
	since := map[string]time.Time{}
	faults := []error{ofKey(err, backlog.Key(Queue, "*"), "list of asynq")}
	for _, task := range lost {
		first, before := f.lost[task.ID]
		if !before {
			first = now
		}
		if now.Sub(first) < missedFor {
			since[task.ID] = first
			continue
		}
		done, err := backlog.Relist(ctx, f.rdb, task)
		if faults = append(faults, err); done {
			f.log.Warn("task of a run that no list of asynq held made pending again", "run", task.ID)
		}
	}
	f.lost = since
	return errors.Join(faults...)
}

// damaged logs a damage: one line for each, however often it is read.
func (f *Feeder) damaged(d ledger.Damage) {
	f.faults.Of("damaged key in redis of runs: see rollcall repair", "").
		Begin(d.Key+" "+d.Entry+" "+d.What, "key", d.Key, "entry", d.Entry, "damage", d.What)
}

// inspect logs what is damaged in the keys of runs. Cost: four round trips.
func (f *Feeder) inspect(ctx context.Context) error {
	found, err := f.InspectShared(ctx)
	for _, d := range found {
		f.damaged(d)
	}
	return err
}

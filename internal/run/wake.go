package run

import (
	"context"
	"errors"
	"slices"

	"github.com/hibiken/asynq"

	"rollcall/internal/backlog"
	"rollcall/internal/ledger"
	"rollcall/internal/registry"
)

// wakePage is how many tasks one round trip looks for.
const wakePage = 500

// wake makes the rows of a resumed run pending that wait in their queues: after a long
// pause their next look is minutes away. A row that waits for its time is left alone. It is
// of no account if a row is missed.
func (t *turn) wake(ctx context.Context) error {
	if t.head.fields[fieldWake] == "" {
		return nil
	}
	results, err := t.readResults(ctx, t.run)
	if err != nil {
		return err
	}
	for _, l := range t.run.Plan.Lanes {
		var open []backlog.Task
		for _, number := range results[laneName(l)].Rows(ledger.RowStored) {
			for _, urgent := range []bool{false, true} {
				open = append(open, backlog.Task{Queue: registry.Queue(l.Tenant, l.Kind, urgent), ID: taskID(t.head.id, number)})
			}
		}
		for page := range slices.Chunk(open, wakePage) {
			if err := t.wakeTasks(ctx, page); err != nil {
				return err
			}
		}
	}
	return t.save(ctx, update{set: map[string]string{fieldWake: ""}})
}

func (t *turn) wakeTasks(ctx context.Context, tasks []backlog.Task) error {
	states, _, err := backlog.States(ctx, t.rdb, tasks)
	if err != nil {
		return err
	}
	inspector := asynq.NewInspectorFromRedisClient(t.rdb)
	for i, task := range tasks {
		if states[i] != "retry" {
			continue
		}
		err := inspector.RunTask(task.Queue, task.ID)
		if err != nil && !errors.Is(err, asynq.ErrTaskNotFound) && !errors.Is(err, asynq.ErrQueueNotFound) {
			t.log.Debug("row not made pending; it waits a while", "task", task.ID, "err", err)
		}
	}
	return nil
}

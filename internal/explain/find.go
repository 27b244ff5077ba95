package explain

import (
	"context"
	"errors"
	"fmt"
	"math"

	"rollcall/internal/deadletter"
	"rollcall/internal/kinds"
	"rollcall/internal/registry"
)

const (
	// DeadLettersRead bounds the dead letters of a lane that are read for one person who waits:
	// they take about a second.
	DeadLettersRead = 1000
	// EditsRead bounds the open membership edits whose tasks are looked up.
	EditsRead = 10
)

// Full are the bounds of an explanation for one person, who waits for it.
func Full() Bounds { return Bounds{DeadLetters: DeadLettersRead, Tasks: math.MaxInt, Edits: EditsRead} }

// TaskError reports a task whose target is not known.
type TaskError struct{ What string }

func (e *TaskError) Error() string { return e.What }

// Find returns the lane and the key of the target of a task, from its dead letter, the ledger
// or asynq. Its errors are those of Redis, and *TaskError. It costs some round trips for each of
// the lanes.
func (r *Reader) Find(ctx context.Context, lanes []registry.Lane, id string) (lane, key string, err error) {
	dead, err := r.dead.Find(ctx, id)
	if err == nil && dead.Target != "" {
		return dead.Lane, dead.Target, nil
	}
	if _, missing := errors.AsType[*deadletter.MissingError](err); err != nil && !missing {
		return "", "", err
	}
	for _, l := range lanes {
		key, found, err := r.findIn(ctx, l, id)
		if found || err != nil {
			return registry.Queue(l.Tenant, l.Kind, false), key, err
		}
	}
	return "", "", &TaskError{fmt.Sprintf("task %.100q not found: it may have ended; give LANE and TARGET instead", id)}
}

// findIn returns the key of the target of a task, if the lane has the task.
func (r *Reader) findIn(ctx context.Context, l registry.Lane, id string) (key string, found bool, err error) {
	open, known, err := r.ledger.OpenTask(ctx, l.Organisation, string(l.Kind), id)
	if err != nil {
		return "", false, err
	}
	if tenant, kind, _, ok := registry.ParseQueue(open.Queue); known && ok && tenant == l.Tenant && kind == l.Kind {
		return open.Change.Target.Key, true, nil
	}
	for _, urgent := range []bool{true, false} {
		info, err := r.info(registry.Queue(l.Tenant, l.Kind, urgent), id)
		if err != nil {
			return "", false, err
		}
		if info == nil {
			continue
		}
		task, _, err := kinds.Decode(info.Type, info.Payload)
		if err != nil {
			return "", false, &TaskError{fmt.Sprintf("task %s of %s: cannot read its target: %v", id, registry.Queue(l.Tenant, l.Kind, false), err)}
		}
		change, _ := kinds.Change(task, l.Organisation)
		return change.Key, true, nil
	}
	return "", false, nil
}

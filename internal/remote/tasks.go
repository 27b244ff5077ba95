package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"time"

	"github.com/go-json-experiment/json"

	"rollcall/internal/problem"
	"rollcall/internal/roster"
	"rollcall/internal/table"
	"rollcall/internal/wire"
	"rollcall/tasks"
)

// Enqueue checks and stores a request, as the client of Redis does.
func (c *Client) Enqueue(ctx context.Context, r tasks.Request) tasks.Result {
	checker, err := c.NewChecker(ctx)
	if err != nil {
		return tasks.Result{Outcome: tasks.NotStored, Err: err}
	}
	if err := checker.Check(ctx, r); err != nil {
		if _, fault := errors.AsType[*tasks.StoreError](err); fault {
			return tasks.Result{Outcome: tasks.NotStored, Err: err}
		}
		return tasks.Result{Outcome: tasks.Refused, Err: err}
	}
	body, err := fieldsOf(r)
	if err != nil {
		return tasks.Result{Outcome: tasks.Refused, Err: err}
	}
	var stored wire.Stored
	ask := post(body, "tasks")
	ask.once = newKey()
	if _, err := c.do(ctx, ask, &stored); err != nil {
		return failed(err)
	}
	result := tasks.Result{TaskID: stored.TaskID, Queue: stored.Queue, Revision: stored.Revision, Warning: stored.Warning}
	for _, o := range []tasks.Outcome{tasks.Stored, tasks.AlreadyThere, tasks.Outdated} {
		if o.String() == stored.Outcome {
			result.Outcome = o
			return result
		}
	}
	result.Outcome, result.Err = tasks.NotKnown, fmt.Errorf("the worker answered with the unknown outcome %.40q", stored.Outcome)
	return result
}

// failed is the result of a request that was sent and not stored, or perhaps stored.
func failed(err error) tasks.Result {
	result := tasks.Result{Outcome: tasks.NotStored, Err: err}
	e, answered := errors.AsType[*Error](err)
	_, unreachable := errors.AsType[*UnreachableError](err)
	op, network := errors.AsType[*net.OpError](err)
	switch {
	case answered && e.Refused():
		result.Outcome = tasks.Refused
	case answered && (e.Name == problem.OutcomeUnknown || e.Name == problem.Unavailable):
		result.Outcome = tasks.NotKnown
	case unreachable && (!network || op.Op != "dial"): // it may have been sent
		result.Outcome = tasks.NotKnown
	}
	return result
}

// fieldsOf returns a request as the API reads it. A text that a file cannot hold, such as
// one with spaces at its ends, is refused: the API would change it.
func fieldsOf(r tasks.Request) (map[string]any, error) {
	text, err := json.Marshal(r.Task)
	if err != nil {
		return nil, fmt.Errorf("encode the task: %w", err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, fmt.Errorf("encode the task: %w", err)
	}
	if nested, ok := fields["options"].(map[string]any); ok { // of a group
		delete(fields, "options")
		maps.Copy(fields, nested)
	}
	_, kind := r.Task.Lane()
	fields["kind"] = string(kind)
	o := r.Options
	for name, value := range map[string]string{"key": o.Key, "source": o.Source} {
		if value != "" {
			fields[name] = value
		}
	}
	if o.Source != "" {
		fields["number"] = o.Number
	}
	if o.Urgent {
		fields["urgent"] = true
	}
	if !o.At.IsZero() {
		fields["at"] = o.At.Format(time.RFC3339)
	}
	body, err := json.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("encode the task: %w", err)
	}
	record, err := table.Object(body)
	if err != nil {
		return nil, fmt.Errorf("encode the task: %w", err)
	}
	read, err := roster.One(record, roster.Options{})
	same, _ := json.Marshal(read.Request.Task)
	if err != nil || !bytes.Equal(same, text) {
		return nil, errors.New("the HTTP API would change a text of this task, such as spaces at its ends: correct it, or use Redis")
	}
	return fields, nil
}

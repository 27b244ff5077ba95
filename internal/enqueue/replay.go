package enqueue

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

// Replay stores the task of a dead letter unchanged, including its revision: a later change
// still wins. The new id is derived from the old one, so only one of any number of replays
// is stored. The others are AlreadyThere, as long as asynq keeps the task, 10 minutes after
// its end. The key of its producer is kept but not reserved again.
//
// A task that would fail again is Refused: its payload cannot be read, its values are
// invalid ([*tasks.ValidationError]), or no worker serves its lane.
func (c *Client) Replay(ctx context.Context, dead ledger.DeadLetter) tasks.Result {
	task, meta, err := kinds.Decode(dead.Type, dead.Payload)
	if err != nil {
		return refused(err)
	}
	p := c.again(ctx, dead, task)
	if p.over {
		return p.result
	}
	p.revision, p.typename, p.payload = meta.Revision, dead.Type, dead.Payload
	target, fields := kinds.Change(task, p.lane.Organisation)
	p.change = ledger.Change{Target: target, Fields: fields, TaskID: p.held.ID}
	if err := c.ledger.TakePosition(ctx, p.change, p.revision); err != nil {
		return p.notStored("take its position in the edit queue", err)
	}
	c.put(ctx, []*submission{p})
	switch p.result.Outcome {
	case tasks.NotStored:
		return p.result
	case tasks.Stored: // by us, or by another replay of the same task
		p.note, p.withdraw = true, false
	}
	p.result.Revision = meta.Revision
	c.note(ctx, []*submission{p})
	return p.result
}

// Replace stores task in place of that of a dead letter, with a new revision, as the latest
// change. It must be for the same lane. Its id is derived from the old id and from its
// contents, as for Replay.
func (c *Client) Replace(ctx context.Context, dead ledger.DeadLetter, task tasks.Task) tasks.Result {
	p := c.again(ctx, dead, task)
	if p.over {
		return p.result
	}
	sum, err := digest(task)
	if err != nil {
		return refused(err)
	}
	p.held.ID += "-" + sum[:8]
	c.revise(ctx, []*submission{p})
	if !p.over {
		c.put(ctx, []*submission{p})
	}
	c.note(ctx, []*submission{p})
	return p.result
}

// again returns the submission of a task in place of that of a dead letter, with the next
// id. It is over if the task is not admitted.
func (c *Client) again(ctx context.Context, dead ledger.DeadLetter, task tasks.Task) *submission {
	o := tasks.Options{Urgent: dead.Urgent}
	if tasks.CheckKey(dead.Key) == nil { // an invalid key is not the task's fault
		o.Key = dead.Key
	}
	if tasks.ValidRun(dead.Run) && dead.Row >= 0 && dead.Row < tasks.MaxRows {
		o.Run, o.Row = dead.Run, dead.Row
	}
	p := &submission{request: tasks.Request{Task: task, Options: o}}
	if err := stays(dead, task); err != nil {
		p.end(refused(err))
		return p
	}
	lane, err := admit(ctx, c.lanes, p.request)
	if result, ok := admission(err); !ok {
		p.end(result)
		return p
	}
	p.lane = lane
	p.destination = destination{tenant: lane.Tenant, given: true, held: reservation{
		ID: nextID(dead.ID), Queue: registry.Queue(lane.Tenant, lane.Kind, dead.Urgent),
	}}
	return p
}

// stays rejects a task for another lane than that of a dead letter.
func stays(dead ledger.DeadLetter, task tasks.Task) error {
	if _, ok := kinds.Of(task); !ok {
		return tasks.Request{Task: task}.Validate(tasks.Limits{})
	}
	tenant, kind := task.Lane()
	other := func(field, of string) error {
		return &tasks.ValidationError{Kind: kind, Problems: []tasks.Problem{{Field: field, What: "is not " + of + ": enqueue it as a task of its own"}}}
	}
	switch {
	case string(kind) != dead.Kind:
		return other("kind", dead.Kind)
	case tenant != dead.Tenant:
		return other("tenant", dead.Tenant)
	}
	return nil
}

// nextID numbers the replays of a task: id, id~1, id~2. It drops what a replacement
// added to the number.
func nextID(id string) string {
	base, last, replayed := strings.Cut(id, "~")
	if !replayed {
		return id + "~1"
	}
	number, _, _ := strings.Cut(last, "-")
	n, err := strconv.Atoi(number)
	if err != nil { // a tilde of another program
		sum := sha256.Sum256([]byte(id))
		return hex.EncodeToString(sum[:16]) + "~1"
	}
	return base + "~" + strconv.Itoa(n+1)
}

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

// Previous is a task that was stored before, ended without effect, and is to be stored
// again.
type Previous struct {
	TaskID string // id of the task that ended
	Tenant string
	Kind   tasks.Kind
	Urgent bool
	Key    string // key of its producer, which is kept but not reserved again
	Run    string // run of the task, and its row there, which are kept, too
	Row    int

	Type    string
	Payload []byte
}

// Replay stores a task unchanged, including its revision: a later change still wins.
// The new id is derived from the old one, so only one of any number of replays is
// stored. The others are AlreadyThere, as long as asynq keeps the task, 10 minutes
// after its end.
//
// A task that would fail again is Refused: its payload cannot be read, its values are
// invalid ([*tasks.ValidationError]), or no worker serves its lane.
func (c *Client) Replay(ctx context.Context, again Previous) tasks.Result {
	task, meta, err := kinds.Decode(again.Type, again.Payload)
	if err != nil {
		return refused(err)
	}
	r := again.request(task)
	if err := again.stays(task); err != nil {
		return refused(err)
	}
	lane, err := admit(ctx, c.lanes, r)
	if result, ok := admission(err); !ok {
		return result
	}
	target, fields := kinds.Change(task, lane.Organisation)
	p := &submission{
		destination: again.origin(nextID(again.TaskID)), request: r, lane: lane,
		revision: meta.Revision, typename: again.Type, payload: again.Payload,
	}
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

// Replace stores task in place of one that ended, with a new revision, as the latest
// change. It must be for the same lane. Its id is derived from the old id and from its
// contents, as for Replay.
func (c *Client) Replace(ctx context.Context, again Previous, task tasks.Task) tasks.Result {
	r := again.request(task)
	if err := again.stays(task); err != nil {
		return refused(err)
	}
	lane, err := admit(ctx, c.lanes, r)
	if result, ok := admission(err); !ok {
		return result
	}
	sum, err := digest(task)
	if err != nil {
		return refused(err)
	}
	p := &submission{destination: again.origin(nextID(again.TaskID) + "-" + sum[:8]), request: r, lane: lane}
	c.revise(ctx, []*submission{p})
	if !p.over {
		c.put(ctx, []*submission{p})
	}
	c.note(ctx, []*submission{p})
	return p.result
}

func (a Previous) request(task tasks.Task) tasks.Request {
	o := tasks.Options{Urgent: a.Urgent}
	if tasks.CheckKey(a.Key) == nil { // an invalid key is not the task's fault
		o.Key = a.Key
	}
	if tasks.ValidRun(a.Run) && a.Row >= 0 && a.Row < tasks.MaxRows {
		o.Run, o.Row = a.Run, a.Row
	}
	return tasks.Request{Task: task, Options: o}
}

func (a Previous) origin(id string) destination {
	return destination{tenant: a.Tenant, given: true, held: reservation{ID: id, Queue: registry.Queue(a.Tenant, a.Kind, a.Urgent)}}
}

// stays rejects a task for another lane than that of the original.
func (a Previous) stays(task tasks.Task) error {
	if _, ok := kinds.Of(task); !ok {
		return tasks.Request{Task: task}.Validate(tasks.Limits{})
	}
	tenant, kind := task.Lane()
	switch {
	case kind != a.Kind:
		return &tasks.ValidationError{Kind: kind, Problems: []tasks.Problem{{Field: "kind", What: "is not " + string(a.Kind) + ": enqueue it as a task of its own"}}}
	case tenant != a.Tenant:
		return &tasks.ValidationError{Kind: kind, Problems: []tasks.Problem{{Field: "tenant", What: "is not " + a.Tenant + ": enqueue it as a task of its own"}}}
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

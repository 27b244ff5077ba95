package enqueue

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

// Enqueue stores a task for the workers. The error is the result's own.
func (c *Client) Enqueue(ctx context.Context, task tasks.Task, options tasks.Options) (tasks.Result, error) {
	result := c.EnqueueAll(ctx, []tasks.Request{{Task: task, Options: options}})[0]
	return result, result.Err
}

// Check validates a request as EnqueueAll does before it stores anything: its own
// values, and the limits of its lane. The error is a [*tasks.ValidationError], a
// [*tasks.KeyError], an [*tasks.UnservedError], or a [*tasks.StoreError] if Redis
// cannot be read. Only storing the task can detect a key that was used for another
// task.
func (c *Client) Check(ctx context.Context, r tasks.Request) error { return Check(ctx, c.lanes, r) }

// Check does so with the limits of lanes that are served.
func Check(ctx context.Context, lanes *registry.Directory, r tasks.Request) error {
	_, err := admit(ctx, lanes, r)
	return err
}

// submission is a request on its way into Redis.
type submission struct {
	destination

	request  tasks.Request
	lane     registry.Lane
	change   ledger.Change
	revision int64 // 0 until one is taken
	fed      bool  // it is a row of a run, with an id of its own
	fixed    bool  // its revision was given, so every task with its id has it
	typename string
	payload  []byte

	result   tasks.Result
	over     bool // the result is set, and nothing is left to do
	note     bool // the task was stored with our revision
	withdraw bool // it certainly was not stored, by this or another client; or it has ended
}

func (p *submission) end(result tasks.Result) { p.result, p.over = result, true }

// enter validates requests and reserves their keys. One round trip, none without keys.
func (c *Client) enter(ctx context.Context, rows []FedRow) []*submission {
	all := make([]*submission, len(rows))
	var keyed []*submission
	for i, row := range rows {
		if err := guarded(func() { all[i] = c.check(ctx, row) }); err != nil {
			all[i] = &submission{request: row.Request}
			all[i].end(all[i].notStored("validate it", err))
		}
		if p := all[i]; !p.over && p.key != "" {
			keyed = append(keyed, p)
		}
	}
	for i, held := range c.keys.take(ctx, keyed) {
		p := keyed[i]
		switch {
		case isRefusal(held.err):
			p.end(refused(held.err))
		case held.err != nil:
			p.end(p.notStored("reserve its key", held.err))
		case held.State == stateStored:
			p.end(tasks.Result{Outcome: tasks.AlreadyThere, TaskID: held.ID, Queue: held.Queue})
		default:
			p.held = held.reservation
		}
	}
	return all
}

// check validates a request, and gives it an id.
func (c *Client) check(ctx context.Context, row FedRow) *submission {
	r, id := row.Request, row.TaskID
	p := &submission{request: r, revision: row.Revision, fed: id != "", fixed: row.Revision != 0}
	lane, err := admit(ctx, c.lanes, r)
	if result, ok := admission(err); !ok {
		p.end(result)
		return p
	}
	p.lane = lane
	if id == "" {
		id = uuid.NewString()
	}
	p.destination = destination{
		tenant: lane.Tenant, key: r.Options.Key, given: p.fed,
		held: reservation{ID: id, Queue: registry.Queue(lane.Tenant, lane.Kind, r.Options.Urgent)},
	}
	if p.key != "" {
		if p.held.Digest, err = digest(r.Task); err != nil {
			p.end(refused(err))
		}
	}
	return p
}

// admit validates a request: its own values, and the limits of its lane.
func admit(ctx context.Context, lanes *registry.Directory, r tasks.Request) (registry.Lane, error) {
	if _, ok := kinds.Of(r.Task); !ok {
		return registry.Lane{}, r.Validate(tasks.Limits{})
	}
	tenant, kind := r.Task.Lane()
	if !tasks.ValidTenant(tenant) {
		return registry.Lane{}, r.Validate(tasks.Limits{})
	}
	lane, laneErr := lanes.Find(ctx, tenant, kind)
	limits := tasks.Limits{NicknameMax: lane.NicknameMax}
	if laneErr != nil && !isRefusal(laneErr) {
		limits.NicknameMax = math.MaxInt // the lane's limit is unknown
	}
	if err := r.Validate(limits); err != nil {
		return registry.Lane{}, err
	}
	if laneErr != nil && !isRefusal(laneErr) {
		return registry.Lane{}, &tasks.StoreError{
			Outcome: tasks.NotStored, Step: "look up the lane",
			Queue: registry.Queue(tenant, kind, r.Options.Urgent), Keyed: r.Options.Key != "", Err: laneErr,
		}
	}
	return lane, laneErr
}

// destination is where a task is stored: its id and queue, and the key that they depend
// on.
type destination struct {
	tenant, key string
	held        reservation
	given       bool // the id is that of a row, or derived from that of a task that was stored before
}

// shared reports whether other clients may store a task with the same id.
func (p destination) shared() bool { return p.key != "" || p.given }

// keyName is the name of the key in Redis.
func (p destination) keyName() string { return keyPrefix + p.tenant + ":" + p.key }

func (p destination) notStored(step string, err error) tasks.Result {
	return tasks.Result{Outcome: tasks.NotStored, Queue: p.held.Queue, Err: &tasks.StoreError{
		Outcome: tasks.NotStored, Step: step, Queue: p.held.Queue, Keyed: p.key != "", Err: err,
	}}
}

func (p destination) notKnown(err error) error {
	return &tasks.StoreError{
		Outcome: tasks.NotKnown, Step: "store it",
		Queue: p.held.Queue, TaskID: p.held.ID, Keyed: p.shared(), Err: err,
	}
}

// revise takes revisions for submissions that have none, in order, and makes their
// payloads.
func (c *Client) revise(ctx context.Context, submissions []*submission) {
	var changes []ledger.Change
	var without []*submission
	for _, p := range submissions {
		o := p.request.Options
		target, fields := kinds.Change(p.request.Task, p.lane.Organisation)
		p.change = ledger.Change{
			Target: target, Fields: fields, TaskID: p.held.ID, Later: o.At.After(c.now()), Source: o.Source, Number: o.Number,
		}
		if !p.fixed {
			changes, without = append(changes, p.change), append(without, p)
		}
	}
	for i, revised := range c.ledger.Revise(ctx, changes...) {
		p := without[i]
		switch {
		case revised.Err != nil:
			p.end(p.notStored("take a revision", revised.Err))
		case revised.Older:
			p.end(tasks.Result{Outcome: tasks.Outdated})
		case revised.Mixed:
			p.end(refused(mixed(p.lane.Kind, p.request.Options.Source)))
		}
		p.revision = revised.Revision
	}
	for _, p := range submissions {
		if p.over {
			continue
		}
		var err error
		if p.fixed && p.change.TakesPosition() {
			if err = c.ledger.TakePosition(ctx, p.change, p.revision); err != nil {
				p.end(p.notStored("take its position in the edit queue", err))
				continue
			}
		}
		if p.typename, p.payload, err = kinds.Encode(p.request.Task, p.revision); err != nil {
			p.end(refused(err))
			p.withdraw = !p.shared()
		}
	}
}

// put stores the tasks of submissions, in order, and updates their keys. One round trip,
// two with keys.
func (c *Client) put(ctx context.Context, submissions []*submission) {
	all := make([]*storing, len(submissions))
	for i, p := range submissions {
		o := p.request.Options
		all[i] = &storing{task: asynq.NewTaskWithHeaders(p.typename, p.payload, kinds.Headers(o)), options: c.options(o, p.destination)}
	}
	c.store.put(ctx, all...)
	var keyed []*submission
	for i, p := range submissions {
		c.stored(p, all[i])
		if p.key != "" && p.result.Err == nil {
			keyed = append(keyed, p)
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteBound)
	defer cancel()
	for i, err := range c.keys.settle(ctx, keyed) {
		if err != nil {
			keyed[i].warn(fmt.Errorf("the key is recorded as reserved only: %w", err))
		}
	}
}

// stored ends a submission by what happened to its task.
func (c *Client) stored(p *submission, t *storing) {
	outcome, inferred := t.outcome, t.inferred
	if outcome == tasks.AlreadyThere && !p.shared() {
		// No other client generates this id. A Cluster's client retries a command whose
		// answer was lost, and then finds its own task.
		outcome, inferred = tasks.Stored, true
	}
	p.end(tasks.Result{Outcome: outcome, TaskID: p.held.ID, Queue: p.held.Queue})
	switch outcome {
	case tasks.NotStored:
		p.end(p.notStored("store it", t.err))
		p.withdraw = !p.shared()
		return
	case tasks.NotKnown:
		p.result.Err = p.notKnown(t.err)
		return
	}
	// A recorded revision that no stored task has would make the worker skip an earlier
	// change for nothing. With a key, an inferred task may belong to another caller,
	// with another revision.
	if p.note = p.fixed || outcome == tasks.Stored && (!p.shared() || !inferred); p.note {
		p.result.Revision = p.revision
	}
	if outcome != tasks.Stored || !p.note {
		p.withdraw = c.keepsNoPosition(p)
	}
}

// keepsNoPosition reports whether the existing task has already ended, so that the
// position in the edit queue that this submission took again belongs to no task. A task
// that has not ended keeps its position: the first revision of an id takes it, and the
// attempt at the task moves it to the position of the task's own revision.
func (c *Client) keepsNoPosition(p *submission) bool {
	return p.change.TakesPosition() && c.store.over(p.held.Queue, p.held.ID)
}

func (p *submission) warn(err error) {
	if p.result.Warning != "" {
		p.result.Warning += "\n"
	}
	p.result.Warning += err.Error()
}

func (p *submission) open() ledger.Open {
	o := p.request.Options
	open := ledger.Open{
		Change: p.change, Revision: p.revision, Queue: p.held.Queue, Key: o.Key, Type: p.typename, Payload: p.payload,
		Again: p.fed,
	}
	if o.Run != "" {
		open.Row = ledger.Row{Tenant: p.tenant, Run: o.Run, Row: o.Row}
	}
	return open
}

// note records in the ledger what happened to submissions. Stored tasks are in Redis,
// so the caller's deadline no longer applies.
func (c *Client) note(ctx context.Context, submissions []*submission) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteBound)
	defer cancel()
	var open []ledger.Open
	for _, p := range submissions {
		if p.note {
			open = append(open, p.open())
		}
		if p.withdraw {
			_ = c.ledger.Withdraw(ctx, p.change) // otherwise edits of the chat wait for two minutes
		}
	}
	if err := c.ledger.Stored(ctx, open...); err != nil {
		err = fmt.Errorf("not recorded as the latest change, which costs at most one call, nor as an open task whose loss is detected: %w", err)
		for _, p := range submissions {
			if p.note {
				p.warn(err)
			}
		}
	}
}

func (c *Client) options(o tasks.Options, p destination) []asynq.Option {
	keep := retention
	if p.key != "" {
		keep = tasks.KeyLife
	}
	options := []asynq.Option{
		asynq.TaskID(p.held.ID), asynq.Queue(p.held.Queue),
		asynq.MaxRetry(maxRetry), asynq.Timeout(taskTimeout), asynq.Retention(keep),
	}
	if !o.At.IsZero() {
		options = append(options, asynq.ProcessAt(o.At))
	}
	return options
}

// admission returns the result of a request that was not admitted.
func admission(err error) (tasks.Result, bool) {
	if err == nil {
		return tasks.Result{}, true
	}
	if _, redisFault := errors.AsType[*tasks.StoreError](err); redisFault {
		return tasks.Result{Outcome: tasks.NotStored, Err: err}, false
	}
	return refused(err), false
}

func refused(err error) tasks.Result { return tasks.Result{Outcome: tasks.Refused, Err: err} }

// isRefusal reports whether an error is about the request itself, not about Redis.
func isRefusal(err error) bool {
	_, unserved := errors.AsType[*tasks.UnservedError](err)
	_, reused := errors.AsType[*tasks.KeyReusedError](err)
	return unserved || reused
}

// mixed returns the rejection of a task for which the source has sent higher numbers
// for a part of its fields.
func mixed(kind tasks.Kind, source string) error {
	return &tasks.ValidationError{Kind: kind, Problems: []tasks.Problem{{
		Field: "number",
		What:  fmt.Sprintf("source %s has sent a later number for some of the fields of this task, but not for all: use one task for each field", source),
	}}}
}

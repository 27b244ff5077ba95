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

// Check judges a request as EnqueueAll does before it stores anything: by itself,
// and by what its lane allows. The error is a [*tasks.ValidationError], a [*tasks.KeyError], an
// [*tasks.UnservedError], or a [*tasks.StoreError] if Redis cannot be read. A key that was used
// for another task is only found when the task is stored.
func (c *Client) Check(ctx context.Context, r tasks.Request) error {
	_, err := c.admit(ctx, r)
	return err
}

// passage is a request on its way into Redis.
type passage struct {
	placement

	request  tasks.Request
	lane     registry.Lane
	wish     ledger.Wish
	revision int64
	typename string
	payload  []byte

	result   tasks.Result
	over     bool // the result is there, and nothing else is to be done
	note     bool // the task was stored with our revision
	withdraw bool // it certainly was not, nor by anybody else; or it has ended
}

func (p *passage) end(result tasks.Result) { p.result, p.over = result, true }

// enter judges a request and takes its key.
func (c *Client) enter(ctx context.Context, r tasks.Request) *passage {
	p := &passage{request: r}
	lane, err := c.admit(ctx, r)
	if result, ok := admission(err); !ok {
		p.end(result)
		return p
	}
	p.lane = lane
	p.placement = placement{
		tenant: lane.Tenant, key: r.Options.Key,
		held: reservation{ID: uuid.NewString(), Queue: registry.Queue(lane.Tenant, lane.Kind, r.Options.Urgent)},
	}
	if p.key == "" {
		return p
	}
	if p.held.Digest, err = digest(r.Task); err != nil {
		p.end(refused(err))
		return p
	}
	held, err := c.keys.take(ctx, p.tenant, p.key, p.held)
	switch {
	case isRefusal(err):
		p.end(refused(err))
	case err != nil:
		p.end(p.notStored("reserve its key", err))
	case held.State == stateStored:
		p.end(tasks.Result{Outcome: tasks.AlreadyThere, TaskID: held.ID, Queue: held.Queue})
	default:
		p.held = held
	}
	return p
}

// admit judges a request by itself and by what its lane allows.
func (c *Client) admit(ctx context.Context, r tasks.Request) (registry.Lane, error) {
	if _, ok := kinds.Of(r.Task); !ok {
		return registry.Lane{}, r.Validate(tasks.Limits{})
	}
	tenant, kind := r.Task.Lane()
	if !tasks.ValidTenant(tenant) {
		return registry.Lane{}, r.Validate(tasks.Limits{})
	}
	lane, laneErr := c.lanes.Find(ctx, tenant, kind)
	limits := tasks.Limits{NicknameMax: lane.NicknameMax}
	if laneErr != nil && !isRefusal(laneErr) {
		limits.NicknameMax = math.MaxInt // what the lane allows is not known
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

// placement is where a task goes: its id and queue, and the key they hang on.
type placement struct {
	tenant, key string
	held        reservation
	again       bool // the id follows from that of a task that was stored before
}

// shared tells that others may store under the same id.
func (p placement) shared() bool { return p.key != "" || p.again }

func (p placement) notStored(step string, err error) tasks.Result {
	return tasks.Result{Outcome: tasks.NotStored, Queue: p.held.Queue, Err: &tasks.StoreError{
		Outcome: tasks.NotStored, Step: step, Queue: p.held.Queue, Keyed: p.key != "", Err: err,
	}}
}

func (p placement) notKnown(err error) error {
	return &tasks.StoreError{
		Outcome: tasks.NotKnown, Step: "store it",
		Queue: p.held.Queue, TaskID: p.held.ID, Keyed: p.shared(), Err: err,
	}
}

// revise takes revisions for passages, in their order.
func (c *Client) revise(ctx context.Context, passages []*passage) {
	wishes := make([]ledger.Wish, len(passages))
	for i, p := range passages {
		o := p.request.Options
		target, fields := kinds.Change(p.request.Task, p.lane.Organisation)
		p.wish = ledger.Wish{
			Target: target, Fields: fields, TaskID: p.held.ID, Later: o.At.After(c.now()), Source: o.Source, Number: o.Number,
		}
		wishes[i] = p.wish
	}
	all := c.ledger.Revise(ctx, wishes...)
	for i, p := range passages {
		revised := all[i]
		switch {
		case revised.Err != nil:
			p.end(p.notStored("take a revision", revised.Err))
			continue
		case revised.Older:
			p.end(tasks.Result{Outcome: tasks.Outdated})
			continue
		case revised.Mixed:
			p.end(refused(mixed(p.lane.Kind, p.request.Options.Source)))
			continue
		}
		p.revision = revised.Revision
		var err error
		if p.typename, p.payload, err = kinds.Encode(p.request.Task, p.revision); err != nil {
			p.end(refused(err))
			p.withdraw = !p.shared()
		}
	}
}

// put stores the task of a passage, and raises its key.
func (c *Client) put(ctx context.Context, p *passage) {
	o := p.request.Options
	outcome, inferred, err := c.store.put(ctx, asynq.NewTaskWithHeaders(p.typename, p.payload, kinds.Headers(o)), c.options(o, p.placement))
	if outcome == tasks.AlreadyThere && !p.shared() {
		// Nobody else draws this id. A Cluster's client repeats a command whose
		// answer was lost, and finds its own task.
		outcome, inferred = tasks.Stored, true
	}
	p.end(tasks.Result{Outcome: outcome, TaskID: p.held.ID, Queue: p.held.Queue})
	switch outcome {
	case tasks.NotStored:
		p.end(p.notStored("store it", err))
		p.withdraw = !p.shared()
		return
	case tasks.NotKnown:
		p.result.Err = p.notKnown(err)
		return
	}
	// A mark of a revision that no stored task carries would make the worker
	// drop an older wish for nothing. With a key, an inferred task may be that
	// of another caller, with another revision.
	if p.note = outcome == tasks.Stored && (!p.shared() || !inferred); p.note {
		p.result.Revision = p.revision
	} else {
		p.withdraw = c.ghost(p)
	}
	if p.key == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteBound)
	defer cancel()
	if err := c.keys.settle(ctx, p.tenant, p.key, p.held); err != nil {
		p.warn(fmt.Errorf("the key is noted as reserved only: %w", err))
	}
}

// ghost tells that a task that is there has ended, so that the place that it was
// given anew among the edits is nobody's. That of one that has not is its own,
// whoever took it: the first revision under an id takes it, and the attempt at the
// task puts it where its own revision belongs.
func (c *Client) ghost(p *passage) bool {
	return p.wish.Placed() && c.store.over(p.held.Queue, p.held.ID)
}

func (p *passage) warn(err error) {
	if p.result.Warning != "" {
		p.result.Warning += "\n"
	}
	p.result.Warning += err.Error()
}

func (p *passage) open() ledger.Open {
	o := p.request.Options
	open := ledger.Open{
		Wish: p.wish, Revision: p.revision, Queue: p.held.Queue, Key: o.Key, Type: p.typename, Payload: p.payload,
	}
	if o.Run != "" {
		open.Row = ledger.Row{Tenant: p.tenant, Run: o.Run, Row: o.Row}
	}
	return open
}

// note tells the ledger what became of passages. Those that are stored are in
// Redis: the caller's deadline no longer concerns what is noted about them.
func (c *Client) note(ctx context.Context, passages []*passage) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteBound)
	defer cancel()
	var open []ledger.Open
	for _, p := range passages {
		if p.note {
			open = append(open, p.open())
		}
		if p.withdraw {
			_ = c.ledger.Withdraw(ctx, p.wish) // edits of the chat wait for two minutes without it
		}
	}
	if err := c.ledger.Stored(ctx, open...); err != nil {
		err = fmt.Errorf("not noted as the newest wish, which costs at most one call; nor as a task that is looked for if it vanishes: %w", err)
		for _, p := range passages {
			if p.note {
				p.warn(err)
			}
		}
	}
}

func (c *Client) options(o tasks.Options, p placement) []asynq.Option {
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

// admission is the result of a request that was not admitted.
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

// isRefusal tells an error about the request itself from one of Redis.
func isRefusal(err error) bool {
	_, unserved := errors.AsType[*tasks.UnservedError](err)
	_, reused := errors.AsType[*tasks.KeyReusedError](err)
	return unserved || reused
}

// mixed is the refusal of a task of which the source has higher numbers for a part.
func mixed(kind tasks.Kind, source string) error {
	return &tasks.ValidationError{Kind: kind, Problems: []tasks.Problem{{
		Field: "number",
		What:  fmt.Sprintf("source %s has said more since of some of what this task changes, not of all: give each change a task of its own", source),
	}}}
}

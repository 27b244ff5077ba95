// Package handler carries out one task in three steps: ask the ledger whether the task
// still needs a call, make the call, record the result.
//
// It is the only place where tasks and providers meet. It must not know the queue:
// internal/lane decides whether an error means a retry, a wait or a dead letter.
package handler

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sethvargo/go-retry"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/providers"
	"rollcall/tasks"
)

// Delivery is a task as it was taken from its queue.
type Delivery struct {
	TaskID  string
	Type    string
	Payload []byte
	Queue   string
	Key     string // its producer's; "": none
	Run     string // that it came in with; "": none
	Row     int    // row of the run, from 0
	Pacer   Pacer  // of the lane, for this attempt
	// Resend says that this is no task of a queue: it sends values once more that were
	// applied and may have been overwritten since. TaskID, Queue and Key are empty.
	Resend bool
	// Refresh says that this Resend confirms applied values without a sign that they changed.
	Refresh bool
}

// Func carries out a delivered task.
type Func func(ctx context.Context, d Delivery) (Report, error)

// Outcome is the result of a task that is finished.
type Outcome string

const (
	// Applied means that the platform accepted the change.
	Applied Outcome = "applied"
	// Unchanged means that the target already has the requested values; no call was
	// made.
	Unchanged Outcome = "unchanged"
	// Superseded means that a later change is known or applied; no call was made.
	Superseded Outcome = "superseded"
	// Settled means that this same task was applied before; no call was made.
	Settled Outcome = "settled"
	// Cancelled means that the run of the task was cancelled; no call was made.
	Cancelled Outcome = "cancelled"
)

// Report is the result of an attempt in addition to its error. Unknown fields have
// their zero value.
type Report struct {
	Outcome   Outcome `json:"outcome,omitempty"`
	RequestID string  `json:"request_id,omitempty"` // of the platform's answer
	Sends     int     `json:"sends"`                // metered requests that left
	Took      string  `json:"took,omitempty"`       // the value the platform accepted, if it differs from the requested one
	Target    string  `json:"-"`                    // e.g. "chat1/ann"; empty where no task could be read
	Revision  int64   `json:"-"`
	// SlotWait is the time spent before sends: for their slots and for the last check
	// of the ledger. Call is the rest of the call's time: sends, quick retries with
	// their waits, a token call. Both are 0 if no call was made.
	SlotWait time.Duration `json:"-"`
	Call     time.Duration `json:"-"`
}

// Pacer is the lane's part of the send gate of one attempt.
type Pacer interface {
	// Slot returns shortly before the next send of the lane may leave. Its error is the
	// reason why no send may leave: the worker stops, the lane is on hold, or Redis is
	// unavailable.
	Slot(ctx context.Context) error
	// Leave returns at the moment of the slot. false: the slot has passed or is void,
	// and the caller must wait for another.
	Leave(ctx context.Context) (bool, error)
	// Unused returns the last slot, because its send does not leave.
	Unused(ctx context.Context)
}

// Env is what every kind of task needs from its lane.
type Env struct {
	Organisation string
	Tenant       string
	Limits       tasks.Limits
	Ledger       *ledger.Ledger
	// Deadline is the longest that an attempt may take, including slots and quick
	// retries.
	Deadline time.Duration
	// ResendAfter is how long an ID with an unknown outcome waits before it is sent
	// again: by then a busy platform has recovered and a late request has arrived. 0: 5
	// min.
	ResendAfter time.Duration
	// Landing is how long the platform may still carry out a request that was given up.
	// 0: 5 min.
	Landing time.Duration
	// Now returns the current time. nil: time.Now.
	Now func() time.Time
}

func (e Env) now() time.Time {
	if e.Now == nil {
		return time.Now()
	}
	return e.Now()
}

// call makes the calls for the fields that need one, according to the lease. values
// contains the fields for which the platform accepted another value than requested. An
// *endedError reports that the call has already released the target.
type call func(ctx context.Context, gate providers.Gate, lease *ledger.Lease) (
	receipt providers.Receipt, values map[string]string, err error)

// endedError is an error whose call has already ended the lease.
type endedError struct{ error }

func (e endedError) Unwrap() error { return e.error }

// executor carries out the tasks of one kind of a lane.
type executor struct {
	Env
	// prompt is true if the last slot came at once, so that the next is expected to.
	prompt atomic.Bool
}

// promptly bounds how long after Begin a send may leave without another check of the
// ledger. A later change within that time costs at most one call, because the lease is
// held.
const promptly = 50 * time.Millisecond

// decode reads and judges the payload of a handler's own type.
func decode[T tasks.Task](e Env, want string, d Delivery) (T, kinds.Meta, error) {
	var zero T
	if d.Type != want {
		return zero, kinds.Meta{}, &MisplacedError{Type: d.Type, Want: want}
	}
	task, meta, err := kinds.DecodeAs[T](d.Payload)
	if err != nil {
		return zero, kinds.Meta{}, err
	}
	if err := task.Validate(e.Limits); err != nil {
		return zero, kinds.Meta{}, err
	}
	// The call uses the credentials of the queue's tenant.
	if tenant, _ := task.Lane(); tenant != e.Tenant {
		return zero, kinds.Meta{}, &kinds.PayloadError{
			Type: want, Field: "tenant", What: fmt.Sprintf("is not %s, the tenant of this queue: enqueue the task again for its own tenant", e.Tenant),
		}
	}
	return task, meta, nil
}

// MisplacedError reports a task in the queue of another kind.
type MisplacedError struct{ Type, Want string }

// Error names the type and what the queue is for.
func (e *MisplacedError) Error() string {
	return fmt.Sprintf("task type %.80q does not belong in this queue, which takes %s: enqueue it again with the enqueue command",
		e.Type, e.Want)
}

// carryOut is how a task of any kind is processed: begin, call, settle.
func (c *executor) carryOut(ctx context.Context, d Delivery, task tasks.Task, meta kinds.Meta, do call) (Report, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Deadline)
	defer cancel()
	target, fields := kinds.Change(task, c.Organisation)
	if d.Resend {
		for i := range fields {
			if fields[i].Mode = ledger.Resend; d.Refresh {
				fields[i].Mode = ledger.Refresh
			}
		}
	}
	resentBy := ""
	if kind, ok := kinds.Of(task); ok && kind.Restores() {
		resentBy = c.Tenant
	}
	report := Report{Target: target.Key, Revision: meta.Revision}

	p := attempt{executor: c, pacer: d.Pacer, began: c.now(), prompt: c.prompt.Load()}
	lease, decisions, err := c.Ledger.Begin(ctx, ledger.Delivery{
		TaskID: d.TaskID, Target: target, Revision: meta.Revision, Fields: fields, Prompt: p.prompt,
		Row: ledger.Row{Tenant: c.Tenant, Run: d.Run, Row: d.Row}, Queue: d.Queue, Key: d.Key, Type: d.Type, Payload: d.Payload,
		Landing: c.Landing, ResentBy: resentBy, Resend: d.Resend, Refresh: d.Refresh,
	})
	if err != nil {
		return report, err
	}
	if lease == nil {
		report.Outcome = doneBy(decisions)
		return report, nil
	}
	p.lease = lease

	kept, stop := lease.Keep(ctx)
	began := time.Now()
	receipt, values, err := do(kept, p.gate, lease)
	report.SlotWait = p.waited
	report.Call = time.Since(began) - p.waited
	lost := errors.Is(context.Cause(kept), ledger.ErrLeaseLost)
	stop()
	report.RequestID, report.Sends = receipt.RequestID, receipt.Sends
	if err != nil {
		id, sends := sendsOf(err)
		report.RequestID, report.Sends = id, max(sends, receipt.Sends)
		if lost && p.sent {
			lease.GiveUp(context.WithoutCancel(ctx))
		}
		return report, errors.Join(err, release(ctx, lease, err, lost))
	}
	for _, v := range values {
		report.Took = v
	}
	if err := settle(ctx, lease, receipt, values); err != nil {
		return report, err
	}
	report.Outcome = Applied
	return report, nil
}

// attempt is one attempt's way through the send gate.
type attempt struct {
	executor *executor
	lease    *ledger.Lease
	pacer    Pacer
	began    time.Time // time before Begin
	prompt   bool      // Begin has already recorded the unknown outcome
	sent     bool
	waited   time.Duration
}

// gate is passed before each send of the attempt.
func (p *attempt) gate(ctx context.Context) error {
	asked := time.Now()
	defer func() { p.waited += time.Since(asked) }()
	for {
		left, err := p.leave(ctx)
		if left || err != nil {
			p.sent = p.sent || left
			return err
		}
		// An outcome recorded as unknown would block an ID change without end.
		if err := p.lease.Uncheck(ctx, p.sent); err != nil {
			return err
		}
		p.prompt = false
	}
}

// leave waits for a slot, checks the ledger once more, and returns when the send is to
// leave. It returns false if the slot passed in the meantime. A slot that came at once
// needs no second check.
func (p *attempt) leave(ctx context.Context) (bool, error) {
	asked := p.executor.now()
	if err := p.pacer.Slot(ctx); err != nil {
		return false, err
	}
	came := p.executor.now()
	soon := came.Sub(p.began) < promptly
	p.executor.prompt.Store(soon || came.Sub(asked) < promptly/2)
	if !p.prompt || p.sent || !soon || p.lease.Once() {
		if err := p.lease.Check(ctx); err != nil {
			p.pacer.Unused(ctx)
			return false, err
		}
	}
	return p.pacer.Leave(ctx)
}

// sendsOf returns what an error records of the sends before it.
func sendsOf(err error) (requestID string, sends int) {
	if e, ok := errors.AsType[*providers.Error](err); ok {
		return e.RequestID, e.Sends
	}
	return "", 0
}

// left returns what an attempt that ended in err may have left behind.
func left(err error) ledger.Left {
	e, ok := errors.AsType[*providers.Error](err)
	switch {
	case !ok || e.Late:
		return ledger.Unanswered
	case e.MaybeApplied:
		return ledger.Answered
	}
	return ledger.Untouched
}

// settleFor bounds how long a settle is retried. If Redis is available again within
// that time, nothing is lost. Otherwise the task runs again, and the outcome of its
// target is unknown.
const settleFor = 25 * time.Second

// settle continues after the end of the task's own context: the platform has answered,
// and a result that is not recorded is a call made twice.
func settle(ctx context.Context, lease *ledger.Lease, receipt providers.Receipt, values map[string]string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleFor)
	defer cancel()
	var last error
	err := retry.Do(ctx, retry.NewConstant(500*time.Millisecond), func(ctx context.Context) error {
		last = lease.Settle(ctx, receipt.RequestID, receipt.Late, values)
		if last == nil || errors.Is(last, ledger.ErrLeaseLost) {
			return last
		}
		return retry.RetryableError(last)
	})
	if err != nil {
		return last
	}
	return nil
}

// releaseFor bounds the release of a target. A lease that is not released expires.
const releaseFor = 2 * time.Second

// release releases the target. Only the loss of the lease is reported as an error of
// its own: the attempt was cancelled, or its answer is not final.
func release(ctx context.Context, lease *ledger.Lease, cause error, lost bool) error {
	if lost {
		return ledger.ErrLeaseLost
	}
	if _, ended := errors.AsType[endedError](cause); ended {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseFor)
	defer cancel()
	if err := lease.Release(ctx, left(cause)); errors.Is(err, ledger.ErrLeaseLost) {
		return err
	}
	return nil
}

// doneBy returns the outcome of a task that needed no call. A superseded field decides
// first, then a settled one.
func doneBy(decisions []ledger.Decision) Outcome {
	out := Unchanged
	for _, s := range decisions {
		switch s {
		case ledger.Superseded:
			return Superseded
		case ledger.Settled:
			out = Settled
		case ledger.Send, ledger.SendAgain, ledger.Unchanged:
		}
	}
	return out
}

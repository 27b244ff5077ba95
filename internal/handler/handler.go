// Package handler carries out one task in three steps: ask the ledger whether
// it still needs a call, make the call, write down what became of it.
//
// It is the only place where tasks and providers meet. It must not know the
// queue: whether an error means to retry, to give up or to wait is decided in
// internal/lane.
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

// Delivery is a task as it came out of its queue.
type Delivery struct {
	TaskID  string
	Type    string
	Payload []byte
	Queue   string
	Key     string // its producer's; "": none
	Run     string // that it came in with; "": none
	Row     int    // of the run, from 0
}

// Func carries out the task that was delivered.
type Func func(ctx context.Context, d Delivery) (Report, error)

// Outcome is how a task that needs nothing more ended.
type Outcome string

const (
	// Applied means that the platform said yes.
	Applied Outcome = "applied"
	// Unchanged means that the target is known to be as wished; no call was made.
	Unchanged Outcome = "unchanged"
	// Superseded means that a newer wish is known or applied; no call was made.
	Superseded Outcome = "superseded"
	// Settled means that this very task was applied before; no call was made.
	Settled Outcome = "settled"
)

// Report is what an attempt leaves behind besides its error. What is not known
// is at its zero value.
type Report struct {
	Outcome   Outcome `json:"outcome,omitempty"`
	RequestID string  `json:"request_id,omitempty"` // the platform's
	Sends     int     `json:"sends"`                // metered requests that left
	Took      string  `json:"took,omitempty"`       // the value the platform took, if not the one wished for
	Target    string  `json:"-"`                    // e.g. "chat1/ann"; empty where no task could be read
	Revision  int64   `json:"-"`
	// SlotWait is the time spent before sends: until their slots came, and the
	// last look at the ledger. Call is what the call took besides: sends, quick
	// tries with their waits, a token. Both are 0 where no call was made.
	SlotWait time.Duration `json:"-"`
	Call     time.Duration `json:"-"`
}

// Pacer is the lane's side of the send gate. ctx is that of the attempt.
type Pacer interface {
	// Slot returns shortly before the next send of the lane may leave. Its error
	// is the reason why it may not: the worker stops, the lane is on hold, Redis
	// is away.
	Slot(ctx context.Context) error
	// Leave returns at the very moment. false: the slot has passed or is void, and
	// another is to be waited for.
	Leave(ctx context.Context) (bool, error)
	// Unused gives the last slot back: its send does not leave.
	Unused(ctx context.Context)
}

// Env is what every kind of task needs of its lane.
type Env struct {
	Organisation string
	Tenant       string
	Limits       tasks.Limits
	Ledger       *ledger.Ledger
	Pacer        Pacer
	// Deadline is the longest an attempt may take, slots and quick tries included.
	Deadline time.Duration
	// ResendAfter is how long an ID in doubt rests before it is sent again: a
	// platform that is busy gets over it, and a late request has landed. 0: 5 min.
	ResendAfter time.Duration
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
}

func (e Env) now() time.Time {
	if e.Now == nil {
		return time.Now()
	}
	return e.Now()
}

// call makes the calls for the fields that the mark says need one. values names
// the fields whose value the platform took differs from the wish. An *endedError
// says that it has let the target go by itself.
type call func(ctx context.Context, gate providers.Gate, mark *ledger.Mark) (
	receipt providers.Receipt, values map[string]string, err error)

// endedError is an error whose call has ended the mark.
type endedError struct{ error }

func (e endedError) Unwrap() error { return e.error }

// crew carries out the tasks of one kind of a lane.
type crew struct {
	Env
	// prompt says that the last slot came at once, so that the next is expected to.
	prompt atomic.Bool
}

// promptly bounds how long after Begin a send may leave without another look at
// the ledger. What comes in between costs at most a call: the target is taken.
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
	return task, meta, nil
}

// MisplacedError tells that a task lies in the queue of another kind.
type MisplacedError struct{ Type, Want string }

// Error says what the queue is for.
func (e *MisplacedError) Error() string {
	return fmt.Sprintf("task type %.80q does not belong in this queue, which takes %s: enqueue it again with the enqueue command",
		e.Type, e.Want)
}

// carryOut is the straight path of every kind: begin, call, settle.
func (c *crew) carryOut(ctx context.Context, d Delivery, task tasks.Task, meta kinds.Meta, do call) (Report, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Deadline)
	defer cancel()
	target, fields := kinds.Change(task, c.Organisation)
	report := Report{Target: target.Key, Revision: meta.Revision}

	p := passage{crew: c, began: c.now(), prompt: c.prompt.Load()}
	mark, standings, err := c.Ledger.Begin(ctx, ledger.Delivery{
		TaskID: d.TaskID, Target: target, Revision: meta.Revision, Fields: fields, Prompt: p.prompt,
		Row: ledger.Row{Tenant: c.Tenant, Run: d.Run, Row: d.Row}, Queue: d.Queue, Key: d.Key, Type: d.Type, Payload: d.Payload,
	})
	if err != nil {
		return report, err
	}
	if mark == nil {
		report.Outcome = doneBy(standings)
		return report, nil
	}
	p.mark = mark

	kept, stop := mark.Keep(ctx)
	began := time.Now()
	receipt, values, err := do(kept, p.gate, mark)
	report.SlotWait = p.waited
	report.Call = time.Since(began) - p.waited
	lost := errors.Is(context.Cause(kept), ledger.ErrLost)
	stop()
	report.RequestID, report.Sends = receipt.RequestID, receipt.Sends
	if err != nil {
		id, sends := told(err)
		report.RequestID, report.Sends = id, max(sends, receipt.Sends)
		if lost && p.sent {
			mark.Lost(context.WithoutCancel(ctx))
		}
		return report, errors.Join(err, release(ctx, mark, err, lost))
	}
	for _, v := range values {
		report.Took = v
	}
	if err := settle(ctx, mark, receipt, values); err != nil {
		return report, err
	}
	report.Outcome = Applied
	return report, nil
}

// passage is the way of one attempt through the send gate.
type passage struct {
	crew   *crew
	mark   *ledger.Mark
	began  time.Time // before Begin
	prompt bool      // Begin has noted the doubt already
	sent   bool
	waited time.Duration
}

// gate is passed before each send of the attempt.
func (p *passage) gate(ctx context.Context) error {
	asked := time.Now()
	defer func() { p.waited += time.Since(asked) }()
	for {
		left, err := p.leave(ctx)
		if left || err != nil {
			p.sent = p.sent || left
			return err
		}
		// What stays in doubt would keep an ID change from ever being tried.
		if err := p.mark.Ungate(ctx, p.sent); err != nil {
			return err
		}
		p.prompt = false
	}
}

// leave waits for a slot, looks at the ledger once more, and returns when the
// send is to leave; false if the slot has passed meanwhile. A slot that came at
// once needs no second look.
func (p *passage) leave(ctx context.Context) (bool, error) {
	pacer := p.crew.Pacer
	asked := p.crew.now()
	if err := pacer.Slot(ctx); err != nil {
		return false, err
	}
	came := p.crew.now()
	soon := came.Sub(p.began) < promptly
	p.crew.prompt.Store(soon || came.Sub(asked) < promptly/2)
	if !p.prompt || p.sent || !soon || p.mark.Once() {
		if err := p.mark.Gate(ctx); err != nil {
			pacer.Unused(ctx)
			return false, err
		}
	}
	return pacer.Leave(ctx)
}

// told is what an error still knows of the sends before it.
func told(err error) (requestID string, sends int) {
	if e, ok := errors.AsType[*providers.Error](err); ok {
		return e.RequestID, e.Sends
	}
	return "", 0
}

// left says what an attempt that ended in err may have left behind.
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

// settleFor bounds how long a settle is tried again. A Redis that comes back
// within it has cost nothing; after it the task runs again, its target in doubt.
const settleFor = 25 * time.Second

// settle goes on when the task's own context has ended: the platform has
// answered, and what is not written down now is a call made twice.
func settle(ctx context.Context, mark *ledger.Mark, receipt providers.Receipt, values map[string]string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleFor)
	defer cancel()
	var last error
	err := retry.Do(ctx, retry.NewConstant(500*time.Millisecond), func(ctx context.Context) error {
		last = mark.Settle(ctx, receipt.RequestID, receipt.Late, values)
		if last == nil || errors.Is(last, ledger.ErrLost) {
			return last
		}
		return retry.RetryableError(last)
	})
	if err != nil {
		return last
	}
	return nil
}

// releaseFor bounds the release of a target. A mark that is not released runs
// out by itself.
const releaseFor = 2 * time.Second

// release lets the target go. Only the loss of the mark is worth an error of
// its own: it says that the attempt was cut off, or that its answer, whatever it
// was, is not the last word.
func release(ctx context.Context, mark *ledger.Mark, cause error, lost bool) error {
	if lost {
		return ledger.ErrLost
	}
	if _, ended := errors.AsType[endedError](cause); ended {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseFor)
	defer cancel()
	if err := mark.Release(ctx, left(cause)); errors.Is(err, ledger.ErrLost) {
		return err
	}
	return nil
}

// doneBy sums up the standings of a task that needed no call. A field that a
// newer wish took over says most, then one that was settled before.
func doneBy(standings []ledger.Standing) Outcome {
	out := Unchanged
	for _, s := range standings {
		switch s {
		case ledger.Superseded:
			return Superseded
		case ledger.Settled:
			out = Settled
		case ledger.Send, ledger.Doubtful, ledger.Unchanged:
		}
	}
	return out
}

package handler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/providers"
	"rollcall/providers/dingtalk"
	"rollcall/tasks"
)

type idChanger interface {
	ChangeID(context.Context, providers.Gate, dingtalk.IDChange) (providers.Receipt, error)
}

const (
	// maxSends bounds how often one ID is sent for a user while its outcome is unknown.
	maxSends    = 3
	resendAfter = 5 * time.Minute
	// askAgainAfter is how long no ID is sent for a user whom the platform calls
	// locked: the end of the lock is unknown.
	askAgainAfter = 30 * 24 * time.Hour
)

// AgainError reports that an ID change may or may not have been applied, and that the
// same ID must be sent again later.
type AgainError struct {
	After time.Duration
	Err   error // last answer; nil if there was none
}

// Error returns what happens next.
func (e *AgainError) Error() string {
	text := fmt.Sprintf("the ID may or may not have been changed; the same ID is sent again in %s", e.After.Round(time.Second))
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the last answer.
func (e *AgainError) Unwrap() error { return e.Err }

// ID carries out id:change: it sends the wanted ID, then the alternatives in order,
// each only after a clear incorrect.reserved for the one before. An ID with an unknown
// outcome is sent again minutes later, at most twice. No other ID is sent until its
// outcome is known: it cannot be read back, and another ID could use up the year's only
// change.
func ID(e Env, client idChanger) Func {
	c := &executor{Env: e}
	return func(ctx context.Context, d Delivery) (Report, error) {
		task, meta, err := decode[tasks.IDChange](e, kinds.TypeIDChange, d)
		if err != nil {
			return Report{}, err
		}
		report, err := c.carryOut(ctx, d, task, meta, func(ctx context.Context, gate providers.Gate, lease *ledger.Lease) (
			providers.Receipt, map[string]string, error,
		) {
			change := idChange{client: client, gate: gate, mark: lease, task: task, now: e.now, rest: cmp.Or(e.ResendAfter, resendAfter)}
			receipt, id, err := change.do(ctx)
			receipt.Sends = change.sends
			if err != nil || id == task.DingTalkID {
				return receipt, nil, err
			}
			return receipt, map[string]string{"id": id}, nil
		})
		return report, lockedError(task.Tenant, err)
	}
}

// idChange is one attempt at the change of a user's ID.
type idChange struct {
	client idChanger
	gate   providers.Gate
	mark   *ledger.Lease
	task   tasks.IDChange
	now    func() time.Time
	rest   time.Duration // wait before an ID with unknown outcome is sent again
	sends  int
}

// do returns the ID that the platform accepted.
func (c *idChange) do(ctx context.Context) (providers.Receipt, string, error) {
	candidates := append([]string{c.task.DingTalkID}, c.task.Alternatives...)
	if intent, unknown := c.mark.Intent(); unknown {
		switch {
		case !slices.Contains(candidates, intent.Value):
			return providers.Receipt{}, "", c.unverified(ctx, "the outcome of another ID for this user is unknown; no other ID may be sent until a person settles it", nil)
		case intent.Sends >= maxSends:
			return providers.Receipt{}, "", c.unverified(ctx, mayBeApplied, nil)
		case intent.Age < c.rest:
			return providers.Receipt{}, "", &AgainError{After: c.rest - intent.Age}
		}
		receipt, err := c.send(ctx, intent.Value)
		if err != nil {
			return providers.Receipt{}, "", c.resent(ctx, intent.Sends+1, err)
		}
		return receipt, intent.Value, nil
	}

	first := min(c.mark.Step(), len(candidates)-1)
	for i, id := range candidates[first:] {
		receipt, err := c.send(ctx, id)
		if err == nil {
			return receipt, id, nil
		}
		e, ok := errors.AsType[*providers.Error](err)
		switch {
		case !ok:
			return providers.Receipt{}, "", err
		case e.MaybeApplied:
			return providers.Receipt{}, "", &AgainError{After: c.rest, Err: err}
		case dingtalk.IsIDLocked(err):
			return providers.Receipt{}, "", c.lock(ctx, c.now().Add(askAgainAfter), ledger.LockSaid, err)
		case !dingtalk.IsIDTaken(err) || len(candidates) == 1:
			return providers.Receipt{}, "", err
		}
		next := first + i + 1
		if next == len(candidates) { // a replay starts with the wanted ID
			next = 0
		}
		if noteErr := c.mark.Note(ctx, next); noteErr != nil || next == 0 {
			return providers.Receipt{}, "", cmp.Or(noteErr, err)
		}
	}
	panic("unreachable: the last candidate returns")
}

func (c *idChange) send(ctx context.Context, id string) (providers.Receipt, error) {
	c.mark.Intend(id)
	receipt, err := c.client.ChangeID(ctx, c.gate, dingtalk.IDChange{UserID: c.task.UserID, DingTalkID: id})
	c.sends += receipt.Sends
	if e, ok := errors.AsType[*providers.Error](err); ok {
		c.sends += e.Sends
	}
	return receipt, err
}

// resent returns the result of an ID that was sent again without success.
func (c *idChange) resent(ctx context.Context, sends int, err error) error {
	e, ok := errors.AsType[*providers.Error](err)
	switch {
	case !ok:
		return err
	case e.MaybeApplied && sends < maxSends:
		return &AgainError{After: c.rest, Err: err}
	case e.MaybeApplied, dingtalk.IsIDLocked(err), dingtalk.IsIDTaken(err):
		// Usually locked by our own send, otherwise by an earlier change of another
		// tool.
		return c.unverified(ctx, mayBeApplied, e)
	case e.Kind == providers.Rejected:
		// The first send would have been refused for the same reason.
		return errors.Join(err, c.mark.NoteNotApplied(ctx))
	}
	return err
}

// unverified gives the change up to a person.
func (c *idChange) unverified(ctx context.Context, message string, last *providers.Error) error {
	err := unknownOutcome(c.task.Tenant, message)
	if last != nil {
		err.Code, err.HTTPStatus, err.RequestID = last.Code, last.HTTPStatus, last.RequestID
		if last.Message != "" {
			err.Message += "; the last answer was: " + last.Message
		}
		err.Err = last.Err
	}
	intent, _ := c.mark.Intent()
	set := intent.At
	if set.IsZero() {
		set = c.now()
	}
	return c.lock(ctx, set.AddDate(1, 0, 0), ledger.LockUnverified, err)
}

// lock ends the lease with a lock. If the write fails, the outcome stays unknown, and
// the next attempt writes the lock.
func (c *idChange) lock(ctx context.Context, until time.Time, why string, cause error) error {
	if err := c.mark.Lock(ctx, until, why); err != nil {
		return err
	}
	return endedError{cause}
}

func idError(tenant string, kind providers.Kind, message, fix string) *providers.Error {
	return &providers.Error{
		Platform: "dingtalk", Tenant: tenant, API: "dingTalkIds/change", Kind: kind, Message: message, Fix: fix,
	}
}

const mayBeApplied = "a change of this user's ID was sent and got no clear answer, so it may have been applied"

func unknownOutcome(tenant, message string) *providers.Error {
	e := idError(tenant, providers.Ambiguous, message,
		"look the ID up in the DingTalk admin console, and run rollcall ids confirm or rollcall ids reject")
	e.MaybeApplied = true
	return e
}

// lockedError turns a lock that the ledger knows into the error that the platform would
// return.
func lockedError(tenant string, err error) error {
	if locked, ok := errors.AsType[*ledger.LockedError](err); ok {
		day := locked.Until.UTC().Format(time.DateOnly)
		message := "this user's ID was changed within a year; no call was made"
		fix := "wait until " + day
		if locked.Why == ledger.LockSaid {
			message = "the platform recently reported this user's ID as locked; no call was made"
			fix = "retried after " + day + "; the end of the lock is unknown"
		}
		e := idError(tenant, providers.Rejected, message, fix)
		e.Code, e.Err = "locked", locked
		return e
	}
	if given, ok := errors.AsType[*ledger.UnverifiedError](err); ok {
		e := unknownOutcome(tenant, mayBeApplied)
		e.Err = given
		return e
	}
	return err
}

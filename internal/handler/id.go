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

// The platform's words that mean more than a refusal.
const (
	codeReserved = "incorrect.reserved" // somebody has the ID already
	codeLocked   = "have.been.set"      // the person's ID was changed within a year
)

const (
	// maxSends bounds how often one ID is sent for a person while it is not known
	// whether it was taken.
	maxSends    = 3
	resendAfter = 5 * time.Minute
	// askAgainAfter is for how long a person whom the platform calls locked is not
	// asked for again: the end of the lock is not known.
	askAgainAfter = 30 * 24 * time.Hour
)

// AgainError tells that an ID change may or may not have been applied, and that
// the same ID is to be sent again later.
type AgainError struct {
	After time.Duration
	Err   error // the last answer; nil if there was none
}

// Error says what comes next.
func (e *AgainError) Error() string {
	text := fmt.Sprintf("the ID may or may not have been changed; the same ID is sent again in %s", e.After.Round(time.Second))
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the last answer.
func (e *AgainError) Unwrap() error { return e.Err }

// ID carries out id:change: the wanted ID, then the alternatives in order, each
// only after a clean incorrect.reserved for the one before. An ID that is in
// doubt is sent again, minutes later and at most twice, and nothing else is until
// that is settled: it cannot be read back, and another ID could burn the year.
func ID(e Env, client idChanger) Func {
	c := &crew{Env: e}
	return func(ctx context.Context, d Delivery) (Report, error) {
		task, meta, err := decode[tasks.IDChange](e, kinds.TypeIDChange, d)
		if err != nil {
			return Report{}, err
		}
		report, err := c.carryOut(ctx, d, task, meta, func(ctx context.Context, gate providers.Gate, mark *ledger.Mark) (
			providers.Receipt, map[string]string, error,
		) {
			change := idChange{client: client, gate: gate, mark: mark, task: task, now: e.now, rest: cmp.Or(e.ResendAfter, resendAfter)}
			receipt, id, err := change.do(ctx)
			receipt.Sends = change.sends
			if err != nil || id == task.DingTalkID {
				return receipt, nil, err
			}
			return receipt, map[string]string{"id": id}, nil
		})
		return report, toldLocally(task.Tenant, err)
	}
}

// idChange is one attempt at the change of a person's ID.
type idChange struct {
	client idChanger
	gate   providers.Gate
	mark   *ledger.Mark
	task   tasks.IDChange
	now    func() time.Time
	rest   time.Duration // of an ID in doubt before it is sent again
	sends  int
}

// do returns the ID that the platform took.
func (c *idChange) do(ctx context.Context) (providers.Receipt, string, error) {
	candidates := append([]string{c.task.DingTalkID}, c.task.Alternatives...)
	if intent, inDoubt := c.mark.Intent(); inDoubt {
		switch {
		case !slices.Contains(candidates, intent.Value):
			return providers.Receipt{}, "", c.unverified(ctx, "another ID of this person is in doubt, and no other may be sent until that is settled", nil)
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
		case e.Kind == providers.Rejected && e.Code == codeLocked:
			return providers.Receipt{}, "", c.lock(ctx, c.now().Add(askAgainAfter), ledger.LockSaid, err)
		case e.Kind != providers.Rejected || e.Code != codeReserved || len(candidates) == 1:
			return providers.Receipt{}, "", err
		}
		next := first + i + 1
		if next == len(candidates) { // a replay begins with the wanted one
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

// resent is what an ID that was sent again leads to, if not to success.
func (c *idChange) resent(ctx context.Context, sends int, err error) error {
	e, ok := errors.AsType[*providers.Error](err)
	switch {
	case !ok:
		return err
	case e.MaybeApplied && sends < maxSends:
		return &AgainError{After: c.rest, Err: err}
	case e.MaybeApplied, e.Kind == providers.Rejected && (e.Code == codeLocked || e.Code == codeReserved):
		// Locked by our own send, as a rule, or by somebody else's before.
		return c.unverified(ctx, mayBeApplied, e)
	case e.Kind == providers.Rejected:
		// What refuses it now would have refused it before.
		return errors.Join(err, c.mark.Refute(ctx))
	}
	return err
}

// unverified gives the change up to a person.
func (c *idChange) unverified(ctx context.Context, message string, last *providers.Error) error {
	err := doubtful(c.task.Tenant, message)
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

// lock ends the mark with a lock. Where that is not written, the doubt stands,
// and the next attempt writes it.
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

const mayBeApplied = "a change of this person's ID left and was never clearly answered, so it may have been applied"

func doubtful(tenant, message string) *providers.Error {
	e := idError(tenant, providers.Ambiguous, message,
		"look the ID up in the DingTalk admin console, and say rollcall ids confirm or rollcall ids reject")
	e.MaybeApplied = true
	return e
}

// toldLocally turns what the ledger knows without a call into the words of the
// platform.
func toldLocally(tenant string, err error) error {
	if locked, ok := errors.AsType[*ledger.LockedError](err); ok {
		day := locked.Until.UTC().Format(time.DateOnly)
		message := "this person's ID was changed within a year; no call was made"
		fix := "wait until " + day
		if locked.Why == ledger.LockSaid {
			message = "the platform said lately that this person's ID is locked; no call was made"
			fix = "it is asked again after " + day + "; when the lock ends is not known"
		}
		e := idError(tenant, providers.Rejected, message, fix)
		e.Code, e.Err = "locked", locked
		return e
	}
	if given, ok := errors.AsType[*ledger.UnverifiedError](err); ok {
		e := doubtful(tenant, mayBeApplied)
		e.Err = given
		return e
	}
	return err
}

package ledger

import (
	"context"
	"fmt"
	"strconv"
)

// Uncheck removes what Check noted, if the send did not leave. sent says that an
// earlier send of this attempt did. One round trip.
func (m *Lease) Uncheck(ctx context.Context, sent bool) error {
	args := []any{false}
	if !sent || m.once != "" {
		args = append(args, m.undoing()...)
	}
	if len(args) == 1 {
		return nil
	}
	if _, err := m.run(ctx, "note that a send did not leave", uncheck, args...); err != nil {
		return err
	}
	m.noted = false
	return nil
}

// undoing returns the fields whose outcome became unknown by this attempt, and how
// that is undone.
func (m *Lease) undoing() []any {
	var args []any
	for _, name := range m.known {
		args = append(args, name, "unknown")
	}
	if m.noted {
		args = append(args, m.once, Once.String())
	}
	return args
}

// Settle notes that the fields were applied at the task's revision, ends the task and
// releases the lease. late says that an earlier send of this attempt may still be
// carried out. values has the applied value of a field by its name, for a platform
// that took a substitute for the wanted value; nil: none. Neither value needs a call
// then. ErrLeaseLost: the outcome is still noted as unknown, and the task must be tried
// again. One round trip.
func (m *Lease) Settle(ctx context.Context, requestID string, late bool, values map[string]string) error {
	t := m.task.Target
	set := map[string]string{}
	var changes []any
	for _, f := range m.fields {
		value, wanted := f.Value, ""
		if v, ok := values[f.Name]; ok {
			value, wanted = v, f.Value
		}
		changes = append(changes, f.Name, f.Mode.String(), value, wanted)
		set[f.Name] = value
	}
	late = late || m.late
	event := Event{Revision: m.task.Revision, TaskID: m.task.TaskID, RequestID: requestID, Set: set, Late: late}
	if m.task.Resend {
		event.Did = DidResend
	}
	if m.task.Refresh {
		event.Did = DidRefresh
	}
	landing, resend := int64(m.task.landing().Seconds()), ""
	if m.task.ResentBy != "" {
		resend = strconv.FormatInt(landing, 10)
	}
	keys := []string{t.redisKey(), t.edits(), t.tasks(), m.task.Row.key(t), t.effects(), t.unknownTargets(), t.ended(m.task.TaskID), t.lastChanged(), t.late(m.task.ResentBy), m.task.Row.details(t), t.index()}
	if m.task.Refresh {
		keys = append(keys, m.task.resends())
	}
	args := append([]any{
		m.owner, keep.Milliseconds(), m.task.Revision, requestID, m.task.TaskID, m.task.Row.number(), late,
		m.leasedAt - landing, int64(lockedFor.Seconds()), effectEntry(event), t.Key, m.ledger.runKept.Milliseconds(), resend,
		m.task.Row.applied(requestID), len(m.task.Fields) > 1, m.doubtful(),
	}, changes...)
	answer, err := settle.Run(ctx, m.ledger.steps, keys, args...).Text()
	if err != nil {
		return fmt.Errorf("ledger: settle: %w", m.ledger.explain(ctx, t, err, m.task.keyTypes()...))
	}
	m.remember(ctx, "applied", changes)
	if answer == "lost" {
		return ErrLeaseLost
	}
	return nil
}

// doubtful reports whether the outcome of a field was unknown when the lease was taken.
func (m *Lease) doubtful() bool { return m.once == "" && len(m.known) < len(m.fields) }

// Left says what the sends of an attempt that failed may have changed.
type Left uint8

const (
	// Unanswered means that a send may have been carried out, or may still be.
	Unanswered Left = iota
	// Answered means that a send may have been carried out, and cannot be any more.
	Answered
	// Untouched means that no send can have changed anything.
	Untouched
)

// Release releases the lease of an attempt that applied nothing. If its sends left
// the target Untouched, the outcome is known again, unless it was unknown before.
// ErrLeaseLost: another attempt has the lease, so the results of this one decide nothing.
// One round trip.
func (m *Lease) Release(ctx context.Context, left Left) error {
	args := []any{true}
	switch left {
	case Untouched:
		args = append(args, m.undoing()...)
	case Answered:
		for _, name := range m.known {
			args = append(args, name, "answered")
		}
	case Unanswered:
	}
	answer, err := m.run(ctx, "release", uncheck, args...)
	// No attempt has the lease after a release whose reply was lost, too. Another
	// attempt is safe in any case, and costs too much for all but an ID.
	if answer == "free" && m.once == "" {
		return nil
	}
	return err
}

// Note notes how far a task is, so that its next attempt continues there: Step
// returns it then. A clear answer must have settled what was sent so far. One round
// trip.
func (m *Lease) Note(ctx context.Context, step int) error {
	args := []any{entryProgress + strconv.FormatInt(m.task.Revision, 10), step}
	if m.once != "" {
		args = []any{entryRefused + m.once, fmt.Sprintf("%d %d", m.task.Revision, step), entryUnknown + m.once, entryIntent + m.once}
	}
	if _, err := m.run(ctx, "note how far a task is", note, args...); err != nil {
		return err
	}
	m.step, m.intent, m.isUnknown, m.noted = step, Intent{}, false, false
	return nil
}

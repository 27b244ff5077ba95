package ledger

import (
	"context"
	"fmt"
	"strconv"
)

// Ungate takes back what Gate noted, when the send did not leave after all. sent
// tells that one of this mark has before. One round trip.
func (m *Mark) Ungate(ctx context.Context, sent bool) error {
	args := []any{"0"}
	if !sent || m.once != "" {
		args = append(args, m.untouched()...)
	}
	if len(args) == 1 {
		return nil
	}
	answer, err := m.run(ctx, ungate, args...)
	switch {
	case err != nil:
		return fmt.Errorf("ledger: take back that a send is in doubt: %w", err)
	case answer != "ok":
		return ErrLost
	}
	m.noted = false
	return nil
}

// untouched are the fields whose doubt is of this mark, and how it is taken back.
func (m *Mark) untouched() []any {
	var args []any
	for _, name := range m.clear {
		args = append(args, name, "doubt")
	}
	if m.noted {
		args = append(args, m.once, Once.String())
	}
	return args
}

// Settle writes down that the fields were applied at the mark's revision, ends
// the task and lets the target go. late says that an earlier send of this mark
// may still land. values replaces the value of a field by its name, for a
// platform that took another than the one wished for; nil: none. Either wish
// again needs no call then. ErrLost: the record still says in doubt, and the
// task is to be tried again. One round trip.
func (m *Mark) Settle(ctx context.Context, requestID string, late bool, values map[string]string) error {
	t := m.task.Target
	set := map[string]string{}
	var changes []any
	for _, f := range m.fields {
		value, wished := f.Value, ""
		if v, ok := values[f.Name]; ok {
			value, wished = v, f.Value
		}
		changes = append(changes, f.Name, f.Mode.String(), value, wished)
		set[f.Name] = value
	}
	entry := effectEntry(Event{Revision: m.task.Revision, TaskID: m.task.TaskID, RequestID: requestID, Set: set})
	late = late || m.late
	keys := []string{t.redisKey(), t.edits(), t.tasks(), m.task.Row.key(t), t.effects(), t.doubts(), t.ended(m.task.TaskID), t.changed()}
	args := append([]any{
		m.owner, keep.Milliseconds(), m.task.Revision, requestID, m.task.TaskID, m.task.Row.number(), flag(late),
		m.taken - int64(lateLanding.Seconds()), int64(lockedFor.Seconds()), entry, t.Key, runKept.Milliseconds(),
	}, changes...)
	answer, err := settle.Run(ctx, m.ledger.steps, keys, args...).Text()
	if err != nil {
		return fmt.Errorf("ledger: settle: %w", err)
	}
	m.remember(ctx, "applied", changes)
	if answer == "lost" {
		return ErrLost
	}
	return nil
}

// Left says what the sends of a mark that ends without an effect may have left
// behind.
type Left uint8

const (
	// Unanswered means that one may have been carried out, or still be.
	Unanswered Left = iota
	// Answered means that one may have been carried out, and will not be any more.
	Answered
	// Untouched means that none of them can have changed anything.
	Untouched
)

// Release lets the target go without an effect. The doubt that this mark's sends
// raised is cleared if they left it untouched; a doubt from before stays. ErrLost:
// it was not ours to let go, and what this mark's sends have met decides nothing.
// One round trip.
func (m *Mark) Release(ctx context.Context, left Left) error {
	args := []any{"1"}
	switch left {
	case Untouched:
		args = append(args, m.untouched()...)
	case Answered:
		for _, name := range m.clear {
			args = append(args, name, "answered")
		}
	case Unanswered:
	}
	answer, err := m.run(ctx, ungate, args...)
	switch {
	case err != nil:
		return fmt.Errorf("ledger: release: %w", err)
	// Nobody's it is, too, when this comes again as its reply was lost. Another try
	// is right at any rate, and dear for all but an ID.
	case answer == "lost", answer == "gone" && m.once != "":
		return ErrLost
	}
	return nil
}

// Note writes down how far a task has come, so that its next attempt goes on
// from there: Step tells it then. What was sent up to here is settled by a clear
// answer. One round trip.
func (m *Mark) Note(ctx context.Context, step int) error {
	args := []any{"p:" + strconv.FormatInt(m.task.Revision, 10), step}
	if m.once != "" {
		args = []any{"k:" + m.once, fmt.Sprintf("%d %d", m.task.Revision, step), "d:" + m.once, "i:" + m.once}
	}
	answer, err := m.run(ctx, note, args...)
	switch {
	case err != nil:
		return fmt.Errorf("ledger: note how far a task has come: %w", err)
	case answer == "lost":
		return ErrLost
	}
	m.step, m.intent, m.doubted, m.noted = step, Intent{}, false, false
	return nil
}

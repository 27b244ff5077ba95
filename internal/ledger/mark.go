package ledger

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
)

// The in-flight mark lasts markLasts and is renewed every markRenewed, so a
// worker that dies blocks its target for at most markLasts.
const (
	markLasts   = 20 * time.Second
	markRenewed = 5 * time.Second
)

var (
	// ErrLost means that the in-flight mark is another worker's now. Nothing may
	// be sent; what was sent stays in doubt.
	ErrLost = errors.New("another worker has taken over this target")
	// ErrStale means that a newer wish for the target arrived meanwhile.
	ErrStale = errors.New("a newer wish for this target arrived")
)

// BusyError means that another task is at the target.
type BusyError struct {
	For time.Duration // how long its mark still lasts, unless it is renewed
}

// Error says how long the other task may take.
func (e *BusyError) Error() string {
	return fmt.Sprintf("another task is working on this target, for up to %s", e.For)
}

// Standing is where a field stands when a task comes to it.
type Standing string

const (
	// Send means that the field needs a call.
	Send Standing = "send"
	// Doubtful means that it needs a call and an earlier one was never settled.
	Doubtful Standing = "doubtful"
	// Superseded means that a newer wish is known or applied.
	Superseded Standing = "superseded"
	// Unchanged means that the field is known to hold the wanted value.
	Unchanged Standing = "unchanged"
	// Settled means that this very wish was applied before: a redelivery.
	Settled Standing = "settled"
)

// Mark is a target taken by one attempt at one task. It is used by one
// goroutine at a time, but for Gate, which the sender's may call.
type Mark struct {
	ledger *Ledger
	target Target
	owner  string
	rev    int64
	fields []Field
	clear  []string // fields that were not in doubt before this mark
}

// Begin asks whether the wish of revision rev for fields of target still needs
// a call. The standings are in the order of fields. If any field needs a call
// the target is taken and the Mark is not nil; the caller must end it by Settle
// or Release. A *BusyError means that another task is at the target. One round
// trip.
func (l *Ledger) Begin(ctx context.Context, target Target, rev int64, fields []Field) (*Mark, []Standing, error) {
	owner := uuid.NewString()
	args := []any{owner, markLasts.Milliseconds(), keep.Milliseconds(), rev}
	for _, f := range fields {
		args = append(args, f.Name, f.Mode.String(), f.Value)
	}
	answer, err := l.begin.Run(ctx, l.rdb, []string{target.redisKey()}, args...).StringSlice()
	if err != nil {
		return nil, nil, fmt.Errorf("ledger: begin: %w", err)
	}
	if answer[0] == "busy" {
		ms, err := strconv.ParseInt(answer[1], 10, 64)
		if err != nil {
			return nil, nil, fmt.Errorf("ledger: begin: Redis answered %q: %w", answer, err)
		}
		return nil, nil, &BusyError{For: time.Duration(ms) * time.Millisecond}
	}

	standings := make([]Standing, len(fields))
	mark := &Mark{ledger: l, target: target, owner: owner, rev: rev}
	for i, f := range fields {
		standings[i] = Standing(answer[i+1])
		switch standings[i] {
		case Send:
			mark.clear = append(mark.clear, f.Name)
			mark.fields = append(mark.fields, f)
		case Doubtful:
			mark.fields = append(mark.fields, f)
		case Superseded, Unchanged, Settled:
		}
	}
	if answer[0] == "done" {
		return nil, standings, nil
	}
	return mark, standings, nil
}

// Keep renews the mark until stop is called. The context it returns ends with
// ErrLost as its cause when the mark is no longer ours or could not be renewed
// for as long as it lasts: whatever is being sent under it is cancelled. stop
// waits for the renewals to end.
func (m *Mark) Keep(ctx context.Context) (kept context.Context, stop func()) {
	kept, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(markRenewed)
		defer ticker.Stop()
		renewed := time.Now()
		for {
			select {
			case <-kept.Done():
				return
			case <-ticker.C:
			}
			answer, err := m.run(kept, m.ledger.renew, markLasts.Milliseconds())
			switch {
			case err == nil && answer == "ok":
				renewed = time.Now()
			case err == nil || time.Since(renewed) > markLasts-markRenewed:
				cancel(ErrLost)
				return
			}
		}
	}()
	return kept, func() { cancel(context.Canceled); <-done }
}

// Gate is the last look before a send leaves: it fails with ErrLost or ErrStale
// when the send must not happen, and marks the fields as in doubt when it may.
// One round trip.
func (m *Mark) Gate(ctx context.Context) error {
	args := []any{markLasts.Milliseconds(), m.rev}
	for _, f := range m.fields {
		args = append(args, f.Name, f.Mode.String())
	}
	answer, err := m.run(ctx, m.ledger.send, args...)
	switch {
	case err != nil:
		return fmt.Errorf("ledger: last look before the send: %w", err)
	case answer == "lost":
		return ErrLost
	case answer == "stale":
		return ErrStale
	}
	return nil
}

// Ungate takes back what Gate noted, when the send did not leave after all and
// none of this mark has before. One round trip.
func (m *Mark) Ungate(ctx context.Context) error {
	args := make([]any, len(m.clear))
	for i, name := range m.clear {
		args[i] = name
	}
	answer, err := m.run(ctx, m.ledger.ungate, args...)
	switch {
	case err != nil:
		return fmt.Errorf("ledger: take back that a send is in doubt: %w", err)
	case answer == "lost":
		return ErrLost
	}
	return nil
}

// Settle writes down that the fields were applied at the mark's revision, and
// lets the target go. values replaces the value of a field by its name, for a
// platform that took another than the one wished for; nil: none. Either wish
// again needs no call then. ErrLost: the
// record still says in doubt, and the task is to be tried again. One round trip.
func (m *Mark) Settle(ctx context.Context, requestID string, values map[string]string) error {
	args := []any{keep.Milliseconds(), m.rev, requestID}
	for _, f := range m.fields {
		value, wished := f.Value, ""
		if v, ok := values[f.Name]; ok {
			value, wished = v, f.Value
		}
		args = append(args, f.Name, f.Mode.String(), value, wished)
	}
	answer, err := m.run(ctx, m.ledger.settle, args...)
	if err != nil {
		return fmt.Errorf("ledger: settle: %w", err)
	}
	if answer == "lost" {
		return ErrLost
	}
	return nil
}

// Release lets the target go without an effect. untouched says that none of
// this mark's sends can have changed anything, so that the doubt they raised is
// cleared; a doubt from before stays. One round trip.
func (m *Mark) Release(ctx context.Context, untouched bool) error {
	var args []any
	if untouched {
		for _, name := range m.clear {
			args = append(args, name)
		}
	}
	if _, err := m.run(ctx, m.ledger.release, args...); err != nil {
		return fmt.Errorf("ledger: release: %w", err)
	}
	return nil
}

// run runs one of the scripts whose first argument is the owner.
func (m *Mark) run(ctx context.Context, script *redis.Script, args ...any) (string, error) {
	return script.Run(ctx, m.ledger.rdb, []string{m.target.redisKey()}, append([]any{m.owner}, args...)...).Text()
}

// Fields are those that need the call, in the order given to Begin.
func (m *Mark) Fields() []Field { return m.fields }

// Revision is the revision of the wish.
func (m *Mark) Revision() int64 { return m.rev }

// Doubtful reports whether an earlier send for one of the fields was never
// settled: the target may hold the old value or that one.
func (m *Mark) Doubtful() bool { return len(m.clear) < len(m.fields) }

package ledger

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
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

// BusyError means that the task's turn at the target has not come.
type BusyError struct {
	For   time.Duration // how long the mark of the task at it lasts, unless it is renewed
	After string        // or: the id of an edit that goes before
	Place int           // then how many do
}

// Error says who is at the target.
func (e *BusyError) Error() string {
	if e.After != "" {
		return fmt.Sprintf("membership edits keep their order, and %d of this target go before, first task %s", e.Place, e.After)
	}
	return fmt.Sprintf("another task is working on this target, for up to %s", e.For)
}

// Standing is where a field stands when a task comes to it.
type Standing string

const (
	// Send means that the field needs a call.
	Send Standing = "send"
	// Doubtful means that it needs a call, and an earlier one was never settled or
	// may still land.
	Doubtful Standing = "doubtful"
	// Superseded means that a newer wish is known or applied.
	Superseded Standing = "superseded"
	// Unchanged means that the field is known to hold the wanted value.
	Unchanged Standing = "unchanged"
	// Settled means that this very wish was applied before: a redelivery.
	Settled Standing = "settled"
)

// Delivery is a task that was handed to a worker.
type Delivery struct {
	TaskID   string
	Target   Target
	Revision int64
	Fields   []Field
	Row      Row
	// Prompt says that the send will follow at once: what is to be sent is noted
	// as in doubt with Begin, and Gate may be left out. A field of mode Once is
	// not, and must pass it.
	Prompt bool
	// What its record is made of, if it holds an edit and has none: it keeps its
	// place then, though its producer died, and is looked for if it vanishes.
	Queue, Key, Type string
	Payload          []byte // JSON
}

// Mark is a target taken by one attempt at one task. It is used by one
// goroutine at a time, but for Gate, which the sender's may call.
type Mark struct {
	ledger *Ledger
	task   Delivery
	owner  string
	fields []Field
	clear  []string // fields that were not in doubt before this mark
	late   bool     // a send before this mark may still land
	taken  int64    // when this mark was, on Redis' clock, Unix s
	once   string   // the field of mode Once, if there is one

	intent  Intent // of that field: what is in doubt, what is about to be sent
	doubted bool   // intent was in doubt when this mark was taken
	noted   bool   // this mark wrote intent down
	step    int    // how far the task has come, by Note
}

// Begin asks whether a task still needs a call. The standings are in the order of
// its fields. If any field needs a call the target is taken and the Mark is not
// nil; the caller must end it by Settle, Lock or Release. If none does, the task
// has ended. Else a *BusyError: its turn has not come; a *LockedError or
// *UnverifiedError: nothing may be sent. One round trip.
func (l *Ledger) Begin(ctx context.Context, task Delivery) (*Mark, []Standing, error) {
	owner := uuid.NewString()
	t := task.Target
	record, err := task.record()
	if err != nil {
		return nil, nil, err
	}
	args := []any{
		owner, markLasts.Milliseconds(), keep.Milliseconds(), task.Revision, task.TaskID, task.Row.number(), flag(task.Prompt), record,
		runKept.Milliseconds(),
	}
	for _, f := range task.Fields {
		args = append(args, f.Name, f.Mode.String(), f.Value)
	}
	keys := []string{t.redisKey(), t.edits(), t.tasks(), task.Row.key(t), t.ended(task.TaskID)}
	answer, err := begin.Run(ctx, l.steps, keys, args...).StringSlice()
	if err != nil {
		return nil, nil, fmt.Errorf("ledger: begin: %w", err)
	}
	switch answer[0] {
	case "busy", "behind":
		n, err := strconv.Atoi(answer[1])
		if err != nil {
			return nil, nil, fmt.Errorf("ledger: begin: Redis answered %q: %w", answer, err)
		}
		if answer[0] == "busy" {
			return nil, nil, &BusyError{For: time.Duration(n) * time.Millisecond}
		}
		return nil, nil, &BusyError{After: answer[2], Place: n}
	}
	mark := &Mark{ledger: l, task: task, owner: owner}
	standings := make([]Standing, len(task.Fields))
	for i, f := range task.Fields {
		if standings[i], err = mark.take(f, answer[i+1]); err != nil {
			return nil, nil, err
		}
	}
	if answer[0] == "done" {
		return nil, standings, nil
	}
	if mark.taken, err = strconv.ParseInt(answer[len(answer)-1], 10, 64); err != nil {
		return nil, nil, fmt.Errorf("ledger: begin: Redis answered %q: %w", answer, err)
	}
	return mark, standings, nil
}

// take reads the standing of a field and adds it to those to be sent.
func (m *Mark) take(f Field, answer string) (Standing, error) {
	word, more, _ := strings.Cut(answer, "|")
	standing := Standing(word)
	switch {
	case word == "locked":
		return "", readLock(more)
	case word == "unverified":
		intent, err := readIntent(more)
		if err != nil {
			return "", err
		}
		return "", &UnverifiedError{Intent: intent}
	case standing == Doubtful && f.Mode == Once:
		intent, err := readIntent(more)
		if err != nil {
			return "", err
		}
		m.intent, m.doubted = intent, true
	case f.Mode == Edit && (standing == Send || standing == Doubtful):
		step, late, _ := strings.Cut(more, "|")
		m.step, _ = strconv.Atoi(step)
		m.late = m.late || late != ""
	case standing == Doubtful:
		m.late = m.late || more == "1"
	case standing == Send && f.Mode == Once:
		m.step, _ = strconv.Atoi(more)
	}
	if f.Mode == Once {
		m.once = f.Name
	} else if standing == Send { // how a send of that is taken back is its own matter
		m.clear = append(m.clear, f.Name)
	}
	if standing == Send || standing == Doubtful {
		m.fields = append(m.fields, f)
	}
	return standing, nil
}

// Gate is the last look before a send leaves: it fails with ErrLost or ErrStale
// when the send must not happen, and marks the fields as in doubt when it may.
// One round trip; for a field of mode Once, on a Redis with replicas, two or
// three.
func (m *Mark) Gate(ctx context.Context) error {
	if m.once != "" {
		return m.writeIntent(ctx)
	}
	args := []any{markLasts.Milliseconds(), m.task.Revision}
	for _, f := range m.fields {
		args = append(args, f.Name, f.Mode.String())
	}
	answer, err := m.run(ctx, send, args...)
	return gated(answer, err)
}

func gated(answer string, err error) error {
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

// run runs one of the scripts on the target alone whose first argument is the
// owner.
func (m *Mark) run(ctx context.Context, script *redis.Script, args ...any) (string, error) {
	return script.Run(ctx, m.ledger.steps, []string{m.task.Target.redisKey()}, append([]any{m.owner}, args...)...).Text()
}

// Fields are those that need the call, in the order of the task's.
func (m *Mark) Fields() []Field { return m.fields }

// Step is how far earlier attempts at the task have come, by Note. 0: nowhere.
func (m *Mark) Step() int { return m.step }

// Doubtful reports whether an earlier send for one of the fields was never
// settled or may still land: the target may hold the old value or that one.
func (m *Mark) Doubtful() bool {
	if m.once != "" {
		return m.doubted
	}
	return len(m.clear) < len(m.fields)
}

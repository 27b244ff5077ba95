package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
)

// A worker that dies blocks its target for at most leaseTime.
const (
	leaseTime    = 20 * time.Second
	leaseRenewal = 5 * time.Second
)

var (
	// ErrLeaseLost means that another worker has the lease. Nothing may be sent; the
	// outcome of what was sent stays unknown.
	ErrLeaseLost = errors.New("another worker has taken over this target")
	// ErrStale means that a later change for the target became known.
	ErrStale = errors.New("a later change for this target is known")
)

// BusyError means that the task's turn at the target has not come.
type BusyError struct {
	For    time.Duration // when the lease of another task expires, unless it is renewed
	After  string        // or: the id of the task whose edit goes first
	Before int           // and how many edits go before
}

// Error names what the task waits for.
func (e *BusyError) Error() string {
	if e.After != "" {
		return fmt.Sprintf("membership edits keep their order: %d edits of this target go before, the first is task %s", e.Before, e.After)
	}
	return fmt.Sprintf("another task is working on this target, for up to %s", e.For)
}

// Decision is the decision for a field of a task; see docs/ledger.md.
type Decision string

const (
	// Send means that the field needs a call.
	Send Decision = "send"
	// SendAgain means that the field needs a call, and that an earlier send was never
	// settled or may still be carried out.
	SendAgain Decision = "send_again"
	// Superseded means that a later change is known or applied.
	Superseded Decision = "superseded"
	// Unchanged means that the field is known to hold the wanted value.
	Unchanged Decision = "unchanged"
	// Settled means that this change was applied before: the task is delivered again.
	Settled Decision = "settled"
)

// Delivery is a task that was handed to a worker.
type Delivery struct {
	TaskID   string
	Target   Target
	Revision int64
	Fields   []Field
	Row      Row
	// Prompt says that the send follows at once: Begin notes that the outcome is
	// unknown, and Check may be left out. A field of mode Once needs Check all the
	// same.
	Prompt bool
	// Landing is how long the platform may still carry out a request that was given up;
	// 0: 5 min.
	Landing time.Duration
	// ResentBy is the tenant that sends the values of mode Value once more if they are
	// settled while an earlier send may still be carried out; "": no tenant. See
	// LateTargets.
	ResentBy string
	// Resend says that this is such a resend: no task, without a TaskID, and its fields,
	// which may be none, have mode Resend. Its Revision is for the history alone.
	Resend bool
	// Refresh says that this Resend confirms applied values without a sign that they changed: its fields
	// have mode Refresh. See SetRefresh.
	Refresh bool
	// The record of a task that holds an edit is made of these, if it has none: so it
	// keeps its position though its producer died, and is looked for if it vanishes.
	Queue, Key, Type string
	Payload          []byte // JSON
}

// resends is the sorted set that a resend is from.
func (d Delivery) resends() string {
	if d.Refresh {
		return d.Target.refresh(d.ResentBy)
	}
	return d.Target.late(d.ResentBy)
}

func (d Delivery) landing() time.Duration { return cmp.Or(d.Landing, lateLanding) }

// Lease is the lease of a target, for one attempt at one task. It is used by one
// goroutine at a time, except Check, which the goroutine that sends may call.
type Lease struct {
	ledger   *Ledger
	task     Delivery
	owner    string
	fields   []Field
	known    []string // fields whose outcome was known before this lease
	late     bool     // a send before this lease may still be carried out
	leasedAt int64    // when the lease was taken, on Redis' clock, Unix s
	once     string   // the field of mode Once, if there is one

	intent    Intent // of that field: the value whose outcome is unknown, or that is about to be sent
	isUnknown bool   // the outcome of intent was unknown when the lease was taken
	noted     bool   // this attempt has noted intent
	step      int    // how far the task is, by Note
}

// Begin decides whether a task still needs a call, by the rules in docs/ledger.md.
// The decisions are in the order of its fields. If any field needs a call, the Lease
// is not nil: it is the lease, which the caller must end by Settle, Lock or Release.
// If none does, the task has ended. Errors: a *BusyError if its turn has not come; a
// *LockedError or *UnverifiedError if nothing may be sent. One round trip.
func (l *Ledger) Begin(ctx context.Context, task Delivery) (*Lease, []Decision, error) {
	owner := uuid.NewString()
	t := task.Target
	record, err := task.record()
	if err != nil {
		return nil, nil, err
	}
	args := []any{
		owner, leaseTime.Milliseconds(), keep.Milliseconds(), task.Revision, task.TaskID, task.Row.number(), task.Prompt, record,
		l.runKept.Milliseconds(), t.Key, int64(task.landing().Seconds()),
	}
	for _, f := range task.Fields {
		args = append(args, f.Name, f.Mode.String(), f.Value)
	}
	keys := []string{t.redisKey(), t.edits(), t.tasks(), task.Row.key(t), t.ended(task.TaskID), t.index()}
	if task.Resend {
		keys = append(keys, task.resends())
	}
	answer, err := begin.Run(ctx, l.steps, keys, args...).StringSlice()
	if err != nil {
		return nil, nil, fmt.Errorf("ledger: begin: %w", l.explain(ctx, t, err, task.keyTypes()...))
	}
	switch answer[0] {
	case "future":
		return nil, nil, &FutureError{Revision: task.Revision}
	case "damaged":
		return nil, nil, fmt.Errorf("ledger: begin: %w", l.explain(ctx, t, errDamaged))
	case "busy", "behind":
		n, err := strconv.Atoi(answer[1])
		if err != nil {
			return nil, nil, fmt.Errorf("ledger: begin: Redis answered %q: %w", answer, err)
		}
		if answer[0] == "busy" {
			return nil, nil, &BusyError{For: time.Duration(n) * time.Millisecond}
		}
		return nil, nil, &BusyError{After: answer[2], Before: n}
	}
	lease := &Lease{ledger: l, task: task, owner: owner}
	decisions := make([]Decision, len(task.Fields))
	for i, f := range task.Fields {
		if decisions[i], err = lease.take(f, answer[i+1]); errors.Is(err, errUnreadable) {
			return nil, nil, fmt.Errorf("ledger: begin: %w", l.explain(ctx, t, errDamaged))
		} else if err != nil {
			return nil, nil, err
		}
	}
	if answer[0] == "done" {
		return nil, decisions, nil
	}
	if lease.leasedAt, err = strconv.ParseInt(answer[len(answer)-1], 10, 64); err != nil {
		return nil, nil, fmt.Errorf("ledger: begin: Redis answered %q: %w", answer, err)
	}
	if ahead := task.Revision - lease.leasedAt*1_000_000; ahead > int64(24*time.Hour/time.Microsecond) && !task.Resend {
		l.damage(t.redisKey(), "its revisions are %d h ahead of Redis' clock: a clock was wrong, or another program wrote them; its changes are carried out",
			ahead/int64(time.Hour/time.Microsecond))
	}
	return lease, decisions, nil
}

// keyTypes are the keys of a delivery, other than those of its target.
func (d Delivery) keyTypes() []KeyType {
	types := d.Row.keyType(d.Target)
	if d.ResentBy != "" {
		types = append(types, KeyType{d.Target.late(d.ResentBy), "zset"}, KeyType{d.Target.refresh(d.ResentBy), "zset"})
	}
	return types
}

// take reads the decision for a field, and adds the field to those to be sent.
func (m *Lease) take(f Field, answer string) (Decision, error) {
	word, more, _ := strings.Cut(answer, "|")
	decision := Decision(word)
	switch {
	case word == "locked":
		return "", readLock(more)
	case word == "unverified":
		intent, err := readIntent(more)
		if err != nil {
			return "", err
		}
		return "", &UnverifiedError{Intent: intent}
	case decision == SendAgain && f.Mode == Once:
		intent, err := readIntent(more)
		if err != nil {
			return "", err
		}
		m.intent, m.isUnknown = intent, true
	case f.Mode == Edit && (decision == Send || decision == SendAgain):
		step, late, _ := strings.Cut(more, "|")
		m.step, _ = strconv.Atoi(step)
		m.late = m.late || late != ""
	case decision == SendAgain:
		m.late = m.late || more == "1"
	case decision == Send && f.Mode == Once:
		m.step, _ = strconv.Atoi(more)
	}
	if f.Mode == Once {
		m.once = f.Name
	} else if decision == Send { // a send of mode Once is undone by its intent
		m.known = append(m.known, f.Name)
	}
	if f.Mode == Refresh { // its call is that of any resend
		f.Mode = Resend
	}
	if decision == Send || decision == SendAgain {
		m.fields = append(m.fields, f)
	}
	return decision, nil
}

// Check is the last check before a send leaves. It fails with ErrLeaseLost or ErrStale if
// the send must not leave, and notes that the outcome of the fields is unknown if it
// may.
// One round trip; for a field of mode Once, on a Redis with replicas, two or
// three.
func (m *Lease) Check(ctx context.Context) error {
	if m.once != "" {
		return m.writeIntent(ctx)
	}
	args := []any{leaseTime.Milliseconds(), m.task.Revision}
	for _, f := range m.fields {
		args = append(args, f.Name, f.Mode.String())
	}
	_, err := m.run(ctx, lastCheck, send, args...)
	return err
}

// lastCheck is what Check does, in an error.
const lastCheck = "last check before the send"

// run runs a script that takes only the target, and the owner as its first argument. doing
// is what it does, in an error. Errors: ErrLeaseLost if this attempt has no lease, ErrStale
// if a later change is known.
func (m *Lease) run(ctx context.Context, doing string, script *redis.Script, args ...any) (string, error) {
	answer, err := script.Run(ctx, m.ledger.steps, []string{m.task.Target.redisKey()}, append([]any{m.owner}, args...)...).Text()
	switch {
	case err != nil:
		return "", fmt.Errorf("ledger: %s: %w", doing, m.ledger.explain(ctx, m.task.Target, err))
	case answer == "lost", answer == "free":
		return answer, ErrLeaseLost
	case answer == "stale":
		return answer, ErrStale
	}
	return answer, nil
}

// Fields returns the fields that need the call, in the order of the task.
func (m *Lease) Fields() []Field { return m.fields }

// Step returns the last step that Note noted for the task; 0: none.
func (m *Lease) Step() int { return m.step }

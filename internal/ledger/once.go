package ledger

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Intent is what is noted before a field of mode Once is sent.
type Intent struct {
	Value    string
	Sends    int       // of this value; any of them may have been applied
	At       time.Time // of the last send, on Redis' clock
	Age      time.Duration
	Revision int64
	TaskID   string
}

// errUnreadable means that an entry cannot be read.
var errUnreadable = errors.New("unreadable")

// readIntent reads "<now ms>|<sends> <at ms> <revision> <task id> <value>". Workers
// of schema 1 noted no intent: the value that they sent is not known.
func readIntent(text string) (Intent, error) {
	clock, rest, _ := strings.Cut(text, "|")
	if rest == "" {
		return Intent{}, nil
	}
	parts := strings.SplitN(rest, " ", 5)
	if len(parts) < 5 {
		return Intent{}, fmt.Errorf("ledger: an intent is %w", errUnreadable)
	}
	var numbers [4]int64
	for i, text := range []string{clock, parts[0], parts[1], parts[2]} {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return Intent{}, fmt.Errorf("ledger: an intent is %w", errUnreadable)
		}
		numbers[i] = n
	}
	now, sends, at, revision := numbers[0], numbers[1], numbers[2], numbers[3]
	return Intent{
		Value: parts[4], Sends: int(sends), At: time.UnixMilli(at), Age: time.Duration(now-at) * time.Millisecond,
		Revision: revision, TaskID: parts[3],
	}, nil
}

// Why a value that can be set once is locked.
const (
	// LockApplied means that a change of ours was applied: for a year.
	LockApplied = "applied"
	// LockSaid means that the platform reported it, for a change that is not ours.
	LockSaid = "said"
	// LockUnverified means that a change of ours may have been applied.
	LockUnverified = "unverified"
)

// LockedError means that no call was made, because the platform would refuse it.
type LockedError struct {
	Until time.Time // on Redis' clock
	Why   string    // LockApplied or LockSaid
}

// Error says until when, and why.
func (e *LockedError) Error() string {
	return fmt.Sprintf("locked until %s (%s)", e.Until.UTC().Format(time.DateOnly), e.Why)
}

func readLock(text string) error {
	until, why, _ := strings.Cut(text, " ")
	seconds, err := strconv.ParseInt(until, 10, 64)
	if err != nil {
		return fmt.Errorf("ledger: a lock is %w", errUnreadable)
	}
	return &LockedError{Until: time.Unix(seconds, 0), Why: why}
}

// UnverifiedError means that a value may have been applied, and that a person must
// find out: nothing is sent until then.
type UnverifiedError struct{ Intent Intent }

// Error says when the value was sent, and what to do.
func (e *UnverifiedError) Error() string {
	return "a change sent " + e.Intent.At.UTC().Format(time.RFC3339) + " may have been applied: confirm or reject it"
}

// Once reports whether the task has a field of mode Once.
func (m *Lease) Once() bool { return m.once != "" }

// Intent returns what an earlier attempt sent for the field of mode Once, if the
// outcome of that is unknown.
func (m *Lease) Intent() (intent Intent, isUnknown bool) { return m.intent, m.isUnknown }

// Intend sets the value of the field of mode Once for the next send. While the
// outcome of another value is unknown, Check refuses it.
func (m *Lease) Intend(value string) {
	if m.intent.Value != value {
		m.intent, m.noted = Intent{Value: value}, false
	}
}

// errOther is a defect of the caller.
var errOther = errors.New("ledger: the outcome of another value of this target is unknown: nothing else may be sent")

func (m *Lease) writeIntent(ctx context.Context) error {
	// One attempt sends twice only if its first send was clearly refused.
	answer, err := m.run(ctx, lastCheck, intend, leaseTime.Milliseconds(), m.task.Revision, m.once, m.task.TaskID, m.intent.Value,
		keep.Milliseconds(), m.noted)
	if err != nil {
		return err
	}
	if answer == "other" {
		return errOther
	}
	if !m.noted {
		m.intent.Sends++
		m.noted = true
	}
	return m.ledger.replicated(ctx, m.task.Target)
}

// replicaWait is how long a replica may take to confirm an intent.
const replicaWait = time.Second

// replicas is the key that exists if Redis has or had replicas.
func (t Target) replicas() string { return t.shared("replicas") }

// neverReplicated returns nil for a Redis that is not known to have had replicas. A
// Redis whose replicas are disconnected may lose an intent in the next failover.
func (l *Ledger) neverReplicated(ctx context.Context, target Target) error {
	before, err := l.rdb.Exists(ctx, target.replicas()).Result()
	if err != nil {
		return fmt.Errorf("ledger: count the replicas of Redis: %w", err)
	}
	if before != 0 {
		return fmt.Errorf("ledger: Redis has lost all its replicas, so nothing was sent: "+
			"check replication, or run DEL %s if Redis should have no replicas any more", target.replicas())
	}
	return nil
}

// replicated waits until a replica has the writes to a target, if its node has
// replicas: a failover must not lose the note that an ID may have been changed.
func (l *Ledger) replicated(ctx context.Context, target Target) error {
	node := l.rdb
	if cluster, ok := l.rdb.(*redis.ClusterClient); ok {
		master, err := cluster.MasterForKey(ctx, target.replicas())
		if err != nil {
			return fmt.Errorf("ledger: find the node of an intent: %w", err)
		}
		node = master
	}
	replicas, err := countReplicas(ctx, node)
	if err != nil {
		return err
	}
	if replicas == 0 {
		return l.neverReplicated(ctx, target)
	}
	var have *redis.Cmd
	// WAIT counts the writes of its own connection, so one goes first.
	_, err = node.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, target.replicas(), replicas, 0)
		have = p.Do(ctx, "WAIT", 1, replicaWait.Milliseconds())
		return nil
	})
	if err != nil {
		return fmt.Errorf("ledger: wait until a replica has the intent: %w", err)
	}
	if n, err := have.Int(); err != nil || n == 0 {
		return fmt.Errorf("ledger: no replica had the intent within %s, so nothing was sent: check replication", replicaWait)
	}
	return nil
}

// countReplicas returns how many replicas are connected to a node. A server without
// INFO replication, as the embedded one, has none.
func countReplicas(ctx context.Context, node redis.UniversalClient) (int, error) {
	answer, err := node.Info(ctx, "replication").Result()
	if _, said := errors.AsType[redis.Error](err); said && !strings.HasPrefix(err.Error(), "NOPERM") {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("ledger: count the replicas of Redis: %w", err)
	}
	_, after, _ := strings.Cut(answer, "connected_slaves:")
	number, _, _ := strings.Cut(after, "\r\n")
	n, err := strconv.Atoi(number)
	if err != nil {
		return 0, fmt.Errorf("ledger: count the replicas of Redis: Redis answered %q", number)
	}
	return n, nil
}

// Lock notes that the field of mode Once cannot be changed before until, and releases
// the lease. why is LockSaid, after which the outcome is known, or LockUnverified,
// which leaves it to a person. One round trip.
func (m *Lease) Lock(ctx context.Context, until time.Time, why string) error {
	t := m.task.Target
	answer, err := lock.Run(ctx, m.ledger.rdb, []string{t.redisKey(), t.unknownTargets()},
		m.owner, keep.Milliseconds(), m.once, until.Unix(), why, t.Key).Text()
	switch {
	case err != nil:
		return fmt.Errorf("ledger: lock: %w", err)
	case answer == "lost":
		return ErrLeaseLost
	}
	return nil
}

// NoteNotApplied notes that no send of the field of mode Once was applied: an answer has
// shown that. The lease is kept. One round trip.
func (m *Lease) NoteNotApplied(ctx context.Context) error {
	if _, err := m.run(ctx, "note that no send was applied", uncheck, false, m.once, "clean"); err != nil {
		return err
	}
	m.intent, m.isUnknown, m.noted = Intent{}, false, false
	return nil
}

var (
	// ErrNothingUnknown means that there is nothing for a person to confirm or reject.
	ErrNothingUnknown = errors.New("every outcome of this target is known: there is nothing to confirm or reject")
	// ErrUnderway means that a task is at the target right now.
	ErrUnderway = errors.New("a task is working on this target: try again in a minute")
)

// Confirm notes that a person, who, has found the value at the platform. It counts as
// applied when it was sent, and is locked for a year from then. Confirm returns the
// value and the task that sent it. One round trip.
func (l *Ledger) Confirm(ctx context.Context, target Target, field, who string) (value, taskID string, err error) {
	return l.resolve(ctx, target, field, "confirm", who)
}

// Reject notes that a person, who, has found that the value was not applied. One
// round trip.
func (l *Ledger) Reject(ctx context.Context, target Target, field, who string) (value, taskID string, err error) {
	return l.resolve(ctx, target, field, "reject", who)
}

func (l *Ledger) resolve(ctx context.Context, target Target, field, what, who string) (value, taskID string, err error) {
	answer, err := resolve.Run(ctx, l.rdb, []string{target.redisKey(), target.effects(), target.unknownTargets(), target.lastChanged(), target.index()},
		field, what, keep.Milliseconds(), target.Key, int64(lockedFor.Seconds()), who, l.runKept.Milliseconds()).StringSlice()
	if err != nil {
		return "", "", fmt.Errorf("ledger: %s an unknown outcome: %w", what, err)
	}
	switch answer[0] {
	case "none":
		return "", "", ErrNothingUnknown
	case "busy":
		return "", "", ErrUnderway
	}
	return answer[1], answer[2], nil
}

// LastChanged returns when a field of mode Once was last applied to any target of an
// organisation's API, in whole seconds of Redis' clock: the value that the target had
// before is free then. Zero: not in the last 90 days. One round trip.
func (l *Ledger) LastChanged(ctx context.Context, organisation, api string) (time.Time, error) {
	key := Target{Organisation: organisation, API: api}.lastChanged()
	text, err := l.rdb.Get(ctx, key).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return time.Time{}, nil
	case redis.HasErrorPrefix(err, "WRONGTYPE"):
		l.damage(key, "is not a string: taken for no change")
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, fmt.Errorf("ledger: read when a value was last changed: %w", err)
	}
	d, damaged := damagedTime(key, text, time.Now())
	if damaged {
		l.report(d)
		return time.Time{}, nil
	}
	seconds, _ := number(text) // it was checked
	return time.Unix(seconds, 0), nil
}

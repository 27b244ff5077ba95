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

// Intent is what was about to be sent when it was written down, for a field of
// mode Once.
type Intent struct {
	Value    string
	Sends    int       // of this value; one of them may have been applied
	At       time.Time // of the last, on Redis' clock
	Age      time.Duration
	Revision int64
	TaskID   string
}

// readIntent reads "<now ms>|<sends> <at ms> <revision> <task id> <value>". A
// doubt of an older worker has no intent: its value is not known.
func readIntent(text string) (Intent, error) {
	clock, rest, _ := strings.Cut(text, "|")
	if rest == "" {
		return Intent{}, nil
	}
	var (
		in      Intent
		at, now int64
	)
	parts := strings.SplitN(rest, " ", 5)
	if len(parts) < 5 {
		return Intent{}, fmt.Errorf("ledger: begin: Redis holds %q as an intent", rest)
	}
	var err, fault error
	in.Sends, err = strconv.Atoi(parts[0])
	fault = errors.Join(fault, err)
	at, err = strconv.ParseInt(parts[1], 10, 64)
	fault = errors.Join(fault, err)
	in.Revision, err = strconv.ParseInt(parts[2], 10, 64)
	fault = errors.Join(fault, err)
	now, err = strconv.ParseInt(clock, 10, 64)
	fault = errors.Join(fault, err)
	if fault != nil {
		return Intent{}, fmt.Errorf("ledger: begin: Redis holds %q as an intent: %w", rest, fault)
	}
	in.At, in.TaskID, in.Value = time.UnixMilli(at), parts[3], parts[4]
	in.Age = time.Duration(now-at) * time.Millisecond
	return in, nil
}

// Why a value that can be set once is locked.
const (
	// LockApplied means that a change of ours was applied: for a year.
	LockApplied = "applied"
	// LockSaid means that the platform said so, of a change that is not ours.
	LockSaid = "said"
	// LockUnverified means that a change of ours may have been applied.
	LockUnverified = "unverified"
)

// LockedError means that a call would certainly be refused, and was not made.
type LockedError struct {
	Until time.Time // on Redis' clock
	Why   string    // LockApplied or LockSaid
}

// Error says until when.
func (e *LockedError) Error() string {
	return fmt.Sprintf("locked until %s (%s)", e.Until.UTC().Format(time.DateOnly), e.Why)
}

func readLock(text string) error {
	until, why, _ := strings.Cut(text, " ")
	seconds, err := strconv.ParseInt(until, 10, 64)
	if err != nil {
		return fmt.Errorf("ledger: begin: Redis holds %q as a lock: %w", text, err)
	}
	return &LockedError{Until: time.Unix(seconds, 0), Why: why}
}

// UnverifiedError means that a value may have been applied, and that a person is
// to find out: nothing is sent until then.
type UnverifiedError struct{ Intent Intent }

// Error says what may have been applied.
func (e *UnverifiedError) Error() string {
	return "a change sent " + e.Intent.At.UTC().Format(time.RFC3339) + " may have been applied: confirm or reject it"
}

// Once reports whether the mark is about a field of mode Once.
func (m *Mark) Once() bool { return m.once != "" }

// Intent tells what of the field of mode Once is in doubt from before this mark.
func (m *Mark) Intent() (intent Intent, inDoubt bool) { return m.intent, m.doubted }

// Intend names the value of the field of mode Once that the next send is to
// carry. While another is in doubt the Gate refuses it.
func (m *Mark) Intend(value string) {
	if m.intent.Value != value {
		m.intent, m.noted = Intent{Value: value}, false
	}
}

// errOther is a defect of the caller: another value is in doubt.
var errOther = errors.New("ledger: another value of this target is in doubt, nothing else may be sent")

func (m *Mark) writeIntent(ctx context.Context) error {
	// A second send of one attempt follows only on a clear refusal of the first.
	answer, err := m.run(ctx, intend, markLasts.Milliseconds(), m.task.Revision, m.once, m.task.TaskID, m.intent.Value,
		keep.Milliseconds(), flag(m.noted))
	if err == nil && answer == "other" {
		return errOther
	}
	if err := gated(answer, err); err != nil {
		return err
	}
	if !m.noted {
		m.intent.Sends++
		m.noted = true
	}
	return m.ledger.replicated(ctx, m.task.Target)
}

// replicaWait is how long a replica may take to confirm an intent.
const replicaWait = time.Second

// replicas is where it is remembered that there are replicas.
func (t Target) replicas() string { return t.shared("replicas") }

// neverReplicated is nil for a Redis that is not known to have had replicas. One
// whose replicas are gone for now may lose an intent to the next failover.
func (l *Ledger) neverReplicated(ctx context.Context, target Target) error {
	before, err := l.rdb.Exists(ctx, target.replicas()).Result()
	if err != nil {
		return fmt.Errorf("ledger: ask for replicas: %w", err)
	}
	if before != 0 {
		return fmt.Errorf("ledger: Redis has no replica connected, as it had before, so nothing was sent: "+
			"see that replication works, or, if it is to have none any more, DEL %s", target.replicas())
	}
	return nil
}

// replicated returns when a replica has what was written to a target, if its node
// has replicas: a failover must not forget that an ID may have been changed.
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
	// WAIT is about the writes of its own connection, hence one in front of it.
	_, err = node.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, target.replicas(), replicas, 0)
		have = p.Do(ctx, "WAIT", 1, replicaWait.Milliseconds())
		return nil
	})
	if err != nil {
		return fmt.Errorf("ledger: wait for a replica to have the intent: %w", err)
	}
	if n, err := have.Int(); err != nil || n == 0 {
		return fmt.Errorf("ledger: no replica had the intent within %s, so nothing was sent: see that replication works", replicaWait)
	}
	return nil
}

// countReplicas asks a node how many replicas are connected. One that does not
// know the question, as the embedded one, has none.
func countReplicas(ctx context.Context, node redis.UniversalClient) (int, error) {
	answer, err := node.Info(ctx, "replication").Result()
	if _, said := errors.AsType[redis.Error](err); said && !strings.HasPrefix(err.Error(), "NOPERM") {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("ledger: ask for replicas: %w", err)
	}
	_, after, _ := strings.Cut(answer, "connected_slaves:")
	number, _, _ := strings.Cut(after, "\r\n")
	n, err := strconv.Atoi(number)
	if err != nil {
		return 0, fmt.Errorf("ledger: ask for replicas: Redis answered %q", number)
	}
	return n, nil
}

// Lock writes down that the field of mode Once cannot be changed before until,
// and lets the target go. why is LockSaid, which clears this mark's doubt, or
// LockUnverified, which leaves it for a person. One round trip.
func (m *Mark) Lock(ctx context.Context, until time.Time, why string) error {
	t := m.task.Target
	answer, err := lock.Run(ctx, m.ledger.rdb, []string{t.redisKey(), t.doubts()},
		m.owner, keep.Milliseconds(), m.once, until.Unix(), why, t.Key).Text()
	switch {
	case err != nil:
		return fmt.Errorf("ledger: lock: %w", err)
	case answer == "lost":
		return ErrLost
	}
	return nil
}

// Refute clears the doubt of the field of mode Once: an answer has shown that
// none of its sends was applied. The target stays taken. One round trip.
func (m *Mark) Refute(ctx context.Context) error {
	answer, err := m.run(ctx, ungate, "0", m.once, "clean")
	switch {
	case err != nil:
		return fmt.Errorf("ledger: clear a doubt: %w", err)
	case answer != "ok":
		return ErrLost
	}
	m.intent, m.doubted, m.noted = Intent{}, false, false
	return nil
}

var (
	// ErrNoDoubt means that there is nothing for a person to settle.
	ErrNoDoubt = errors.New("no change of this target is in doubt")
	// ErrUnderway means that a task is at the target right now.
	ErrUnderway = errors.New("a task is working on this target: try again in a minute")
)

// Confirm settles a doubt by a person's word that the value was applied: it
// counts as applied when it was sent, and is locked for a year from then. It
// returns the value and the task that sent it. One round trip.
func (l *Ledger) Confirm(ctx context.Context, target Target, field, who string) (value, taskID string, err error) {
	return l.resolve(ctx, target, field, "confirm", who)
}

// Reject settles a doubt by a person's word that the value was not applied. One
// round trip.
func (l *Ledger) Reject(ctx context.Context, target Target, field, who string) (value, taskID string, err error) {
	return l.resolve(ctx, target, field, "reject", who)
}

func (l *Ledger) resolve(ctx context.Context, target Target, field, what, who string) (value, taskID string, err error) {
	answer, err := resolve.Run(ctx, l.rdb, []string{target.redisKey(), target.effects(), target.doubts(), target.changed()},
		field, what, keep.Milliseconds(), target.Key, int64(lockedFor.Seconds()), who, runKept.Milliseconds()).StringSlice()
	if err != nil {
		return "", "", fmt.Errorf("ledger: %s a change in doubt: %w", what, err)
	}
	switch answer[0] {
	case "none":
		return "", "", ErrNoDoubt
	case "busy":
		return "", "", ErrUnderway
	}
	return answer[1], answer[2], nil
}

// LastChanged returns when a field of mode Once was last applied to any target of an
// organisation's API, in whole seconds of Redis' clock: the value that the target had
// before is free then. Zero: not in the last 90 days. One round trip.
func (l *Ledger) LastChanged(ctx context.Context, organisation, api string) (time.Time, error) {
	seconds, err := l.rdb.Get(ctx, Target{Organisation: organisation, API: api}.changed()).Int64()
	switch {
	case errors.Is(err, redis.Nil):
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, fmt.Errorf("ledger: read when a value was last changed: %w", err)
	}
	return time.Unix(seconds, 0), nil
}

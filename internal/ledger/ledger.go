// Package ledger is rollcall's own record in Redis of what was wished for, what
// was applied and what is in flight, target by target. It is what keeps a
// retried old name from landing after a newer one.
//
// It knows targets and fields as strings. It must not know tasks, platforms or
// asynq.
package ledger

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// Target is the thing that is changed. Organisation and API choose the Redis
// hash tag; Key names the thing within them, e.g. a chat id and a user id.
type Target struct{ Organisation, API, Key string }

// Mode says how wishes for a field relate to each other.
type Mode uint8

const (
	// Value is a wish for a value: the highest revision wins, an equal value
	// needs no call.
	Value Mode = iota
	// Effect is a wish without a value of ours (a ClassIn course takes its names
	// from its own console): superseded like a Value, never unchanged.
	Effect
	// Edit is not a wish (members added or removed): never superseded, never
	// unchanged.
	Edit
)

// Field is one part of a target that a task wants changed.
type Field struct {
	Name  string
	Value string // what it should become; used by Value alone
	Mode  Mode
}

// Ledger reads and writes the record. Its methods are safe for concurrent use.
type Ledger struct {
	rdb redis.UniversalClient
	ttl time.Duration
}

// New returns a Ledger on rdb.
func New(rdb redis.UniversalClient) *Ledger {
	return &Ledger{rdb: rdb, ttl: 400 * 24 * time.Hour}
}

// Revise takes a revision for a new wish: Redis' clock in microseconds, at
// least one more than the last one taken for the target. On an error no
// revision was handed out; taking one and not using it costs nothing.
func (l *Ledger) Revise(ctx context.Context, target Target) (int64, error) {
	panic("not yet")
}

// Wish marks rev as the newest wish for the fields of target. It is called
// after the task was stored: a wish whose mark is lost costs at most one call,
// a mark whose task was never stored would lose the older wish.
func (l *Ledger) Wish(ctx context.Context, target Target, rev int64, fields []Field) error {
	panic("not yet")
}

// Package ledger is rollcall's own record in Redis of what was wished for, what
// was applied and what is in flight, target by target. It is what keeps a
// retried old name from landing after a newer one.
//
// One Redis hash a target holds the last revision taken, and for each field the
// newest wish, the applied revision and value, and whether a send is in doubt.
// All steps are Lua scripts on Redis' own clock, one hash each, so they are
// atomic on a single Redis and in a Cluster alike.
//
// It knows targets and fields as strings. It must not know tasks, platforms or
// asynq.
package ledger

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// keep is how long the record of a target that nobody touches is kept. Longer
// than the year for which an ID change is locked; forgetting an applied value
// costs one call.
const keep = 400 * 24 * time.Hour

// Target is the thing that is changed. Organisation and API choose the Redis
// hash tag; Key names the thing within them, e.g. a chat id and a user id.
type Target struct{ Organisation, API, Key string }

// redisKey is the target's hash. The tag in braces keeps all targets of an
// organisation's API on one node of a Cluster.
func (t Target) redisKey() string {
	return "rollcall:{" + t.Organisation + "/" + t.API + "}:target:" + t.Key
}

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

func (m Mode) String() string { return [...]string{"value", "effect", "edit"}[m] }

// Field is one part of a target that a task wants changed.
type Field struct {
	Name  string
	Value string // what it should become; used by Value alone
	Mode  Mode
}

//go:embed revise.lua
var reviseLua string

//go:embed wish.lua
var wishLua string

//go:embed begin.lua
var beginLua string

//go:embed send.lua
var sendLua string

//go:embed ungate.lua
var ungateLua string

//go:embed renew.lua
var renewLua string

//go:embed settle.lua
var settleLua string

//go:embed release.lua
var releaseLua string

// Ledger reads and writes the record. Its methods are safe for concurrent use.
type Ledger struct {
	rdb redis.UniversalClient

	revise, wish, begin, send, ungate, renew, settle, release *redis.Script
}

// New returns a Ledger on rdb. It does not talk to Redis yet.
func New(rdb redis.UniversalClient) *Ledger {
	return &Ledger{
		rdb:     rdb,
		revise:  redis.NewScript(reviseLua),
		wish:    redis.NewScript(wishLua),
		begin:   redis.NewScript(beginLua),
		send:    redis.NewScript(sendLua),
		ungate:  redis.NewScript(ungateLua),
		renew:   redis.NewScript(renewLua),
		settle:  redis.NewScript(settleLua),
		release: redis.NewScript(releaseLua),
	}
}

// Revise takes a revision for a new wish: Redis' clock in microseconds, at
// least one more than the last one taken for the target. On an error no
// revision was handed out; taking one and not using it costs nothing. One
// round trip.
func (l *Ledger) Revise(ctx context.Context, target Target) (int64, error) {
	text, err := l.revise.Run(ctx, l.rdb, []string{target.redisKey()}, keep.Milliseconds()).Text()
	if err != nil {
		return 0, fmt.Errorf("ledger: take a revision: %w", err)
	}
	rev, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("ledger: take a revision: Redis answered %q: %w", text, err)
	}
	return rev, nil
}

// Wish marks rev as the newest wish for the fields of target. It is called
// after the task was stored: a wish whose mark is lost costs at most one call,
// a mark whose task was never stored would lose the older wish. Edits are not
// wishes and are passed over. One round trip.
func (l *Ledger) Wish(ctx context.Context, target Target, rev int64, fields []Field) error {
	args := []any{keep.Milliseconds(), rev}
	for _, f := range fields {
		if f.Mode != Edit {
			args = append(args, f.Name)
		}
	}
	if len(args) == 2 {
		return nil
	}
	if err := l.wish.Run(ctx, l.rdb, []string{target.redisKey()}, args...).Err(); err != nil {
		return fmt.Errorf("ledger: mark the newest wish: %w", err)
	}
	return nil
}

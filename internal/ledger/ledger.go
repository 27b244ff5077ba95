// Package ledger is rollcall's own record in Redis of what was wished for, what
// was applied and what is in flight, target by target. It is what keeps a
// retried old name from landing after a newer one, an ID from being burnt, and a
// task from being forgotten.
//
// One Redis hash a target holds the last revision taken, and for each field the
// newest wish, the applied revision and value, and whether a send is in doubt.
// All steps are Lua scripts on Redis' own clock, over keys of one hash tag, so
// they are atomic on a single Redis and in a Cluster alike.
//
// It knows targets and fields as strings. It must not know tasks, platforms or
// asynq.
package ledger

import (
	_ "embed"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// keep is how long the record of a target that nobody touches is kept. Longer
	// than the year for which an ID change is locked; forgetting an applied value
	// costs one call.
	keep = 400 * 24 * time.Hour
	// runKept is how long the results of a run are kept after its last task was
	// stored.
	runKept = 90 * 24 * time.Hour
	// lockedFor is how long a value that was set once is locked: the year of the
	// platform, whichever it is.
	lockedFor = 366 * 24 * time.Hour
	// lateLanding is how long a request that was given up here may still be
	// carried out at the platform.
	lateLanding = 5 * time.Minute
)

// Target is the thing that is changed. Organisation and API choose the Redis
// hash tag; Key names the thing within them, e.g. a chat id and a user id.
type Target struct{ Organisation, API, Key string }

// tagged is a key of an organisation's API. The tag in braces keeps them all on
// one node of a Cluster.
func tagged(organisation, api, name string) string {
	return "rollcall:{" + organisation + "/" + api + "}:" + name
}

func (t Target) shared(name string) string { return tagged(t.Organisation, t.API, name) }
func (t Target) redisKey() string          { return t.shared("target:" + t.Key) }
func (t Target) effects() string           { return t.shared("effects:" + t.Key) }
func (t Target) edits() string             { return t.shared("edits:" + t.Key) }

// tasks is the hash of the records of stored tasks that have not ended.
func (t Target) tasks() string { return t.shared("tasks") }

// ended tells for a minute that a task has ended which had no record: its
// producer may be about to write one.
func (t Target) ended(taskID string) string { return t.shared("ended:" + taskID) }

// doubts is the set of the targets that a person must settle.
func (t Target) doubts() string { return t.shared("doubts") }

// changed holds when a value that is set once was last applied, to any target.
func (t Target) changed() string { return t.shared("changed") }

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
	// unchanged. Edits of a target go in the order of their revisions.
	Edit
	// Once is a Value that can be set once in a long while and not be read back:
	// what is about to be sent is written down first, and while that is in doubt
	// nothing else may be sent.
	Once
)

func (m Mode) String() string { return [...]string{"value", "effect", "edit", "once"}[m] }

// Field is one part of a target that a task wants changed.
type Field struct {
	Name  string
	Value string // what it should become; used by Value and Once alone
	Mode  Mode
}

var (
	//go:embed revise.lua
	reviseLua string
	//go:embed stored.lua
	storedLua string
	//go:embed withdraw.lua
	withdrawLua string
	//go:embed begin.lua
	beginLua string
	//go:embed send.lua
	sendLua string
	//go:embed intend.lua
	intendLua string
	//go:embed ungate.lua
	ungateLua string
	//go:embed renew.lua
	renewLua string
	//go:embed settle.lua
	settleLua string
	//go:embed note.lua
	noteLua string
	//go:embed lock.lua
	lockLua string
	//go:embed close.lua
	closeLua string
	//go:embed resolve.lua
	resolveLua string
	//go:embed recall.lua
	recallLua string

	revise   = script(reviseLua)
	stored   = script(storedLua)
	withdraw = script(withdrawLua)
	begin    = script(beginLua)
	send     = script(sendLua)
	intend   = script(intendLua)
	ungate   = script(ungateLua)
	renew    = script(renewLua)
	settle   = script(settleLua)
	note     = script(noteLua)
	lock     = script(lockLua)
	closing  = script(closeLua)
	resolve  = script(resolveLua)
	recall   = script(recallLua)
)

// Ledger reads and writes the record. Its methods are safe for concurrent use.
type Ledger struct {
	rdb redis.UniversalClient
	// steps runs the scripts that every task needs.
	steps  redis.Scripter
	memory *memory
}

// New returns a Ledger on rdb. It does not talk to Redis yet.
func New(rdb redis.UniversalClient) *Ledger { return NewShared(rdb, rdb) }

// NewShared returns a Ledger whose steps of a task, from Begin to Settle, go by
// steps: many tasks at once may share their round trips. steps is on the Redis of
// rdb.
func NewShared(rdb redis.UniversalClient, steps redis.Scripter) *Ledger {
	return &Ledger{rdb: rdb, steps: steps, memory: &memory{}}
}

// Package ledger is rollcall's record in Redis: for each target the latest change,
// what was applied, and which attempt works on it. It prevents that the retry of an
// older name overwrites a newer one, that an ID is set twice, and that a task is lost.
//
// One Redis hash a target holds the last revision handed out, and for each field the
// latest change, the applied revision and value, and whether the outcome of a send is
// unknown: see layout.go. All steps are Lua scripts on Redis' own clock. Their keys
// have one hash tag, so they are atomic on a single Redis and in a Cluster alike. The
// rules by which a task needs a call are in docs/ledger.md.
//
// It knows targets and fields as strings. It must not know tasks, platforms or
// asynq.
package ledger

import (
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// keep is how long the record of a target is kept after its last change. Longer
	// than the year for which an ID change is locked; a lost applied value costs one
	// call.
	keep = 400 * 24 * time.Hour
	// runKept is how long the results of a run are kept after its last task was stored or
	// has ended, unless KeepRuns says otherwise.
	runKept = 90 * 24 * time.Hour
	// lockedFor is how long a value that was set once is locked: a year of the
	// platform, leap years included.
	lockedFor = 366 * 24 * time.Hour
	// lateLanding is how long the platform may still carry out a request that was
	// cancelled here, unless the Delivery has another time.
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

// ended exists for a minute after a task without a record has ended: its producer
// may be about to write one.
func (t Target) ended(taskID string) string { return t.shared("ended:" + taskID) }

// unknownTargets is the set of the targets that a person must confirm or reject.
func (t Target) unknownTargets() string { return t.shared("doubts") }

// lastChanged holds when a value that can be set once was last applied, to any target.
func (t Target) lastChanged() string { return t.shared("changed") }

// late is the sorted set of the targets whose applied values a tenant sends again, by
// the time when, Unix s.
func (t Target) late(tenant string) string { return t.shared("late:" + tenant) }

// refresh is the sorted set of the targets whose applied values a tenant sends again to
// confirm them, by the time when, Unix s.
func (t Target) refresh(tenant string) string { return t.shared("refresh:" + tenant) }

// Mode says how the changes of a field relate to each other.
type Mode uint8

const (
	// Value is a change to a value: the highest revision wins, an equal value needs no
	// call.
	Value Mode = iota
	// Effect is a change without a value of ours (a ClassIn course takes its names
	// from its own console): superseded like a Value, never unchanged.
	Effect
	// Edit adds or removes members: never superseded, never unchanged. The edits of a
	// target go in the order of their revisions.
	Edit
	// Once is a Value that can be set once in a long while and cannot be read back: the
	// value is noted before it is sent, and while its outcome is unknown no other value
	// may be sent.
	Once
	// Resend is a Value that was applied, and that an earlier send may have overwritten
	// since: it is sent once more at the revision that was applied. It is superseded by
	// any later change, and changes no revision.
	Resend
	// Refresh is a Resend without a reason: it confirms the applied value.
	Refresh
)

func (m Mode) String() string {
	return [...]string{"value", "effect", "edit", "once", "resend", "refresh"}[m]
}

// Field is one part of a target that a task wants changed.
type Field struct {
	Name  string
	Value string // the wanted value; used by Value, Once, Resend and Refresh alone
	Mode  Mode
}

var (
	revise   = script("revise")
	floor    = script("floor")
	forget   = script("forget")
	raise    = script("raise")
	stored   = script("stored")
	withdraw = script("withdraw")
	begin    = script("begin")
	send     = script("send")
	intend   = script("intend")
	uncheck  = script("uncheck")
	renew    = script("renew")
	settle   = script("settle")
	note     = script("note")
	lock     = script("lock")
	closing  = script("close")
	resolve  = script("resolve")
	recall   = script("recall")
	giveUp   = script("giveup")
	holds    = script("holds")
	stated   = script("stated")
)

// Ledger reads and writes the record. Its methods are safe for concurrent use.
type Ledger struct {
	rdb redis.UniversalClient
	// steps runs the scripts that every task needs.
	steps   redis.Scripter
	memory  *memory
	runKept time.Duration
	damaged atomic.Pointer[func(Damage)]
	guard   atomic.Pointer[func(of string, step func() error) error]
}

// GuardBy sets what runs a step on a goroutine of this package: it recovers from a panic
// and returns it as an error. Without it a panic ends the process.
func (l *Ledger) GuardBy(guard func(of string, step func() error) error) { l.guard.Store(&guard) }

func (l *Ledger) guarded(of string, step func() error) error {
	if guard := l.guard.Load(); guard != nil {
		return (*guard)(of, step)
	}
	return step()
}

// New returns a Ledger on rdb. It does not connect to Redis yet.
func New(rdb redis.UniversalClient) *Ledger { return NewShared(rdb, rdb) }

// NewShared returns a Ledger that runs the steps of a task, from Begin to Settle, by
// steps, which must use the Redis of rdb: many tasks at once may share their round
// trips.
func NewShared(rdb redis.UniversalClient, steps redis.Scripter) *Ledger {
	return &Ledger{rdb: rdb, steps: steps, memory: &memory{}, runKept: runKept}
}

// KeepRuns sets how long the results of a run are kept after its last task was stored or has
// ended. Call it before the first step.
func (l *Ledger) KeepRuns(d time.Duration) { l.runKept = d }

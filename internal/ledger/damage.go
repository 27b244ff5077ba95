package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// MaxRevision is the highest revision. Lua in Redis counts in float64.
const MaxRevision = 1<<53 - 1

// FutureError reports a revision that no clock can have handed out: it is more than a
// day ahead of Redis' clock, and the target never had one as high.
type FutureError struct{ Revision int64 }

// Error includes what to do.
func (e *FutureError) Error() string {
	return fmt.Sprintf("revision %d is more than a day ahead of Redis' clock and was not handed out for this target: enqueue the task again", e.Revision)
}

// DamagedError reports that nothing can be done at a target until a damaged key is
// repaired.
type DamagedError struct{ Damage }

// Error names the key, what is wrong with it, and what to do.
func (e *DamagedError) Error() string {
	waits := ""
	if e.Target() != "" {
		waits = "; only this target waits"
	}
	return "damaged key in Redis, " + e.String() + waits + ": see rollcall repair"
}

// Damage is something in Redis that cannot be what rollcall wrote. It is skipped.
type Damage struct {
	Key  string // in Redis
	What string // that is wrong with it
	// Entry is the damaged entry of a hash, or member of a sorted set, and Value what it
	// holds, or its score. Becomes is the value that a repair gives it; "": it is removed.
	// Entry "": the key as a whole.
	Entry, Value, Becomes string
	Type                  string // of a key as a whole: the type that it has
	// Rebuild says that the key is an index that a repair makes again, of the lane.
	Rebuild string
}

// ofTargets are the parts of keys before the key of a target.
var ofTargets = []string{"}:target:", "}:effects:", "}:edits:"}

// Name is the key without the key of its target, which may name a person.
func (d Damage) Name() string {
	if target := d.Target(); target != "" {
		return strings.TrimSuffix(d.Key, target) + "…"
	}
	return d.Key
}

// Target is the key of the target that the key belongs to; "": none.
func (d Damage) Target() string {
	for _, of := range ofTargets {
		if _, target, found := strings.Cut(d.Key, of); found {
			return target
		}
	}
	return ""
}

// String names the key, as Name does, and what is wrong with it.
func (d Damage) String() string { return fmt.Sprintf("%.200q: %s", d.Name(), d.What) }

// OnDamage sets what is called for each damage that is skipped, on the goroutine that
// found it. Without it, damage is skipped silently.
func (l *Ledger) OnDamage(report func(Damage)) { l.damaged.Store(&report) }

func (l *Ledger) damage(key, format string, args ...any) {
	l.report(Damage{Key: key, What: fmt.Sprintf(format, args...)})
}

func (l *Ledger) report(damage ...Damage) {
	if report := l.damaged.Load(); report != nil {
		for _, d := range damage {
			(*report)(d)
		}
	}
}

// Inspect reads the keys of a target, and returns what is damaged in them, by key. Of more
// keys it looks at the type alone. Three round trips.
func (l *Ledger) Inspect(ctx context.Context, target Target, more ...KeyType) ([]Damage, error) {
	damage, err := l.WrongTypes(ctx, append(target.keyTypes(), more...))
	if err != nil {
		return nil, err
	}
	wrong := func(key string) bool {
		return slices.ContainsFunc(damage, func(d Damage) bool { return d.Key == key })
	}
	if key := target.redisKey(); !wrong(key) {
		hash, err := l.rdb.HGetAll(ctx, key).Result()
		if err != nil {
			return nil, fmt.Errorf("ledger: read a target: %w", err)
		}
		damage = append(damage, damagedEntries(key, hash, time.Now())...)
	}
	return damage, nil
}

// KeyType is a key and the type that it has unless it is damaged.
type KeyType struct{ Key, Type string }

func (t Target) keyTypes() []KeyType {
	return []KeyType{
		{t.redisKey(), "hash"},
		{t.effects(), "list"},
		{t.edits(), "zset"},
		{t.tasks(), "hash"},
		{t.unknownTargets(), "zset"},
		{t.lastChanged(), "string"},
	}
}

// WrongTypes returns the keys that have another type. One pipelined round trip.
func (l *Ledger) WrongTypes(ctx context.Context, keys []KeyType) ([]Damage, error) {
	answers := make([]*redis.StatusCmd, len(keys))
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, k := range keys {
			answers[i] = p.Type(ctx, k.Key)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ledger: read the types of keys: %w", err)
	}
	var damage []Damage
	for i, k := range keys {
		if got := answers[i].Val(); got != k.Type && got != "none" {
			damage = append(damage, OfType(k, got))
		}
	}
	return damage, nil
}

// OfType returns the damage of a key that has another type. An index of dead letters is
// made again.
func OfType(k KeyType, got string) Damage {
	d := Damage{Key: k.Key, What: fmt.Sprintf("is a %s, not a %s", got, k.Type), Type: got}
	lane, of, _ := strings.Cut(strings.TrimPrefix(k.Key, "rollcall:{"), "}:dead:")
	if of == "times" || of == "places" || of == "causes" || strings.HasPrefix(of, "causes:") {
		d.Rebuild = lane
	}
	return d
}

// LaneKeys are the keys of a lane in this package, and of its organisation's API.
func LaneKeys(organisation, api, lane string) []KeyType {
	k, t := deadKeys(lane), Target{Organisation: organisation, API: api}
	return []KeyType{
		{k.bodies(), "hash"},
		{k.positions(), "hash"},
		{k.index(""), "zset"},
		{k.causes(), "hash"},
		{k.todos(), "hash"},
		{k.closed(), "list"},
		{t.tasks(), "hash"},
		{t.unknownTargets(), "zset"},
		{t.late(tenantOf(lane, api)), "zset"},
		{t.refresh(tenantOf(lane, api)), "zset"},
		{t.shared("runs"), "zset"},
		{t.lastChanged(), "string"},
		{floorKey(organisation, api), "string"},
		{t.index(), "zset"},
	}
}

func tenantOf(lane, api string) string { return strings.TrimSuffix(lane, "."+api) }

// CauseIndex is the prefix of the keys of a lane that list dead letters by cause.
func CauseIndex(lane string) string { return deadKeys(lane).causes() + ":" }

// RunKeys are the keys of the results of a run of so many rows. 0: of MaxRow.
func RunKeys(organisation, api string, run RunName, rows int) []KeyType {
	t, row := Target{Organisation: organisation, API: api}, Row{Tenant: run.Tenant, Run: run.Run}
	if rows == 0 {
		rows = MaxRow
	}
	var keys []KeyType
	for n := range rows/rowsTogether + 1 { // the first row is 1
		keys = append(keys, KeyType{row.block(t, n), "string"})
	}
	return keys
}

var discard = script("discard")

// Discard deletes a damaged key or entry, or repairs the entry, unless it has changed
// since it was read. It reports whether it did. One round trip, more for an index.
func (l *Ledger) Discard(ctx context.Context, d Damage) (bool, error) {
	if d.Rebuild != "" {
		return true, l.rebuild(ctx, deadKeys(d.Rebuild))
	}
	as := d.Type
	if d.Entry != "" {
		as = d.Value
	}
	n, err := discard.Run(ctx, l.rdb, []string{d.Key}, d.Entry, as, d.Becomes).Int()
	if err != nil {
		return false, fmt.Errorf("ledger: discard %s: %w", d, err)
	}
	return n == 1, nil
}

// explain returns the damage of a target, or of one of more keys, behind an answer of
// Redis, if there is any: its own errors name no key.
func (l *Ledger) explain(ctx context.Context, target Target, err error, more ...KeyType) error {
	if !damaging(err) {
		return err
	}
	damage, failed := l.Inspect(context.WithoutCancel(ctx), target, more...)
	if failed != nil || len(damage) == 0 {
		return err
	}
	l.report(damage...)
	return &DamagedError{damage[0]}
}

// keyType is the key of the row's result; none for no run.
func (r Row) keyType(target Target) []KeyType {
	if r.none() {
		return nil
	}
	types := []KeyType{{r.key(target), "string"}}
	if details := r.details(target); details != target.tasks() {
		types = append(types, KeyType{details, "list"})
	}
	return types
}

// explainDead returns the damage of a lane's dead letters, and of their indexes by cause,
// behind an answer of Redis, if there is any.
func (l *Ledger) explainDead(ctx context.Context, k deadKeys, err error, causes ...string) error {
	if !damaging(err) {
		return err
	}
	types := []KeyType{{k.bodies(), "hash"}, {k.positions(), "hash"}, {k.index(""), "zset"}, {k.causes(), "hash"}}
	for _, of := range causes {
		types = append(types, KeyType{k.index(of), "zset"})
	}
	damage, failed := l.WrongTypes(context.WithoutCancel(ctx), types)
	if failed != nil || len(damage) == 0 {
		return err
	}
	l.report(damage...)
	return &DamagedError{damage[0]}
}

// errDamaged is the answer of a script that found a damaged entry.
var errDamaged = redis.Error(scriptError("an entry is damaged"))

type scriptError string

func (e scriptError) Error() string { return string(e) }
func (scriptError) RedisError()     {}

// damaging reports whether an error of Redis may come from a damaged key: the type is
// wrong, or a script failed at a value.
func damaging(err error) bool {
	if err == nil {
		return false
	}
	text := err.Error()
	return errors.Is(err, errDamaged) || strings.Contains(text, "WRONGTYPE") || strings.Contains(text, "user_script") ||
		strings.Contains(text, "not a valid float") || strings.Contains(text, "not an integer") ||
		strings.Contains(text, "attempt to") || strings.Contains(text, "bad argument")
}

package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

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
	return "damaged key in Redis, " + e.String() + "; only this target waits: see rollcall repair"
}

// Damage is something in Redis that cannot be what rollcall wrote. It is skipped.
type Damage struct {
	Key  string // in Redis
	What string // that is wrong with it
	// Entry is the damaged entry of a hash, and Value what it holds. "": the key as a whole.
	Entry, Value string
	Type         string // of a key as a whole: the type that it has
}

// Name is the key without the key of its target, which may name a person.
func (d Damage) Name() string {
	for _, of := range []string{":target:", ":effects:", ":edits:"} {
		if before, _, found := strings.Cut(d.Key, "}"+of); found {
			return before + "}" + of + "…"
		}
	}
	return d.Key
}

// String names the key, as Name does, and what is wrong with it.
func (d Damage) String() string { return fmt.Sprintf("%.200q: %s", d.Name(), d.What) }

// OnDamage sets what is called for each damage that is skipped, on the goroutine that
// found it. Without it, damage is skipped silently.
func (l *Ledger) OnDamage(report func(Damage)) { l.damaged.Store(&report) }

func (l *Ledger) damage(key, format string, args ...any) {
	if report := l.damaged.Load(); report != nil {
		(*report)(Damage{Key: key, What: fmt.Sprintf(format, args...)})
	}
}

// Inspect reads the keys of a target, and returns what is damaged in them, by key. Three
// round trips.
func (l *Ledger) Inspect(ctx context.Context, target Target) ([]Damage, error) {
	damage, err := l.WrongTypes(ctx, target.keyTypes())
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
		damage = append(damage, damagedEntries(key, hash)...)
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
			damage = append(damage, Damage{Key: k.Key, What: fmt.Sprintf("is a %s, not a %s", got, k.Type), Type: got})
		}
	}
	return damage, nil
}

// damagedEntries returns the entries of a target's hash that must be numbers and are
// none.
func damagedEntries(key string, hash map[string]string) []Damage {
	var damage []Damage
	for name, value := range hash {
		number := value
		kind, _, ofField := strings.Cut(name, ":")
		if ofField {
			kind += ":"
		}
		switch kind {
		case entryUnknown:
			number = strings.TrimSuffix(value, answered)
		case entryLastRevision, entryLeaseUntil, entrySettledAt, entryLatest, entryApplied, entryLate, entrySource:
		default:
			continue
		}
		if n, err := strconv.ParseInt(number, 10, 64); err != nil || n < 0 || n > MaxRevision || number[0] == '+' {
			damage = append(damage, Damage{
				Key: key, What: fmt.Sprintf("entry %.80q holds %.40q, not a number from 0 to 2^53-1", name, value), Entry: name, Value: value,
			})
		}
	}
	slices.SortFunc(damage, func(a, b Damage) int { return strings.Compare(a.What, b.What) })
	return damage
}

// LaneKeys are the keys of a lane in this package, and of its organisation's API.
func LaneKeys(organisation, api, lane string) []KeyType {
	k, t := deadKeys(lane), Target{Organisation: organisation, API: api}
	tenant := strings.TrimSuffix(lane, "."+api)
	return []KeyType{
		{k.bodies(), "hash"},
		{k.positions(), "hash"},
		{k.index(""), "zset"},
		{k.causes(), "hash"},
		{k.closed(), "list"},
		{t.tasks(), "hash"},
		{t.unknownTargets(), "zset"},
		{t.late(tenant), "zset"},
		{t.shared("runs"), "zset"},
		{t.lastChanged(), "string"},
		{floorKey(organisation, api), "string"},
		{t.index(), "zset"},
	}
}

// RunKeys are the keys of the results of a run.
func RunKeys(organisation, api string, run RunName) []KeyType {
	t, row := Target{Organisation: organisation, API: api}, Row{Tenant: run.Tenant, Run: run.Run}
	var keys []KeyType
	for n := range (MaxRow + rowsTogether - 1) / rowsTogether {
		keys = append(keys, KeyType{row.block(t, n), "string"})
	}
	return keys
}

var discard = redis.NewScript(`
if ARGV[1] == '' then
	if redis.call('TYPE', KEYS[1]).ok ~= ARGV[2] then return 0 end
	return redis.call('DEL', KEYS[1])
end
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
return redis.call('HDEL', KEYS[1], ARGV[1])`)

// Discard deletes a damaged key or entry, unless it has changed since it was read. It
// reports whether it did. One round trip.
func (l *Ledger) Discard(ctx context.Context, d Damage) (bool, error) {
	as := d.Type
	if d.Entry != "" {
		as = d.Value
	}
	n, err := discard.Run(ctx, l.rdb, []string{d.Key}, d.Entry, as).Int()
	if err != nil {
		return false, fmt.Errorf("ledger: discard %s: %w", d, err)
	}
	return n == 1, nil
}

// explain returns the damage of a target behind an answer of Redis, if there is any: its
// own errors name no key.
func (l *Ledger) explain(ctx context.Context, target Target, err error) error {
	if !damaging(err) {
		return err
	}
	damage, failed := l.Inspect(ctx, target)
	if failed != nil || len(damage) == 0 {
		return err
	}
	l.damage(damage[0].Key, "%s", damage[0].What)
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
		strings.Contains(text, "attempt to")
}

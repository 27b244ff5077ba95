// Package damage finds what in Redis cannot be what rollcall or asynq wrote, in the keys
// of the lanes, and returns what is lost when it is repaired.
//
// It must not know how a lane works, nor what a task wants.
package damage

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/audit"
	"rollcall/internal/backlog"
	"rollcall/internal/hold"
	"rollcall/internal/ledger"
	"rollcall/internal/pace"
	"rollcall/internal/registry"
)

// Keys are the keys of a lane, and the types that they have unless they are damaged. Lanes
// of one organisation share some.
func Keys(l registry.Lane) []ledger.KeyType {
	name := registry.Queue(l.Tenant, l.Kind, false)
	keys := append(ledger.LaneKeys(l.Organisation, string(l.Kind), name),
		ledger.KeyType{Key: pace.LaneKey(l.Organisation, name), Type: "hash"},
		ledger.KeyType{Key: pace.MonthKey(l.Organisation), Type: "hash"},
		ledger.KeyType{Key: MemoryKey(l.Organisation), Type: "string"},
	)
	if l.Address != "" {
		keys = append(keys, ledger.KeyType{Key: pace.AddressKey(l.Address), Type: "hash"})
	}
	for _, queue := range registry.Queues(l.Tenant, l.Kind) {
		keys = append(keys, ofQueue(queue)...)
	}
	return keys
}

// MemoryKey is the key by which workers detect that Redis has lost an organisation's data.
func MemoryKey(organisation string) string { return "rollcall:{" + organisation + "}:memory" }

// Holds reports whether a lane can do nothing while one of its keys has another type.
func Holds(key string) bool {
	if strings.HasPrefix(key, "asynq:") {
		return !counter(key)
	}
	return strings.Contains(key, "}:lane:") || strings.HasSuffix(key, "}:spent") || strings.HasSuffix(key, "}:pace")
}

// counter reports whether a key of asynq counts what a queue has done.
func counter(key string) bool {
	return strings.Contains(key, "}:processed") || strings.Contains(key, "}:failed")
}

// asked is what Check asks about a key.
type asked struct {
	key    ledger.KeyType
	kind   *redis.StatusCmd
	number *redis.StringCmd // of a counter
	scores *redis.IntCmd    // of an index: those that are not 0
	far    *redis.IntCmd    // of a set whose scores are times: those that are too far ahead
}

func ask(ctx context.Context, p redis.Pipeliner, key ledger.KeyType, now time.Time) asked {
	a := asked{key: key, kind: p.Type(ctx, key.Key)}
	switch most, times := farthest(key.Key, now); {
	case strings.HasPrefix(key.Key, "asynq:") && counter(key.Key):
		a.number = p.Get(ctx, key.Key)
	case strings.HasSuffix(key.Key, ":dead:times"):
		a.scores = p.ZCount(ctx, key.Key, "(0", "+inf")
	case times:
		a.far = p.ZCount(ctx, key.Key, "("+most, "+inf")
	}
	return a
}

// damage returns what is damaged, of a lane.
func (a asked) damage(l registry.Lane) (ledger.Damage, bool, error) {
	kind, err := a.kind.Result()
	switch {
	case err != nil:
		return ledger.Damage{}, false, fmt.Errorf("read the types of keys: %w", err)
	case kind == "none":
		return ledger.Damage{}, false, nil
	case kind != a.key.Type:
		return ledger.OfType(a.key, kind), true, nil
	case a.number != nil && !isCount(a.number.Val()):
		return badCount(a.key.Key, a.number.Val()), true, nil
	case a.far != nil && a.far.Val() > 0:
		return ledger.Damage{Key: a.key.Key, What: fmt.Sprintf("the time of %d tasks is too far ahead to be meant", a.far.Val())}, true, nil
	case a.scores != nil && a.scores.Val() > 0:
		return ledger.Damage{
			Key: a.key.Key, What: "has members with a wrong score: dead letters are missing in lists", Rebuild: registry.Queue(l.Tenant, l.Kind, false),
		}, true, nil
	}
	return ledger.Damage{}, false, nil
}

// Check returns the keys of lanes that have another type, the counters that are no
// numbers, the sets with times too far ahead, and the indexes of dead letters with a wrong
// score, lane by lane. Cost: one pipelined round trip with some fifty commands a lane.
func Check(ctx context.Context, rdb redis.UniversalClient, lanes []registry.Lane) ([][]ledger.Damage, error) {
	now := time.Now()
	answers := make([][]asked, len(lanes))
	_, _ = rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, l := range lanes {
			for _, key := range Keys(l) {
				answers[i] = append(answers[i], ask(ctx, p, key, now))
			}
		}
		return nil
	}) // each command has its own error
	found := make([][]ledger.Damage, len(lanes))
	for i, l := range lanes {
		for _, a := range answers[i] {
			d, damaged, err := a.damage(l)
			if err != nil {
				return nil, err
			}
			if damaged {
				found[i] = append(found[i], d)
			}
		}
	}
	return found, nil
}

// isCount reports whether a counter of asynq is a number that it can add to.
func isCount(text string) bool {
	n, err := strconv.ParseInt(text, 10, 64)
	return err == nil && n >= 0
}

func badCount(key, value string) ledger.Damage {
	return ledger.Damage{Key: key, Entry: "value", Value: value, What: fmt.Sprintf("holds %.40q, not a number", value)}
}

// SharedKeys are the keys that all lanes share, and the types that they have. Those of
// runs are in internal/run.
func SharedKeys() []ledger.KeyType {
	keys := []ledger.KeyType{
		{Key: audit.Stream, Type: "stream"}, // first: a repair of the others is recorded there
		{Key: registry.Key, Type: "hash"},
		{Key: hold.Key, Type: "hash"},
		{Key: ledger.DeadLanes, Type: "set"},
		{Key: ledger.SchemaKey, Type: "hash"},
		{Key: "rollcall:memory:{" + hold.Key + "}", Type: "string"},
		{Key: "rollcall:{schedule}:leader", Type: "string"},
		{Key: backlog.QueueList, Type: "set"},
		{Key: "asynq:servers", Type: "zset"},
		{Key: "asynq:workers", Type: "zset"},
		{Key: "asynq:schedulers", Type: "zset"},
	}
	return append(keys, ofQueue(ticks)...)
}

// ofQueue are the keys of a queue of asynq.
func ofQueue(queue string) []ledger.KeyType {
	var keys []ledger.KeyType
	for _, t := range backlog.Types(queue, time.Now()) {
		keys = append(keys, ledger.KeyType(t))
	}
	return keys
}

// ticks is the queue of schedules.
const ticks = "rollcall.schedule"

// Repair repairs a damage as ledger.Discard does, and makes asynq's list of queues again
// from the lanes. It reports whether it did.
func Repair(ctx context.Context, rdb redis.UniversalClient, record *ledger.Ledger, lanes []registry.Lane, d ledger.Damage) (bool, error) {
	done, err := record.Discard(ctx, d)
	if err != nil || !done || d.Key != backlog.QueueList {
		return done, err
	}
	names := []any{ticks, "rollcall.runs"}
	for _, l := range lanes {
		for _, queue := range registry.Queues(l.Tenant, l.Kind) {
			names = append(names, queue)
		}
	}
	if err := rdb.SAdd(ctx, d.Key, names...).Err(); err != nil {
		return true, fmt.Errorf("list the queues again: %w", err)
	}
	return true, nil
}

// Shared returns what is damaged in the keys that everything shares. Cost: one pipelined
// round trip.
func Shared(ctx context.Context, rdb redis.UniversalClient) ([]ledger.Damage, error) {
	keys := SharedKeys()
	kinds := make([]*redis.StatusCmd, len(keys))
	var lanes, holds, schema *redis.MapStringStringCmd
	_, _ = rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, key := range keys {
			kinds[i] = p.Type(ctx, key.Key)
		}
		lanes, holds, schema = p.HGetAll(ctx, registry.Key), p.HGetAll(ctx, hold.Key), p.HGetAll(ctx, ledger.SchemaKey)
		return nil
	}) // each command has its own error
	var found []ledger.Damage
	for i, key := range keys {
		kind, err := kinds[i].Result()
		if err != nil {
			return nil, fmt.Errorf("read the types of keys: %w", err)
		}
		if kind != "none" && kind != key.Type {
			found = append(found, ledger.OfType(key, kind))
		}
	}
	found = append(found, entries(registry.Key, lanes.Val(), registry.Damaged(lanes.Val(), time.Now()))...)
	found = append(found, entries(hold.Key, holds.Val(), hold.Damaged(holds.Val()))...)
	return append(found, ledger.DamagedSchema(schema.Val())...), nil
}

// entries are the damaged entries of a hash, sorted by name. wrong is what is wrong with each.
func entries(key string, hash, wrong map[string]string) []ledger.Damage {
	var found []ledger.Damage
	for _, name := range slices.Sorted(maps.Keys(wrong)) {
		found = append(found, ledger.Damage{Key: key, Entry: name, Value: hash[name], What: wrong[name]})
	}
	return found
}

// WrongType reports whether an error of Redis is about the type of a key.
func WrongType(err error) bool {
	return err != nil && (redis.HasErrorPrefix(err, "WRONGTYPE") || strings.Contains(err.Error(), "WRONGTYPE"))
}

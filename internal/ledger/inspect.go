package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/redis/go-redis/v9"
)

// Cluttered is how many entries of a key InspectLane returns at most: a key with more is
// better discarded as a whole.
const Cluttered = 100

// ahead is how far ahead of now a time may be that was written: a clock may be wrong by
// a day.
const ahead = 24 * time.Hour

// InspectLane reads the keys of a lane in this package, and of its organisation's API,
// and returns the entries that are damaged. Keys of another type are left out, see
// WrongTypes. Some round trips, and one for each thousand open tasks and dead letters.
func (l *Ledger) InspectLane(ctx context.Context, organisation, api, lane string) ([]Damage, error) {
	t, keys, tenant := Target{Organisation: organisation, API: api}, deadKeys(lane), tenantOf(lane, api)
	far := func(key string, unit time.Duration) func() ([]Damage, error) {
		return func() ([]Damage, error) { return l.farScores(ctx, key, unit) }
	}
	var all []Damage
	for _, find := range []func() ([]Damage, error){
		func() ([]Damage, error) { return l.records(ctx, t) },
		func() ([]Damage, error) { return l.time(ctx, t.lastChanged()) },
		far(t.unknownTargets(), time.Second),
		far(t.index(), time.Second),
		far(t.shared("runs"), time.Millisecond),
		far(t.late(tenant), time.Second),
		far(t.refresh(tenant), time.Second),
		func() ([]Damage, error) { return l.bodies(ctx, keys) },
		func() ([]Damage, error) { return l.index(ctx, keys) },
	} {
		found, err := find()
		if redis.HasErrorPrefix(err, "WRONGTYPE") {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, found[:min(len(found), Cluttered)]...)
	}
	return all, nil
}

// records returns the records of open tasks that are no JSON.
func (l *Ledger) records(ctx context.Context, t Target) (damage []Damage, err error) {
	err = l.eachEntry(ctx, t.tasks(), func(id, text string) {
		if !jsontext.Value(text).IsValid() {
			damage = append(damage, damagedRecord(t, id, text))
		}
	})
	return damage, err
}

func damagedRecord(t Target, id, text string) Damage {
	return Damage{Key: t.tasks(), Entry: id, Value: text, What: fmt.Sprintf("the record of task %.80q is no JSON", id)}
}

// bodies returns the dead letters that are no JSON.
func (l *Ledger) bodies(ctx context.Context, keys deadKeys) (damage []Damage, err error) {
	err = l.eachEntry(ctx, keys.bodies(), func(id, text string) {
		if !jsontext.Value(text).IsValid(jsontext.AllowInvalidUTF8(true)) {
			damage = append(damage, damagedBody(string(keys), id, text))
		}
	})
	return damage, err
}

func damagedBody(lane, id, text string) Damage {
	return Damage{Key: deadKeys(lane).bodies(), Entry: id, Value: text, What: fmt.Sprintf("the dead letter of task %.80q is no JSON", id)}
}

func (l *Ledger) eachEntry(ctx context.Context, key string, do func(entry, value string)) error {
	const page = 1000
	for cursor := uint64(0); ; {
		entries, next, err := l.rdb.HScan(ctx, key, cursor, "", page).Result()
		if err != nil {
			return fmt.Errorf("ledger: read %s: %w", key, err)
		}
		for i := 0; i+1 < len(entries); i += 2 {
			do(entries[i], entries[i+1])
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// time returns the damage of a string that is a time, Unix s.
func (l *Ledger) time(ctx context.Context, key string) ([]Damage, error) {
	text, err := l.rdb.Get(ctx, key).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("ledger: read %s: %w", key, err)
	}
	if d, damaged := damagedTime(key, text, time.Now()); damaged {
		return []Damage{d}, nil
	}
	return nil, nil
}

// damagedTime returns the damage of a key that holds a time, Unix s, if it is damaged.
func damagedTime(key, text string, now time.Time) (Damage, bool) {
	if n, ok := number(text); ok && n <= now.Add(ahead).Unix() {
		return Damage{}, false
	}
	return Damage{Key: key, Entry: "value", Value: text, What: fmt.Sprintf("holds %.40q, not a time that has passed", text)}, true
}

// farScores returns the members whose score, a time in unit since 1970, is more than a day
// ahead. They get the time of now.
func (l *Ledger) farScores(ctx context.Context, key string, unit time.Duration) ([]Damage, error) {
	now := time.Now()
	found, err := l.rdb.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{
		Key: key, ByScore: true, Start: "(" + text(now.Add(ahead), unit), Stop: "+inf", Count: Cluttered,
	}).Result()
	if err != nil {
		return nil, fmt.Errorf("ledger: read %s: %w", key, err)
	}
	damage := make([]Damage, len(found))
	for i, z := range found {
		damage[i] = farScore(key, z, text(now, unit))
	}
	return damage, nil
}

func text(t time.Time, unit time.Duration) string {
	return strconv.FormatInt(t.UnixNano()/int64(unit), 10)
}

// farScore is the damage of a member whose score is too far ahead.
func farScore(key string, z redis.Z, becomes string) Damage {
	member, _ := z.Member.(string)
	score := strconv.FormatFloat(z.Score, 'g', -1, 64)
	return Damage{
		Key: key, Entry: member, Value: score, Becomes: becomes, What: "the time of a member, " + score + ", is more than a day ahead",
	}
}

// InspectTargets is Inspect for many targets, each once. One pipelined round trip for
// each 200.
func (l *Ledger) InspectTargets(ctx context.Context, targets []Target) ([]Damage, error) {
	const page = 200
	seen := map[Target]bool{}
	targets = slices.DeleteFunc(slices.Clone(targets), func(t Target) bool {
		before := seen[t]
		seen[t] = true
		return before
	})
	var damage []Damage
	for some := range slices.Chunk(targets, page) {
		var keys []KeyType
		hashes := make([]*redis.MapStringStringCmd, len(some))
		_, _ = l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, t := range some {
				keys = append(keys, KeyType{t.redisKey(), "hash"}, KeyType{t.effects(), "list"}, KeyType{t.edits(), "zset"})
				hashes[i] = p.HGetAll(ctx, t.redisKey())
			}
			return nil
		}) // each command has its own error
		wrong, err := l.WrongTypes(ctx, keys)
		if err != nil {
			return nil, err
		}
		damage = append(damage, wrong...)
		for i, t := range some {
			if err := hashes[i].Err(); err != nil && !damaging(err) {
				return nil, fmt.Errorf("ledger: read a target: %w", err)
			}
			damage = append(damage, damagedEntries(t.redisKey(), hashes[i].Val(), time.Now())...)
		}
	}
	return damage, nil
}

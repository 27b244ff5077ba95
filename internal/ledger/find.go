package ledger

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// walked is how many targets a step of a walk reads.
	walked = 1000
	// stepsOfFind bounds how many steps one Find takes: some 50 ms of Redis' time.
	stepsOfFind = 20
)

// index is the sorted set of all targets of an organisation's API, by the time when a
// value was last confirmed: applied, or found unchanged. Unix s; 0: never.
func (t Target) index() string { return t.shared("targets") }

// Found is a target that Find found.
type Found struct {
	Record

	Confirmed time.Time // when a value was last applied or found unchanged; zero: never
}

// Find walks the targets of an organisation's API, in no order, and returns the records of
// those of which the key or an applied value contains a word; "": all. cursor is "" at
// first; next is "" after the last target. A page has about n targets, and may have none
// though there are more: a call reads at most 20,000. A target may be returned twice.
func (l *Ledger) Find(ctx context.Context, organisation, api, word, cursor string, n int) (found []Found, next string, err error) {
	for range stepsOfFind {
		var some []Found
		if some, cursor, err = l.FindStep(ctx, organisation, api, word, cursor); err != nil {
			return nil, "", err
		}
		if some, err = l.whole(ctx, some); err != nil {
			return nil, "", err
		}
		if found = append(found, some...); cursor == "" || len(found) >= n {
			break
		}
	}
	return found, cursor, nil
}

// whole reads the whole records of targets. Those that have expired since are left out.
func (l *Ledger) whole(ctx context.Context, some []Found) ([]Found, error) {
	targets := make([]Target, len(some))
	for i, f := range some {
		targets[i] = f.Target
	}
	records, err := l.Survey(ctx, targets)
	if err != nil {
		return nil, fmt.Errorf("ledger: find targets: %w", err)
	}
	for i := range records {
		some[i].Record = records[i]
	}
	return slices.DeleteFunc(some, func(f Found) bool { return f.empty() }), nil
}

// FindStep is the least step of Find: it reads about 1,000 targets. Of the records it knows
// the revisions, the values and the latest tasks alone. Targets that have expired are removed from the index.
// One round trip, and one if any have expired.
func (l *Ledger) FindStep(ctx context.Context, organisation, api, word, cursor string) (found []Found, next string, err error) {
	if cursor == "" {
		cursor = "0"
	}
	if _, err := strconv.ParseUint(cursor, 10, 64); err != nil {
		return nil, "", fmt.Errorf("ledger: find targets: cursor %.80q is none of Find", cursor)
	}
	all := Target{Organisation: organisation, API: api}
	answer, err := findStep.Run(ctx, l.rdb, []string{all.index()}, all.redisKey(), cursor, walked).Slice()
	if err != nil {
		return nil, "", fmt.Errorf("ledger: find targets: %w", err)
	}
	if next, _ = answer[0].(string); next == "0" {
		next = ""
	}
	var expired []any
	for one := range slices.Chunk(answer[1:], 3) {
		f := readFound(all, one)
		switch {
		case f.empty():
			expired = append(expired, f.Target.Key)
		case f.has(word):
			found = append(found, f)
		}
	}
	if len(expired) > 0 {
		if err := l.rdb.ZRem(ctx, all.index(), expired...).Err(); err != nil {
			return nil, "", fmt.Errorf("ledger: find targets: %w", err)
		}
	}
	return found, next, nil
}

var findStep = script("findstep")

// readFound reads what findstep.lua returns of a target: its key, its score and its entries.
func readFound(of Target, one []any) Found {
	of.Key, _ = one[0].(string)
	score, _ := one[1].(string)
	entries, readable := one[2].([]any)
	hash := make(map[string]string, len(entries)/2)
	for pair := range slices.Chunk(entries, 2) {
		name, _ := pair[0].(string)
		hash[name], _ = pair[1].(string)
	}
	f := Found{Record: readRecord(of, hash, time.Time{})}
	if !readable {
		f.Damaged = []Damage{{Key: of.redisKey(), What: "is not a hash"}}
	}
	if s, err := strconv.ParseFloat(score, 64); err == nil && s > 0 {
		f.Confirmed = time.Unix(int64(s), 0)
	}
	return f
}

// has reports whether the key or an applied value contains a word, of any case.
func (f Found) has(word string) bool {
	contains := func(text string) bool { return strings.Contains(strings.ToLower(text), strings.ToLower(word)) }
	if contains(f.Target.Key) {
		return true
	}
	for _, s := range f.Fields {
		if contains(s.Value) || contains(s.Wanted) {
			return true
		}
	}
	return false
}

// empty reports whether nothing is known of a target.
func (r Record) empty() bool { return r.Revision == 0 && len(r.Fields) == 0 && len(r.Damaged) == 0 }

// IndexTargets adds targets that were recorded by an earlier version to those of Find, from
// cursor, which is 0 at first; next is 0 after the last. It walks all keys of a node with
// SCAN, which the Redis user needs for this alone. Calling it again is harmless.
func (l *Ledger) IndexTargets(ctx context.Context, organisation, api string, cursor uint64) (added int, next uint64, err error) {
	all := Target{Organisation: organisation, API: api}
	prefix := all.redisKey()
	node := l.rdb
	if cluster, ok := l.rdb.(*redis.ClusterClient); ok {
		if node, err = cluster.MasterForKey(ctx, prefix); err != nil {
			return 0, 0, fmt.Errorf("ledger: index the targets: find their node: %w", err)
		}
	}
	keys, next, err := node.Scan(ctx, cursor, globEscape.Replace(prefix)+"*", walked).Result()
	if err != nil {
		return 0, 0, fmt.Errorf("ledger: index the targets: %w", err)
	}
	settled := make([]*redis.StringCmd, len(keys))
	_, _ = l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, key := range keys {
			settled[i] = p.HGet(ctx, key, entrySettledAt)
		}
		return nil
	}) // a target that was never settled has none
	var members []redis.Z
	for i, key := range keys {
		at, _ := settled[i].Int64()
		members = append(members, redis.Z{Score: float64(at), Member: strings.TrimPrefix(key, prefix)})
	}
	if len(members) == 0 {
		return 0, next, nil
	}
	n, err := l.rdb.ZAddNX(ctx, all.index(), members...).Result()
	if err != nil {
		return 0, 0, fmt.Errorf("ledger: index the targets: %w", err)
	}
	return int(n), next, nil
}

var globEscape = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

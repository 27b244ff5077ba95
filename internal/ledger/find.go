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
	at := uint64(0)
	if cursor != "" {
		if at, err = strconv.ParseUint(cursor, 10, 64); err != nil {
			return nil, "", fmt.Errorf("ledger: find targets: cursor %q is none of Find", cursor)
		}
	}
	for range stepsOfFind {
		var some []Found
		if some, at, err = l.walk(ctx, organisation, api, at); err != nil {
			return nil, "", fmt.Errorf("ledger: find targets: %w", err)
		}
		found = append(found, slices.DeleteFunc(some, func(f Found) bool { return !f.has(word) })...)
		if at == 0 {
			return found, "", nil
		}
		if len(found) >= n {
			break
		}
	}
	return found, strconv.FormatUint(at, 10), nil
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

// walk reads the targets of one step. Those that have expired are removed from the index.
func (l *Ledger) walk(ctx context.Context, organisation, api string, cursor uint64) (found []Found, next uint64, err error) {
	key := Target{Organisation: organisation, API: api}.index()
	entries, next, err := l.rdb.ZScan(ctx, key, cursor, "", walked).Result()
	if err != nil {
		return nil, 0, err
	}
	var targets []Target
	var confirmed []time.Time
	for i := 0; i+1 < len(entries); i += 2 {
		targets = append(targets, Target{Organisation: organisation, API: api, Key: entries[i]})
		var at time.Time
		if s, err := strconv.ParseFloat(entries[i+1], 64); err == nil && s > 0 {
			at = time.Unix(int64(s), 0)
		}
		confirmed = append(confirmed, at)
	}
	records, err := l.Survey(ctx, targets)
	if err != nil {
		return nil, 0, err
	}
	var expired []any
	for i, r := range records {
		if r.empty() {
			expired = append(expired, r.Target.Key)
			continue
		}
		found = append(found, Found{r, confirmed[i]})
	}
	if len(expired) > 0 {
		err = l.rdb.ZRem(ctx, key, expired...).Err()
	}
	return found, next, err
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

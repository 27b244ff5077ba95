package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/registry"
)

// manner is how a key is damaged.
type manner string

const (
	otherType manner = "another type"
	truncated manner = "truncated"
	farAhead  manner = "far ahead"
)

// spoiled is what another program wrote into a key.
type spoiled struct {
	key    string
	class  string // of the key: without the ids in it
	manner manner
	entry  string // of a hash, a sorted set or a list; "": the key as a whole
	value  string // that it holds now; of a sorted set its score
	was    string // the entry of a list or a sorted set, before it was truncated
	kind   string // the type that the key has now
}

func (d spoiled) String() string {
	text := fmt.Sprintf("%s: %s", d.key, d.manner)
	if d.entry != "" {
		text += fmt.Sprintf(", entry %.60q is %.60q", d.entry, d.value)
	}
	return text
}

// classes are the parts of keys that name a task, a target or the like.
var classes = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`:t:.*`), ":t:*"},
	{regexp.MustCompile(`\{run:[^}]*\}`), "{run:*}"},
	{regexp.MustCompile(`:(target|effects|edits|ended|run|rows|plan|details):.*`), ":$1:*"},
	{regexp.MustCompile(`:dead:causes:.*`), ":dead:causes:*"},
	{regexp.MustCompile(`:(processed|failed):[0-9-]+$`), ":$1:*"},
	{regexp.MustCompile(`\.urgent\}`), "}"},
	{regexp.MustCompile(`:late:.*`), ":late:*"},
}

func classOf(key string) string {
	for _, c := range classes {
		key = c.pattern.ReplaceAllString(key, c.with)
	}
	return key
}

// lanesField is the class of an entry of the registry: its key is everybody's, so only
// the entries of the victim are damaged.
const lanesField = registry.Key + " (entry)"

// victimKeys returns the keys of an organisation, by class.
func victimKeys(ctx context.Context, rdb redis.UniversalClient, name string) (map[string][]string, error) {
	found := map[string][]string{}
	for _, pattern := range append(runPatterns, "asynq:{"+name+"-*", "rollcall:{"+name+"*") {
		keys := rdb.Scan(ctx, 0, pattern, 1000).Iterator()
		for keys.Next(ctx) {
			found[classOf(keys.Val())] = append(found[classOf(keys.Val())], keys.Val())
		}
		if err := keys.Err(); err != nil {
			return nil, fmt.Errorf("list the keys of %s: %w", name, err)
		}
	}
	entries, err := rdb.HKeys(ctx, registry.Key).Result()
	for _, entry := range entries {
		if strings.HasPrefix(entry, name+"-") {
			found[lanesField] = append(found[lanesField], entry)
		}
	}
	return found, err
}

// errUnfit means that a key cannot be damaged in some manner.
var errUnfit = errors.New("unfit")

// spoil damages a key. It fails with errUnfit if there is nothing to damage.
func spoil(ctx context.Context, rdb redis.UniversalClient, r *rand.Rand, class, key string, m manner) (spoiled, error) {
	d := spoiled{key: key, class: class, manner: m}
	if class == lanesField {
		d.key, d.entry = registry.Key, key
		if m == otherType {
			return d, errUnfit
		}
		return d, d.inHash(ctx, rdb, []string{key})
	}
	kind, err := rdb.Type(ctx, key).Result()
	if err != nil {
		return d, fmt.Errorf("type of %s: %w", key, err)
	}
	d.kind = kind
	switch {
	case kind == "none":
		return d, errUnfit
	case m == otherType:
		return d, d.replace(ctx, rdb)
	case kind == "string":
		return d, d.inString(ctx, rdb)
	case kind == "hash":
		entries, err := rdb.HKeys(ctx, key).Result()
		if err != nil {
			return d, fmt.Errorf("entries of %s: %w", key, err)
		}
		r.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
		return d, d.inHash(ctx, rdb, entries)
	case kind == "zset":
		return d, d.inSortedSet(ctx, rdb, r)
	case kind == "list" && m == truncated:
		return d, d.inList(ctx, rdb, r)
	}
	return d, errUnfit
}

func (d *spoiled) replace(ctx context.Context, rdb redis.UniversalClient) error {
	before := d.kind
	_, err := rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Del(ctx, d.key)
		if d.kind = "string"; before == "string" {
			d.kind = "hash"
			p.HSet(ctx, d.key, "written", "by another program")
		} else {
			p.Set(ctx, d.key, "written by another program", 0)
		}
		return nil
	})
	return err
}

func (d *spoiled) inString(ctx context.Context, rdb redis.UniversalClient) error {
	value, err := rdb.Get(ctx, d.key).Result()
	if err != nil {
		return err
	}
	var ok bool
	if d.value, ok = d.spoil(value); !ok {
		return errUnfit
	}
	return rdb.SetArgs(ctx, d.key, d.value, redis.SetArgs{KeepTTL: true}).Err()
}

func (d *spoiled) inHash(ctx context.Context, rdb redis.UniversalClient, entries []string) error {
	d.kind = "hash"
	for _, entry := range entries {
		value, err := rdb.HGet(ctx, d.key, entry).Result()
		if errors.Is(err, redis.Nil) {
			continue
		} else if err != nil {
			return err
		}
		if spoilt, ok := d.spoil(value); ok {
			d.entry, d.value = entry, spoilt
			return rdb.HSet(ctx, d.key, entry, spoilt).Err()
		}
	}
	return errUnfit
}

func (d *spoiled) inSortedSet(ctx context.Context, rdb redis.UniversalClient, r *rand.Rand) error {
	members, err := rdb.ZRangeWithScores(ctx, d.key, 0, 999).Result()
	if err != nil || len(members) == 0 {
		return errors.Join(err, errUnfit)
	}
	z := members[r.IntN(len(members))]
	d.was, _ = z.Member.(string)
	d.entry, d.value = d.was, formatScore(z.Score)
	_, err = rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		if d.manner == truncated {
			d.entry = d.was[:len(d.was)/2]
			p.ZRem(ctx, d.key, d.was)
			p.ZAdd(ctx, d.key, redis.Z{Score: z.Score, Member: d.entry})
			return nil
		}
		ahead, _ := strconv.ParseFloat(far(r, formatScore(z.Score)), 64) // ours
		d.value = formatScore(ahead)
		p.ZAdd(ctx, d.key, redis.Z{Score: ahead, Member: d.entry})
		return nil
	})
	return err
}

// formatScore formats a score as Redis does.
func formatScore(score float64) string {
	if math.IsInf(score, 1) {
		return "inf"
	}
	return strconv.FormatFloat(score, 'f', -1, 64)
}

func (d *spoiled) inList(ctx context.Context, rdb redis.UniversalClient, r *rand.Rand) error {
	n, err := rdb.LLen(ctx, d.key).Result()
	if err != nil || n == 0 {
		return errors.Join(err, errUnfit)
	}
	at := r.Int64N(n)
	if d.was, err = rdb.LIndex(ctx, d.key, at).Result(); err != nil {
		return errors.Join(err, errUnfit) // it has moved
	}
	d.entry = d.was[:len(d.was)/2]
	// By value: the list may have moved since.
	n, err = rdb.LInsertBefore(ctx, d.key, d.was, d.entry).Result()
	if err == nil && n > 0 {
		n, err = rdb.LRem(ctx, d.key, 1, d.was).Result()
	}
	if err == nil && n <= 0 {
		return errUnfit
	}
	return err
}

// spoil damages a value; false: this one cannot be damaged in the manner.
func (d *spoiled) spoil(value string) (string, bool) {
	switch {
	case len(value) < 2:
		return "", false
	case d.manner == truncated:
		return value[:len(value)/2], true
	case numeric.MatchString(value):
		return far(nil, value), true
	}
	return "", false
}

var numeric = regexp.MustCompile(`^[0-9]{3,}$`)

// far returns a number that is far ahead of another: by a year if it is a time, or one
// that no time can be. Without r it depends on the number.
func far(r *rand.Rand, number string) string {
	n, err := strconv.ParseFloat(number, 64)
	choice := int(uint64(math.Abs(n))) % 4 //nolint:gosec // any choice will do
	if r != nil {
		choice = r.IntN(4)
	}
	year := 365 * 24 * time.Hour
	switch now := time.Now(); {
	case choice == 1:
		return "9007199254740992" // 2^53
	case choice == 2:
		return "1e300"
	case choice == 3 || err != nil:
		return "inf"
	case n > float64(now.UnixMicro())/2:
		return strconv.FormatInt(now.Add(year).UnixMicro(), 10)
	case n > float64(now.UnixMilli())/2:
		return strconv.FormatInt(now.Add(year).UnixMilli(), 10)
	default:
		return strconv.FormatInt(now.Add(year).Unix(), 10)
	}
}

// there reports whether the damage is still as it was written.
func (d spoiled) there(ctx context.Context, rdb redis.UniversalClient) (bool, error) {
	kind, err := rdb.Type(ctx, d.key).Result()
	if err != nil || kind != d.kind {
		return false, err
	}
	switch {
	case d.manner == otherType:
		return true, nil
	case kind == "string":
		value, err := rdb.Get(ctx, d.key).Result()
		return value == d.value, ignoreNil(err)
	case kind == "hash":
		value, err := rdb.HGet(ctx, d.key, d.entry).Result()
		return value == d.value, ignoreNil(err)
	case kind == "zset":
		score, err := rdb.ZScore(ctx, d.key, d.entry).Result()
		return err == nil && formatScore(score) == d.value, ignoreNil(err)
	}
	_, err = rdb.LPos(ctx, d.key, d.entry, redis.LPosArgs{}).Result()
	return err == nil, ignoreNil(err)
}

func ignoreNil(err error) error {
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}

// namedBy reports whether a line of a worker's log names the damage: by the key as the
// log shows it, or by the task that is in its place.
func (d spoiled) namedBy(line string) bool {
	return slices.ContainsFunc(d.names(), func(all []string) bool {
		return !slices.ContainsFunc(all, func(word string) bool { return !strings.Contains(line, word) })
	})
}

// names returns lists of words: a line that contains all words of one names the damage.
func (d spoiled) names() [][]string {
	for _, part := range []string{"}:target:", "}:effects:", "}:edits:"} {
		if before, target, found := strings.Cut(d.key, part); found {
			return [][]string{{before + part + "…", target}}
		}
	}
	lists := [][]string{{d.key}}
	if d.kind == "hash" && (d.class == lanesField || strings.HasSuffix(d.key, "}:tasks") || strings.HasSuffix(d.key, ":dead:letters")) {
		lists = [][]string{{d.key, d.entry}} // one entry of many
	}
	if _, id, found := strings.Cut(d.key, ":t:"); found {
		lists = append(lists, []string{id})
	}
	if d.was != "" {
		lists = append(lists, []string{d.entry}, []string{d.was})
	}
	return lists
}

package damage

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/backlog"
	"rollcall/internal/ledger"
	"rollcall/internal/pace"
	"rollcall/internal/registry"
)

// OfKey returns the damage of a key that Find does not look for, because nothing lists it:
// that of a task, of its attempts, of the numbers of rows, of the results of a run of the
// lane's organisation, or of the dead letters of one cause. One round trip.
func OfKey(ctx context.Context, record *ledger.Ledger, l registry.Lane, key string) ([]ledger.Damage, error) {
	kind := ""
	for _, queue := range registry.Queues(l.Tenant, l.Kind) {
		if strings.HasPrefix(key, backlog.Key(queue, "t:")) {
			kind = "hash"
		}
	}
	run := ledger.RunKeys(l.Organisation, string(l.Kind), ledger.RunName{Tenant: l.Tenant}, 1)[0].Key
	details := strings.Replace(run, "}:run:", "}:details:", 1)
	switch {
	case strings.HasPrefix(key, ledger.CauseIndex(registry.Queue(l.Tenant, l.Kind, false))): // of a cause without dead letters
		kind = "zset"
	case strings.HasPrefix(key, details):
		kind = "list"
	case strings.HasPrefix(key, run), strings.HasPrefix(key, "rollcall:rows:"):
		kind = "string"
	case strings.HasPrefix(key, "rollcall:{") && key == ledger.AttemptsKey(strings.TrimSuffix(strings.TrimPrefix(key, "rollcall:{"), "}:attempts")):
		kind = "hash"
	}
	if kind == "" {
		return nil, nil
	}
	return record.WrongTypes(ctx, []ledger.KeyType{{Key: key, Type: kind}})
}

// Find returns all that is damaged in the keys of a lane, of its open tasks and of their
// targets; with all, of all its targets. Cost: some round trips, four for each 500 open
// tasks, and one or two for each 500 targets.
func Find(ctx context.Context, rdb redis.UniversalClient, record *ledger.Ledger, l registry.Lane, all bool) ([]ledger.Damage, error) {
	name := registry.Queue(l.Tenant, l.Kind, false)
	checked, err := Check(ctx, rdb, []registry.Lane{l})
	if err != nil {
		return nil, err
	}
	// Damage that is repaired entry by entry is found below, with its entries.
	found := slices.DeleteFunc(checked[0], func(d ledger.Damage) bool { return d.Type == "" && d.Entry == "" && d.Rebuild == "" })
	parts := []func() ([]ledger.Damage, error){
		func() ([]ledger.Damage, error) { return record.InspectLane(ctx, l.Organisation, string(l.Kind), name) },
		func() ([]ledger.Damage, error) { return paceEntries(ctx, rdb, l) },
		func() ([]ledger.Damage, error) { return scores(ctx, rdb, l) },
		func() ([]ledger.Damage, error) { return ofTasks(ctx, record, l) },
	}
	if all {
		parts = append(parts, func() ([]ledger.Damage, error) { return ofTargets(ctx, record, l) })
	}
	for _, part := range parts {
		more, err := part()
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	return found, nil
}

func paceEntries(ctx context.Context, rdb redis.UniversalClient, l registry.Lane) ([]ledger.Damage, error) {
	var found []ledger.Damage
	for _, part := range []struct {
		key   string
		wrong func(map[string]string) map[string]string
	}{
		{pace.LaneKey(l.Organisation, registry.Queue(l.Tenant, l.Kind, false)), pace.DamagedNumbers},
		{pace.MonthKey(l.Organisation), pace.DamagedMonths},
	} {
		hash, err := rdb.HGetAll(ctx, part.key).Result()
		if WrongType(err) {
			continue // it is found by its type
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", part.key, err)
		}
		found = append(found, entries(part.key, hash, part.wrong(hash))...)
	}
	return found, nil
}

// farScores are the sets of a queue whose scores are times, and how far ahead one can be.
var farScores = []struct {
	name string
	most time.Duration
}{
	{"retry", 7 * 24 * time.Hour},
	{"scheduled", 10 * 365 * 24 * time.Hour},
	{"archived", 24 * time.Hour},
	{"completed", 400 * 24 * time.Hour},
}

// farthest returns the latest time that a score of a key can be; false if its scores are
// no times.
func farthest(key string, now time.Time) (string, bool) {
	for _, set := range farScores {
		if strings.HasSuffix(key, "}:"+set.name) {
			return strconv.FormatInt(now.Add(set.most).Unix(), 10), true
		}
	}
	return "", false
}

// scores returns the members of asynq's sets whose time is too far ahead. They get the
// time of now.
func scores(ctx context.Context, rdb redis.UniversalClient, l registry.Lane) ([]ledger.Damage, error) {
	var found []ledger.Damage
	now := time.Now()
	for _, queue := range registry.Queues(l.Tenant, l.Kind) {
		for _, set := range farScores {
			key := backlog.Key(queue, set.name)
			members, err := rdb.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{
				Key: key, ByScore: true, Start: "(" + strconv.FormatInt(now.Add(set.most).Unix(), 10), Stop: "+inf", Count: ledger.Cluttered,
			}).Result()
			if WrongType(err) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", key, err)
			}
			for _, z := range members {
				id, _ := z.Member.(string)
				score := strconv.FormatFloat(z.Score, 'g', -1, 64)
				found = append(found, ledger.Damage{
					Key: key, Entry: id, Value: score, Becomes: strconv.FormatInt(now.Unix(), 10),
					What: fmt.Sprintf("the time of task %.80s is %s, which cannot be meant", id, score),
				})
			}
		}
	}
	return found, nil
}

// ofTasks looks at the keys of open tasks, and at their targets.
func ofTasks(ctx context.Context, record *ledger.Ledger, l registry.Lane) ([]ledger.Damage, error) {
	const page = 500
	var found []ledger.Damage
	seen := map[string]bool{}
	for cursor := uint64(0); ; {
		tasks, next, err := record.OpenTasks(ctx, l.Organisation, string(l.Kind), cursor, page)
		if WrongType(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		var keys []ledger.KeyType
		var targets []ledger.Target
		for _, t := range tasks {
			if t.Damaged || t.Queue == "" || seen[t.Change.TaskID] {
				continue
			}
			seen[t.Change.TaskID] = true
			keys = append(keys,
				ledger.KeyType{Key: backlog.Key(t.Queue, "t:"+t.Change.TaskID), Type: "hash"},
				ledger.KeyType{Key: ledger.AttemptsKey(t.Change.TaskID), Type: "hash"})
			targets = append(targets, t.Change.Target)
		}
		wrong, err := record.WrongTypes(ctx, keys)
		if err != nil {
			return nil, err
		}
		inTargets, err := record.InspectTargets(ctx, targets)
		if err != nil {
			return nil, err
		}
		found = append(append(found, wrong...), inTargets...)
		if cursor = next; cursor == 0 {
			return found, nil
		}
	}
}

// ofTargets looks at all targets of the lane's organisation and API.
func ofTargets(ctx context.Context, record *ledger.Ledger, l registry.Lane) ([]ledger.Damage, error) {
	const page = 1000
	var found []ledger.Damage
	for cursor := ""; ; {
		targets, next, err := record.Find(ctx, l.Organisation, string(l.Kind), "", cursor, page)
		if WrongType(err) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		for _, t := range targets {
			found = append(found, t.Damaged...)
		}
		if cursor = next; cursor == "" {
			return found, nil
		}
	}
}

package ledger

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/redis/go-redis/v9"
)

// index returns whether the indexes of a lane's dead letters list what there is. It looks
// twice: dead letters are added and removed in the meantime.
func (l *Ledger) index(ctx context.Context, keys deadKeys) (damage []Damage, err error) {
	for range 2 {
		if damage, err = l.lookAtIndex(ctx, keys); err != nil || len(damage) == 0 {
			return nil, err
		}
	}
	return damage, nil
}

func (l *Ledger) lookAtIndex(ctx context.Context, keys deadKeys) ([]Damage, error) {
	positions := map[string]string{}
	if err := l.eachEntry(ctx, keys.positions(), func(id, position string) { positions[id] = position }); err != nil {
		return nil, err
	}
	wrong, members, counts := 0, map[string]bool{}, map[string]int64{}
	for id, position := range positions {
		if len(position) <= instantLen {
			wrong++
			continue
		}
		members[position[:instantLen]+id] = true
		counts[position[instantLen:]]++
	}
	var held *redis.IntCmd
	var causes *redis.MapStringStringCmd
	kinds := map[string]*redis.StatusCmd{} // of the indexes by cause
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		held, causes = p.HLen(ctx, keys.bodies()), p.HGetAll(ctx, keys.causes())
		for of := range counts {
			kinds[of] = p.Type(ctx, keys.index(of))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ledger: read the dead letters of lane %s: %w", string(keys), err)
	}
	listed := l.rdb.ZScan(ctx, keys.index(""), 0, "", 1000).Iterator()
	for listed.Next(ctx) { // a member, and then its score
		member := listed.Val()
		if !listed.Next(ctx) || listed.Val() != "0" || !members[member] {
			wrong++
		}
		delete(members, member)
	}
	if err := listed.Err(); err != nil {
		return nil, fmt.Errorf("ledger: read the index of the dead letters of lane %s: %w", string(keys), err)
	}
	for _, kind := range kinds {
		if kind.Val() != "zset" {
			wrong++
		}
	}
	for of, text := range causes.Val() {
		if n, ok := number(text); !ok || n != counts[of] {
			wrong++
		}
		delete(counts, of)
	}
	wrong += len(members) + len(counts)
	if int(held.Val()) != len(positions) {
		wrong++
	}
	if wrong == 0 {
		return nil, nil
	}
	return []Damage{{
		Key: keys.index(""), Rebuild: string(keys),
		What: fmt.Sprintf("%d entries of the indexes do not fit the %d dead letters", wrong, held.Val()),
	}}, nil
}

// rebuild makes the indexes of a lane's dead letters again. One that is added or removed
// in between may be missing in them or left over: then it looks again.
func (l *Ledger) rebuild(ctx context.Context, keys deadKeys) error {
	for range 3 {
		if err := l.reindex(ctx, keys); err != nil {
			return err
		}
		if wrong, err := l.lookAtIndex(ctx, keys); err != nil || len(wrong) == 0 {
			return err
		}
	}
	return nil
}

// reindex makes the indexes of a lane's dead letters again. A dead letter that cannot be
// read is in them, with the class unreadable.
func (l *Ledger) reindex(ctx context.Context, keys deadKeys) error {
	lane := string(keys)
	causes, err := l.rdb.HKeys(ctx, keys.causes()).Result()
	if err != nil && !redis.HasErrorPrefix(err, "WRONGTYPE") {
		return fmt.Errorf("ledger: read the causes of lane %s: %w", lane, err)
	}
	all := map[string]DeadLetter{}
	err = l.eachEntry(ctx, keys.bodies(), func(id, text string) {
		d := readDeadLetter(lane, id, text)
		all[id], causes = d, append(causes, cause(d.Class, d.Code))
	})
	if err != nil {
		return err
	}
	old := []string{keys.index(""), keys.positions(), keys.causes()}
	for _, c := range causes {
		old = append(old, keys.index(c))
	}
	counts := map[string]int64{}
	_, err = l.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Del(ctx, old...)
		for _, id := range slices.Sorted(maps.Keys(all)) {
			d := all[id]
			at, of := instant(d.Last), cause(d.Class, d.Code)
			counts[of]++
			p.HSet(ctx, keys.positions(), id, at+of)
			for _, index := range []string{keys.index(""), keys.index(of)} {
				p.ZAdd(ctx, index, redis.Z{Member: at + id})
			}
		}
		for of, n := range counts {
			p.HSet(ctx, keys.causes(), of, n)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("ledger: make the index of the dead letters of lane %s again: %w", lane, err)
	}
	return nil
}

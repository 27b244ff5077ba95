package hold

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// announcedKey holds the holds that were announced, as "<field>@<start in Unix ms>", by
	// the time when they were last seen, Unix ms.
	announcedKey = "rollcall:holds:announced"
	// announceFor is how long after its start a hold is announced.
	announceFor = 24 * time.Hour
	// seenFor is how long a hold that was announced is remembered after its end.
	seenFor = 2 * announceFor
)

// Announce calls sink for each hold that is there and was not announced, and remembers
// those for which it returns nil. After a crash, or with several workers, sink may be
// called again with the same one. A hold that ends before the next call is not announced.
// Cost: two round trips.
func (b *Store) Announce(ctx context.Context, now time.Time, sink func(context.Context, Hold) error) error {
	if err := b.Refresh(ctx); err != nil {
		return err
	}
	holds := b.All()
	if len(holds) == 0 {
		return nil
	}
	members := make([]string, len(holds))
	for i, h := range holds {
		members[i] = h.ID()
	}
	scores, err := b.rdb.ZMScore(ctx, announcedKey, members...).Result()
	if err != nil {
		return fmt.Errorf("read the announced holds: %w", err)
	}
	var seen []redis.Z
	var faults []error
	for i, h := range holds {
		known := scores[i] != 0
		if !known && now.Sub(h.Since) < announceFor {
			if err := sink(ctx, h); err != nil {
				faults = append(faults, fmt.Errorf("announce the hold of %s: %w", h.Scope, err))
				continue
			}
		}
		if last := time.UnixMilli(int64(scores[i])); !known || now.Sub(last) > announceFor {
			seen = append(seen, redis.Z{Score: float64(now.UnixMilli()), Member: members[i]})
		}
	}
	if len(seen) > 0 {
		_, err := b.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			p.ZAdd(ctx, announcedKey, seen...)
			p.ZRemRangeByScore(ctx, announcedKey, "-inf", strconv.FormatInt(now.Add(-seenFor).UnixMilli(), 10))
			return nil
		})
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// ID identifies a hold from its start to its end.
func (h Hold) ID() string { return h.field() + "@" + strconv.FormatInt(h.Since.UnixMilli(), 10) }

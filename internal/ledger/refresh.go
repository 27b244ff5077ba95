package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// refreshEvery is how far apart the values of a tenant are confirmed.
const refreshEvery = time.Second

// SetRefresh sets which values a tenant confirms by a call from a time on, in this order, one
// a second, in place of those of the last SetRefresh. None that is left is confirmed after
// keep. A value is confirmed by a Delivery with Refresh, which gives way to any change that
// waits. All targets are of the sender's API. One round trip.
func (l *Ledger) SetRefresh(ctx context.Context, sender Sender, targets []Target, from time.Time, keep time.Duration) error {
	key := sender.target("").refresh(sender.Tenant)
	_, err := l.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Del(ctx, key)
		if len(targets) == 0 {
			return nil
		}
		members := make([]redis.Z, len(targets))
		for i, t := range targets {
			members[i] = redis.Z{Score: float64(from.Add(time.Duration(i) * refreshEvery).Unix()), Member: t.Key}
		}
		p.ZAdd(ctx, key, members...)
		p.PExpire(ctx, key, keep)
		return nil
	})
	if err != nil {
		return fmt.Errorf("ledger: note which values of %s are confirmed: %w", sender.Tenant, err)
	}
	return nil
}

// EndRefresh ends the refresh of a target whose value cannot be confirmed now. The next
// SetRefresh may be for it again. One round trip.
func (l *Ledger) EndRefresh(ctx context.Context, target Target, tenant string) error {
	if err := l.rdb.ZRem(ctx, target.refresh(tenant), target.Key).Err(); err != nil {
		return fmt.Errorf("ledger: end the refresh of a target: %w", err)
	}
	return nil
}

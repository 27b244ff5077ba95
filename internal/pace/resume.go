package pace

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// resumed is the notification that a lane's pause was ended early. It has two fields,
// so workers that do not know it ignore it.
const resumed = "resume"

// Resume ends the pauses of lanes for all workers, for a person who releases
// them. The next refusal pauses them again. Two round trips.
func Resume(ctx context.Context, rdb redis.UniversalClient, refs ...Ref) error {
	keys := make([]string, len(refs))
	for i, ref := range refs {
		keys[i] = LaneKey(ref.Organisation, ref.Lane)
	}
	if err := endPauses(ctx, rdb, keys...); err != nil {
		return err
	}
	_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, ref := range refs {
			p.Publish(ctx, channel, resumed+" "+ref.Lane)
		}
		return nil
	})
	if err != nil { // workers read it a moment later anyway
		return fmt.Errorf("pace: report the end of pauses to the workers: %w", err)
	}
	return nil
}

// ResumeAddress ends the pause of an address, but not those of its lanes.
func ResumeAddress(ctx context.Context, rdb redis.UniversalClient, name string) error {
	return endPauses(ctx, rdb, AddressKey(name))
}

// AddressPause returns the rest of the pause of an address; 0: none.
func AddressPause(ctx context.Context, rdb redis.UniversalClient, name string) (time.Duration, error) {
	now, err := rdb.Time(ctx).Result()
	if err != nil {
		return 0, fmt.Errorf("pace: read the time: %w", err)
	}
	until, err := pauses(ctx, rdb, AddressKey(name))
	return max(0, time.UnixMicro(until).Sub(now)), err
}

// endPauses skips a hash without a pause: writing to it would create a key that never
// expires.
func endPauses(ctx context.Context, rdb redis.UniversalClient, keys ...string) error {
	_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, key := range keys {
			p.HDel(ctx, key, "pause")
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("pace: end the pause of %d lanes: %w", len(keys), err)
	}
	return nil
}

// pauses returns the latest end of the pauses of the hashes, on Redis' clock; 0: none.
func pauses(ctx context.Context, rdb redis.UniversalClient, keys ...string) (int64, error) {
	ends := make([]*redis.StringCmd, len(keys))
	_, _ = rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, key := range keys {
			ends[i] = p.HGet(ctx, key, "pause")
		}
		return nil
	})
	latest := int64(0)
	var damaged DamagedError
	for i, end := range ends {
		if err := end.Err(); err != nil && !errors.Is(err, redis.Nil) {
			if err := damaged.judge(keys[i], err); err != nil {
				return 0, fmt.Errorf("pace: read the pauses: %w", err)
			}
			continue
		}
		// A pause that is no number is dropped by the next booking.
		if n, err := strconv.ParseInt(end.Val(), 10, 64); err == nil {
			latest = max(latest, n)
		}
	}
	return latest, damaged.err("read the pauses")
}

// LookAtPause detects that a pause which this process knows was ended early, even if
// the notification was lost. Cost: one round trip while the lane is paused, otherwise
// none.
func (l *Lane) LookAtPause(ctx context.Context) error {
	if !time.Now().Before(l.PausedUntil()) {
		return nil
	}
	keys := l.keys[:1]
	if a := l.cfg.Address; a != nil {
		keys = []string{l.keys[0], a.key}
	}
	until, err := pauses(ctx, l.rdb, keys...)
	if err != nil {
		return err
	}
	l.resume(l.clock.local(until))
	return nil
}

// resume shortens the pause of the lane: it ends at until at the latest.
func (l *Lane) resume(until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !until.Before(l.seen.pausedUntil) {
		return
	}
	l.seen.pausedUntil = until
	l.again = time.Time{}
	l.wake()
}

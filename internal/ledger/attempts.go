package ledger

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// attemptsKept is how long a task's counters outlive its last attempt.
const attemptsKept = 30 * 24 * time.Hour

// AttemptsKey is the Redis hash of the attempts of a task that failed.
func AttemptsKey(taskID string) string { return "rollcall:{" + taskID + "}:attempts" }

// CountAttempt adds one to the attempts of a task that failed with class, and returns
// how many there are now and when the first was. A task that succeeds at once costs
// nothing here. One round trip.
func (l *Ledger) CountAttempt(ctx context.Context, taskID, class string, now time.Time) (n int, first time.Time, err error) {
	key := AttemptsKey(taskID)
	var count *redis.IntCmd
	var since *redis.StringCmd
	_, err = l.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		count = p.HIncrBy(ctx, key, class, 1)
		p.HSetNX(ctx, key, class+":first", now.UnixMilli())
		since = p.HGet(ctx, key, class+":first")
		p.PExpire(ctx, key, attemptsKept)
		return nil
	})
	if err != nil {
		if damaging(err) {
			l.damage(key, "does not count attempts: those of the task are not bounded")
		}
		return 0, time.Time{}, fmt.Errorf("ledger: count an attempt: %w", err)
	}
	ms, err := since.Int64()
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("ledger: count an attempt: Redis holds %q as a time: %w", since.Val(), err)
	}
	return int(count.Val()), time.UnixMilli(ms), nil
}

func readAttempts(fields map[string]string) (counts map[string]int, first time.Time) {
	counts = map[string]int{}
	for field, text := range fields {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			continue
		}
		class, since := strings.CutSuffix(field, ":first")
		if !since {
			counts[class] = int(n)
		} else if at := time.UnixMilli(n); first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return counts, first
}

// ForgetAttempts removes a task's counters, once it has ended. One round trip.
func (l *Ledger) ForgetAttempts(ctx context.Context, taskID string) error {
	if err := l.rdb.Del(ctx, AttemptsKey(taskID)).Err(); err != nil {
		return fmt.Errorf("ledger: remove the attempts of a task: %w", err)
	}
	return nil
}

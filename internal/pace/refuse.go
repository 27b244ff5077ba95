package pace

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Refused takes into account that the platform refused a call for its rate: the
// lane pauses for all workers, and they learn. period is the length of the
// window that was exceeded, 0 if it is not known; after is how long the platform
// wants to be left alone, 0 if it did not say.
func (l *Lane) Refused(ctx context.Context, slot Slot, period, after time.Duration) (Lesson, error) {
	return l.interrupt(ctx, l.refuse, slot.at, period.Microseconds(), after.Microseconds())
}

// Pause keeps every worker from sending for d.
func (l *Lane) Pause(ctx context.Context, d time.Duration) (Lesson, error) {
	return l.interrupt(ctx, l.pause, d.Microseconds())
}

// Lesson is what became of the pace after a refusal.
type Lesson struct {
	Pause time.Duration // from now on
	// Share of the rate that is used, 0 to 1: below 1 somebody else takes calls
	// of the same quota, or it has become smaller.
	Share float64
	// Spread of the one-way delay that is assumed.
	Spread time.Duration
}

func (l *Lane) interrupt(ctx context.Context, script *redis.Script, args ...any) (Lesson, error) {
	answer, err := script.Run(ctx, l.rdb, l.keys, append(l.terms(), args...)...).Int64Slice()
	if err != nil {
		return Lesson{}, fmt.Errorf("pace: pause lane %s: %w", l.cfg.Name, err)
	}
	pause := time.Duration(answer[2]-answer[0]) * time.Microsecond
	l.void(answer[1], time.Now().Add(pause))
	lesson := Lesson{Pause: pause, Share: float64(answer[3]) / whole, Spread: time.Duration(answer[4]) * time.Microsecond}
	// A worker that misses the word voids its slots when it books the next.
	if err := l.rdb.Publish(ctx, channel, signal(l.cfg.Name, answer[1], pause)).Err(); err != nil {
		return lesson, fmt.Errorf("pace: tell the other workers of a pause of lane %s: %w", l.cfg.Name, err)
	}
	return lesson, nil
}

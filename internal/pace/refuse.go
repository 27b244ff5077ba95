package pace

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Refused records that the platform refused a call for its rate: the lane pauses for
// all workers, and they learn. period is the length of the exceeded window, 0 if
// unknown. after is how long the platform asks to wait, 0 if not given.
func (l *Lane) Refused(ctx context.Context, slot Slot, period, after time.Duration) (Lesson, error) {
	return l.interrupt(ctx, l.refuse, slot.at, period.Microseconds(), after.Microseconds())
}

// Pause stops the sends of all workers for d.
func (l *Lane) Pause(ctx context.Context, d time.Duration) (Lesson, error) {
	return l.interrupt(ctx, l.pause, d.Microseconds())
}

// Lesson is the state of the pace after a refusal.
type Lesson struct {
	Pause time.Duration // pause from now on
	// Share of the rate that is used, 0 to 1. Below 1, another client uses the same
	// quota, or the quota has become smaller.
	Share float64
	// Spread is the assumed spread of the one-way delay.
	Spread time.Duration
}

func (l *Lane) interrupt(ctx context.Context, script *redis.Script, args ...any) (Lesson, error) {
	values, err := script.Run(ctx, l.rdb, l.keys, append(l.terms(), args...)...).Slice()
	if err != nil {
		return Lesson{}, fmt.Errorf("pace: pause lane %s: %w", l.cfg.Name, diagnose(ctx, l.rdb, err, l.keys...))
	}
	var answer [5]int64
	if len(values) <= len(answer) {
		return Lesson{}, errAnswer
	}
	for i := range answer {
		answer[i], _ = values[i].(int64) // ours are
	}
	if dropped, _ := values[len(answer)].(string); dropped != "" {
		l.dropped(l.keys[0], dropped)
	}
	pause := time.Duration(answer[2]-answer[0]) * time.Microsecond
	l.void(answer[1], time.Now().Add(pause))
	lesson := Lesson{Pause: pause, Share: float64(answer[3]) / whole, Spread: time.Duration(answer[4]) * time.Microsecond}
	// A worker that misses the notification voids its slots at its next booking.
	if err := l.rdb.Publish(ctx, channel, signal(l.cfg.Name, answer[1], pause)).Err(); err != nil {
		return lesson, fmt.Errorf("pace: notify the other workers of a pause of lane %s: %w", l.cfg.Name, err)
	}
	return lesson, nil
}

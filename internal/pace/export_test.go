package pace

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

var ctx = context.Background()

// Ask books as the booker does, for any number of senders and without a word to
// them.
func (l *Lane) Ask(a Ask) (Reply, error) {
	args := append(l.terms(), a.Urgent, a.Bulk, Horizon.Microseconds(), bulkHorizon.Microseconds(), a.Known, a.KnownMonth, a.KnownSpent)
	for _, at := range a.NotBefore {
		args = append(args, at)
	}
	answer, err := l.book.Run(ctx, l.rdb, l.keys, args...).Slice()
	if err != nil {
		return Reply{}, err
	}
	return l.read(answer, time.Now(), time.Now())
}

// Refuse takes a refusal in, of a slot in microseconds of Redis' clock.
func (l *Lane) Refuse(r Refusal) error {
	return l.refuse.Run(ctx, l.rdb, l.keys, append(l.terms(), r.Slot, r.Period, r.After)...).Err()
}

// Give gives back at once.
func (l *Lane) Give(epoch int64, uncounted int, slots []int64) error {
	args := append(l.terms(), epoch, uncounted)
	for _, at := range slots {
		args = append(args, at)
	}
	err := l.give.Run(ctx, l.rdb, l.keys, args...).Err()
	if err == redis.Nil {
		return nil
	}
	return err
}

// Time is the slot's on Redis' clock, since 1970.
func (s Slot) Time() time.Duration { return time.Duration(s.at) * time.Microsecond }

package pace

import (
	"context"
	"time"

	"github.com/google/uuid"
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

// Give gives back at once, twice with the same word: as a client does whose
// answer was lost.
func (l *Lane) Give(returns ...Return) error {
	args := append(l.terms(), uuid.NewString())
	for _, r := range returns {
		args = append(args, r.Slot, r.Epoch, r.Counted)
	}
	for range 2 {
		if err := l.give.Run(ctx, l.rdb, l.keys, args...).Err(); err != nil {
			return err
		}
	}
	return nil
}

// Time is the slot's on Redis' clock, since 1970.
func (s Slot) Time() time.Duration { return time.Duration(s.at) * time.Microsecond }

package pace

import (
	"context"
	"time"

	"github.com/google/uuid"
)

var ctx = context.Background()

// Ask books like the booker, for any number of senders, and does not notify them.
func (l *Lane) Ask(a Ask) (Reply, error) {
	args := append(l.terms(), a.Urgent, a.Bulk, Horizon.Microseconds(), bulkHorizon.Microseconds(), a.Known, a.KnownMonth, a.KnownSpent, a.KnownEpoch)
	for _, at := range a.NotBefore {
		args = append(args, at)
	}
	answer, err := l.book.Run(ctx, l.rdb, l.keys, args...).Slice()
	if err != nil {
		return Reply{}, err
	}
	return l.read(answer, time.Now(), time.Now())
}

// Refuse reports a refusal of a slot, in microseconds of Redis' clock.
func (l *Lane) Refuse(r Refusal) error {
	return l.refuse.Run(ctx, l.rdb, l.keys, append(l.terms(), r.Slot, r.Period, r.After)...).Err()
}

// Give returns slots at once, twice with the same token: as a client does after a lost
// answer.
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

// Waiting returns how many senders wait for a slot, booked or not.
func (l *Lane) Waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.urgent) + len(l.bulk) + len(l.booked)
}

// Time returns the slot's time on Redis' clock, since 1970.
func (s Slot) Time() time.Duration { return time.Duration(s.at) * time.Microsecond }

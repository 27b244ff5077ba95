package deadletter

import (
	"context"
	"errors"
	"time"

	"rollcall/internal/ledger"
)

// Expire discards the dead letters of tasks that died before a time, writes an event,
// and returns how many there were. A page of them is in memory at a time. A dead letter
// that cannot be discarded, because its task is running or Redis failed, is left for
// the next call.
func (d *Service) Expire(ctx context.Context, before time.Time, reason, by string) (int, error) {
	counts := Counts{}
	failed := d.Each(ctx, Filter{Until: before}, func(dead []ledger.DeadLetter) error {
		counts.Add(d.Discard(ctx, dead))
		return ctx.Err()
	})
	n := 0
	for _, count := range counts {
		n += count
	}
	if n > 0 {
		failed = errors.Join(failed, d.Note(ctx, Discarded, counts, reason, by))
	}
	return n, failed
}

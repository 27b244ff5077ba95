package main

import (
	"context"
	"fmt"
	"time"

	"rollcall/internal/config"
	"rollcall/internal/deadletter"
)

// expireEvery is the interval of checks for old dead letters, unless they are kept
// without end.
const expireEvery = time.Hour

// expireDeadLetters returns what discards dead letters that are older than
// dead_letters.keep, now and every hour until its context ends.
func (w *worker) expireDeadLetters() func(context.Context) {
	keep := time.Duration(w.cfg.DeadLetters.Keep)
	if keep == 0 {
		return func(context.Context) {}
	}
	return func(ctx context.Context) { w.expireOlder(ctx, keep) }
}

func (w *worker) expireOlder(ctx context.Context, keep time.Duration) {
	service := deadletter.New(w.rdb, nil)
	service.OnDamage(w.lanes.Damaged)
	reason := fmt.Sprintf("older than dead_letters.keep, %s", config.Duration(keep))
	ticker := time.NewTicker(expireEvery)
	defer ticker.Stop()
	for {
		n, err := service.Expire(ctx, time.Now().Add(-keep), reason, workerName())
		if n > 0 {
			w.log.Warn("old dead letters discarded without a replay", "count", n, "keep", keep.String())
		}
		if err != nil && ctx.Err() == nil {
			w.log.Warn("old dead letters not all discarded; retry in an hour", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

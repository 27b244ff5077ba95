package main

import (
	"context"
	"fmt"
	"time"

	"rollcall/internal/config"
	"rollcall/internal/deadletter"
)

// expireEvery is how often old dead letters are looked for, where they are not
// kept for ever.
const expireEvery = time.Hour

// expireLetters discards dead letters that are older than the configuration says,
// now and every hour until ctx ends.
func (w *worker) expireDeadLetters(ctx context.Context) {
	keep := time.Duration(w.cfg.DeadLetters.Keep)
	if keep == 0 {
		return
	}
	service := deadletter.New(w.rdb, nil)
	reason := fmt.Sprintf("older than dead_letters.keep, %s", config.Duration(keep))
	ticker := time.NewTicker(expireEvery)
	defer ticker.Stop()
	for {
		n, err := service.Expire(ctx, time.Now().Add(-keep), reason, workerName())
		if n > 0 {
			w.log.Warn("dead letters that nobody dealt with were discarded", "count", n, "keep", keep.String())
		}
		if err != nil && ctx.Err() == nil {
			w.log.Warn("old dead letters could not all be discarded; the next hour tries again", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

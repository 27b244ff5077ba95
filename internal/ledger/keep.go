package ledger

import (
	"context"
	"sync"
	"time"
)

// keeper renews a mark. It costs a timer and no goroutine while the call is
// shorter than markRenewed.
type keeper struct {
	mark   *Mark
	ctx    context.Context //nolint:containedctx // that of the sends, which the timer outlives a call of Keep to renew for
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	timer   *time.Timer
	renewed time.Time
	ended   bool
	running sync.WaitGroup
}

// Keep renews the mark until stop is called. The context it returns ends with
// ErrLost as its cause when the mark is no longer ours or could not be renewed
// for as long as it lasts: whatever is being sent under it is cancelled. stop
// waits for a renewal under way.
func (m *Mark) Keep(ctx context.Context) (kept context.Context, stop func()) {
	kept, cancel := context.WithCancelCause(ctx)
	k := &keeper{mark: m, ctx: kept, cancel: cancel, renewed: time.Now()}
	k.mu.Lock()
	k.timer = time.AfterFunc(markRenewed, k.renew)
	k.mu.Unlock()
	return kept, k.stop
}

func (k *keeper) stop() {
	k.mu.Lock()
	k.ended = true
	k.timer.Stop()
	k.mu.Unlock()
	k.cancel(context.Canceled)
	k.running.Wait()
}

func (k *keeper) renew() {
	k.mu.Lock()
	if k.ended || k.ctx.Err() != nil {
		k.mu.Unlock()
		return
	}
	k.running.Add(1)
	k.mu.Unlock()
	defer k.running.Done()

	answer, err := k.mark.run(k.ctx, renew, markLasts.Milliseconds())
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case err == nil && answer == "ok":
		k.renewed = time.Now()
	case err == nil || time.Since(k.renewed) > markLasts-markRenewed:
		k.cancel(ErrLost)
		return
	}
	if !k.ended {
		k.timer.Reset(markRenewed)
	}
}

package ledger

import (
	"context"
	"errors"
	"sync"
	"time"
)

// renewer renews a lease. It costs a timer and no goroutine while the call is
// shorter than leaseRenewal.
type renewer struct {
	lease  *Lease
	ctx    context.Context //nolint:containedctx // that of the sends: the timer renews for it after Keep has returned
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	timer   *time.Timer
	renewed time.Time
	ended   bool
	running sync.WaitGroup
}

// Keep renews the lease until stop is called. The context it returns ends with
// ErrLeaseLost as its cause when another attempt has the lease, or when it could not be
// renewed for as long as it lasts: a send that uses the context is then cancelled.
// stop waits for a renewal that is running.
func (m *Lease) Keep(ctx context.Context) (kept context.Context, stop func()) {
	kept, cancel := context.WithCancelCause(ctx)
	r := &renewer{lease: m, ctx: kept, cancel: cancel, renewed: time.Now()}
	r.mu.Lock()
	r.timer = time.AfterFunc(leaseRenewal, func() {
		if m.ledger.guarded("the renewal of a lease", func() error { r.renew(); return nil }) != nil {
			r.cancel(ErrLeaseLost)
		}
	})
	r.mu.Unlock()
	return kept, r.stop
}

func (r *renewer) stop() {
	r.mu.Lock()
	r.ended = true
	r.timer.Stop()
	r.mu.Unlock()
	r.cancel(context.Canceled)
	r.running.Wait()
}

func (r *renewer) renew() {
	r.mu.Lock()
	if r.ended || r.ctx.Err() != nil {
		r.mu.Unlock()
		return
	}
	r.running.Add(1)
	r.mu.Unlock()
	defer r.running.Done()

	_, err := r.lease.run(r.ctx, "renew a lease", renew, leaseTime.Milliseconds())
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil:
		r.renewed = time.Now()
	case errors.Is(err, ErrLeaseLost), time.Since(r.renewed) > leaseTime-leaseRenewal:
		r.cancel(ErrLeaseLost)
		return
	}
	if !r.ended {
		r.timer.Reset(leaseRenewal)
	}
}

package api

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// leaseFor is how long a lease is kept without a renewal: so long does a request wait
	// whose worker died.
	leaseFor = 30 * time.Second
	// renewEvery leaves a lease two failed renewals.
	renewEvery = 10 * time.Second
	// releaseFor bounds the last write of a lease, which ignores the end of its request.
	releaseFor = 5 * time.Second
)

//go:embed lease.lua
var leaseLua string

var swapLease = redis.NewScript(leaseLua)

// leases are keys that one request at a time has, over all workers.
type leases struct{ rdb redis.UniversalClient }

// lease is a key that the caller has until release.
type lease struct {
	leases

	key, value string
	stop       context.CancelFunc
	stopped    chan struct{}
}

// take takes a key. If somebody else has it, taken is nil and held its value, or "" if that
// is not known.
func (l leases) take(ctx context.Context, key, value string) (taken *lease, held string, err error) {
	for range 3 { // the key may expire between the two commands
		ok, err := l.rdb.SetNX(ctx, key, value, leaseFor).Result()
		if err != nil {
			return nil, "", fmt.Errorf("take %s: %w", key, err)
		}
		if ok {
			t := &lease{leases: l, key: key, value: value, stopped: make(chan struct{})}
			renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
			t.stop = stop
			go t.renew(renewing)
			return t, "", nil
		}
		held, err := l.rdb.Get(ctx, key).Result()
		if err == nil {
			return nil, held, nil
		}
		if err != redis.Nil { //nolint:errorlint // go-redis returns it as it is
			return nil, "", fmt.Errorf("read %s: %w", key, err)
		}
	}
	return nil, "", nil // others take and release it all the time
}

// renew keeps the lease. A failed renewal is repeated: if all fail, the lease expires.
func (t *lease) renew(ctx context.Context) {
	defer close(t.stopped)
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			_ = t.swap(ctx, t.value, leaseFor)
		}
	}
}

func (t *lease) swap(ctx context.Context, value string, keep time.Duration) error {
	return swapLease.Run(ctx, t.rdb, []string{t.key}, t.value, value, keep.Milliseconds()).Err()
}

// release ends the lease. The key gets a last value, or is deleted if that is empty.
func (t *lease) release(ctx context.Context, value string, keep time.Duration) error {
	t.stop()
	<-t.stopped
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseFor)
	defer cancel()
	if err := t.swap(ctx, value, keep); err != nil {
		return fmt.Errorf("release %s: %w", t.key, err)
	}
	return nil
}

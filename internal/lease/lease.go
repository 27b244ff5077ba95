// Package lease has keys of Redis that one request or task at a time has, over all workers.
//
// It must not know what a lease is for.
package lease

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/redisdb"
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

// Leases are keys that one request or task at a time has, over all workers. It is safe for
// concurrent use.
type Leases struct {
	rdb    redis.UniversalClient
	shared *redisdb.Autopipeline // for the two steps of each request with an Idempotency-Key
}

// New returns the leases of a Redis.
func New(rdb redis.UniversalClient) Leases {
	return Leases{rdb: rdb, shared: redisdb.NewAutopipeline(rdb)}
}

// Lease is a key that the caller has until Release.
type Lease struct {
	leases     Leases
	key, value string
	stop       context.CancelFunc
	stopped    chan struct{}
}

// Take takes a key for a value that no other caller has. If somebody else has it, taken is
// nil and held its value, or "" if that is not known. One round trip, two if somebody has it.
func (l Leases) Take(ctx context.Context, key, value string) (taken *Lease, held string, err error) {
	for range 3 { // the key may expire between the two commands
		set := redis.NewBoolCmd(ctx, "set", key, value, "px", leaseFor.Milliseconds(), "nx")
		err := l.shared.Do(ctx, key, set)
		if err == nil {
			err = set.Err() // unless Do returned an error, the command has ended
		}
		if err != nil {
			return nil, "", fmt.Errorf("take %s: %w", key, err)
		}
		if set.Val() {
			return l.keep(ctx, key, value), "", nil
		}
		held, err := l.rdb.Get(ctx, key).Result()
		switch {
		case err == nil && held == value: // the answer to the first SET was lost
			return l.keep(ctx, key, value), "", nil
		case err == nil:
			return nil, held, nil
		case err != redis.Nil: //nolint:errorlint // go-redis returns it as it is
			return nil, "", fmt.Errorf("read %s: %w", key, err)
		}
	}
	return nil, "", nil // others take and release it all the time
}

// Taken reports whether somebody has a key. One round trip.
func (l Leases) Taken(ctx context.Context, key string) (bool, error) {
	err := l.rdb.Get(ctx, key).Err()
	if err == redis.Nil { //nolint:errorlint // go-redis returns it as it is
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read %s: %w", key, err)
	}
	return true, nil
}

// keep renews a lease until its release.
func (l Leases) keep(ctx context.Context, key, value string) *Lease {
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	t := &Lease{leases: l, key: key, value: value, stop: stop, stopped: make(chan struct{})}
	go t.renew(renewing)
	return t
}

// renew keeps the lease. A failed renewal is repeated: if all fail, the lease expires.
func (t *Lease) renew(ctx context.Context) {
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

func (t *Lease) swap(ctx context.Context, value string, keep time.Duration) error {
	return swapLease.Run(ctx, t.leases.shared, []string{t.key}, t.value, value, keep.Milliseconds()).Err()
}

// Release ends the lease. The key gets a last value, or is deleted if that is empty.
func (t *Lease) Release(ctx context.Context, value string, keep time.Duration) error {
	t.stop()
	<-t.stopped
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseFor)
	defer cancel()
	if err := t.swap(ctx, value, keep); err != nil {
		return fmt.Errorf("release %s: %w", t.key, err)
	}
	return nil
}

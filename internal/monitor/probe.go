package monitor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/redisdb"
)

const (
	// pingWithin bounds how long Redis is waited for: a kubelet's default timeout is 1
	// s.
	pingWithin = 800 * time.Millisecond
	// pingFresh is how long one answer of Redis serves all requests: the probe is open
	// to everyone, Redis is not.
	pingFresh = time.Second
)

func alive(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") }

func (c Config) ready(w http.ResponseWriter, r *http.Request) {
	if c.Ready != nil {
		if err := c.Ready(r.Context()); err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
	}
	fmt.Fprintln(w, "ready")
	if c.Notes != nil {
		for _, note := range c.Notes() {
			fmt.Fprintln(w, note)
		}
	}
}

// Readiness knows whether a worker takes tasks: it was started, it is not stopping, and
// its Redis answers and accepts writes. A lane on hold does not matter: the others
// work. Its methods are safe for concurrent use.
type Readiness struct {
	redis redis.UniversalClient

	mu     sync.Mutex // held during a ping, so that one serves all requests
	phase  phase
	reason string       // why a starting worker waits; empty: it does not wait
	also   func() error // further check of a started worker; nil: none
	pinged time.Time
	err    error
}

type phase uint8

const (
	starting phase = iota
	working
	stopping
)

// The errors of a worker that is not ready.
var (
	ErrStarting = errors.New("the lanes are not started yet")
	ErrStopping = errors.New("the worker is stopping")
	ErrRedis    = errors.New("redis unavailable")
)

// probeKey never exists: see [redisdb.Writable].
const probeKey = "rollcall:probe"

// NewReadiness returns the readiness of a worker that is starting. The caller
// closes rdb.
func NewReadiness(rdb redis.UniversalClient) *Readiness { return &Readiness{redis: rdb} }

// Waiting sets the reason why the lanes cannot be started yet. Everyone can read it.
func (r *Readiness) Waiting(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reason = reason
}

// Started records that the lanes take tasks. also is a further check from now on, whose
// error everyone may read; nil: none.
func (r *Readiness) Started(also func() error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.phase, r.also = working, also
}

// Stopping records that the worker stops.
func (r *Readiness) Stopping() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.phase = stopping
}

// Check returns nil, or an error that is ErrStarting, ErrStopping or ErrRedis. It pings
// Redis at most once a second, and waits less than a second.
func (r *Readiness) Check(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch r.phase {
	case starting:
		if r.reason != "" {
			return fmt.Errorf("%w: %s", ErrStarting, r.reason)
		}
		return ErrStarting
	case stopping:
		return ErrStopping
	case working:
	}
	if r.also != nil {
		if err := r.also(); err != nil {
			return fmt.Errorf("%w: %w", ErrRedis, err)
		}
	}
	if time.Since(r.pinged) >= pingFresh {
		// The caller may hang up, but the answer serves other requests, too.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingWithin)
		defer cancel()
		r.err = unavailable(redisdb.Writable(ctx, r.redis, probeKey))
		r.pinged = time.Now()
	}
	return r.err
}

// unavailable replaces the text of an error, which contains the address: everyone can
// read the result.
func unavailable(err error) error {
	if err == nil {
		return nil
	}
	if fault, passing := redisdb.FaultOf(err); passing {
		return fmt.Errorf("%w: %s", ErrRedis, fault)
	}
	return fmt.Errorf("%w: it rejects the worker's login; see the worker's log", ErrRedis)
}

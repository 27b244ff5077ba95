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
	// pingWithin bounds how long Redis is waited for; a kubelet gives up after 1 s
	// unless told otherwise.
	pingWithin = 800 * time.Millisecond
	// pingFresh is how long an answer serves all who ask: the probe is open to
	// anybody, Redis is not.
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
}

// Readiness knows whether a worker takes tasks: it was started, it does not stop,
// and its Redis answers and takes writes. A lane on hold is not its business: the
// others work. Its methods are safe for concurrent use.
type Readiness struct {
	redis redis.UniversalClient

	mu     sync.Mutex // held across a ping, so that one serves all
	phase  phase
	reason string       // why a worker that is starting waits; empty: it does not
	also   func() error // of a worker that was started; nil: nothing else
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

// probeKey is never there: see [redisdb.Writable].
const probeKey = "rollcall:probe"

// NewReadiness returns the readiness of a worker that is starting. The caller
// closes rdb.
func NewReadiness(rdb redis.UniversalClient) *Readiness { return &Readiness{redis: rdb} }

// Waiting reports why the lanes cannot be started yet. Anybody may read it.
func (r *Readiness) Waiting(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reason = reason
}

// Started reports that the lanes take tasks. also is what else Check asks from now
// on, for an error that anybody may read; nil: nothing.
func (r *Readiness) Started(also func() error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.phase, r.also = working, also
}

// Stopping reports that they do no longer.
func (r *Readiness) Stopping() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.phase = stopping
}

// Check returns nil, or an error that is ErrStarting, ErrStopping or ErrRedis. It
// asks Redis at most once a second, and for less than a second.
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
		// Whoever asked may hang up; the answer is for the others too.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingWithin)
		defer cancel()
		r.err = unavailable(redisdb.Writable(ctx, r.redis, probeKey))
		r.pinged = time.Now()
	}
	return r.err
}

// unavailable replaces the words of an error, which name the address: anybody may
// read the result.
func unavailable(err error) error {
	if err == nil {
		return nil
	}
	if fault, passing := redisdb.FaultOf(err); passing {
		return fmt.Errorf("%w: %s", ErrRedis, fault)
	}
	return fmt.Errorf("%w: it refuses the worker; see the worker's log", ErrRedis)
}

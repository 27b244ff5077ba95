package monitor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
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

// Readiness tells whether a worker takes tasks: it was started, it does not
// stop, and its Redis answers. A lane on hold is none of its business: the
// others work. Its methods are safe for concurrent use.
type Readiness struct {
	redis redis.UniversalClient

	mu     sync.Mutex // held across a ping, so that one asks for all
	phase  phase
	pinged time.Time
	err    error
}

type phase uint8

const (
	starting phase = iota
	working
	stopping
)

// What a worker that is not ready says.
var (
	ErrStarting = errors.New("the lanes are not started yet")
	ErrStopping = errors.New("the worker is stopping")
	ErrRedis    = errors.New("redis does not answer")
)

// NewReadiness returns the readiness of a worker that is starting. The caller
// closes rdb.
func NewReadiness(rdb redis.UniversalClient) *Readiness { return &Readiness{redis: rdb} }

// Started says that the lanes take tasks.
func (r *Readiness) Started() { r.enter(working) }

// Stopping says that they do no longer.
func (r *Readiness) Stopping() { r.enter(stopping) }

func (r *Readiness) enter(p phase) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.phase = p
}

// Check returns ErrStarting, ErrStopping, ErrRedis, or nil. It asks Redis at
// most once a second, and for less than a second.
func (r *Readiness) Check(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch r.phase {
	case starting:
		return ErrStarting
	case stopping:
		return ErrStopping
	case working:
	}
	if time.Since(r.pinged) >= pingFresh {
		// Whoever asked may hang up; the answer is for the others too.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingWithin)
		defer cancel()
		r.err = nil
		if r.redis.Ping(ctx).Err() != nil {
			// Its own words name the address, which is nobody's business here.
			r.err = ErrRedis
		}
		r.pinged = time.Now()
	}
	return r.err
}

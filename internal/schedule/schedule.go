// Package schedule runs automatic jobs: entries with a time and a zone, each of which
// enqueues a roster file or a list of ClassIn courses, or executes a [Job]. Each tick of
// an entry is carried out once, for any number of workers: one worker holds a lease and
// enqueues the ticks, and any worker carries them out. Redis' clock decides when a tick is
// due, and Redis records every tick ([Store]), so the workers' clocks do not matter.
//
// The package must not know platforms, lanes or the configuration, nor the meaning of a
// roster's rows or of a job: package roster turns rows into tasks, and package enqueue
// finds their queues.
package schedule

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/enqueue"
	"rollcall/internal/redisdb"
	"rollcall/internal/table"
)

const (
	// Queue is the asynq queue of ticks. No lane has a queue with this name.
	Queue = "rollcall.schedule"
	// Type is the asynq task type of a tick.
	Type = "schedule:tick"

	keyPrefix = "rollcall:{schedule}:"

	defaultLease = 15 * time.Second
	defaultGrace = 20 * time.Second
	// settling is what a stop needs after the grace period: a cancelled tick returns to
	// its queue.
	settling = 10 * time.Second
)

// Config configures a [Schedule].
type Config struct {
	// Entries may be empty: Replace can add some later. All workers of one Redis must
	// have the same; the entries of the worker that holds the lease apply.
	Entries []Entry
	// Redis is a single server, Sentinel or Cluster. Required. Run makes its own
	// clients and closes them.
	Redis *redis.UniversalOptions
	// Log receives messages about ticks and about the leader. nil: no log.
	Log *slog.Logger
	// Worker names this worker in the history of ticks. Empty: "worker".
	Worker string
	// Lease is how long a leader that does not renew it stays leader, by Redis' clock.
	// It is renewed three times as often. 0: 15 s.
	Lease time.Duration
	// Grace is how long a running tick may continue when Run is to end. 0: 20 s.
	Grace time.Duration
	// Waits are the waits between the attempts at a tick whose roster cannot be read or
	// whose tasks cannot be stored. After the last one the tick is a dead letter. nil:
	// 30 s, 1, 5, 10 and 15 min.
	Waits []time.Duration
	// Open opens a roster file. nil: [table.OpenFile].
	Open func(path string) (*table.Input, error)
}

// StopTakes returns the longest time that Run needs to return, for a Config with that
// Grace, 0 for the default. It must be below the stop timeout of the process.
func StopTakes(grace time.Duration) time.Duration { return cmp.Or(grace, defaultGrace) + settling }

// Schedule carries out entries at their times. Its methods are safe for concurrent use.
type Schedule struct {
	redis  redis.UniversalOptions
	log    *slog.Logger
	worker string
	lease  time.Duration
	grace  time.Duration
	waits  []time.Duration
	open   func(path string) (*table.Input, error)

	mu      sync.Mutex
	entries map[string]*planned
	changed chan struct{} // closed when entries are replaced
}

// New validates the entries without connecting to Redis. Its error has one line for
// each problem.
func New(config Config) (*Schedule, error) {
	if config.Redis == nil {
		return nil, errors.New("schedule: Config.Redis is nil: set the Redis to use")
	}
	entries, err := plan(config.Entries)
	if err != nil {
		return nil, err
	}
	s := &Schedule{
		redis: *config.Redis, log: config.Log, worker: cmp.Or(config.Worker, "worker"),
		lease: cmp.Or(config.Lease, defaultLease), grace: cmp.Or(config.Grace, defaultGrace), waits: config.Waits, open: config.Open,
		entries: entries, changed: make(chan struct{}),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.open == nil {
		s.open = table.OpenFile
	}
	if s.waits == nil {
		s.waits = []time.Duration{30 * time.Second, time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute}
	}
	return s, nil
}

// Replace replaces all entries, or none if any is invalid: its error lists all
// problems. A running tick is carried out unchanged. A new entry, or one with another
// time, has its first tick after the leader has taken it up.
func (s *Schedule) Replace(entries []Entry) error {
	next, err := plan(entries)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = next
	close(s.changed)
	s.changed = make(chan struct{})
	return nil
}

// current returns the entries, and a channel that is closed when they are replaced.
func (s *Schedule) current() (map[string]*planned, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entries, s.changed
}

// Run competes for the lease, enqueues ticks while it leads, and carries out ticks,
// until ctx ends. Then it lets a running tick finish, or cancels it after the grace
// period: the tick returns to its queue, and another worker, or this one after a
// restart, continues it. Call Run once.
//
// Run waits for a Redis that does not answer. An error means that Run could not start.
func (s *Schedule) Run(ctx context.Context) error {
	if !s.awaitEntries(ctx) {
		return nil
	}
	rdb := redisdb.New(&s.redis)
	defer s.close("client", rdb)
	producer, err := enqueue.New(enqueue.Config{Redis: &s.redis})
	if err != nil {
		return err
	}
	defer s.close("producer", producer)

	// The context of a tick ends later than ctx, by the grace period.
	running, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	c := &carrier{schedule: s, rdb: rdb, store: NewStore(rdb), producer: producer, running: running}
	own := redisdb.New(&s.redis)
	server := asynq.NewServer(redisdb.ConnOpt(own), c.serverConfig())
	if err := server.Start(asynq.HandlerFunc(c.process)); err != nil {
		s.close("server's client", own)
		return err
	}
	s.campaign(ctx, rdb)

	graceOver := time.AfterFunc(s.grace, func() {
		cut(errStopping)
		s.log.Warn("schedule: grace period of the stop is over; running tick cancelled, continued later", "grace", s.grace)
	})
	defer graceOver.Stop()
	server.Shutdown()
	return nil
}

func (s *Schedule) close(what string, c interface{ Close() error }) {
	if err := c.Close(); err != nil {
		s.log.Debug("schedule: connection not closed", "of", what, "err", err)
	}
}

// awaitEntries returns false if ctx ended before there were any entries. A worker
// without entries takes no ticks, because it could not carry them out.
func (s *Schedule) awaitEntries(ctx context.Context) bool {
	for {
		entries, changed := s.current()
		if len(entries) > 0 {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-changed:
		}
	}
}

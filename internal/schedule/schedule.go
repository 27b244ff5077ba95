// Package schedule is what happens by itself at night: entries with a time and
// a zone, each of which enqueues a roster file or a list of ClassIn courses.
// However many workers run, each tick of an entry is carried out once: one
// worker holds a lease and rings, and any of them carries out.
//
// It must not know platforms, lanes or the configuration, nor what a row of a
// roster means: rows become tasks in the roster's room, and tasks find their
// queues by themselves.
package schedule

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/enqueue"
	"rollcall/internal/redisdb"
	"rollcall/internal/table"
)

const (
	// Queue is the asynq queue of ticks. No lane's queue has its name.
	Queue = "rollcall.schedule"
	// Type is the asynq task type of a tick.
	Type = "schedule:tick"

	keyPrefix = "rollcall:{schedule}:"

	defaultLease = 15 * time.Second
	defaultGrace = 20 * time.Second
	// settling is what a stop takes beyond the grace: a tick that is cut off
	// goes back to its queue.
	settling = 10 * time.Second
)

// Config says what a [Schedule] does, and where.
type Config struct {
	// Entries may be empty: Replace can add some later. All workers of one Redis
	// must have the same: those of the worker that holds the lease count.
	Entries []Entry
	// Redis says where: a single server, Sentinel or Cluster. Required. Run
	// makes clients of its own from it, and closes them.
	Redis *redis.UniversalOptions
	// Log is told of ticks and of who leads. nil: nobody is.
	Log *slog.Logger
	// Now is the clock that names ticks. nil: time.Now.
	Now func() time.Time
	// Lease is how long a leader that fell silent stays leader, by Redis' clock.
	// It is renewed three times as often. 0: 15 s.
	Lease time.Duration
	// Grace is how long a running tick may go on when Run is to end. 0: 20 s.
	Grace time.Duration
	// Waits are those between the attempts at a tick whose roster cannot be
	// read or whose tasks cannot be stored; when they are used up it is a dead
	// letter. nil: 30 s, 1, 5, 10 and 15 min.
	Waits []time.Duration
	// Open opens a roster file. nil: [table.OpenFile].
	Open func(path string) (*table.Input, error)
}

// StopTakes is the longest that Run needs to return, for a Config with that
// Grace, 0 for the default: it belongs below the process' own stop timeout.
func StopTakes(grace time.Duration) time.Duration { return or(grace, defaultGrace) + settling }

// Schedule carries out entries at their times. Its methods are safe for
// concurrent use.
type Schedule struct {
	redis redis.UniversalOptions
	log   *slog.Logger
	now   func() time.Time
	lease time.Duration
	grace time.Duration
	waits []time.Duration
	open  func(path string) (*table.Input, error)

	mu      sync.Mutex
	entries map[string]*planned
	changed chan struct{} // closed when entries are replaced
	// covered is, by entry, the time up to which ticks are known to be enqueued.
	covered map[string]time.Time
}

// New judges the entries and connects to nothing. Its error lists everything
// wrong with them, a line each.
func New(config Config) (*Schedule, error) {
	if config.Redis == nil {
		return nil, errors.New("schedule: Config.Redis is nil: say which Redis")
	}
	entries, err := plan(config.Entries)
	if err != nil {
		return nil, err
	}
	s := &Schedule{
		redis: *config.Redis, log: config.Log, now: config.Now,
		lease: or(config.Lease, defaultLease), grace: or(config.Grace, defaultGrace), waits: config.Waits, open: config.Open,
		entries: entries, changed: make(chan struct{}), covered: map[string]time.Time{},
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.open == nil {
		s.open = table.OpenFile
	}
	if s.waits == nil {
		s.waits = []time.Duration{30 * time.Second, time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute}
	}
	return s, nil
}

func or(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

// Replace puts other entries in the place of all that there are, or none if any
// is wrong: its error lists everything wrong with them. A tick under way is
// carried out as it was. A new entry, or one at another time, has its first tick
// after the call.
func (s *Schedule) Replace(entries []Entry) error {
	next, err := plan(entries)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for name, p := range next {
		if before, there := s.entries[name]; !there || before.spec() != p.spec() {
			s.covered[name] = now
		}
	}
	maps.DeleteFunc(s.covered, func(name string, _ time.Time) bool { return next[name] == nil })
	s.entries = next
	close(s.changed)
	s.changed = make(chan struct{})
	return nil
}

// current returns the entries, and a channel that is closed when they are not
// that any more.
func (s *Schedule) current() (map[string]*planned, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entries, s.changed
}

// Run stands for election, rings while it leads, and carries out ticks, until
// ctx ends. It then lets a tick under way finish, or cuts it off after the
// grace: such a one goes back to its queue and is carried on, by another worker
// or by this one when it is back. It is called once.
//
// A Redis that does not answer is waited for. An error means that Run could not
// begin.
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

	// What a tick runs in outlives ctx, by the grace.
	running, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	c := &carrier{schedule: s, rdb: rdb, producer: producer, running: running}
	own := redisdb.New(&s.redis)
	server := asynq.NewServer(redisdb.ConnOpt(own), c.serverConfig())
	if err := server.Start(asynq.HandlerFunc(c.process)); err != nil {
		s.close("server's client", own)
		return err
	}
	s.campaign(ctx, rdb)

	graceOver := time.AfterFunc(s.grace, func() {
		cut(errStopping)
		s.log.Warn("schedule: the grace of the stop is over: a tick under way is cut off and carried on later", "grace", s.grace)
	})
	defer graceOver.Stop()
	server.Shutdown()
	return nil
}

func (s *Schedule) close(what string, c interface{ Close() error }) {
	if err := c.Close(); err != nil {
		s.log.Debug("a connection of the schedule did not close", "of", what, "err", err)
	}
}

// awaitEntries returns false if ctx ended before there were any. A worker without
// entries takes no ticks: it would not know what they stand for.
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

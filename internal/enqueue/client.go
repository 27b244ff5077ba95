// Package enqueue stores tasks for the workers: it takes a revision for each, enqueues
// it in asynq, and records it in the ledger as the latest change of its target.
//
// It must not know any platform, nor how a task is executed.
package enqueue

import (
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/ledger"
	"rollcall/internal/redisdb"
	"rollcall/internal/registry"
)

const (
	// maxRetry is never reached: asynq archives on its last attempt regardless of the
	// error, so the worker counts attempts itself.
	maxRetry = 1 << 20
	// taskTimeout is the last resort against a handler that hangs. It is far above the
	// worker's own deadline, which normally ends a task.
	taskTimeout = 30 * time.Minute
	// retention keeps a task's id taken after the task is done, for longer than the
	// time between the first send and a second one.
	retention = 10 * time.Minute

	// defaultConcurrency is eight chunks: enough for 2 ms to Redis and back.
	defaultConcurrency = 8 * chunk
	// connections is the size of the pools: each caller of Enqueue needs one at a time.
	connections = 32
	// noteBound is how long the notes after a stored task may take: longer than
	// go-redis waits for an answer, so that it can retry after a lost one.
	noteBound = 12 * time.Second
)

// Config configures a [Client].
type Config struct {
	// Redis is a single server, Sentinel or Cluster. Required. The client makes its
	// own connections and sets MaxRetries itself.
	Redis *redis.UniversalOptions
	// Concurrency is about how many tasks EnqueueAll has underway at a time, in chunks of
	// 64: it waits for answers before it sends more. 0: 512.
	Concurrency int
	// Now returns the time, for the age of the cached lanes. nil: time.Now.
	Now func() time.Time
}

// Client enqueues tasks. It is safe for concurrent use.
type Client struct {
	rdb     redis.UniversalClient // for commands that may be retried
	store   *store                // for the command that must not be retried
	ledger  *ledger.Ledger
	lanes   *registry.Directory
	keys    reservations
	now     func() time.Time
	abreast int // chunks at a time
}

// New returns a client. The first task connects, not New.
func New(config Config) (*Client, error) {
	if config.Redis == nil {
		return nil, errors.New("producer: Config.Redis is nil: name the Redis to use")
	}
	now := config.Now
	if now == nil {
		now = time.Now
	}
	concurrency := config.Concurrency
	if concurrency <= 0 {
		concurrency = defaultConcurrency
	}
	options := *config.Redis
	if options.PoolSize == 0 {
		options.PoolSize = connections // otherwise callers would wait for connections
	}
	rdb := redisdb.New(&options)
	return &Client{
		rdb:     rdb,
		store:   newStore(options, now),
		ledger:  ledger.New(rdb),
		lanes:   registry.NewDirectory(rdb, now),
		keys:    reservations{rdb: rdb},
		now:     now,
		abreast: (concurrency + chunk - 1) / chunk,
	}, nil
}

// Close closes the client's connections.
func (c *Client) Close() error { return errors.Join(c.rdb.Close(), c.store.rdb.Close()) }

// Package enqueue stores tasks for the workers: it takes a revision for each, puts
// it into asynq, and notes it in the ledger as the latest change of its target.
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
	// maxRetry is out of reach: asynq archives on the last attempt whatever
	// the error, so the worker counts attempts by itself.
	maxRetry = 1 << 20
	// taskTimeout is the last resort against a handler that hangs. It is far
	// above the worker's own deadline, which is what ends a task as a rule.
	taskTimeout = 30 * time.Minute
	// retention keeps a task's id taken after the task is done, for longer
	// than a second send can come after the first.
	retention = 10 * time.Minute

	defaultConcurrency = 32
	// noteBound is how long the notes after a stored task may take: more than
	// go-redis waits for an answer, so that a lost one is asked for again.
	noteBound = 12 * time.Second
)

// Config configures a [Client].
type Config struct {
	// Redis is a single server, Sentinel or Cluster. Required. The client makes its
	// own connections and sets MaxRetries itself.
	Redis *redis.UniversalOptions
	// Concurrency is how many tasks EnqueueAll stores at a time. 0: 32.
	Concurrency int
	// Now is the clock that the age of the cached lanes is read from. nil: time.Now.
	Now func() time.Time
}

// Client enqueues tasks. It is safe for concurrent use.
type Client struct {
	rdb         redis.UniversalClient // for commands that may be repeated
	store       *store                // for the one that may not
	ledger      *ledger.Ledger
	lanes       *registry.Directory
	keys        reservations
	now         func() time.Time
	concurrency int
}

// New returns a client. It does not connect: the first task does.
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
		options.PoolSize = concurrency // or callers would wait for connections
	}
	rdb := redisdb.New(&options)
	return &Client{
		rdb:         rdb,
		store:       newStore(options, now),
		ledger:      ledger.New(rdb),
		lanes:       registry.NewDirectory(rdb, now),
		keys:        reservations{rdb: rdb},
		now:         now,
		concurrency: concurrency,
	}, nil
}

// Close closes the client's connections.
func (c *Client) Close() error { return errors.Join(c.rdb.Close(), c.store.rdb.Close()) }

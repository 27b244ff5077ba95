// Package producer is how a Go service enqueues tasks: a client that stores them in
// Redis for the workers. Package tasks defines what it stores.
//
//	client, err := producer.New(producer.Config{Redis: &redis.UniversalOptions{Addrs: []string{"127.0.0.1:6379"}}})
//	...
//	defer client.Close()
//	result, err := client.Enqueue(ctx, tasks.NicknameSync{...}, tasks.Options{Key: "order-4711"})
//
// A program that links it links no platform and no worker.
package producer

import (
	"context"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/enqueue"
	"rollcall/tasks"
)

// Config configures a [Client].
type Config struct {
	// Redis is a single server, Sentinel or Cluster. Required. The client makes its
	// own connections and sets MaxRetries itself.
	Redis *redis.UniversalOptions
	// Concurrency is about how many tasks EnqueueAll has underway at a time, in chunks of
	// 64. 0: 512.
	Concurrency int
}

// Client enqueues tasks. It is safe for concurrent use.
type Client struct{ enqueue *enqueue.Client }

// New returns a client. It does not connect: the first task does.
func New(config Config) (*Client, error) {
	client, err := enqueue.New(enqueue.Config{Redis: config.Redis, Concurrency: config.Concurrency})
	if err != nil {
		return nil, err
	}
	return &Client{client}, nil
}

// Enqueue stores a task for the workers. The error is that of the result.
func (c *Client) Enqueue(ctx context.Context, task tasks.Task, options tasks.Options) (tasks.Result, error) {
	return c.enqueue.Enqueue(ctx, task, options)
}

// EnqueueAll stores many tasks and returns a result for each, in their order. Of
// the tasks for one target the last one wins; different targets are stored
// concurrently.
//
// A batch is not all or nothing: each task has its own result. When ctx ends, the
// tasks that were not sent yet are NotStored.
func (c *Client) EnqueueAll(ctx context.Context, requests []tasks.Request) []tasks.Result {
	return c.enqueue.EnqueueAll(ctx, requests)
}

// Check validates a request as EnqueueAll does before it stores anything: by
// itself, and by what its lane allows. The error is a [*tasks.ValidationError], a
// [*tasks.KeyError], a [*tasks.UnservedError], or a [*tasks.StoreError] if Redis
// cannot be read. A key that was used for another task is only found when the task
// is stored.
func (c *Client) Check(ctx context.Context, request tasks.Request) error {
	return c.enqueue.Check(ctx, request)
}

// Close closes the client's connections.
func (c *Client) Close() error { return c.enqueue.Close() }

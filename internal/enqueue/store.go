package enqueue

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/redisdb"
	"rollcall/tasks"
)

const (
	// settleBound is how long the second send, which finds out the result of the first,
	// may take. The caller's own deadline does not bound it: that deadline may have
	// ended the first send.
	settleBound = 5 * time.Second
	// producerLife bounds how long a queue can stay invisible: an asynq client adds a
	// queue to asynq:queues only once, so no page and no inspector sees a queue that is
	// deleted and filled again.
	producerLife = 30 * time.Second
)

// store enqueues tasks in asynq, one send at a time, and knows the result of each: its
// Redis client never retries a command, and a hook keeps the errors that asynq turns
// into text.
type store struct {
	rdb redis.UniversalClient
	now func() time.Time
	// provable means that a dial error proves that nothing was sent. A Cluster's client
	// follows redirections and sends more than once.
	provable bool

	mu       sync.Mutex
	producer *asynq.Client
	born     time.Time
}

// newStore creates its own client: a client of the caller may not have the two
// properties above.
func newStore(options redis.UniversalOptions, now func() time.Time) *store {
	options.MaxRetries = -1
	rdb := redisdb.New(&options)
	rdb.AddHook(witness{})
	_, cluster := rdb.(*redis.ClusterClient)
	return &store{rdb: rdb, now: now, provable: !cluster}
}

func (s *store) client() *asynq.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.now(); s.producer == nil || now.Sub(s.born) >= producerLife {
		// The client owns no connection: closing is left to the Redis client.
		s.producer, s.born = asynq.NewClientFromRedisClient(s.rdb), now
	}
	return s.producer
}

// put stores a task whose options contain its id and a retention, so that its id stays
// taken long after any send of it.
//
// inferred reports that the first answer was lost and the second send found the id
// taken: by our own task, unless other clients store with the same id.
func (s *store) put(ctx context.Context, task *asynq.Task, options []asynq.Option) (outcome tasks.Outcome, inferred bool, err error) {
	if err := ctx.Err(); err != nil {
		return tasks.NotStored, false, err
	}
	first := s.send(ctx, task, options)
	if first.command == "sadd" && first.raw != nil && !isReply(first.raw) {
		first = s.send(ctx, task, options) // the task was not sent yet: no unknown outcome
	}
	switch {
	case first.err == nil:
		return tasks.Stored, false, nil
	case errors.Is(first.err, asynq.ErrTaskIDConflict):
		return tasks.AlreadyThere, false, nil
	case first.unsent(s.provable):
		return tasks.NotStored, false, first.cause()
	}

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleBound)
	defer cancel()
	second := s.send(ctx, task, options)
	switch {
	case second.err == nil:
		return tasks.Stored, false, nil
	case errors.Is(second.err, asynq.ErrTaskIDConflict):
		return tasks.Stored, true, nil
	}
	return tasks.NotKnown, false, fmt.Errorf("%w; and at the second send: %w", first.cause(), second.cause())
}

func (s *store) send(ctx context.Context, task *asynq.Task, options []asynq.Option) *sending {
	var seen sending
	_, seen.err = s.client().EnqueueContext(context.WithValue(ctx, sendingKey{}, &seen), task, options...)
	return &seen
}

// over reports whether asynq has finished an existing task; false if unknown. Cost: two
// round trips.
func (s *store) over(queue, id string) bool {
	info, err := asynq.NewInspectorFromRedisClient(s.rdb).GetTaskInfo(queue, id)
	return err == nil && (info.State == asynq.TaskStateCompleted || info.State == asynq.TaskStateArchived)
}

// sending is one pass through asynq: the errors of asynq and of go-redis.
type sending struct {
	err     error
	command string // the last command that failed, in lower case
	raw     error  // its error; nil if no command failed
}

type sendingKey struct{}

func (s *sending) cause() error {
	if s.raw != nil {
		return s.raw
	}
	return s.err
}

// unsent reports whether this pass has certainly not stored the task.
func (s *sending) unsent(provable bool) bool {
	switch {
	case s.raw == nil:
		return true // asynq rejected it before any command
	case s.command == "sadd":
		return true // this command precedes the task, which then is not sent
	case isReply(s.raw):
		return true // Redis read the command and rejected it
	case errors.Is(s.raw, redis.ErrClosed), errors.Is(s.raw, redis.ErrPoolTimeout), errors.Is(s.raw, redis.ErrPoolExhausted):
		return true // there was no connection to send it on
	}
	_, undialled := errors.AsType[*dialError](s.raw)
	if fault, _ := redisdb.FaultOf(s.raw); fault == redisdb.TooManyClients {
		undialled = true // Redis closed the connection before it read from it
	}
	return undialled && provable
}

func isReply(err error) bool {
	_, ok := errors.AsType[redis.Error](err)
	return ok
}

// dialError distinguishes an error before a connection existed from one on it. The net
// package does so only for TCP, not for TLS, Sentinel or a proxy.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// witness is a hook that keeps raw errors.
type witness struct{}

func (witness) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		if err != nil {
			return nil, &dialError{err}
		}
		return conn, nil
	}
}

func (witness) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if seen, ok := ctx.Value(sendingKey{}).(*sending); ok {
			seen.command, seen.raw = cmd.Name(), err
		}
		return err
	}
}

func (witness) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

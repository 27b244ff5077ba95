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

// store enqueues tasks in asynq, and knows the result of each. asynq encodes them for a
// client that records its commands, which then share one pipeline: one round trip,
// however many tasks. The pipeline is never retried by the Redis client.
type store struct {
	rdb     redis.UniversalClient
	records *recorder
	now     func() time.Time
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
	return &store{rdb: rdb, records: &recorder{UniversalClient: rdb}, now: now, provable: !cluster}
}

func (s *store) client() *asynq.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.now(); s.producer == nil || now.Sub(s.born) >= producerLife {
		// The client owns no connection: closing is left to the Redis client.
		s.producer, s.born = asynq.NewClientFromRedisClient(s.records), now
	}
	return s.producer
}

// storing is a task on its way into asynq, whose options contain its id and a retention,
// so that its id stays taken long after any send of it.
type storing struct {
	task    *asynq.Task
	options []asynq.Option
	command recorded // by which asynq stores it

	outcome tasks.Outcome
	// inferred reports that the first answer was lost and the second send found the id
	// taken: by our own task, unless other clients store with the same id.
	inferred bool
	err      error // of NotStored and NotKnown
}

// put stores tasks, in their order. One round trip; two if an answer was lost.
func (s *store) put(ctx context.Context, all ...*storing) {
	var sent []*storing
	for _, t := range all {
		t.outcome, t.inferred, t.err = tasks.NotStored, false, ctx.Err()
		if t.err == nil {
			if err := guarded(func() { t.command, t.err = s.encode(ctx, t) }); err != nil {
				t.err = err
			}
		}
		if t.err == nil {
			sent = append(sent, t)
		}
	}
	lost := sent[:0:0]
	s.send(ctx, sent)
	for _, t := range sent {
		switch err := t.command.err; {
		case err == nil && t.command.stored:
			t.outcome = tasks.Stored
		case err == nil:
			t.outcome = tasks.AlreadyThere
		case unsent(err, s.provable):
			t.err = err
		default:
			t.outcome, t.err = tasks.NotKnown, err
			lost = append(lost, t)
		}
	}
	if len(lost) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleBound)
	defer cancel()
	s.send(ctx, lost)
	for _, t := range lost {
		switch err := t.command.err; {
		case err != nil:
			t.err = fmt.Errorf("%w; and at the second send: %w", t.err, err)
		default: // a task that is there is that of the first send
			t.outcome, t.inferred, t.err = tasks.Stored, !t.command.stored, nil
		}
	}
}

// encode returns the command by which asynq stores a task. asynq adds the queue of the
// first task to its list of queues, at once: if that fails, the task was not sent.
func (s *store) encode(ctx context.Context, t *storing) (recorded, error) {
	for again := false; ; again = true {
		var r recorded
		_, err := s.client().EnqueueContext(context.WithValue(ctx, recordedKey{}, &r), t.task, t.options...)
		switch {
		case err == nil:
			return r, nil
		case r.listing == nil:
			return r, err // asynq rejected it before any command
		case again || isReply(r.listing):
			return r, r.listing
		}
	}
}

// send sends the commands of tasks in one pipeline, and once more those whose script Redis
// does not know.
func (s *store) send(ctx context.Context, all []*storing) {
	how := func(r *recorded) []any { return []any{"evalsha", r.sha} }
	for range 2 {
		s.pipeline(ctx, all, how)
		var unknown []*storing
		for _, t := range all {
			if redis.HasErrorPrefix(t.command.err, "NOSCRIPT") {
				unknown = append(unknown, t)
			}
		}
		if len(unknown) == 0 {
			return
		}
		all = unknown
		how = func(r *recorded) []any { return []any{"eval", s.records.text(r.sha)} }
	}
}

func (s *store) pipeline(ctx context.Context, all []*storing, how func(*recorded) []any) {
	commands := make([]*redis.Cmd, len(all))
	_, _ = s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, t := range all {
			args := append(how(&t.command), len(t.command.keys))
			for _, key := range t.command.keys {
				args = append(args, key)
			}
			commands[i] = redis.NewCmd(ctx, append(args, t.command.args...)...)
			commands[i].SetFirstKeyPos(3) // a Cluster finds the node by this key
			_ = p.Process(ctx, commands[i])
		}
		return nil
	}) // each command has its own error
	for i, t := range all {
		// go-redis notes the loss of a connection at the commands before it, too.
		n, answered := commands[i].Val().(int64)
		if t.command.stored, t.command.err = n == 1, nil; !answered {
			t.command.err = commands[i].Err()
		}
	}
}

// over reports whether asynq has finished an existing task; false if unknown. Cost: two
// round trips.
func (s *store) over(queue, id string) bool {
	info, err := asynq.NewInspectorFromRedisClient(s.rdb).GetTaskInfo(queue, id)
	return err == nil && (info.State == asynq.TaskStateCompleted || info.State == asynq.TaskStateArchived)
}

// unsent reports whether a command that failed has certainly not stored its task.
func unsent(err error, provable bool) bool {
	switch {
	case isReply(err):
		return true // Redis read the command and rejected it
	case errors.Is(err, redis.ErrClosed), errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrPoolExhausted):
		return true // there was no connection to send it on
	}
	_, undialled := errors.AsType[*dialError](err)
	if fault, _ := redisdb.FaultOf(err); fault == redisdb.TooManyClients {
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

// witness is a hook that marks errors of dialling.
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

func (witness) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (witness) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

package tasks

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/ledger"
	"rollcall/internal/redisdb"
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
	// noteBound is how long the notes after a stored task may take.
	noteBound = 5 * time.Second
)

// ClientConfig is what a [Client] is made of.
type ClientConfig struct {
	// Redis says where: a single server, Sentinel or Cluster. Required. The
	// client makes its own connections and sets MaxRetries for itself.
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
	lanes       directory
	keys        reservations
	now         func() time.Time
	concurrency int
}

// NewClient returns a client. It does not connect: the first task does.
func NewClient(config ClientConfig) (*Client, error) {
	if config.Redis == nil {
		return nil, errors.New("tasks client: ClientConfig.Redis is nil: say which Redis")
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
		lanes:       directory{rdb: rdb, now: now},
		keys:        reservations{rdb: rdb},
		now:         now,
		concurrency: concurrency,
	}, nil
}

// Close closes the client's connections.
func (c *Client) Close() error { return errors.Join(c.rdb.Close(), c.store.rdb.Close()) }

// Options say how a task is enqueued. The zero value: now, not urgent, no key.
type Options struct {
	// Urgent puts the task before all that are not.
	Urgent bool
	// At is the time before which the task does not run, give or take a second.
	// Its place among the wishes for its target is that of the moment it was
	// enqueued: a wish enqueued later wins, even if it is carried out earlier.
	At time.Time
	// Key is the caller's own name for this request: within KeyLife a tenant's
	// task with the same key is stored once, whatever became of the first.
	// Empty: each call stores a task.
	Key string
}

// Request is one task of a batch.
type Request struct {
	Task    Task
	Options Options
}

// Validate judges a request as far as that goes without Redis.
func (r Request) Validate(limits Limits) error {
	if _, _, ok := laneOf(r.Task); !ok {
		return errNotATask(r.Task)
	}
	if err := checkKey(r.Options.Key); err != nil {
		return err
	}
	return r.Task.Validate(limits)
}

// Enqueue stores a task for the workers. The error is the result's own.
func (c *Client) Enqueue(ctx context.Context, task Task, options Options) (Result, error) {
	result := c.enqueue(ctx, Request{Task: task, Options: options})
	return result, result.Err
}

func (c *Client) enqueue(ctx context.Context, r Request) Result {
	lane, err := c.admit(ctx, r)
	if result, ok := admission(err); !ok {
		return result
	}
	p := placement{tenant: lane.Tenant, key: r.Options.Key}
	p.held = reservation{ID: uuid.NewString(), Queue: Queue(lane.Tenant, lane.Kind, r.Options.Urgent)}
	if p.key != "" {
		if p.held.Digest, err = digest(r.Task); err != nil {
			return refused(err)
		}
		held, err := c.keys.take(ctx, p.tenant, p.key, p.held)
		if isRefusal(err) {
			return refused(err)
		}
		if err != nil {
			return p.notStored("reserve its key", err)
		}
		if p.held = held; held.State == stateStored {
			return Result{Outcome: AlreadyThere, TaskID: held.ID, Queue: held.Queue}
		}
	}
	return c.place(ctx, r, lane, p)
}

// admit judges a request by itself and by what its lane allows.
func (c *Client) admit(ctx context.Context, r Request) (Lane, error) {
	tenant, kind, _ := laneOf(r.Task)
	if !ValidTenant(tenant) { // also of what is no task at all
		return Lane{}, r.Validate(Limits{})
	}
	lane, laneErr := c.lanes.find(ctx, tenant, kind)
	limits := Limits{NicknameMax: lane.NicknameMax}
	if laneErr != nil && !isRefusal(laneErr) {
		limits.NicknameMax = math.MaxInt // what the lane allows is not known
	}
	if err := r.Validate(limits); err != nil {
		return Lane{}, err
	}
	if laneErr != nil && !isRefusal(laneErr) {
		return Lane{}, &StoreError{
			Outcome: NotStored, Step: "look up the lane",
			Queue: Queue(tenant, kind, r.Options.Urgent), Keyed: r.Options.Key != "", Err: laneErr,
		}
	}
	return lane, laneErr
}

// placement is where a task goes: its id and queue, and the key they hang on.
type placement struct {
	tenant, key string
	held        reservation
	again       bool // the id follows from that of a task that was stored before
}

// shared tells that others may store under the same id.
func (p placement) shared() bool { return p.key != "" || p.again }

func (p placement) notStored(step string, err error) Result {
	return Result{Outcome: NotStored, Queue: p.held.Queue, Err: &StoreError{
		Outcome: NotStored, Step: step, Queue: p.held.Queue, Keyed: p.key != "", Err: err,
	}}
}

func (p placement) notKnown(err error) error {
	return &StoreError{
		Outcome: NotKnown, Step: "store it",
		Queue: p.held.Queue, TaskID: p.held.ID, Keyed: p.shared(), Err: err,
	}
}

func (c *Client) place(ctx context.Context, r Request, lane Lane, p placement) Result {
	target, fields := r.Task.Wish(lane.Organisation)
	wish := ledger.Wish{Target: target, Fields: fields, TaskID: p.held.ID, Later: r.Options.At.After(c.now())}
	revised := c.ledger.Revise(ctx, wish)[0]
	if revised.Err != nil {
		return p.notStored("take a revision", revised.Err)
	}
	revision := revised.Revision
	typename, payload, err := Encode(r.Task, revision)
	if err != nil {
		return refused(err)
	}
	outcome, inferred, err := c.store.put(ctx, asynq.NewTaskWithHeaders(typename, payload, headers(r.Options)), c.options(r.Options, p))
	if outcome == AlreadyThere && !p.shared() {
		// Nobody else draws this id. A Cluster's client repeats a command whose
		// answer was lost, and finds its own task.
		outcome, inferred = Stored, true
	}
	result := Result{Outcome: outcome, TaskID: p.held.ID, Queue: p.held.Queue}
	switch outcome {
	case NotStored:
		return p.notStored("store it", err)
	case NotKnown:
		result.Err = p.notKnown(err)
		return result
	case Stored:
		result.Revision = revision
	}

	// The task is in Redis: what follows are notes, which the caller's deadline
	// no longer concerns.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteBound)
	defer cancel()
	var lost error
	if p.key != "" {
		if err := c.keys.settle(ctx, p.tenant, p.key, p.held); err != nil {
			lost = fmt.Errorf("the key is noted as reserved only: %w", err)
		}
	}
	// A mark of a revision that no stored task carries would make the worker
	// drop an older wish for nothing. With a key, an inferred task may be that
	// of another caller, with another revision. And a wish for later must not
	// put an end to one that is to be carried out before.
	mine := outcome == Stored && (!p.shared() || !inferred)
	if p.shared() && inferred {
		result.Revision = 0
	}
	if mine {
		open := ledger.Open{Wish: wish, Revision: revision, Queue: p.held.Queue, Key: r.Options.Key, Type: typename, Payload: payload}
		if err := c.ledger.Stored(ctx, open); err != nil {
			lost = errors.Join(lost, fmt.Errorf("not marked as the newest wish, which costs at most one call: %w", err))
		}
	}
	if lost != nil {
		result.Warning = lost.Error()
	}
	return result
}

// KeyHeader is the header of an asynq task that holds its producer's key, for
// those who look at the task. Nothing is decided by it.
const KeyHeader = "rollcall-key"

func headers(o Options) map[string]string {
	if o.Key == "" {
		return nil
	}
	return map[string]string{KeyHeader: o.Key}
}

func (c *Client) options(o Options, p placement) []asynq.Option {
	keep := retention
	if p.key != "" {
		keep = KeyLife
	}
	options := []asynq.Option{
		asynq.TaskID(p.held.ID), asynq.Queue(p.held.Queue),
		asynq.MaxRetry(maxRetry), asynq.Timeout(taskTimeout), asynq.Retention(keep),
	}
	if !o.At.IsZero() {
		options = append(options, asynq.ProcessAt(o.At))
	}
	return options
}

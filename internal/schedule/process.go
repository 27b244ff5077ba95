package schedule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/enqueue"
	"rollcall/internal/logging"
)

const (
	// tickBound is how long one attempt at a tick may take: some 500,000 rows
	// need a few minutes.
	tickBound = 30 * time.Minute
	// together is how many entries' ticks one worker carries out concurrently.
	together = 4

	// pollEvery is how often an idle worker checks for a tick; asynq spreads it by
	// half.
	pollEvery = 500 * time.Millisecond
	// uncountedWait is the wait before the next attempt after a failure that is not
	// counted: the worker stopped, or another tick of the entry is running.
	uncountedWait = 2 * time.Second
	newerWait     = time.Minute
)

var errStopping = errors.New("the worker stopped: another worker continues the tick, or this one after its restart")

// carrier carries out ticks.
type carrier struct {
	schedule *Schedule
	rdb      redis.UniversalClient
	producer *enqueue.Client
	running  context.Context //nolint:containedctx // ends when the grace period of a stop is over
}

func (c *carrier) serverConfig() asynq.Config {
	return asynq.Config{
		Concurrency: together,
		Queues:      map[string]int{Queue: 1},
		IsFailure: func(err error) bool {
			f, ok := errors.AsType[*failure](err)
			return ok && f.counted
		},
		RetryDelayFunc: func(_ int, err error, _ *asynq.Task) time.Duration {
			if f, ok := errors.AsType[*failure](err); ok {
				return f.after
			}
			return uncountedWait // cancelled by asynq
		},
		TaskCheckInterval:        pollEvery,
		DelayedTaskCheckInterval: time.Second,
		ShutdownTimeout:          StopTakes(c.schedule.grace),
		Logger:                   logging.Asynq{Log: c.schedule.log},
		LogLevel:                 asynq.InfoLevel,
	}
}

// failure carries a failed attempt through asynq, which shows its message with the
// task.
type failure struct {
	err     error
	counted bool
	dead    bool
	after   time.Duration
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// Is makes asynq archive a dead tick.
func (f *failure) Is(target error) bool { return f.dead && target == asynq.SkipRetry }

// process is one attempt at one tick.
func (c *carrier) process(ctx context.Context, task *asynq.Task) error {
	id, _ := asynq.GetTaskID(ctx)
	log := c.schedule.log.With("tick", id)
	summary, err := c.attempt(ctx, id, task.Payload())
	if summary != nil {
		summary.logTo(log)
		keepResult(task, summary, log)
	}
	if err == nil {
		return nil
	}
	failed, _ := asynq.GetRetryCount(ctx)
	f := c.judge(err, failed)
	switch {
	case f.dead:
		log.Error("schedule: dead letter", "cause", f.err)
	case f.counted:
		log.Warn("schedule: will retry", "in", f.after, "cause", f.err)
	default:
		log.Info("schedule: returned to the queue", "in", f.after, "cause", f.err)
	}
	return f
}

// judge returns what happens to a tick after an attempt that failed, given the number
// of earlier counted failures.
func (c *carrier) judge(err error, failed int) *failure {
	newer, malformed := (*NewerVersionError)(nil), (*PayloadError)(nil)
	switch {
	case errors.As(err, &malformed):
		return &failure{err: err, counted: true, dead: true}
	case errors.As(err, &newer):
		return &failure{err: err, after: newerWait}
	case errors.Is(err, errStopping), errors.Is(err, errLost), errors.Is(err, errBusy):
		return &failure{err: err, after: uncountedWait}
	}
	waits := c.schedule.waits
	if failed >= len(waits) {
		return &failure{err: fmt.Errorf("%w · given up after %d attempts", err, failed+1), counted: true, dead: true}
	}
	return &failure{err: fmt.Errorf("%w · attempt %d of %d", err, failed+1, len(waits)+1), counted: true, after: waits[failed]}
}

// errBusy keeps the ticks of one entry in order: an older read of a roster must not be
// enqueued after a newer one.
var errBusy = errors.New("another tick of this schedule is still running")

func (c *carrier) attempt(ctx context.Context, id string, data []byte) (*summary, error) {
	t, err := DecodeTick(id, data)
	if err != nil {
		return nil, err
	}
	entries, _ := c.schedule.current()
	entry := entries[t.Schedule]
	if entry == nil {
		return nil, fmt.Errorf("schedule %s is not in this worker's configuration: give all workers the same, or discard the tick", t.Schedule)
	}

	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	defer context.AfterFunc(c.running, func() { end(context.Cause(c.running)) })()
	ctx, cancel := context.WithTimeoutCause(ctx, tickBound, fmt.Errorf("schedule %s took more than %s", t.Schedule, tickBound))
	defer cancel()

	l := lease{rdb: c.rdb, key: keyPrefix + "running:" + t.Schedule, token: uuid.NewString(), life: c.schedule.lease}
	asked := time.Now()
	alone, err := l.take(ctx)
	if err != nil {
		return nil, fmt.Errorf("schedule %s: check whether another tick is running: %w", t.Schedule, err)
	}
	if !alone {
		return nil, errBusy
	}
	ctx, leave := l.keep(ctx, asked)
	defer leave()

	items, err := entry.items(t, c.schedule.open)
	if err != nil {
		return nil, err
	}
	s := c.store(ctx, t, items)
	if s.NotStored == 0 {
		return s, nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return s, fmt.Errorf("schedule %s: %d of %d tasks are not stored yet: %w", t.Schedule, s.NotStored, s.Tasks, cause)
	}
	return s, fmt.Errorf("schedule %s: %d of %d tasks are not stored yet: %w: the next attempt stores only these",
		t.Schedule, s.NotStored, s.Tasks, s.fault)
}

func keepResult(task *asynq.Task, s *summary, log *slog.Logger) {
	result, err := json.Marshal(s)
	if err == nil {
		_, err = task.ResultWriter().Write(result)
	}
	if err != nil {
		log.Debug("schedule: result of a tick not stored", "err", err)
	}
}

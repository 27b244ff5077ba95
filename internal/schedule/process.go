package schedule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/console"
	"rollcall/internal/enqueue"
	"rollcall/internal/logging"
)

const (
	// together is how many entries' ticks one worker carries out concurrently.
	together = 4

	// pollEvery is how often an idle worker checks for a tick; asynq spreads it by
	// half.
	pollEvery = 500 * time.Millisecond
	// uncountedWait is the wait before the next attempt after a failure that is not
	// counted: the worker stopped, or another tick of the entry is running.
	uncountedWait = 2 * time.Second
	newerWait     = time.Minute
	// recordTry bounds one write of a tick's state, also while the worker stops, and
	// recordWithin the tries while Redis is unavailable.
	recordTry    = 5 * time.Second
	recordWithin = time.Minute
)

var errStopping = errors.New("the worker stopped: another worker continues the tick, or this one after its restart")

// carrier carries out ticks.
type carrier struct {
	schedule *Schedule
	rdb      redis.UniversalClient
	store    *Store
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
	begun, result, err := c.attempt(ctx, id, task.Payload(), log)
	keepDetail(task, result.Detail, log)
	if err == nil {
		return nil
	}
	failed, _ := asynq.GetRetryCount(ctx)
	f := c.judge(err, failed)
	switch {
	case f.dead:
		log.Error("schedule: dead letter", "cause", f.err)
		c.record(ctx, begun, Failed, f.Error(), log)
	case f.counted:
		log.Warn("schedule: will retry", "in", f.after, "cause", f.err)
		c.record(ctx, begun, Retrying, f.Error(), log)
	default:
		log.Info("schedule: returned to the queue", "in", f.after, "cause", f.err)
		c.record(ctx, begun, Waiting, f.Error(), log)
	}
	return f
}

// record writes how an attempt ended, and waits for a Redis that is unavailable: a tick
// whose end is not recorded is executed again when asynq delivers it again.
func (c *carrier) record(ctx context.Context, begun *move, to State, result string, log *slog.Logger) {
	if begun == nil {
		return
	}
	m := *begun
	m.to, m.result = to, result
	for began := time.Now(); ; pause(c.running, time.Second) {
		try, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTry)
		err := c.store.move(try, m)
		cancel()
		if err == nil {
			return
		}
		if time.Since(began) > recordWithin || c.running.Err() != nil {
			log.Warn("schedule: end of an attempt not recorded", "state", to, "err", err)
			return
		}
	}
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
		return &failure{err: fmt.Errorf("%w · given up after %s", err, console.Count(failed+1, "attempt")), counted: true, dead: true}
	}
	return &failure{err: fmt.Errorf("%w · attempt %d of %d", err, failed+1, len(waits)+1), counted: true, after: waits[failed]}
}

// errBusy keeps the ticks of one entry in order: an older read of a roster must not be
// enqueued after a newer one.
var errBusy = errors.New("another tick of this schedule is still running")

// attempt executes a tick, and returns the move that ends the attempt, nil if none began.
func (c *carrier) attempt(ctx context.Context, id string, data []byte, log *slog.Logger) (begun *move, _ Result, _ error) {
	t, err := DecodeTick(id, data)
	if err != nil {
		return nil, Result{}, err
	}
	entries, _ := c.schedule.current()
	entry := entries[t.Schedule]
	if entry == nil {
		return nil, Result{}, fmt.Errorf("schedule %s is not in this worker's configuration: give all workers the same, or discard the tick", t.Schedule)
	}

	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	defer context.AfterFunc(c.running, func() { end(context.Cause(c.running)) })()
	ctx, cancel := context.WithTimeoutCause(ctx, entry.Within, fmt.Errorf("schedule %s took more than %s", t.Schedule, entry.Within))
	defer cancel()

	l := lease{rdb: c.rdb, key: runningKey(t.Schedule), token: uuid.NewString(), life: c.schedule.lease}
	asked := time.Now()
	number, err := c.begin(ctx, t, entry, l, log)
	if err != nil || number == "" {
		return nil, Result{}, err
	}
	ctx, leave := l.keep(ctx, asked)
	defer leave()
	begun = &move{schedule: t.Schedule, id: id, from: Running, attempt: number}
	result, err := c.execute(ctx, t, entry, log)
	if err == nil {
		// While the lease is held: if asynq delivered the tick twice, the other attempt waits
		// for the lease.
		c.record(ctx, begun, Done, result.Text, log)
	}
	return begun, result, err
}

// execute does what the entry does at a tick.
func (c *carrier) execute(ctx context.Context, t Tick, entry *planned, log *slog.Logger) (result Result, err error) {
	defer func() {
		if value := recover(); value != nil { // asynq would not count the attempt
			err = fmt.Errorf("rollcall has a defect, please report it: panic in schedule %s: %v", t.Schedule, value)
			log.Error("schedule: panic", "panic", value, "stack", string(debug.Stack()))
		}
	}()
	if entry.Job == nil {
		s, err := c.enqueueAll(ctx, t, entry)
		if s == nil {
			return Result{}, err
		}
		s.logTo(log)
		return s.result(), err
	}
	result, err = entry.Job.Run(ctx, t)
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", err, cause) // the job may return context.Canceled
	}
	if err == nil {
		result.logTo(log)
	}
	return result, err
}

// begin records the beginning of an attempt, and returns its number; empty if the tick is
// not to be executed.
func (c *carrier) begin(ctx context.Context, t Tick, entry *planned, l lease, log *slog.Logger) (number string, err error) {
	answer, err := c.store.begin(ctx, t, entry.MisfireWindow, c.schedule.worker, l)
	if err != nil {
		return "", err
	}
	switch answer[0] {
	case "run":
		return answer[1], nil
	case "busy":
		if answer[1] == "" {
			return "", errBusy
		}
		if err := c.store.settle(ctx, t.Schedule, []openTick{{answer[1], answer[2]}}); err != nil {
			return "", err
		}
		return "", errBusy
	case string(Skipped), string(Missed):
		log.Warn("schedule: tick not executed", "state", answer[0], "reason", answer[1])
	default:
		log.Info("schedule: tick has ended before; not executed again", "state", answer[1])
	}
	return "", nil
}

// enqueueAll enqueues what an entry without a Job enqueues. The summary is nil if nothing
// could be enqueued.
func (c *carrier) enqueueAll(ctx context.Context, t Tick, entry *planned) (*summary, error) {
	items, err := entry.items(t, c.schedule.open)
	if err != nil {
		return nil, err
	}
	s := c.enqueue(ctx, t, items)
	if s.NotStored == 0 {
		return s, nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return s, fmt.Errorf("schedule %s: %d of %s not stored yet: %w", t.Schedule, s.NotStored, console.Count(s.Tasks, "task"), cause)
	}
	return s, fmt.Errorf("schedule %s: %d of %s not stored yet: %w: the next attempt stores only these",
		t.Schedule, s.NotStored, console.Count(s.Tasks, "task"), s.fault)
}

func keepDetail(task *asynq.Task, detail any, log *slog.Logger) {
	if detail == nil {
		return
	}
	result, err := json.Marshal(detail)
	if err == nil {
		_, err = task.ResultWriter().Write(result)
	}
	if err != nil {
		log.Debug("schedule: result of a tick not stored", "err", err)
	}
}

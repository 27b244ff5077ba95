package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"

	"rollcall/internal/enqueue"
	"rollcall/internal/ledger"
	"rollcall/internal/logging"
)

const (
	// Queue is the asynq queue of the runs that were applied: one task for each. No lane
	// has a queue with this name.
	Queue = "rollcall.runs"
	// Type is the asynq task type of a run.
	Type = "run:feed"

	// turnFor bounds one turn of a run, so that another run, or another worker after a
	// restart, gets one.
	turnFor = 10 * time.Minute
	// taskFor is the last resort against a turn that hangs.
	taskFor = 30 * time.Minute
	// runsTogether is how many runs one worker feeds concurrently.
	runsTogether = 8
	// maxRetry is never reached: turns are not counted.
	maxRetry = 1 << 20

	// fillAhead is how far ahead of its rate each lane's queues are filled: another worker
	// needs 22 to 45 s to take over from a dead one.
	fillAhead = time.Minute

	pollEvery   = 500 * time.Millisecond
	reviveEvery = 5 * time.Second
	// inspectEvery is how often the keys of runs are checked, at a revival.
	inspectEvery = 8 * time.Second
	expireEvery  = 10 * time.Minute
	faultWait    = 5 * time.Second
	pausedWait   = 30 * time.Second
	// unplannedFor is how long a run may stay in the state uploading.
	unplannedFor = 7 * 24 * time.Hour
)

// FeederConfig is what a Feeder needs.
type FeederConfig struct {
	Service  *Service
	Producer *enqueue.Client // stores the rows
	Log      *slog.Logger
	// Fed is called with the lane and the number of rows that were stored in its queues. nil:
	// it is not.
	Fed func(lane string, rows int)
	// RedisFault reports whether a text of asynq is about a fault of Redis that the worker
	// logs: it is at level debug then. nil: no text is.
	RedisFault func(text string) bool
}

// Feeder sends the rows of runs that were applied, in one worker of any number. Each run
// is one asynq task, and so is with one worker at a time.
type Feeder struct {
	*Service

	producer *enqueue.Client
	log      *slog.Logger
	ahead    time.Duration // fillAhead
	poll     time.Duration // how often asynq looks for turns that are due
	short    time.Duration // between two turns that have something to do
	fedRows  func(lane string, rows int)
	faults   logging.Conditions
	known    func(text string) bool
	// lost are tasks that no list of asynq holds, by run, and since when; inspected is when
	// the keys of runs were inspected last. Run alone uses them.
	lost      map[string]time.Time
	inspected time.Time
}

// NewFeeder returns a Feeder.
func NewFeeder(cfg FeederConfig) *Feeder {
	f := &Feeder{Service: cfg.Service, producer: cfg.Producer, log: cfg.Log, ahead: fillAhead, poll: pollEvery, short: shortWait, known: cfg.RedisFault}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	if f.fedRows = cfg.Fed; f.fedRows == nil {
		f.fedRows = func(string, int) {}
	}
	f.faults.Log = f.log
	return f
}

// Run feeds runs until ctx ends. Then the turns that run end at their next step, and
// other workers continue. An error means that it could not start.
func (f *Feeder) Run(ctx context.Context) error {
	server := asynq.NewServerFromRedisClient(f.rdb, asynq.Config{
		Concurrency:              runsTogether,
		Queues:                   map[string]int{Queue: 1},
		IsFailure:                func(error) bool { return false }, // a run is never given up
		RetryDelayFunc:           wait,
		TaskCheckInterval:        f.poll,
		DelayedTaskCheckInterval: f.poll,
		ShutdownTimeout:          faultWait,
		BaseContext:              func() context.Context { return ctx },
		Logger:                   logging.Asynq{Log: f.log, Faults: &f.faults, Known: f.known},
		LogLevel:                 asynq.InfoLevel,
	})
	if err := server.Start(asynq.HandlerFunc(f.process)); err != nil {
		return fmt.Errorf("feed runs: %w", err)
	}
	defer server.Shutdown()
	revive, expire := time.NewTicker(reviveEvery), time.NewTicker(expireEvery)
	defer revive.Stop()
	defer expire.Stop()
	f.outcome(ctx, "retention of runs not published; retried", f.publishKeep(ctx))
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-revive.C:
			f.outcome(ctx, "runs not checked for lost tasks; retried", f.revive(ctx, f.now()))
		case <-expire.C:
			f.outcome(ctx, "expired plans not ended; retried", f.expire(ctx))
			f.outcome(ctx, "retention of runs not published; retried", f.publishKeep(ctx))
			f.outcome(ctx, "old states of runs not forgotten; retried", f.forgetStates(ctx))
		}
	}
}

// outcome logs the faults of a repeated step, once while they last.
func (f *Feeder) outcome(ctx context.Context, what string, err error, attrs ...any) {
	d, damaged := errors.AsType[*ledger.DamagedError](err)
	switch {
	case err == nil || ctx.Err() != nil:
	case damaged:
		f.damaged(d.Damage)
	default:
		f.faults.Of(what, "").Begin(fmt.Sprint(err, attrs), append(attrs, "err", err)...)
	}
}

// again returns a run to its queue: asynq shows its message with the task.
type again struct {
	after time.Duration
	what  string
}

func (a *again) Error() string { return a.what }

// wait is asynq's RetryDelayFunc.
func wait(_ int, err error, _ *asynq.Task) time.Duration {
	if a, ok := errors.AsType[*again](err); ok {
		return a.after
	}
	return faultWait
}

// process is one turn of a run.
func (f *Feeder) process(ctx context.Context, _ *asynq.Task) error {
	id, _ := asynq.GetTaskID(ctx)
	ctx, cancel := context.WithTimeout(ctx, turnFor)
	defer cancel()
	after, what, err := f.turn(ctx, id)
	switch {
	case errors.Is(err, errChanged): // paused, cancelled, or another worker has it
		return &again{after: f.short, what: "changed by somebody"}
	case err != nil:
		f.outcome(ctx, "run not fed; retried", err, "run", id)
		return &again{after: faultWait, what: err.Error()}
	case what == "":
		return nil
	}
	return &again{after: after, what: what}
}

// turn feeds a run as far as it can now. An empty text means that the run has ended.
func (f *Feeder) turn(ctx context.Context, id string) (after time.Duration, what string, err error) {
	h, err := f.load(ctx, id)
	if _, missing := errors.AsType[*NotFoundError](err); missing {
		return 0, "", f.unlist(ctx, id)
	}
	if err != nil {
		return 0, "", err
	}
	switch {
	case h.state() == StatePaused:
		return pausedWait, "paused: " + h.fields[fieldReason], nil
	case !h.state().Sends():
		return 0, "", f.unlist(ctx, id)
	}
	t, err := f.take(ctx, h)
	if err != nil {
		return 0, "", err
	}
	if err := t.prepare(ctx); err != nil {
		return 0, "", err
	}
	after, what, err = t.feed(ctx)
	if err == nil && what == "" {
		err = f.unlist(ctx, id)
	}
	return after, what, err
}

// unlist removes a run that has ended from the applied ones.
func (s *Service) unlist(ctx context.Context, id string) error {
	if err := s.rdb.SRem(ctx, appliedKey, id).Err(); err != nil {
		return fmt.Errorf("run %s has ended, but is still listed as applied: %w", id, ofKey(err, appliedKey, "set"))
	}
	return nil
}

// take makes a turn the only one that may write the run.
func (f *Feeder) take(ctx context.Context, h *head) (*turn, error) {
	t := &turn{Feeder: f, progress: progress{head: h}, run: h.view(), token: uuid.NewString()}
	h.read(fieldPrepared, &t.ready)
	h.read(fieldRevisions, &t.revisions)
	h.read(fieldJudged, &t.judged)
	if t.run.Plan == nil {
		return nil, errNoPlan
	}
	// What was read is out of date if another turn began since.
	seen := map[string]string{fieldState: string(h.state()), fieldFeeder: h.fields[fieldFeeder]}
	if err := f.write(ctx, h.id, update{when: seen, set: map[string]string{fieldFeeder: t.token}}); err != nil {
		return nil, err
	}
	return t, f.renew(ctx, h)
}

// renew keeps the rows of a long run as long as the run, once a day.
func (f *Feeder) renew(ctx context.Context, h *head) error {
	if last := cmp.Or(h.time(fieldRenewed), h.time(fieldApplied)); h.now.Sub(last) < 24*time.Hour {
		return nil
	}
	for numbers := range slices.Chunk(span(0, blocksOf(h.rows())), listPage) {
		p := f.rdb.Pipeline()
		for _, b := range numbers {
			p.PExpire(ctx, rowsKey(h.id, b), f.keep.now())
			p.PExpire(ctx, planKey(h.id, b), f.keep.now())
		}
		if _, err := p.Exec(ctx); err != nil {
			return fmt.Errorf("keep the rows of run %s: %w", h.id, err)
		}
	}
	return f.write(ctx, h.id, update{set: map[string]string{fieldRenewed: micros(h.now)}})
}

// kick gives a run its next turn now. A fault is of no account: the run has a task, or
// the next sweep makes one.
func (s *Service) kick(ctx context.Context, id string) {
	err := s.enlist(ctx, id)
	if errors.Is(err, asynq.ErrTaskIDConflict) {
		_ = asynq.NewInspectorFromRedisClient(s.rdb).RunTask(Queue, id)
	}
}

// enlist makes the asynq task of a run.
func (s *Service) enlist(ctx context.Context, id string) error {
	_, err := s.asynq.EnqueueContext(ctx, asynq.NewTask(Type, []byte(`{"run":"`+id+`"}`)),
		asynq.TaskID(id), asynq.Queue(Queue), asynq.MaxRetry(maxRetry), asynq.Timeout(taskFor))
	return err //nolint:wrapcheck // judged by the callers
}

// expire ends runs whose plan was not applied in time, and uploads that were given up.
func (f *Feeder) expire(ctx context.Context) error {
	runs, err := f.List(ctx, Filter{States: []State{StateUploading, StatePlanned, StateHeld}, N: mostListed})
	if err != nil {
		return err
	}
	var faults []error
	for _, r := range runs {
		over := f.now().Sub(r.Changed) > unplannedFor
		if r.Plan != nil {
			over = f.now().After(r.Plan.Until)
		}
		if over {
			_, err := f.step(ctx, r.ID, eventExpire, "", saysExpired, nil)
			if _, raced := errors.AsType[*StateError](err); !raced {
				faults = append(faults, err)
			}
		}
	}
	return errors.Join(faults...)
}

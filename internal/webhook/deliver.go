package webhook

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/hibiken/asynq"

	"rollcall/internal/logging"
)

const (
	// atOnce is how many calls a worker makes at the same time, and toOne how many of them
	// to one endpoint: a dead one leaves room for the others.
	atOnce, toOne = 64, 2
	// Most is how many endpoints there may be, so that atOnce suffices.
	Most = atOnce / toOne

	firstWait   = 5 * time.Second
	longestWait = time.Hour
	busyWait    = time.Second

	pollEvery    = 500 * time.Millisecond
	stopFor      = attemptFor + time.Second
	reportWithin = 2 * time.Second
)

// Run makes calls until ctx ends. It waits until there is an endpoint. An error means that
// it could not start.
func (s *Service) Run(ctx context.Context) error {
	for s.Idle() {
		select {
		case <-ctx.Done():
			return nil
		case <-s.changed:
		}
	}
	server := asynq.NewServerFromRedisClient(s.rdb, asynq.Config{
		Concurrency:              atOnce,
		Queues:                   map[string]int{Queue: 1},
		IsFailure:                counts,
		RetryDelayFunc:           delay,
		TaskCheckInterval:        pollEvery,
		DelayedTaskCheckInterval: pollEvery,
		ShutdownTimeout:          stopFor,
		Logger:                   logging.Asynq{Log: s.log},
		LogLevel:                 asynq.InfoLevel,
	})
	if err := server.Start(asynq.HandlerFunc(s.process)); err != nil {
		return fmt.Errorf("make calls of webhooks: %w", err)
	}
	<-ctx.Done()
	server.Shutdown()
	return nil
}

// laterError returns a task to its queue.
type laterError struct {
	after time.Duration
	cause error
	busy  bool // it was not tried, because its endpoint has enough calls: not counted
}

func (e *laterError) Error() string { return e.cause.Error() }
func (e *laterError) Unwrap() error { return e.cause }

var errBusy = errors.New("other calls of this webhook are running")

// delay is asynq's RetryDelayFunc.
func delay(_ int, err error, _ *asynq.Task) time.Duration {
	if later, ok := errors.AsType[*laterError](err); ok {
		return later.after
	}
	return busyWait // its worker died, or the task hung
}

// counts is asynq's IsFailure.
func counts(err error) bool {
	later, ok := errors.AsType[*laterError](err)
	return !ok || !later.busy
}

// backoff returns the wait after a number of failed attempts: 5 s, doubled each time, an
// hour at most, and up to a fifth more or less.
func backoff(failed int) time.Duration {
	wait := min(firstWait<<min(failed, 20), longestWait)
	return wait - wait/5 + rand.N(2*wait/5) //nolint:gosec // spreads calls
}

// process is one attempt of a call.
func (s *Service) process(ctx context.Context, task *asynq.Task) error {
	var c call
	if err := json.Unmarshal(task.Payload(), &c); err != nil {
		id, _ := asynq.GetTaskID(ctx)
		if again := s.Restore(ctx, id); again != nil {
			return &laterError{firstWait, again, true}
		}
		return fmt.Errorf("cannot be read: %w: %w", err, asynq.SkipRetry)
	}
	if wait := s.enter(c.Endpoint); wait > 0 {
		return &laterError{wait, errBusy, true}
	}
	err := s.attempt(ctx, c)
	s.leave(c.Endpoint, err)
	if err == nil {
		s.count(c.Endpoint, Delivered)
		s.log.Debug("webhook called", "webhook", c.Endpoint, "event", c.ID)
		return nil
	}
	failed, _ := asynq.GetRetryCount(ctx)
	after, final := repeat(err)
	wait := max(backoff(failed), after)
	if final || s.now().Add(wait).After(c.Until) {
		return s.giveUp(ctx, c, failed+1, err)
	}
	s.count(c.Endpoint, Failed)
	s.log.Warn("call of a webhook failed; it is repeated", "webhook", c.Endpoint, "event", c.ID, "attempt", failed+1, "in", wait.Round(time.Second), "err", err)
	return &laterError{wait, err, false}
}

// attempt makes a call. Another worker may know an endpoint that this one does not.
func (s *Service) attempt(ctx context.Context, c call) error {
	to, known := s.endpoint(c.Endpoint)
	if !known {
		return fmt.Errorf("no webhook of this worker is called %.40q", c.Endpoint)
	}
	return to.send(ctx, c.ID, c.Body, s.now())
}

// giveUp reports a call that is not repeated. asynq archives its task, from where the web
// UI can run it again.
func (s *Service) giveUp(ctx context.Context, c call, attempts int, cause error) error {
	s.report(ctx, c.Endpoint, fmt.Sprintf("%s, after %d attempts: %v", c.ID, attempts, cause))
	return fmt.Errorf("given up: %w: %w", cause, asynq.SkipRetry)
}

// report reports a call that was given up: in the log, the metrics and the events.
func (s *Service) report(ctx context.Context, endpoint, what string) {
	s.count(endpoint, GivenUp)
	s.log.Error("call of a webhook given up", "webhook", endpoint, "what", what)
	if s.givenUp == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reportWithin)
	defer cancel()
	if err := s.givenUp(ctx, endpoint, what); err != nil {
		s.log.Warn("call that was given up is not among the events", "webhook", endpoint, "what", what, "err", err)
	}
}

func (s *Service) count(endpoint string, result Result) {
	if _, known := s.endpoint(endpoint); known && s.observer != nil {
		s.observer.WebhookCalled(endpoint, result)
	}
}

// traffic is what a worker knows of an endpoint.
type traffic struct {
	running int  // calls that are being made
	failing bool // the last one failed
}

// enter takes room for a call. If its endpoint has no more, it returns when to try again:
// later if calls fail.
func (s *Service) enter(endpoint string) (wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.traffic[endpoint]
	switch {
	case t.running >= toOne && t.failing:
		return busyWait + rand.N(30*busyWait) //nolint:gosec // spreads calls
	case t.running >= toOne:
		return busyWait + rand.N(busyWait) //nolint:gosec // spreads calls
	}
	t.running++
	s.traffic[endpoint] = t
	return 0
}

func (s *Service) leave(endpoint string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.traffic[endpoint]
	t.running, t.failing = t.running-1, err != nil
	s.traffic[endpoint] = t
}

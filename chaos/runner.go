package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/runs"
	"rollcall/tasks"
)

const (
	// stopWithin is how long after the acknowledgement of a pause or a cancel the last call
	// may leave; onTheWay is how long it may be on its way on a busy machine.
	stopWithin, onTheWay = time.Second, 250 * time.Millisecond
	// pauseLeast and pauseMost are how long the long run is paused.
	pauseLeast, pauseMost = 3 * time.Second, 6 * time.Second
	lookEvery             = 100 * time.Millisecond
	person                = "chaos" // who steers the runs
)

// pausesAt are the parts of the long run after which it is paused.
func pausesAt() []float64 { return []float64{0.1, 0.4, 0.7} }

// runner uploads and steers runs as a producer does: it repeats each step until it gets a
// result.
type runner struct {
	client   *runs.Client
	rdb      redis.UniversalClient
	producer *producer
	uploader *uploader
	plan     *runPlan
	seed     uint64
	logf     func(format string, arguments ...any)

	long, cancelled sentRun
	repeated        atomic.Int64 // steps, because of a fault

	mu     sync.Mutex
	faults []violation
}

// sentRun is a run as its producer knows it.
type sentRun struct {
	id      string
	applied time.Time // acknowledged
	ended   time.Time // seen
	stops   []stop
}

// stop is a pause or a cancel.
type stop struct {
	acknowledged time.Time
	resumed      time.Time // when the resume was asked for; zero: never
}

// run sends both runs, and returns when the long one was sent and steered, or ctx ends.
func (r *runner) run(ctx context.Context, length time.Duration) {
	var group sync.WaitGroup
	group.Go(func() { r.check(ctx, "the cancelled run", r.cancelOne(ctx)) })
	group.Go(func() { r.check(ctx, "the long run", r.sendLong(ctx, length)) })
	group.Wait()
}

// check notes a step that was refused.
func (r *runner) check(ctx context.Context, what string, err error) {
	if err == nil || ctx.Err() != nil {
		return // rows of a run that never began are never acknowledged
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, violation{ruleRun, fmt.Sprintf("%s: %v", what, err)})
}

// repeat repeats a step until it succeeds, is refused, or ctx ends.
func (r *runner) repeat(ctx context.Context, step func(context.Context) error) error {
	for {
		err := step(ctx)
		if err == nil || refused(err) {
			return err
		}
		if ctx.Err() != nil {
			return errors.Join(ctx.Err(), err)
		}
		r.repeated.Add(1)
		pause(ctx, askAgain)
	}
}

// refused reports whether an error of a run is not one of Redis.
func refused(err error) bool {
	_, state := errors.AsType[*runs.StateError](err)
	_, digest := errors.AsType[*runs.DigestError](err)
	_, missing := errors.AsType[*runs.NotFoundError](err)
	_, gap := errors.AsType[*runs.GapError](err)
	_, count := errors.AsType[*runs.CountError](err)
	return state || digest || missing || gap || count
}

// cancelOne sends the short run and cancels it in the middle.
func (r *runner) cancelOne(ctx context.Context) error {
	list := rows(r.plan.cancelled)
	var made runs.Run
	err := r.repeat(ctx, func(ctx context.Context) (err error) {
		made, err = r.client.Create(ctx, runs.Draft{Name: "cancelled", Author: person, Settings: allowAll()})
		return err
	})
	if err != nil {
		return err
	}
	err = r.repeat(ctx, func(ctx context.Context) error { _, err := r.client.Add(ctx, made.ID, 0, list); return err })
	if err != nil {
		return err
	}
	if err := r.repeat(ctx, func(ctx context.Context) error { _, err := r.client.Seal(ctx, made.ID, len(list)); return err }); err != nil {
		return err
	}
	r.claim(&r.cancelled, made.ID, r.plan.cancelled)
	digest, err := r.planned(ctx, made.ID)
	if err != nil {
		return err
	}
	if err := r.apply(ctx, &r.cancelled, digest, r.plan.cancelled); err != nil {
		return err
	}
	if _, err := r.reached(ctx, &r.cancelled, len(list)/3); err != nil {
		return err
	}
	if err := r.repeat(ctx, func(ctx context.Context) error {
		_, err := r.client.Cancel(ctx, made.ID, person, "wrong file")
		return err
	}); err != nil {
		return fmt.Errorf("cancel: %w", err)
	}
	r.cancelled.stops = append(r.cancelled.stops, stop{acknowledged: time.Now()})
	r.logf("a run of %d rows was cancelled", len(list))
	return nil
}

// claim gives the rows of a run their ids.
func (r *runner) claim(run *sentRun, id string, list []*change) {
	run.id = id
	for _, w := range list {
		w.id = fmt.Sprintf("%s:%d", id, w.row)
	}
}

// sendLong uploads the long run, applies it, pauses and resumes it. Single changes of its
// targets are enqueued in between.
func (r *runner) sendLong(ctx context.Context, length time.Duration) error {
	began := time.Now()
	random := rand.New(rand.NewPCG(r.seed, 6)) //nolint:gosec // equal seeds must give equal chaos
	r.producer.run(ctx, r.plan.before, 0)
	life := func() time.Duration { return between(random, 200*time.Millisecond, 800*time.Millisecond) }
	id, err := r.uploader.run(ctx, r.client, life(), life(), life())
	if err != nil {
		return err
	}
	r.claim(&r.long, id, r.plan.long)
	digest, err := r.planned(ctx, id)
	if err != nil {
		return err
	}
	r.producer.run(ctx, r.plan.between, 0)
	if err := r.apply(ctx, &r.long, digest, r.plan.long); err != nil {
		return err
	}
	r.logf("a run of %d rows was applied; %d uploaders were killed", len(r.plan.long), r.uploader.killed)
	var group sync.WaitGroup
	group.Go(func() { r.producer.run(ctx, r.plan.after, max(0, length*9/10-time.Since(began))) })
	defer group.Wait()
	for _, part := range pausesAt() {
		over, err := r.reached(ctx, &r.long, share(len(r.plan.long), part))
		if over || err != nil || time.Since(began) > length*7/10 {
			return err // what a pause holds back is to end before the chaos does
		}
		if err := r.halt(ctx, between(random, pauseLeast, pauseMost)); err != nil {
			return err
		}
	}
	return nil
}

// planned plans a run.
func (r *runner) planned(ctx context.Context, id string) (digest string, err error) {
	err = r.repeat(ctx, func(ctx context.Context) error {
		p, err := r.client.Plan(ctx, id, nil)
		if err == nil {
			digest = p.Plan.Digest
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("plan: %w", err)
	}
	return digest, nil
}

// apply applies a run: from here on its rows count as acknowledged.
func (r *runner) apply(ctx context.Context, run *sentRun, digest string, list []*change) error {
	err := r.repeat(ctx, func(ctx context.Context) error {
		applied, err := r.client.Apply(ctx, run.id, digest, person)
		if err == nil && applied.State == runs.StateHeld {
			return &runs.StateError{ID: run.id, State: applied.State, Reason: applied.Reason, Event: "apply"}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("apply: %w", err)
	}
	run.applied = time.Now()
	for _, w := range list {
		w.outcome = tasks.Stored
	}
	return nil
}

// reached waits until some rows of a run have ended. over reports that the whole run has.
func (r *runner) reached(ctx context.Context, run *sentRun, rows int) (over bool, err error) {
	for {
		now, err := r.look(ctx, run)
		if err != nil || now.State.Ended() {
			return true, err
		}
		if now.Rows-now.Outcomes[runs.OutcomeWaiting]-now.Outcomes[runs.OutcomeOpen] >= rows {
			return false, nil
		}
		pause(ctx, lookEvery)
	}
}

func (r *runner) look(ctx context.Context, run *sentRun) (now runs.Run, err error) {
	err = r.repeat(ctx, func(ctx context.Context) (err error) {
		now, err = r.client.Get(ctx, run.id)
		return err
	})
	if err == nil && now.State.Ended() && run.ended.IsZero() {
		run.ended = time.Now()
	}
	return now, err
}

// halt pauses the long run for a while.
func (r *runner) halt(ctx context.Context, length time.Duration) error {
	err := r.repeat(ctx, func(ctx context.Context) error {
		_, err := r.client.Pause(ctx, r.long.id, person, "a break")
		return err
	})
	if state, ok := errors.AsType[*runs.StateError](err); ok && state.State == runs.StateDone {
		return nil
	}
	if err != nil {
		return fmt.Errorf("pause: %w", err)
	}
	r.long.stops = append(r.long.stops, stop{acknowledged: time.Now()})
	pause(ctx, length)
	r.long.stops[len(r.long.stops)-1].resumed = time.Now()
	if err := r.repeat(ctx, func(ctx context.Context) error { _, err := r.client.Resume(ctx, r.long.id, person); return err }); err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	return nil
}

// open counts the runs that have not ended. A run that paused by itself is resumed, which
// is a violation.
func (r *runner) open(ctx context.Context) (n int) {
	for _, run := range []*sentRun{&r.long, &r.cancelled} {
		if run.applied.IsZero() {
			continue
		}
		now, err := r.look(ctx, run)
		if err == nil && now.State.Ended() {
			continue
		}
		n++
		if now.State == runs.StatePaused {
			r.check(ctx, "run "+run.id, fmt.Errorf("it paused by itself: %s", now.Reason))
			r.check(ctx, "run "+run.id, r.repeat(ctx, func(ctx context.Context) error { _, err := r.client.Resume(ctx, run.id, person); return err }))
		}
	}
	return n
}

package api

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/google/uuid"

	"rollcall/internal/run"
)

const (
	// planPrefix is followed by the id of a run.
	planPrefix = "rollcall:api:plan:"
	// plansAtOnce bounds the plans that a worker makes at the same time: each holds a hash
	// for every row.
	plansAtOnce = 2
	// planWithin bounds a plan of a million rows, which takes a minute or two.
	planWithin = 15 * time.Minute
)

// errElsewhere reports that another worker makes the plan.
var errElsewhere = errors.New("another worker plans the run")

// planner makes plans in the background: that of a long run takes longer than a request.
// A run is planned by one worker at a time.
type planner struct {
	ctx    context.Context //nolint:containedctx // of the worker: plans outlive their requests
	runs   *run.Service
	leases leases
	log    *slog.Logger
	slots  chan struct{}

	working sync.WaitGroup
	mu      sync.Mutex
	passes  map[string]*planPass
}

// planPass is a plan that is being made.
type planPass struct {
	done chan struct{}
	err  error // valid once done is closed
}

func newPlanner(ctx context.Context, runs *run.Service, l leases, log *slog.Logger) *planner {
	return &planner{ctx: ctx, runs: runs, leases: l, log: log, slots: make(chan struct{}, plansAtOnce), passes: map[string]*planPass{}}
}

// start begins to plan a run, unless this worker does so already.
func (p *planner) start(id string) *planPass {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pass := p.passes[id]; pass != nil {
		return pass
	}
	pass := &planPass{done: make(chan struct{})}
	p.passes[id] = pass
	p.working.Go(func() {
		pass.err = p.plan(id)
		p.mu.Lock()
		delete(p.passes, id)
		p.mu.Unlock()
		close(pass.done)
	})
	return pass
}

func (p *planner) plan(id string) (err error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
	ctx, cancel := context.WithTimeout(p.ctx, planWithin)
	defer cancel()
	taken, _, err := p.leases.take(ctx, planPrefix+id, uuid.NewString())
	if err != nil {
		return err
	}
	if taken == nil {
		return errElsewhere
	}
	defer func() {
		// A panic here would end the worker, as no request is above it.
		if value := recover(); value != nil {
			p.log.Error("plan ended by a panic", "run", id, "panic", value, "stack", string(debug.Stack()))
			err = errors.New("rollcall has a defect, please report it with the worker's log")
		}
		err = errors.Join(err, taken.release(ctx, "", 0))
	}()
	_, err = p.runs.Plan(ctx, id, nil)
	if err != nil && p.ctx.Err() == nil {
		p.log.Warn("run not planned", "run", id, "err", err)
	}
	return err
}

// wait waits for the plans that are being made.
func (p *planner) wait() { p.working.Wait() }

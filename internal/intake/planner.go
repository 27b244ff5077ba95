package intake

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/lease"
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

// Planner makes plans in the background: that of a long run takes longer than a request.
// A run is planned by one worker at a time. It is safe for concurrent use.
type Planner struct {
	ctx    context.Context //nolint:containedctx // of the worker: plans outlive their requests
	stop   context.CancelFunc
	runs   *run.Service
	leases lease.Leases
	log    *slog.Logger
	slots  chan struct{}

	working sync.WaitGroup
	mu      sync.Mutex
	passes  map[string]*pass
}

// pass is a plan that is being made.
type pass struct {
	done chan struct{} // closed when it has ended
	err  error         // valid then. errElsewhere, not wrapped: the plan is not there yet
}

// NewPlanner returns a Planner. The caller closes it.
func NewPlanner(runs *run.Service, rdb redis.UniversalClient, log *slog.Logger) *Planner {
	ctx, stop := context.WithCancel(context.Background())
	return &Planner{ctx: ctx, stop: stop, runs: runs, leases: lease.New(rdb), log: log, slots: make(chan struct{}, plansAtOnce), passes: map[string]*pass{}}
}

// Start begins to plan a run, unless this worker does so already.
func (p *Planner) Start(id string) { p.begin(id) }

// Await does so, and waits for the end, at most for some time. ended is false if it has not ended
// by then, or another worker plans the run.
func (p *Planner) Await(ctx context.Context, id string, most time.Duration) (ended bool, err error) {
	return p.begin(id).await(ctx, most)
}

// Follow waits for the end of a plan that is being made, and begins none. ended is false if
// it has not ended by then, or another worker makes it.
func (p *Planner) Follow(ctx context.Context, id string, most time.Duration) (ended bool, err error) {
	p.mu.Lock()
	begun := p.passes[id]
	p.mu.Unlock()
	if begun != nil {
		return begun.await(ctx, most)
	}
	elsewhere, err := p.leases.Taken(ctx, planPrefix+id)
	return !elsewhere, err
}

func (begun *pass) await(ctx context.Context, most time.Duration) (ended bool, err error) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case <-timer.C:
		return false, nil
	case <-begun.done:
		if begun.err == errElsewhere { //nolint:errorlint // it is never wrapped
			return false, nil
		}
		return true, begun.err
	}
}

func (p *Planner) begin(id string) *pass {
	p.mu.Lock()
	defer p.mu.Unlock()
	if begun := p.passes[id]; begun != nil {
		return begun
	}
	begun := &pass{done: make(chan struct{})}
	p.passes[id] = begun
	p.working.Go(func() {
		begun.err = p.plan(id)
		p.mu.Lock()
		delete(p.passes, id)
		p.mu.Unlock()
		close(begun.done)
	})
	return begun
}

func (p *Planner) plan(id string) (err error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
	ctx, cancel := context.WithTimeout(p.ctx, planWithin)
	defer cancel()
	taken, _, err := p.leases.Take(ctx, planPrefix+id, uuid.NewString())
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
		err = errors.Join(err, taken.Release(ctx, "", 0))
	}()
	_, err = p.runs.Plan(ctx, id, nil)
	if err != nil && p.ctx.Err() == nil {
		p.log.Warn("run not planned", "run", id, "err", err)
	}
	return err
}

// Close ends the plans that are being made, and waits for them. The next one that needs such
// a plan begins it again.
func (p *Planner) Close() {
	p.stop()
	p.working.Wait()
}

package lane

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/hold"
	"rollcall/internal/registry"
)

// gate decides when a lane takes a task: holds, how many are at it, room for
// urgent ones, and whether there is anything to take at all. An idle or held
// lane sends Redis nothing.
type gate struct {
	lane   *Lane
	urgent string // the urgent queue
	// results wait for their tasks' completion.
	results results

	mu     sync.Mutex
	moved  *sync.Cond
	closed bool
	// pending is what the last look saw in the urgent queue and the other, less
	// what was taken since.
	pending [2]int64
	// taken are the answers of dequeues that asynq has not asked for yet, asking
	// tells that others are under way.
	taken  [2][]*redis.Cmd
	asking bool
	// seen tells that a look came while they were under way: it may have counted
	// without the tasks that they bring.
	seen  bool
	state state
	// running are the attempts, calling those of them that have had their slot.
	running, calling int
	// handed counts tasks given to asynq, begun those that it gave to us. In
	// between they are no attempt yet.
	handed, begun int
	handedAt      time.Time
	// probe lets one task through a hold.
	probe, probing bool
	probed         bool // the task is at it
	// uncut ends with a *HeldError as its cause when a hold cuts the lane off: what
	// waits for its slot goes back then.
	uncut context.Context //nolint:containedctx // the state of the lane, no request's
	cut   context.CancelCauseFunc
}

// state is what the holds make of a lane.
type state struct {
	shut bool       // nothing is taken
	cut  bool       // nothing that waits for its slot gets it either
	bulk bool       // nothing but urgent tasks is taken
	err  *HeldError // the hold; nil: none
	// token tells that the tenant's credentials were refused, and that this worker
	// has asked for no token since.
	token bool
}

// lost is how long a task that asynq was given may take to arrive here. Some
// never do: a message that asynq cannot read.
const lost = 3 * time.Second

func newGate(l *Lane) *gate {
	g := &gate{lane: l, urgent: registry.Queue(l.Tenant, l.Kind, true)}
	g.moved = sync.NewCond(&g.mu)
	g.uncut, g.cut = context.WithCancelCause(context.Background())
	return g
}

// ahead bounds how many tasks are taken from Redis at once. asynq asks for one
// at a time, and one asker's round trips would bound what a lane carries out.
const ahead = 16

// admit returns a task of queue that was taken already, or how many may be taken
// now. For the urgent queue, which asynq asks first, it waits until there is
// something to take from either. What was taken is given even once the gate is
// closed: asynq puts it back.
func (g *gate) admit(queue string) (task *redis.Cmd, n int) {
	i := g.index(queue)
	g.mu.Lock()
	defer g.mu.Unlock()
	for {
		if len(g.taken[i]) > 0 {
			task = g.taken[i][0]
			g.taken[i] = g.taken[i][1:]
			return task, 0
		}
		if g.closed {
			return nil, 0
		}
		urgent, bulk := g.open()
		switch {
		case i == bulkQueue:
			g.asking = bulk > 0
			return nil, bulk
		case urgent > 0, bulk > 0, len(g.taken[bulkQueue]) > 0:
			g.asking = urgent > 0
			return nil, urgent
		}
		g.moved.Wait()
	}
}

// The places of a lane's queues in what is kept of each.
const (
	urgentQueue = iota
	bulkQueue
)

func (g *gate) index(queue string) int {
	if queue == g.urgent {
		return urgentQueue
	}
	return bulkQueue
}

// open tells how many urgent tasks may be taken, and how many others. The caller
// holds mu.
func (g *gate) open() (urgent, bulk int) {
	if g.handed > g.begun && time.Since(g.handedAt) > lost {
		g.begun = g.handed
	}
	some := func(i, room int) int { return max(0, min(int(g.pending[i]), room, ahead)) }
	if g.probe {
		if urgent = some(urgentQueue, 1); urgent == 0 && !g.state.bulk {
			bulk = some(bulkQueue, 1)
		}
		return urgent, bulk
	}
	if g.state.shut || time.Until(g.lane.pacer.PausedUntil()) > rest {
		return 0, 0
	}
	coming := g.handed - g.begun
	waiting, together := g.lane.room()
	there := g.running + coming
	urgent = some(urgentQueue, together+spareUrgent-there)
	if !g.state.bulk {
		bulk = some(bulkQueue, min(together-there, waiting-(there-g.calling)))
	}
	return urgent, bulk
}

// dequeued takes in what dequeues brought, and returns the first.
func (g *gate) dequeued(queue string, cmds []*redis.Cmd) *redis.Cmd {
	i := g.index(queue)
	g.mu.Lock()
	defer g.mu.Unlock()
	unknown := redis.HasErrorPrefix(cmds[0].Err(), "NOSCRIPT") // asynq follows it up by an Eval
	seen := g.seen
	g.asking, g.seen = unknown, seen && unknown
	for _, cmd := range cmds {
		if cmd.Err() != nil {
			// Empty, paused by the button, or Redis is away: not before the next look.
			if !redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
				g.pending[i] = 0
			}
			continue
		}
		if !seen { // one too many costs an empty dequeue; one too few lets bulk tasks pass an urgent one
			g.pending[i] = max(0, g.pending[i]-1)
		}
		g.handed++
		g.handedAt = time.Now()
		if g.probe {
			g.probe, g.probing = false, true
		}
		g.taken[i] = append(g.taken[i], cmd)
	}
	if len(g.taken[i]) == 0 {
		return cmds[0]
	}
	first := g.taken[i][0]
	g.taken[i] = g.taken[i][1:]
	return first
}

// drained returns when all that was taken has been given to asynq, or ctx ends:
// then it is found as a task whose worker is gone.
func (g *gate) drained(ctx context.Context) {
	for ctx.Err() == nil {
		g.mu.Lock()
		left := g.asking || len(g.taken[urgentQueue])+len(g.taken[bulkQueue]) > 0
		g.mu.Unlock()
		if !left {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(rest):
		}
	}
}

// saw takes in how many tasks are pending.
func (g *gate) saw(urgent, bulk int64) {
	g.mu.Lock()
	g.pending = [2]int64{urgent, bulk}
	g.seen = g.asking
	g.mu.Unlock()
	g.moved.Broadcast()
}

// set takes in what the holds say now, and tells whether it opened.
func (g *gate) set(s state) (opened bool) {
	g.mu.Lock()
	switch was := g.state.cut; {
	case s.cut && !was:
		g.cut(s.err)
	case was && !s.cut:
		g.uncut, g.cut = context.WithCancelCause(context.Background())
	}
	opened = g.state.shut && !s.shut
	g.state = s
	if !s.shut || s.err.Probe != hold.ByTask {
		g.probe = false
	}
	g.mu.Unlock()
	g.moved.Broadcast()
	return opened
}

// last is what the holds said last.
func (g *gate) last() state {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.state
}

// held is the hold that keeps the lane from taking tasks, or nil.
func (g *gate) held() *HeldError {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.state.shut {
		return nil
	}
	return g.state.err
}

// whenHeld calls cancel with a *HeldError when a hold cuts the lane off, until
// stop is called.
func (g *gate) whenHeld(cancel context.CancelCauseFunc) (stop func() bool) {
	g.mu.Lock()
	uncut := g.uncut
	g.mu.Unlock()
	return context.AfterFunc(uncut, func() { cancel(context.Cause(uncut)) })
}

// letProbe lets one task through the hold, if one is pending.
func (g *gate) letProbe() {
	g.mu.Lock()
	g.probe = g.state.shut
	g.mu.Unlock()
	g.moved.Broadcast()
}

// waits reports whether a task is pending that might probe a hold.
func (g *gate) waits() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.pending[0] > 0 || g.pending[1] > 0 && !g.state.bulk
}

// probeGoesOn reports whether a task that was let through is still to be taken,
// on its way or at it. One that is not to be had is not waited for.
func (g *gate) probeGoesOn() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || g.pending[urgentQueue] == 0 && (g.pending[bulkQueue] == 0 || g.state.bulk) {
		g.probe = false
	}
	if g.probing && time.Since(g.handedAt) > lost {
		g.probing = false
	}
	return g.probe || g.probing || g.probed
}

// endProbe takes in that the attempt of the task that was let through is over.
func (g *gate) endProbe() {
	g.mu.Lock()
	g.probed = false
	g.mu.Unlock()
}

// begin counts an attempt, and tells whether it is a probe.
func (g *gate) begin() (probe bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.begun = min(g.begun+1, g.handed)
	g.running++
	probe, g.probing = g.probing, false
	g.probed = g.probed || probe
	return probe
}

// called counts an attempt that has had its slot.
func (g *gate) called() {
	g.mu.Lock()
	g.calling++
	g.mu.Unlock()
	g.moved.Broadcast()
}

// end counts an attempt that is over.
func (g *gate) end(called bool) {
	g.mu.Lock()
	g.running--
	if called {
		g.calling--
	}
	g.mu.Unlock()
	g.moved.Broadcast()
}

func (g *gate) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.moved.Broadcast()
}

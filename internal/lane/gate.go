package lane

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/hold"
	"rollcall/internal/registry"
)

// gate decides when a lane takes a task. It considers holds, the number of running
// tasks, the room for urgent tasks, and whether any task is pending at all. An idle or
// held lane sends nothing to Redis.
type gate struct {
	lane   *Lane
	urgent string // the urgent queue
	// results to write with the completion of their tasks.
	results results

	mu     sync.Mutex
	moved  *sync.Cond
	closed bool
	// pending is the number of pending tasks at the last poll, less those taken since:
	// of the urgent queue and of the other.
	pending [2]int64
	// taken are the answers of dequeues that asynq has not fetched yet. asking is true
	// while dequeues are in progress.
	taken  [2][]*redis.Cmd
	asking bool
	// seen is true if a poll finished during the dequeue: its count may not include the
	// tasks that the dequeue returns.
	seen  bool
	state state
	// running is the number of attempts, calling those of them that received their
	// slot.
	running, calling int
	// handed counts the tasks given to asynq, begun those that asynq gave to process. A
	// task in between is no attempt yet.
	handed, begun int
	handedAt      time.Time
	// probe admits one task through a hold.
	probe, probing bool
	probed         bool // the admitted task has started
	// waiting ends, with a *HeldError as its cause, when a hold cancels the tasks that
	// wait for their slot: they return to their queue.
	waitingTasks  context.Context //nolint:containedctx // the state of the lane, no request's
	cancelWaiting context.CancelCauseFunc
}

// state is how the holds affect a lane.
type state struct {
	closed bool       // no task is taken
	cancel bool       // tasks that wait for their slot return to their queue
	bulk   bool       // only urgent tasks are taken
	err    *HeldError // the hold; nil: none
	// token is true if the tenant's credentials were refused and this worker has not
	// requested a token since.
	token bool
}

// lost is how long a task that asynq received may take to start. Some never start:
// asynq drops a message that it cannot read.
const lost = 3 * time.Second

func newGate(l *Lane) *gate {
	g := &gate{lane: l, urgent: registry.Queue(l.Tenant, l.Kind, true)}
	g.moved = sync.NewCond(&g.mu)
	g.waitingTasks, g.cancelWaiting = context.WithCancelCause(context.Background())
	return g
}

// ahead bounds how many tasks one round trip takes from Redis. asynq asks for one task
// at a time, and the latency of those round trips would limit the lane's throughput.
const ahead = 16

// admit returns a task of queue that was already taken, or how many may be taken now.
// asynq asks for the urgent queue first: that call blocks until a task may be taken
// from either queue. A task that was already taken is returned even after the gate is
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

// Indexes of a lane's queues in pending and taken.
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

// open returns how many urgent tasks and how many others may be taken. The caller holds
// mu.
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
	if len(g.lane.Damages()) > 0 {
		return 0, 0
	}
	if g.state.closed || time.Until(g.lane.pacer.PausedUntil()) > rest {
		return 0, 0
	}
	coming := g.handed - g.begun
	waiting, together := g.lane.room()
	there := g.running + coming
	urgent = some(urgentQueue, together+extraUrgent-there)
	if !g.state.bulk {
		bulk = some(bulkQueue, min(together-there, waiting-(there-g.calling)))
	}
	return urgent, bulk
}

// dequeued records the answers of dequeues, and returns the first.
func (g *gate) dequeued(queue string, cmds []*redis.Cmd) *redis.Cmd {
	i := g.index(queue)
	g.mu.Lock()
	defer g.mu.Unlock()
	unknown := redis.HasErrorPrefix(cmds[0].Err(), "NOSCRIPT") // asynq then sends an Eval
	seen := g.seen
	g.asking, g.seen = unknown, seen && unknown
	for _, cmd := range cmds {
		if cmd.Err() != nil {
			// The queue is empty or paused in asynqmon, or Redis is unavailable: wait
			// for the next poll.
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

// drained returns when asynq has received all tasks that were taken. If ctx ends first,
// a sweep finds them as tasks of a dead worker.
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

// saw records how many tasks are pending.
func (g *gate) saw(urgent, bulk int64) {
	g.change(func() { g.pending, g.seen = [2]int64{urgent, bulk}, g.asking })
}

// change changes the state of the gate, and wakes the dequeue that waits for it.
func (g *gate) change(do func()) {
	g.mu.Lock()
	do()
	g.mu.Unlock()
	g.moved.Broadcast()
}

// set applies the state of the holds, and reports whether the gate opened.
func (g *gate) set(s state) (opened bool) {
	g.change(func() {
		switch was := g.state.cancel; {
		case s.cancel && !was:
			g.cancelWaiting(s.err)
		case was && !s.cancel:
			g.waitingTasks, g.cancelWaiting = context.WithCancelCause(context.Background())
		}
		opened = g.state.closed && !s.closed
		g.state = s
		if !s.closed || s.err.Probe != hold.ByTask {
			g.probe = false
		}
	})
	return opened
}

// last returns the state that was set last.
func (g *gate) last() state {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.state
}

// held returns the hold that keeps the lane from taking tasks, or nil.
func (g *gate) held() *HeldError {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.state.closed {
		return nil
	}
	return g.state.err
}

// whenHeld calls cancel with a *HeldError when a hold cancels waiting tasks, until stop
// is called.
func (g *gate) whenHeld(cancel context.CancelCauseFunc) (stop func() bool) {
	g.mu.Lock()
	waitingTasks := g.waitingTasks
	g.mu.Unlock()
	return context.AfterFunc(waitingTasks, func() { cancel(context.Cause(waitingTasks)) })
}

// letProbe admits one task through the hold, if one is pending.
func (g *gate) letProbe() { g.change(func() { g.probe = g.state.closed }) }

// waits reports whether a task is pending that could probe a hold.
func (g *gate) waits() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.pending[0] > 0 || g.pending[1] > 0 && !g.state.bulk
}

// probeGoesOn reports whether an admitted task is still to be taken, in transit or
// running. A task that cannot be found is not waited for.
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

// endProbe records that the attempt of the admitted task has ended.
func (g *gate) endProbe() {
	g.mu.Lock()
	g.probed = false
	g.mu.Unlock()
}

// begin counts an attempt, and reports whether it is a probe.
func (g *gate) begin() (probe bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.begun = min(g.begun+1, g.handed)
	g.running++
	probe, g.probing = g.probing, false
	g.probed = g.probed || probe
	return probe
}

// idle reports whether the lane may take tasks and has none.
func (g *gate) idle() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.closed && !g.state.closed && !g.state.bulk && g.running == 0 && g.pending == [2]int64{} &&
		time.Until(g.lane.pacer.PausedUntil()) <= rest
}

// join counts an attempt of the lane's own, which was not taken from a queue.
func (g *gate) join() {
	g.mu.Lock()
	g.running++
	g.mu.Unlock()
}

// called counts an attempt that received its slot.
func (g *gate) called() { g.change(func() { g.calling++ }) }

// end removes an attempt that has ended from the counts.
func (g *gate) end(called bool) {
	g.change(func() {
		g.running--
		if called {
			g.calling--
		}
	})
}

func (g *gate) close() { g.change(func() { g.closed = true }) }

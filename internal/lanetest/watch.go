package lanetest

import (
	"fmt"
	"sync/atomic"

	"rollcall/internal/hold"
	"rollcall/internal/lane"
	"rollcall/internal/outcome"
)

// HoldEvent is what an Observer receives for a hold.
type HoldEvent struct {
	Change hold.Change
	Hold   hold.Hold
}

// Watch is an Observer of lanes and sweeps that keeps everything it receives.
type Watch struct {
	Attempts   chan lane.Attempt
	Recoveries chan string // lanes
	Deaths     chan string // "<lane> <class>", of those without an attempt's verdict
	Closes     chan string // "<lane> <class>"
	Resends    chan lane.Attempt
	Queues     atomic.Value // the last call of Unserved
	Holds      chan HoldEvent
	Panics     atomic.Bool        // Unserved panics
	Instead    func(lane.Attempt) // called instead of keeping an attempt; nil: keep it
}

// Attempt implements [lane.Observer].
func (w *Watch) Attempt(a lane.Attempt) {
	if w.Instead != nil {
		w.Instead(a)
		return
	}
	w.Attempts <- a
}

// Late implements [lane.Observer].
func (w *Watch) Late(string, int64) {}

// Resent implements [lane.Observer].
func (w *Watch) Resent(a lane.Attempt) { w.Resends <- a }

// Hold implements [lane.Observer].
func (w *Watch) Hold(change hold.Change, h hold.Hold) { w.Holds <- HoldEvent{change, h} }

// Recovered implements [sweep.Observer].
func (w *Watch) Recovered(lane string) { w.Recoveries <- lane }

// DiedOutsideAttempt implements [sweep.Observer].
func (w *Watch) DiedOutsideAttempt(name string, c outcome.Class) { w.Deaths <- name + " " + string(c) }

// Closed implements [sweep.Observer].
func (w *Watch) Closed(name string, c outcome.Class) { w.Closes <- name + " " + string(c) }

// Unserved implements [sweep.Observer].
func (w *Watch) Unserved(queues int, tasks int64) {
	if w.Panics.Load() {
		panic("unserved")
	}
	w.Queues.Store(fmt.Sprintf("%d queues, %d tasks", queues, tasks))
}

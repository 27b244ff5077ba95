package lane

import (
	"context"
	"errors"
	"sync"
	"time"

	"rollcall/internal/pace"
	"rollcall/providers"
)

// attempt is the state of one attempt while it runs. It is the pacer of its handler.
type attempt struct {
	lane   *Lane
	urgent bool
	probe  bool   // admitted through a hold to test whether the cause is over
	run    string // of which the task is a row; "": none

	mu     sync.Mutex
	called bool      // it has received a slot
	slot   pace.Slot // the latest slot
	passed int       // slots received and not returned
}

// asked reports whether the attempt sent a request, or received the slot for one.
func (a *attempt) asked() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.passed > 0
}

// Slot returns shortly before the lane's next send may leave; Leave waits for the rest.
// Errors: ErrStopping, *HeldError, *CrowdedError, *pace.BookedOutError,
// *pace.SpentError, the error of ctx, or an error of Redis. If a slot leaves no time
// for an exchange before ctx ends, Slot returns without waiting for it.
func (a *attempt) Slot(ctx context.Context) error {
	l := a.lane
	if l.set.stopping.Err() != nil {
		return ErrStopping
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(l.set.stopping, func() { cancel(ErrStopping) })()
	if end, bounded := ctx.Deadline(); bounded {
		defer time.AfterFunc(time.Until(end)-l.Timeout, func() { cancel(&CrowdedError{}) }).Stop()
	}
	if !a.probe {
		if held := l.gate.held(); held != nil {
			return held
		}
		defer l.gate.whenHeld(cancel)()
	}
	slot, err := l.pacer.Wait(ctx, a.urgent)
	if err != nil {
		if _, spent := errors.AsType[*pace.SpentError](err); spent {
			l.set.pollSoon() // the poller sets the hold that follows
		}
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.called {
		a.called = true
		l.gate.called()
	}
	a.slot = slot
	a.passed++
	return nil
}

// Leave returns true at the moment of the attempt's latest slot. It returns false if
// that moment has passed or the lane was paused: call Slot again. Errors: of Redis,
// *RunHaltedError, *RunCancelledError.
func (a *attempt) Leave(ctx context.Context) (bool, error) {
	a.mu.Lock()
	slot := a.slot
	a.mu.Unlock()
	left, err := a.lane.pacer.Leave(ctx, slot)
	if !left { // already returned
		a.mu.Lock()
		a.passed--
		a.mu.Unlock()
		return false, err
	}
	if err := a.halted(); err != nil { // the last check before the call
		a.Unused(ctx)
		return false, err
	}
	return true, err
}

// Unused returns the attempt's latest slot, because its send does not leave.
func (a *attempt) Unused(context.Context) {
	a.mu.Lock()
	slot := a.slot
	a.slot = pace.Slot{}
	a.passed--
	a.mu.Unlock()
	if slot != (pace.Slot{}) {
		a.lane.pacer.GiveBack(slot)
	}
}

// account returns the booked calls that the platform did not count against the month.
// The number of sends of an attempt that ended in a panic is unknown, so all stay
// counted.
func (l *Lane) account(a *attempt, sends int, err error) {
	if is[*PanicError](err) {
		return
	}
	a.mu.Lock()
	uncounted, slot := a.passed-sends, a.slot
	a.mu.Unlock()
	// A send that did not leave is not part of sends.
	if e, ok := errors.AsType[*providers.Error](err); ok && e.Unmetered && e.HTTPStatus != 0 {
		uncounted++
	}
	l.pacer.Uncounted(uncounted, slot)
}

// refused records that the platform refused the attempt's latest send for its rate.
func (l *Lane) refused(ctx context.Context, a *attempt, e *providers.Error) (pace.Lesson, error) {
	a.mu.Lock()
	slot := a.slot
	a.mu.Unlock()
	after := e.RetryAfter
	if e.Period == 0 && after == 0 {
		after = time.Second
	}
	return l.pacer.Refused(ctx, slot, e.Period, after)
}

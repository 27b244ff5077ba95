package lane

import (
	"context"
	"errors"
	"sync"
	"time"

	"rollcall/internal/pace"
	"rollcall/providers"
)

// attempt is what a lane keeps of an attempt while it lasts. The context that
// the handler gets carries it to the send gate.
type attempt struct {
	urgent bool
	probe  bool // let through a hold to find out whether it is over

	mu     sync.Mutex
	called bool      // it has had a slot
	slot   pace.Slot // its last
	passed int       // slots it has had and not given back
}

type attemptKey struct{}

func attemptOf(ctx context.Context) *attempt {
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	if a == nil {
		a = &attempt{} // a send outside any attempt: as any other task
	}
	return a
}

// asked reports whether anything was sent, or had its slot for it.
func (a *attempt) asked() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.passed > 0
}

// CrowdedError tells that a send's slot did not come in time.
type CrowdedError struct{}

// Error says why that may be.
func (*CrowdedError) Error() string {
	return "no slot came in time: the lane is slow for what waits, or urgent tasks go first"
}

// Slot returns shortly before the lane's next send may leave; Leave waits for the
// rest. It fails with ErrStopping, with a *HeldError, with a *CrowdedError, a
// *pace.BookedOutError or *pace.SpentError, with the end of ctx, or when Redis
// does not answer. A slot that leaves no time for an exchange before the end of
// ctx is not waited for.
func (l *Lane) Slot(ctx context.Context) error {
	a := attemptOf(ctx)
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
			l.set.lookSoon() // the hold that follows from it
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

// Leave returns at the moment of the attempt's last slot; false if it has passed
// or the lane was paused, and another is to be waited for.
func (l *Lane) Leave(ctx context.Context) (bool, error) {
	a := attemptOf(ctx)
	a.mu.Lock()
	slot := a.slot
	a.mu.Unlock()
	left, err := l.pacer.Leave(ctx, slot)
	if !left { // given back already
		a.mu.Lock()
		a.passed--
		a.mu.Unlock()
	}
	return left, err
}

// Unused gives the last slot of the attempt back: its send does not leave.
func (l *Lane) Unused(ctx context.Context) {
	a := attemptOf(ctx)
	a.mu.Lock()
	slot := a.slot
	a.slot = pace.Slot{}
	a.passed--
	a.mu.Unlock()
	if slot != (pace.Slot{}) {
		l.pacer.GiveBack(slot)
	}
}

// account gives back what was booked for sends that the platform did not count
// against the month. Of an attempt that ended in a panic nobody knows the sends.
func (l *Lane) account(a *attempt, sends int, err error) {
	if is[*PanicError](err) {
		return
	}
	a.mu.Lock()
	uncounted, slot := a.passed-sends, a.slot
	a.mu.Unlock()
	// A send that did not even leave is not among sends.
	if e, ok := errors.AsType[*providers.Error](err); ok && e.Unmetered && e.HTTPStatus != 0 {
		uncounted++
	}
	l.pacer.Uncounted(uncounted, slot)
}

// refused takes in that the platform refused the attempt's last send for its rate.
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

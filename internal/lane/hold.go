package lane

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rollcall/providers"
)

// hold is a lane that tries no task for a while. Its first form: it lives in
// this process, is lifted by time alone, and tasks are still taken and sent
// back.
type hold struct {
	until  time.Time
	class  Class
	reason string
}

// HeldError tells that a lane is on hold.
type HeldError struct {
	For    time.Duration // how long it will be
	Reason string
}

// Error says why the lane is on hold and for how long.
func (e *HeldError) Error() string {
	return fmt.Sprintf("the lane is on hold for %s: %s", e.For.Round(time.Second), e.Reason)
}

// held returns a *HeldError while the lane is on hold, else nil.
func (l *Lane) held(now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if left := l.hold.until.Sub(now); left > 0 {
		return &HeldError{For: left, Reason: l.hold.reason}
	}
	return nil
}

// react does to the lanes what a verdict says about more than its own task: a
// hold, or a pause after a refusal for being too fast.
func (l *Lane) react(ctx context.Context, v Verdict, now time.Time) {
	e, ok := errors.AsType[*providers.Error](v.Err)
	if !ok {
		return
	}
	switch {
	case v.Hold > 0:
		for _, other := range l.concerned(e.Scope) {
			other.putOnHold(v, now)
		}
	case v.Class == ClassThrottled:
		for _, other := range l.concerned(e.Scope) {
			if err := other.pacer.Pause(ctx, max(e.RetryAfter, time.Second)); err != nil {
				other.log.Warn("a pause after a refusal could not be shared with the other workers", "err", err)
			}
		}
	}
}

// concerned are the lanes that a failure of l reaches.
func (l *Lane) concerned(scope providers.Scope) []*Lane {
	var reached []*Lane
	for _, other := range l.set.lanes {
		if other == l || l.reaches(other, scope) {
			reached = append(reached, other)
		}
	}
	return reached
}

func (l *Lane) reaches(other *Lane, scope providers.Scope) bool {
	switch scope {
	case providers.ScopeTask, providers.ScopeLane:
		return false
	case providers.ScopeTenant:
		return other.Tenant == l.Tenant
	case providers.ScopeOrganisation:
		return other.Organisation == l.Organisation && other.Platform == l.Platform
	case providers.ScopeAPI:
		return other.Platform == l.Platform && other.Kind == l.Kind
	case providers.ScopeAddress:
		return other.Platform == l.Platform
	}
	return false
}

// putOnHold logs once on entering and once when the reason changes.
func (l *Lane) putOnHold(v Verdict, now time.Time) {
	reason := v.Cause()
	l.mu.Lock()
	entering := !l.hold.until.After(now) || l.hold.reason != reason
	l.hold = hold{until: now.Add(v.Hold), class: v.Class, reason: reason}
	l.mu.Unlock()
	if entering {
		l.log.Error("lane on hold: its tasks wait and lose no attempt",
			"for", v.Hold, "class", v.Class, "reason", reason)
	}
}

package pace

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// Slot is when a call may leave: a time of Redis' clock, the epoch in which it is
// valid, and when it was booked.
type Slot struct{ at, epoch, counted int64 }

// waiter is a sender that waits for its slot.
type waiter struct {
	urgent bool
	slot   Slot          // zero: none yet
	err    error         // why there will be none
	news   chan struct{} // receives a value when slot or err changed
}

func (w *waiter) notify() {
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// Wait books a slot and returns shortly before it; Leave waits for the rest. It fails
// when ctx ends, with a *BookedOutError during a long pause, with a *SpentError if a
// counted limit allows no further call, and if Redis does not answer: without Redis
// nothing is sent. Senders that wait at the same time share a round trip.
func (l *Lane) Wait(ctx context.Context, urgent bool) (Slot, error) {
	w := &waiter{urgent: urgent, news: make(chan struct{}, 1)}
	l.mu.Lock()
	l.queue(w, false)
	l.mu.Unlock()
	for {
		slot, err := l.await(ctx, w)
		if err != nil || slot != (Slot{}) {
			return slot, err
		}
	}
}

// await returns when the waiter's slot has come, or when its state changes.
func (l *Lane) await(ctx context.Context, w *waiter) (Slot, error) {
	l.mu.Lock()
	slot, err := w.slot, w.err
	l.mu.Unlock()
	if err != nil {
		return Slot{}, err
	}
	var come <-chan time.Time
	at := l.clock.local(slot.at)
	if slot != (Slot{}) {
		timer := time.NewTimer(min(time.Until(at.Add(-l.clock.lead())), farthest))
		defer timer.Stop()
		come = timer.C
	}
	select {
	case <-ctx.Done():
		l.leave(w)
		return Slot{}, context.Cause(ctx)
	case <-w.news:
		return Slot{}, nil
	case <-come:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.slot != slot {
		return Slot{}, nil // void, or replaced by an earlier one
	}
	delete(l.booked, w)
	return slot, nil
}

// Leave returns true at the moment of a slot. It returns false if the slot is void
// because the lane was paused, or if its moment has passed: call Wait again. Without
// this, the slots that passed while a machine stood still would all be used at once. If
// the machine is always late, the send leaves anyway, at the spacing of the limits
// after the one before; refusals of the platform correct the rest.
func (l *Lane) Leave(ctx context.Context, slot Slot) (bool, error) {
	at := l.clock.local(slot.at)
	if time.Until(at) > farthest { // a clock was set: no sender may have it
		l.mu.Lock()
		defer l.mu.Unlock()
		l.returns = append(l.returns, slot)
		l.wake()
		return false, nil
	}
	if wait := time.Until(at); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			l.GiveBack(slot)
			return false, context.Cause(ctx)
		case <-timer.C:
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	late := now.Sub(at) > l.tooLate()
	if late {
		l.late++
	} else {
		l.late = 0
	}
	always := l.late > lateInARow && now.Sub(l.left) >= l.apart()
	if slot.epoch < l.seen.epoch || late && !always {
		l.returns = append(l.returns, slot)
		l.wake()
		return false, nil
	}
	l.left = now
	return true, nil
}

// farthest is how far away a slot can be. One that is farther belongs to another clock.
const farthest = 2 * Horizon

// lateInARow is the number of consecutive missed slots after which the machine counts
// as always late.
const lateInARow = 3

// apart returns the spacing of two calls that the limits require, without what was
// learned.
func (l *Lane) apart() time.Duration {
	return time.Duration(float64(time.Second) / l.Rate())
}

// tooLate is how late a call may leave and still count as evenly spaced. If the spacing
// is wide, lateness matters less, and the next slot is far in the future.
func (l *Lane) tooLate() time.Duration {
	even := spaced(*l.limits.Load())
	start, _ := even[0].Window.spread()
	return max(start/4, 5*time.Millisecond, min(l.apart()/8, time.Second))
}

// queue adds a waiter to its queue, at the end or at the front. The caller holds mu.
func (l *Lane) queue(w *waiter, front bool) {
	line := &l.bulk
	if w.urgent {
		line = &l.urgent
		l.again = time.Time{}
	}
	if front {
		*line = slices.Insert(*line, 0, w)
	} else {
		*line = append(*line, w)
	}
	l.wake()
}

// wake starts a booker unless one is running. The caller holds mu.
func (l *Lane) wake() {
	if !l.booking && len(l.urgent)+len(l.bulk)+len(l.returns) > 0 {
		l.booking = true
		l.bookers.Go(l.guarded)
	}
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// leave removes a waiter. Its slot, if it has one, goes to another.
func (l *Lane) leave(w *waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	same := func(o *waiter) bool { return o == w }
	l.urgent = slices.DeleteFunc(l.urgent, same)
	l.bulk = slices.DeleteFunc(l.bulk, same)
	delete(l.booked, w)
	if w.slot != (Slot{}) {
		l.hand(w.slot)
	}
}

// first removes and returns the first waiter without a slot.
func (l *Lane) first() *waiter {
	for _, line := range []*[]*waiter{&l.urgent, &l.bulk} {
		if len(*line) > 0 {
			w := (*line)[0]
			*line = slices.Delete(*line, 0, 1)
			return w
		}
	}
	return nil
}

func (l *Lane) assign(w *waiter, slot Slot) {
	w.slot = slot
	l.booked[w] = struct{}{}
	w.notify()
}

// void cancels the slots of epochs before the given one. Their senders book again,
// before all others.
func (l *Lane) void(epoch int64, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	until = earliest(until, time.Now().Add(LongestPause))
	if until.After(l.seen.pausedUntil) {
		l.seen.pausedUntil = until
	}
	if epoch <= l.seen.epoch {
		return
	}
	l.seen.epoch = epoch
	var again []*waiter
	for w := range l.booked {
		if w.slot.epoch < epoch {
			again = append(again, w)
		}
	}
	slices.SortFunc(again, func(a, b *waiter) int { return cmp.Compare(b.slot.at, a.slot.at) })
	for _, w := range again {
		delete(l.booked, w)
		l.returns = append(l.returns, w.slot)
		w.slot = Slot{}
		w.notify()
		l.queue(w, true)
	}
	l.again = time.Time{}
	l.wake()
}

// guarded runs the booker. After a panic all senders fail that wait for a slot, and the
// next one starts a booker again.
func (l *Lane) guarded() {
	if l.cfg.Guard == nil {
		l.serve()
		return
	}
	err := l.cfg.Guard("the booking of slots of a lane", func() error { l.serve(); return nil })
	if err == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.booking = false
	l.fail(err, err)
}

// serve is the booker: it returns unused slots and books for all waiters, until there
// are none.
func (l *Lane) serve() {
	for {
		l.mu.Lock()
		urgent, bulk := len(l.urgent), len(l.bulk)
		returns := l.returns
		l.returns = nil
		pause := time.Until(l.again)
		idle := urgent+bulk+len(returns) == 0
		if idle {
			l.booking = false
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()

		if len(returns) > 0 {
			l.giveBack(returns)
		}
		switch {
		case urgent+bulk == 0:
		case pause > 0:
			l.rest(pause)
		case time.Since(l.last) < busy:
			<-time.After(busy - time.Since(l.last))
		default:
			l.last = time.Now()
			reply, err := l.ask(urgent, bulk)
			l.deal(reply, err)
		}
	}
}

// busy is the time between consecutive bookings: senders that arrive in between share
// the next one. One booking costs Redis as much as the other scripts of five tasks.
const busy = 4 * time.Millisecond

// rest waits for d, or until a sender arrives.
func (l *Lane) rest(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.kick:
	}
}

// deal distributes the booked slots.
func (l *Lane) deal(r Reply, err error) {
	if err == nil && r.Epoch > 0 {
		l.void(r.Epoch, time.Time{})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.fail(err, err)
		return
	}
	for i, at := range r.Slots {
		w := l.first()
		if w == nil { // the waiter has left since
			for _, rest := range r.Slots[i:] {
				l.returns = append(l.returns, Slot{rest, r.Epoch, r.At})
			}
			break
		}
		l.assign(w, Slot{at, r.Epoch, r.At})
	}
	switch r.Why {
	case "":
		l.gather(r)
	case WhyHorizon:
		l.again = earliest(l.clock.local(r.Again), time.Now().Add(farthest))
	case WhyPaused:
		l.again = earliest(l.clock.local(r.Again), time.Now().Add(LongestPause))
		if left := time.Until(l.again); left > patience {
			l.seen.pausedUntil = l.again
			out := &BookedOutError{For: left}
			l.fail(out, out)
		}
	case WhyReserve:
		l.fail(nil, l.spentError(r.Why))
	default:
		out := l.spentError(r.Why)
		l.fail(out, out)
	}
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// If a lane is booked far ahead, the booker lets senders gather for a while: they get
// the same slots, with fewer round trips.
const (
	enough = 100 * time.Millisecond
	while  = 50 * time.Millisecond
)

func (l *Lane) gather(r Reply) {
	if n := len(r.Slots); n > 0 && time.Until(l.clock.local(r.Slots[n-1])) > enough {
		l.again = time.Now().Add(while)
	}
}

func (l *Lane) spentError(why string) error {
	e := &SpentError{Why: why}
	if why != WhyDay {
		e.Spent = l.seen.spent
	}
	return e
}

// fail ends the waits of senders without a slot, with an error; nil: they continue to
// wait. The caller holds mu.
func (l *Lane) fail(urgent, bulk error) {
	end := func(line *[]*waiter, err error) {
		if err == nil {
			return
		}
		for _, w := range *line {
			w.err = err
			w.notify()
		}
		*line = nil
	}
	end(&l.urgent, urgent)
	end(&l.bulk, bulk)
}

package pace

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
)

// GiveBack returns a slot whose call does not leave after all.
func (l *Lane) GiveBack(slot Slot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hand(slot)
}

// Uncounted tells that the platform did not count n calls against the month, the
// last of which left at slot.
func (l *Lane) Uncounted(n int, slot Slot) {
	if n <= 0 || !l.cfg.Metered {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for range n {
		l.returns = append(l.returns, Slot{counted: slot.counted})
	}
	l.wake()
}

// passed is how long after its time a slot is still as good as new to another.
const passed = 2 * time.Millisecond

// hand gives a slot to who waits without one, else to who has the latest, whose
// own then goes back. The caller holds mu.
func (l *Lane) hand(slot Slot) {
	if slot.epoch == l.seen.epoch && time.Since(l.clock.local(slot.at)) < passed {
		if w := l.first(); w != nil {
			l.assign(w, slot)
			return
		}
		var last *waiter
		for w := range l.booked {
			if w.slot.at > slot.at && (last == nil || w.slot.at > last.slot.at) {
				last = w
			}
		}
		if last != nil {
			last.slot, slot = slot, last.slot
			last.tell()
		}
	}
	l.returns = append(l.returns, slot)
	l.wake()
}

// giveBack writes down what is not used. What cannot be written is lost to the
// lane and to the month: fewer calls are made than could be, never more.
func (l *Lane) giveBack(slots []Slot) {
	ctx, cancel := context.WithTimeout(context.Background(), askFor)
	defer cancel()
	for batch := range slices.Chunk(slots, most) {
		args := append(l.terms(), uuid.NewString()[:8])
		for _, s := range batch {
			args = append(args, s.at, s.epoch, s.counted)
		}
		l.asked.Add(1)
		if l.give.Run(ctx, l.rdb, l.keys, args...).Err() != nil {
			return
		}
	}
}

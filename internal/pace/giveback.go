package pace

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
)

// GiveBack returns a slot whose call does not leave.
func (l *Lane) GiveBack(slot Slot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hand(slot)
}

// Uncounted reports that the platform did not count n calls against the month, the last
// of which left at slot.
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

// passed is how long after its time a slot can still be used by another sender.
const passed = 2 * time.Millisecond

// hand gives a slot to a waiter without one, else to the waiter with the latest slot,
// whose own is then returned. The caller holds mu.
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
			last.notify()
		}
	}
	l.returns = append(l.returns, slot)
	l.wake()
}

// giveBack records the unused slots in Redis. If that fails, they are lost to the lane
// and to the month: fewer calls are made than allowed, never more.
func (l *Lane) giveBack(slots []Slot) {
	ctx, cancel := context.WithTimeout(context.Background(), askFor)
	defer cancel()
	for batch := range slices.Chunk(slots, most) {
		args := append(l.terms(), uuid.NewString()[:8])
		for _, s := range batch {
			args = append(args, s.at, s.epoch, s.counted)
		}
		dropped, err := l.give.Run(ctx, l.rdb, l.keys, args...).Text()
		if err != nil {
			return
		}
		if dropped != "" {
			l.dropped(l.keys[0], dropped)
		}
	}
}

package lane

import (
	"context"
	"time"

	"rollcall/internal/handler"
)

// FreeSlots returns how many tasks may wait for their slot, and how many the lane may
// hold in total.
func (l *Lane) FreeSlots() (waiting, together int) { return l.room() }

// Slot returns the error of a slot for a send of a new attempt.
func (l *Lane) Slot(ctx context.Context) error { return (&attempt{lane: l}).Slot(ctx) }

// Resends returns a function that sends once more what is due at a time, and returns
// when that has ended.
func (s *Set) Resends() func(context.Context, time.Time) {
	r := newResender(s)
	return func(ctx context.Context, now time.Time) {
		r.look(ctx, now)
		r.running.Wait()
	}
}

// Undecodable returns the error in which an attempt at a stand-in ends.
func Undecodable(payload []byte) error { return readUndecodable(payload) }

// Hide masks words in the report of an attempt and its error.
func Hide(words []string, report handler.Report, err error) (handler.Report, error) {
	return hide(words, report, err)
}

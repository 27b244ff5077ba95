package lane

import (
	"context"
	"time"

	"rollcall/internal/backlog"
	"rollcall/internal/handler"
)

// FreeSlots returns how many tasks may wait for their slot, and how many the lane may
// hold in total.
func (l *Lane) FreeSlots() (waiting, together int) { return l.room() }

// Slot returns the error of a slot for a send of a new attempt.
func (l *Lane) Slot(ctx context.Context) error { return (&attempt{lane: l}).Slot(ctx) }

// Beats exposes what the looks at one queue remember.
type Beats struct{ beats }

// Look records one look.
func (b *Beats) Look(found backlog.Look) []backlog.Orphan { return b.look(found) }

// Sweeps returns a function that sweeps the queues of a Set once, at a given time of
// this worker's clock.
func (s *Set) Sweeps() func(context.Context, time.Time) { return newSweeper(s).sweep }

// Resends returns a function that sends once more what is due at a time, and returns
// when that has ended.
func (s *Set) Resends() func(context.Context, time.Time) {
	r := newResender(s)
	return func(ctx context.Context, now time.Time) {
		r.look(ctx, now)
		r.running.Wait()
	}
}

// StandIn returns the stand-in for a message: its type, its payload, and the error in
// which an attempt at it ends.
func StandIn(queue, id string, raw []byte) (typename string, payload []byte, err error) {
	payload, err = standIn(queue, id, raw)
	if err != nil {
		return "", nil, err
	}
	return typeUndecodable, payload, readUndecodable(payload)
}

// Hide masks words in the report of an attempt and its error.
func Hide(words []string, report handler.Report, err error) (handler.Report, error) {
	return hide(words, report, err)
}

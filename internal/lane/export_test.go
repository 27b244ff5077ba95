package lane

import (
	"context"
	"time"

	"rollcall/internal/backlog"
)

// Room is how many tasks may wait for their slot, and how many the lane may be
// at altogether.
func (l *Lane) Room() (waiting, together int) { return l.room() }

// Beats is what the looks at a queue remember.
type Beats struct{ beats }

// Look takes a look in.
func (b *Beats) Look(found backlog.Look) []backlog.Orphan { return b.look(found) }

// Sweeps returns what goes over the queues of a Set once, at a time of this
// worker's clock.
func (s *Set) Sweeps() func(context.Context, time.Time) { return newSweeper(s).sweep }

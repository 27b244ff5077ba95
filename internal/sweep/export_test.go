package sweep

import "rollcall/internal/backlog"

// Beats exposes what the looks at one queue remember.
type Beats struct{ beats }

// Look records one look.
func (b *Beats) Look(found backlog.Look) []backlog.Orphan { return b.look(found) }

package ledger

import (
	"context"
	"errors"
)

// RunRevision takes one revision for all rows of a run at an organisation's API: Redis'
// clock in microseconds, at least one more than the last that this function handed out
// there. It is kept as the floor: a revision that is handed out later for any target of
// the API is above it. No record of a target is made. A target that had a higher
// revision before, since Redis' clock was set back, needs a revision of its own for the
// row: see [Record.Revision].
//
// A floor that is more than a day ahead of Redis' clock is ignored, as the clock must
// have been wrong. One round trip.
func (l *Ledger) RunRevision(ctx context.Context, organisation, api string) (int64, error) {
	return 0, errors.ErrUnsupported
}

package ledger

import (
	"context"
	"fmt"
	"time"
)

// floorKept is how long a floor is kept: until Redis' clock has passed any that counts.
const floorKept = 2 * 24 * time.Hour

// RunRevision takes one revision for all rows of a run at an organisation's API: Redis'
// clock in microseconds, at least one more than the last that this function handed out
// there. It is kept as the floor: a revision that is handed out later for any target of
// the API is above it. No record of a target is made.
//
// Two kinds of rows need a revision of their own from [Ledger.Revise]: a row whose target
// had a higher revision before, since Redis' clock was set back ([Record.Revision]), and
// all but the first of several rows for one target.
//
// A floor that is more than a day ahead of Redis' clock is ignored, as the clock must
// have been wrong. One round trip.
func (l *Ledger) RunRevision(ctx context.Context, organisation, api string) (int64, error) {
	revision, err := floor.Run(ctx, l.rdb, []string{floorKey(organisation, api)}, floorKept.Milliseconds()).Int64()
	if err != nil {
		return 0, fmt.Errorf("ledger: take a revision for a run: %w", err)
	}
	return revision, nil
}

func floorKey(organisation, api string) string { return tagged(organisation, api, "floor") }

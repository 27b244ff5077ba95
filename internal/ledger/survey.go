package ledger

import (
	"context"
	"errors"
)

// Survey reads the records of many targets, in their order, without their Effects and
// Sources. A target of which nothing is known has a Revision of 0. A damaged target is
// reported in its own record (Damaged) and costs the others nothing. [State.Open] is set.
// The targets may be of several APIs. A few round trips for each 512 targets.
func (l *Ledger) Survey(ctx context.Context, targets []Target) ([]Record, error) {
	return nil, errors.ErrUnsupported
}

package ledger

import (
	"context"
	"errors"
)

// Raise is a row of a run whose target is expected to hold the wanted values already.
type Raise struct {
	Target   Target
	Fields   []Field
	Revision int64
	Row      Row // its result becomes RowUnchanged
}

// Raise notes that targets hold the wanted values at a revision: the applied revision
// becomes that of the row, so that an older change that still waits is superseded, and
// the record is kept for another 400 days. It returns for each row whether that was done.
//
// It is done where Begin would decide `unchanged` for every field, and no attempt holds a
// lease; so never for a field of mode Effect, Edit or Resend, an unknown outcome, a
// value that may have been overwritten, a later change, or a damaged target. A row for
// which it was not done must be enqueued. Raising a row twice is harmless. One round trip
// for each 64 rows of an organisation's API.
func (l *Ledger) Raise(ctx context.Context, rows []Raise) ([]bool, error) {
	return nil, errors.ErrUnsupported
}

package ledger

import (
	"context"
	"errors"
	"time"
)

// NewRunID returns a random name for a run that is kept in Redis: 17 lower-case letters
// and digits, of which the first is r. Rows of such a run have details.
func NewRunID() string { return "" }

// IsRunID reports whether a name of a run has the form of [NewRunID].
func IsRunID(name string) bool { return false }

// RowDetail is what is known of a row that has ended, besides its result. Rows that
// needed no call (unchanged, superseded, settled before) and cancelled rows have none.
type RowDetail struct {
	At        time.Time // whole seconds: of Redis' clock; of the worker's for a dead letter
	RequestID string    // of the platform
	// Fields are those that were sent; nil of a dead letter.
	Fields map[string]FieldDetail
	// Class, Code and Message are those of the dead letter; "" of an applied row. The
	// message is personal, and cut to 160 bytes.
	Class, Code, Message string
}

// FieldDetail is what one field of a row was before. Its key is the name of the field, ""
// if the task has one field only.
type FieldDetail struct {
	// Old is the value that the row replaced, if Known: an applied value was recorded, no
	// outcome was unknown, and no late request can have overwritten it.
	Old   string
	Known bool
	// Substitute is the value that the platform took in place of the wanted one; "": it
	// took the wanted one.
	Substitute string
}

// RunDetails reads the details of rows of a run at an organisation's API, by row. A row
// without details is missing. Rows of workers of an earlier version have none. They are
// kept as long as the results. One round trip.
func (l *Ledger) RunDetails(ctx context.Context, organisation, api string, run RunName, rows []int) (map[int]RowDetail, error) {
	return nil, errors.ErrUnsupported
}

// Cancel ends a task of a cancelled run before Begin, without a call and without a dead
// letter: its row gets the result RowCancelled, unless it has another that ended it. An
// older change that the task replaced is not sent in its place. One round trip.
func (l *Ledger) Cancel(ctx context.Context, target Target, taskID string, row Row) error {
	return errors.ErrUnsupported
}

// CloseDead ends the task of a dead letter as [Ledger.Close] does, and keeps the details
// of its row. One round trip.
func (l *Ledger) CloseDead(ctx context.Context, dead DeadLetter) error {
	return errors.ErrUnsupported
}

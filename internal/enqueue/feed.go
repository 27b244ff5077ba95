package enqueue

import (
	"context"

	"rollcall/tasks"
)

// FedRow is a row of a run that is fed into the queue of its lane. Request.Options name
// the run and the row.
type FedRow struct {
	Request tasks.Request
	TaskID  string // e.g. <run>:<row>
	// Revision is that of the row's change. 0: the row takes one now, which Result has;
	// required for a row with a Source, whose number is compared then. The position of a
	// membership edit that has a revision is taken again.
	Revision int64
}

// Feed stores rows of runs for the workers as EnqueueAll does, under given ids and
// revisions: take a revision, store the task, note it. Feeding a row twice is harmless,
// whenever: a row that is stored or has ended, whatever its result, is AlreadyThere and is
// not stored again. A task that was stored and not noted is noted.
//
// AlreadyThere with another TaskID means that another task was stored with the row's Key.
func (c *Client) Feed(ctx context.Context, rows []FedRow) []tasks.Result {
	return make([]tasks.Result, len(rows))
}

package enqueue

import (
	"context"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/tasks"
)

// FedRow is a row of a run that is fed into the queue of its lane. Request.Options name
// the run and the row.
type FedRow struct {
	Request tasks.Request
	TaskID  string // e.g. <run>:<row>
	// Revision is that of the row's change. 0: the row takes one now, which the Result has
	// if it was stored; required for a row with a Source, whose number is compared then.
	// The position of a membership edit that has a revision is taken again.
	Revision int64
}

// Feed stores rows of runs for the workers as EnqueueAll does, under given ids and
// revisions: take a revision, store the task, note it. Feeding a row twice is harmless,
// whenever: a row that is stored or has ended, with any result, is AlreadyThere and is
// not stored again. A task with a given revision that was stored and not noted is noted.
//
// AlreadyThere with another TaskID means that another task was stored with the row's Key.
func (c *Client) Feed(ctx context.Context, rows []FedRow) []tasks.Result {
	return c.enqueue(ctx, rows, nil)
}

// skipEnded ends the submissions of fed rows that have a result already: asynq forgets a
// task some minutes after its end, and its id is free then. One round trip, none without
// fed rows.
func (c *Client) skipEnded(ctx context.Context, submissions []*submission) {
	var fed []*submission
	var targets []ledger.Target
	var rows []ledger.Row
	for _, p := range submissions {
		o := p.request.Options
		if p.over || !p.fed || o.Run == "" {
			continue
		}
		target, _ := kinds.Change(p.request.Task, p.lane.Organisation)
		fed, targets = append(fed, p), append(targets, target)
		rows = append(rows, ledger.Row{Tenant: p.tenant, Run: o.Run, Row: o.Row})
	}
	if len(fed) == 0 {
		return
	}
	results, err := c.ledger.RowResults(ctx, targets, rows)
	for i, p := range fed {
		switch {
		case err != nil:
			p.end(p.notStored("read the result of its row", err))
		case results[i] != 0 && results[i] != ledger.RowStored:
			p.end(tasks.Result{Outcome: tasks.AlreadyThere, TaskID: p.held.ID, Queue: p.held.Queue, Revision: p.revision})
		}
	}
}

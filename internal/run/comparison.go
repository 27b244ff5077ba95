package run

import (
	"context"
	"fmt"

	"rollcall/internal/ledger"
)

// Comparison compares rows with the ledger as a plan does, and makes no run: its maker
// can leave rows out, and still judge all of them. It takes 50 bytes a row. It is not
// safe for concurrent use.
type Comparison struct {
	planner *planner
	rows    int
}

// Compared is a row with its decision, and with its target if it is not impossible.
type Compared struct {
	Planned

	Organisation string // empty: no worker serves the lane of the row
	Target       ledger.Target
	Fields       []ledger.Field
}

// Compare begins a comparison. The changes that wait in other runs are those of now.
func (s *Service) Compare(ctx context.Context, settings Settings) (*Comparison, error) {
	now, err := s.rdb.Time(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("compare rows: %w", err)
	}
	p := s.newPlanner()
	p.head, p.now, p.settings = &head{now: now}, now, settings
	return &Comparison{planner: p}, p.readOthers(ctx)
}

// Rows compares the next rows, which are numbered from 1 over all calls. Give some
// thousand rows at once: it costs two or three round trips for each 512 rows.
func (c *Comparison) Rows(ctx context.Context, rows []Row) ([]Compared, error) {
	p, s := c.planner, c.planner.service
	requests, err := s.resolve(ctx, rows)
	if err != nil {
		return nil, err
	}
	plans, records, err := s.compare(ctx, rows, requests, p.settings.TrustPrevious, p.now)
	if err != nil {
		return nil, err
	}
	all := make([]Compared, len(rows))
	for i := range rows {
		c.rows++
		q := requests[i]
		p.settle(c.rows, rows[i].Line, &plans[i], q, records[i])
		p.look(&plans[i], q)
		all[i] = Compared{Planned: planned(c.rows, rows[i], q.fields, plans[i]), Organisation: q.lane.Organisation, Target: q.target, Fields: q.fields}
		p.totals.add(all[i].Planned, q.lane.Organisation)
	}
	return all, nil
}

// Contradicted returns the rows that a later row contradicts, with the reason: they are
// conflicts, also if Rows decided otherwise.
func (c *Comparison) Contradicted() map[int]string { return c.planner.late }

// Guards returns what the guards find in all rows, but for that on the month's quota.
// Their Rows are the numbers of this comparison.
func (c *Comparison) Guards() []Guard { return c.planner.totals.objections(nil) }

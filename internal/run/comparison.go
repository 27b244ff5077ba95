package run

import (
	"context"
	"fmt"
	"time"

	"rollcall/internal/ledger"
)

// Comparison compares rows with the ledger as a plan does, and makes no run: its maker
// can leave rows out, and still judge all of them. It takes 50 bytes a row. It is not
// safe for concurrent use.
type Comparison struct {
	planner *planner
	old     map[string]string // of the row that is decided
}

// Compared is a row with its decision, and with its target if it is not impossible.
type Compared struct {
	Planned

	Organisation string // empty: no worker serves the lane of the row
	Target       ledger.Target
	Fields       []ledger.Field
	// Known says that the target holds the value of the row, which is its first: Evidence is
	// how that is known, and Since since when.
	Known    bool
	Evidence ledger.Evidence
	Since    time.Time
}

// Compare begins a comparison. The changes that wait in other runs are those of now.
func (s *Service) Compare(ctx context.Context, settings Settings) (*Comparison, error) {
	now, err := s.rdb.Time(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("compare rows: %w", err)
	}
	p := s.newPlanner()
	p.head, p.settings = &head{now: now}, settings
	return &Comparison{planner: p, old: map[string]string{}}, p.readOthers(ctx)
}

// Now is Redis' time when the comparison began.
func (c *Comparison) Now() time.Time { return c.planner.head.now }

// Rows compares the next rows, which are numbered from 1 over all calls. Give some
// thousand rows at once: it costs one round trip for each 256 rows whose target holds the
// wanted value, and two or three for each 512 others.
func (c *Comparison) Rows(ctx context.Context, rows []Row) ([]Compared, error) {
	p, s := c.planner, c.planner.service
	requests := make([]request, len(rows))
	for i, r := range rows {
		requests[i] = request{Row: r, number: len(p.lines) + 1 + i}
	}
	if err := s.resolve(ctx, requests); err != nil {
		return nil, err
	}
	held, err := s.holding(ctx, requests)
	if err != nil {
		return nil, err
	}
	var others []request // their targets may not hold the wanted values
	for i, q := range requests {
		if !held[i].Holds {
			others = append(others, q)
		}
	}
	plans, records, err := s.compare(ctx, others, p.settings.TrustPrevious, p.head.now)
	if err != nil {
		return nil, err
	}
	all, other := make([]Compared, len(rows)), 0
	for i, q := range requests {
		var rec planRecord
		var known ledger.Record
		evidence, since := held[i].Evidence, held[i].Since
		if held[i].Holds {
			clear(c.old)
			c.old[q.fields[0].Name] = q.fields[0].Value
			rec = planRecord{Decision: letters[RowUnchanged], Old: c.old}
		} else {
			rec, known = plans[other], records[other]
			if other++; len(q.fields) == 1 {
				evidence, since = known.Evidence(q.fields[0].Name)
			}
		}
		p.settle(&rec, q, known)
		all[i] = Compared{
			Planned: planned(q, rec), Organisation: q.lane.Organisation, Target: q.target, Fields: q.fields,
			Known: rec.decision() == RowUnchanged && rec.Twin == 0, Evidence: evidence, Since: since,
		}
		p.totals.add(all[i].Planned, q.lane.Organisation)
	}
	return all, nil
}

// holding finds the rows whose target holds the wanted value. Their records need not be
// read: most rows of a roster are so.
func (s *Service) holding(ctx context.Context, requests []request) ([]ledger.Held, error) {
	wanted := make([]ledger.Wanted, len(requests))
	for i, q := range requests {
		wanted[i].Field.Mode = ledger.Edit // is not looked at
		if q.fault == "" && len(q.fields) == 1 {
			wanted[i] = ledger.Wanted{Target: q.target, Field: q.fields[0]}
		}
	}
	return s.ledger.Holding(ctx, wanted)
}

// Contradicted returns the rows that a later row contradicts, with the reason: they are
// conflicts, also if Rows decided otherwise.
func (c *Comparison) Contradicted() map[int]string { return c.planner.late }

// Guards returns what the guards find in all rows, but for that on the month's quota.
// Their Rows are the numbers of this comparison.
func (c *Comparison) Guards() []Guard { return c.planner.totals.objections(nil) }

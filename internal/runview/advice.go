package runview

import (
	"context"
	"iter"
	"time"

	"rollcall/internal/ledger"
	"rollcall/internal/registry"
	"rollcall/internal/run"
)

// Advice is what to do about failed rows, by class and code, as the platforms' tables say it: a
// row itself has only the advice for its class.
type Advice map[Cause]string

// Cause is why rows failed.
type Cause struct{ Class, Code string }

// ReadAdvice reads the advice for a run. One round trip for each of its lanes, none if no row
// failed.
func ReadAdvice(ctx context.Context, book *ledger.Ledger, r run.Run) (Advice, error) {
	all := Advice{}
	if r.Outcomes[run.OutcomeFailed] == 0 || r.Plan == nil {
		return all, nil
	}
	for _, l := range r.Plan.Lanes {
		of, err := book.Todos(ctx, registry.Queue(l.Tenant, l.Kind, false))
		if err != nil {
			return nil, err
		}
		for _, t := range of {
			all[Cause{t.Class, t.Code}] = t.Todo
		}
	}
	return all, nil
}

// All returns rows with it, and with their times in a zone.
func (a Advice) All(rows iter.Seq2[run.Result, error], zone *time.Location) iter.Seq2[run.Result, error] {
	return func(yield func(run.Result, error) bool) {
		for row, err := range rows {
			row = a.Add(row)
			row.At = row.At.In(zone)
			if !yield(row, err) {
				return
			}
		}
	}
}

// Add returns a row with the advice for its code.
func (a Advice) Add(row run.Result) run.Result {
	if todo := a[Cause{row.Class, row.Code}]; todo != "" && row.Outcome == run.OutcomeFailed {
		row.Advice = todo
	}
	return row
}

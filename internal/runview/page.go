package runview

import (
	"context"
	"iter"

	"rollcall/internal/run"
)

// Outcomes are the outcomes with some names, to select rows by.
func Outcomes(names []string) []run.Outcome {
	all := make([]run.Outcome, len(names))
	for i, name := range names {
		all[i] = run.Outcome(name)
	}
	return all
}

// Page selects rows of a run: at most Limit of those that are wanted, and reads at most Scan:
// with a filter, few rows may be wanted.
type Page struct{ Limit, Scan int }

// Read reads rows until the page is full; take returns whether a row was wanted. next is the
// last row that was read: the next page begins after it; 0: there are no more.
func Read[Row any](ctx context.Context, p Page, rows iter.Seq2[Row, error], number func(Row) int, take func(Row) bool) (next int, err error) {
	read, taken := 0, 0
	for row, err := range rows {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return 0, err
		}
		if taken >= p.Limit || read >= p.Scan {
			return number(row) - 1, nil
		}
		if read++; take(row) {
			taken++
		}
	}
	return 0, nil
}

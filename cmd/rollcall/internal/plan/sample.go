package plan

import (
	"context"
	"strconv"

	"rollcall/cmd/rollcall/internal/session"
	"rollcall/internal/run"
)

// sample are the rows of a plan that are printed.
type sample struct {
	pairs, look         []run.Planned
	morePairs, moreLook int
}

// newSample reads the rows of a plan until it has those that are printed.
func newSample(ctx context.Context, runs session.Runs, r run.Run) (sample, error) {
	s := sample{morePairs: r.Plan.Calls()}
	s.moreLook = r.Plan.Suspicious + r.Plan.Counts[run.RowConflict] + r.Plan.Counts[run.RowImpossible]
	wanted := func(left, most int, have []run.Planned) bool { return left > 0 && len(have) < most }
	for row, err := range runs.Rows(ctx, r.ID) {
		if err != nil {
			return s, err
		}
		if row.Decision.Calls() && wanted(s.morePairs, mostPairs, s.pairs) {
			s.pairs, s.morePairs = append(s.pairs, row), s.morePairs-1
		}
		if looks(row) && wanted(s.moreLook, mostLooked, s.look) {
			s.look, s.moreLook = append(s.look, row), s.moreLook-1
		}
		if !wanted(s.morePairs, mostPairs, s.pairs) && !wanted(s.moreLook, mostLooked, s.look) {
			break
		}
	}
	return s, nil
}

// looks reports whether a person should look at a row.
func looks(row run.Planned) bool {
	return row.Suspicious != "" && row.Decision.Calls() || row.Decision == run.RowConflict || row.Decision == run.RowImpossible
}

// place is the line of a row in its file, or its number.
func place(row run.Planned) string {
	if row.Line > 0 {
		return strconv.Itoa(row.Line)
	}
	return strconv.Itoa(row.Number)
}

// where is the same in a sentence. Reasons name rows by number.
func where(row run.Planned) string {
	text := "row " + strconv.Itoa(row.Number)
	if row.Line > 0 {
		text += ", line " + strconv.Itoa(row.Line)
	}
	return text
}

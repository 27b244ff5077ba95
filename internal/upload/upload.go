package upload

import (
	"context"
	"errors"
	"fmt"

	"rollcall/internal/roster"
	"rollcall/internal/run"
	"rollcall/tasks"
)

// batch is how many rows are added to a run at once: a multiple of the rows of a block.
const batch = 4096

// Upload makes a run of the rows of a checked file, and seals it. Invalid rows are
// impossible rows of the run. progress is called with the number of rows that are in; nil:
// it is not. A run whose upload failed expires by itself.
func (f *File) Upload(ctx context.Context, runs *run.Service, draft run.Draft, judge Judge, progress func(in int)) (run.Run, error) {
	made, err := runs.Create(ctx, draft)
	if err != nil {
		return made, err
	}
	in, rows := 0, make([]run.Row, 0, batch)
	add := func() error {
		in, err = runs.Add(ctx, made.ID, in, rows)
		rows = rows[:0]
		if err == nil && progress != nil {
			progress(in)
		}
		return err
	}
	for row, err := range f.Rows() {
		if err != nil {
			return made, f.flags.refuse(f.Name, err)
		}
		refusal := judge(ctx, row)
		if fault, ok := errors.AsType[*tasks.StoreError](refusal); ok {
			return made, fault
		}
		rows = append(rows, RunRow(row, refusal))
		if len(rows) == batch {
			if err := add(); err != nil {
				return made, fmt.Errorf("upload %s: %w", f.Name, err)
			}
		}
	}
	if len(rows) > 0 {
		if err := add(); err != nil {
			return made, fmt.Errorf("upload %s: %w", f.Name, err)
		}
	}
	return runs.Seal(ctx, made.ID, in)
}

// RunRow returns the row of a run. refusal is why the row is invalid, or nil.
func RunRow(row roster.Row, refusal error) run.Row {
	r := run.Row{Line: row.Line, Request: row.Request, Previous: row.Previous}
	if refusal == nil {
		return r
	}
	for _, p := range row.Explain(refusal) {
		what := p.What
		if p.Column != "" {
			what = "column " + p.Column + ": " + what
		}
		r.Problems = append(r.Problems, what)
	}
	return r
}

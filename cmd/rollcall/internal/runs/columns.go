package runs

import (
	"context"
	"maps"
	"slices"

	"rollcall/cmd/rollcall/internal/plan"
	"rollcall/cmd/rollcall/internal/session"
	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/roster"
	"rollcall/internal/run"
	"rollcall/internal/runview"
	"rollcall/internal/sheet"
)

// write writes the results to a file of its own.
func (f *resultFlags) write(ctx context.Context, s *session.Session, r run.Run) error {
	used := map[string]bool{}
	all := *f
	all.failed = false // a row may fail between the two readings
	err := all.each(ctx, s, r, func(row run.Result) error {
		for column := range roster.Cells(row.Request, row.Previous) {
			used[column] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	format, err := plan.Format(f.out)
	if err != nil {
		return err
	}
	file := runview.File{Format: format, Chinese: f.lang == "zh", Columns: roster.Order(slices.Collect(maps.Keys(used)))}
	out, err := sheet.Create(f.out, file.Heads())
	if err != nil {
		return cli.BadInput("%w", err)
	}
	defer out.Discard()
	rows := 0
	err = f.each(ctx, s, r, func(row run.Result) error {
		rows++
		row.At = row.At.Local()
		return out.Row(file.Cells(row))
	})
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		return err
	}
	return f.written(s, rows, f.out)
}

// written reports a file, and what to do with rows to correct.
func (f *resultFlags) written(s *session.Session, rows int, path string) error {
	if s.JSON {
		return s.PrintJSON(struct {
			Output string `json:"output"`
			Rows   int    `json:"rows"`
		}{path, rows})
	}
	console.Fprintf(s.Stdout, "written: %s, %s\n", path, console.Count(rows, "row"))
	if f.failed && rows > 0 {
		console.Fprintf(s.Stdout, "correct the rows, then: rollcall plan %s\n", path)
		if f.into != "" { // it has the columns of its input, which flags may have completed
			console.Fprintln(s.Stdout, "with --tenant, --chat and the other flags of the first plan")
		}
	}
	return nil
}

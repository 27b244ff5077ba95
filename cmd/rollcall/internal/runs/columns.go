package runs

import (
	"context"
	"maps"
	"slices"
	"strings"

	"rollcall/cmd/rollcall/internal/session"
	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/roster"
	"rollcall/internal/run"
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
	columns := roster.Order(slices.Collect(maps.Keys(used)))
	names := make([]string, len(columns))
	for i, column := range columns {
		names[i] = column
		if other := roster.Synonyms(column); f.lang == "zh" && len(other) > 0 {
			names[i] = chinese(other)
		}
	}
	out, err := sheet.Create(f.out, slices.Concat(names, run.ResultColumns(f.lang == "zh")))
	if err != nil {
		return cli.BadInput("%w", err)
	}
	defer out.Discard()
	rows := 0
	err = f.each(ctx, s, r, func(row run.Result) error {
		rows++
		cells, of := make([]string, len(columns)), roster.Cells(row.Request, row.Previous)
		for i, column := range columns {
			cells[i] = of[column]
		}
		return out.Row(slices.Concat(cells, f.cells(row)))
	})
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		return err
	}
	return f.written(s, rows, f.out)
}

// chinese returns the first Chinese name of a column.
func chinese(names []string) string {
	for _, name := range names {
		if strings.ContainsFunc(name, func(r rune) bool { return r > 0x2e80 }) {
			return name
		}
	}
	return names[0]
}

// written reports a file, and what to do with rows to correct.
func (f *resultFlags) written(s *session.Session, rows int, path string) error {
	if s.JSON {
		return s.PrintJSON(struct {
			Output string `json:"output"`
			Rows   int    `json:"rows"`
		}{path, rows})
	}
	console.Fprintf(s.Stdout, "written: %s, %s\n", path, cli.Count(rows, "row"))
	if f.failed && rows > 0 {
		console.Fprintf(s.Stdout, "correct the rows, then: rollcall plan %s\n", path)
	}
	return nil
}

package runs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"rollcall/cmd/rollcall/internal/session"
	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/kinds"
	"rollcall/internal/run"
	"rollcall/internal/sheet"
	"rollcall/internal/table"
	"rollcall/tasks"
)

// merge writes a copy of the file that was planned, with the results.
func (f *resultFlags) merge(ctx context.Context, s *session.Session, r run.Run) (err error) {
	out := f.out
	if out == "" {
		ext := filepath.Ext(f.into)
		out = strings.TrimSuffix(f.into, ext) + "-results" + ext
		if f.failed {
			out = strings.TrimSuffix(f.into, ext) + "-failed" + ext
		}
	}
	if same(f.into, out) {
		return cli.BadInput("-o %s: this is the file of --into; choose another file", out)
	}
	input, err := table.OpenFile(f.into)
	if err != nil {
		return cli.BadInput("--into %s: %w", f.into, err)
	}
	defer func() { err = errors.Join(err, input.Close()) }()
	t, err := table.Open(input, table.Options{Encoding: f.encoding, Sheet: f.sheet})
	if err != nil {
		return cli.BadInput("--into %s: %w", f.into, err)
	}
	next, stop := iter.Pull2(s.Runs.Results(ctx, r.ID))
	defer stop()
	m := merger{flags: f, next: next, csv: t.Format == table.CSV}
	rows, err := sheet.Annotate(f.into, t, out, sheet.Extra{
		Heads: run.ResultColumns(f.lang == "zh"), Replaces: run.IsResultColumn, Cells: m.cells, End: m.end, All: !f.failed,
	})
	switch {
	case m.fault != nil:
		return m.fault
	case err != nil:
		return cli.BadInput("--into %s: %w", f.into, err)
	}
	return f.written(s, rows, out)
}

func same(a, b string) bool {
	first, err := os.Stat(a)
	second, otherErr := os.Stat(b)
	return err == nil && otherErr == nil && os.SameFile(first, second)
}

// merger finds the result of each record of the file. Both are in the order of lines.
type merger struct {
	flags *resultFlags
	next  func() (run.Result, error, bool)
	csv   bool  // a cell must not be a formula
	fault error // of Redis
}

var errOtherFile = errors.New("is it the file that was planned, unchanged?")

// cells returns the cells of the results of a record.
func (m *merger) cells(record table.Record) ([]string, bool, error) {
	row, err, ok := m.next()
	switch {
	case err != nil:
		m.fault = err
		return nil, false, err
	case !ok:
		return nil, false, fmt.Errorf("line %d: the run has no more rows; %w", record.Line, errOtherFile)
	case row.Line != record.Line:
		return nil, false, fmt.Errorf("line %d: the next row of the run is of line %d; %w", record.Line, row.Line, errOtherFile)
	case !holds(record, row.Request.Task):
		return nil, false, fmt.Errorf("line %d: the row of the run is of another person or course; %w", record.Line, errOtherFile)
	}
	cells := m.flags.cells(m.flags.advice.Add(row))
	for i, cell := range cells {
		if cells[i] = console.Clean(cell); m.csv {
			cells[i] = console.Inert(cells[i])
		}
	}
	return cells, m.flags.selects(row), nil
}

// end refuses a file with fewer records than the run has rows.
func (m *merger) end() error {
	row, err, more := m.next()
	if err != nil {
		m.fault = err
	}
	if more && err == nil {
		return fmt.Errorf("the file has no line %d, which the run has; %w", row.Line, errOtherFile)
	}
	return err
}

// holds reports whether a record has the id of the target of a task. Chats may be from a
// flag.
func holds(record table.Record, task tasks.Task) bool {
	id := kinds.Subject(task)
	return id == "" || slices.ContainsFunc(record.Cells, func(cell string) bool {
		return norm.NFC.String(strings.TrimSpace(console.Original(cell))) == id
	})
}

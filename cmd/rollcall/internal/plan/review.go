package plan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/run"
	"rollcall/internal/table"
)

// Review is the file of a plan as a person gave it back. Nothing else of the file counts:
// spreadsheets rewrite values.
type Review struct {
	Run    string // id
	Digest string // of the plan that was written
	Out    []int  // numbers of the rows that are left out, sorted
	Rows   int    // rows of the file
}

// Read reads the file of a plan. It must have all rows of it.
func Read(ctx context.Context, path string) (r Review, err error) {
	input, err := table.OpenFile(path)
	if err != nil {
		return r, cli.BadInput("--from %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, input.Close()) }()
	t, err := table.Open(input, table.Options{})
	if err != nil {
		return r, cli.BadInput("--from %s: %w", path, err)
	}
	seen := map[int]bool{}
	for record, err := range t.Records() {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = r.add(record, seen)
		}
		if err != nil {
			return r, cli.BadInput("--from %s: %w; nothing was applied", path, err)
		}
	}
	slices.Sort(r.Out)
	if r.Rows = len(seen); r.Rows == 0 {
		return r, cli.BadInput("--from %s: the file has no rows", path)
	}
	return r, nil
}

// add reads a row of the file.
func (r *Review) add(record table.Record, seen map[int]bool) error {
	mark, marked := find(record, planColumn)
	number, numbered := find(record, rowColumn)
	leave, _ := find(record, leaveColumn)
	if !marked || !numbered {
		return fmt.Errorf("line %d: the file is not the file of a plan: it has no column %q or %q", record.Line, rowColumn.en, planColumn.en)
	}
	id, digest, ok := strings.Cut(mark, "/")
	switch n, err := strconv.Atoi(strings.TrimSuffix(number, ".0")); {
	case !ok:
		return fmt.Errorf("line %d: column %q %.60q: must name the run and its plan: write the file again with rollcall plan -o", record.Line, planColumn.en, mark)
	case r.Run != "" && (r.Run != id || r.Digest != digest):
		return fmt.Errorf("line %d: the row is of another plan than the rows before it", record.Line)
	case err != nil || n < 1:
		return fmt.Errorf("line %d: column %q %.40q: must be the number of a row", record.Line, rowColumn.en, number)
	case seen[n]:
		return fmt.Errorf("line %d: row %d is in the file twice", record.Line, n)
	default:
		seen[n] = true
		if crossed(leave) {
			r.Out = append(r.Out, n)
		}
	}
	r.Run, r.Digest = id, digest
	return nil
}

// find returns the cell of a column, by its name in either language.
func find(record table.Record, c column) (cell string, found bool) {
	for i, name := range record.Names {
		if name = strings.ToLower(strings.TrimSpace(name)); name != c.en && name != c.zh || i >= len(record.Cells) {
			continue
		}
		return strings.TrimSpace(console.Original(record.Cells[i])), true
	}
	return "", false
}

// crossed reports whether a mark leaves a row out: any but the words for no.
func crossed(mark string) bool {
	return !slices.Contains([]string{"", "0", "no", "false", "否", "n"}, strings.ToLower(mark))
}

// Complete refuses a file without all rows of the plan: rows are crossed out, so that a
// file that was cut is not taken for a choice.
func (r Review) Complete(of run.Run) error {
	if r.Rows == of.Rows {
		return nil
	}
	return cli.BadInput("the file has %d of the %d rows of the plan of run %s: mark rows in the column %q instead of deleting them; nothing was applied",
		r.Rows, of.Rows, of.ID, leaveColumn.en)
}

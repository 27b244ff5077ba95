package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"rollcall/internal/table"
)

// rows gives the records of a table to a function.
type rows struct {
	needed []string // columns that must be there
	strict bool     // a last line without a line end was cut
	each   func(columns []string, r Record) error

	word    string   // "line" or "row"
	shared  []string // names as the file has them, of the last record
	columns []string // and without spaces around them
	all     []string // of an NDJSON file: every column, in the order of the first occurrence
	read    int
	skipped int    // records that cannot be used
	first   string // why, of the first of them
}

// each is checked this often for the end of the context.
const checkEvery = 1024

// run reads the table to its end.
func (r *rows) run(ctx context.Context, t *table.Table) error {
	r.word = "line"
	if t.Format == table.XLSX {
		r.word = "row"
	}
	if names, line := t.Header(); names != nil {
		if err := r.rename(names); err != nil {
			return Errorf(Malformed, "%s %d: %w", r.word, line, err)
		}
	}
	for record, err := range t.Records() {
		if err != nil {
			return ofTable(err)
		}
		if (r.read+r.skipped)%checkEvery == 0 {
			if err := interrupted(ctx); err != nil {
				return err
			}
		}
		if err := r.add(record, t.Format); err != nil {
			return err
		}
	}
	if r.read == 0 && r.skipped > 0 {
		return Errorf(Malformed, "none of %d rows can be used; the first: %s", r.skipped, r.first)
	}
	return interrupted(ctx)
}

// add gives one record on, or counts it as one that cannot be used.
func (r *rows) add(record table.Record, format table.Format) error {
	at := fmt.Sprintf("%s %d", r.word, record.Line)
	if format == table.NDJSON {
		if err := r.rename(record.Names); err != nil {
			r.skip(at, err.Error())
			return nil
		}
		for _, column := range r.columns {
			if len(r.all) < maxColumns && !slices.Contains(r.all, column) {
				r.all = append(r.all, column)
			}
		}
	}
	if record.Cut && format == table.CSV && (r.strict || len(record.Cells) < len(r.columns)) {
		return Errorf(Malformed, "%s: the file ends there without a line end, so it may be cut: "+
			"let the export end the last line, or configure a done-marker", at)
	}
	if why := r.unusable(record); why != "" {
		r.skip(at, why)
		return nil
	}
	fields := make([]string, len(r.columns))
	for i, cell := range record.Cells[:min(len(record.Cells), len(fields))] {
		fields[i] = strings.TrimSpace(cell)
	}
	for _, fault := range record.Faults { // in columns that do not matter
		fields[fault.Cell] = ""
	}
	r.read++
	return r.each(r.columns, Record{At: at, Fields: fields})
}

func (r *rows) skip(at, why string) {
	if r.skipped++; r.skipped == 1 {
		r.first = at + ": " + why
	}
}

// rename sets the columns of the next records.
func (r *rows) rename(names []string) error {
	if r.columns != nil && slices.Equal(names, r.shared) {
		return nil
	}
	columns := make([]string, len(names))
	for i, name := range names {
		columns[i] = strings.TrimSpace(name)
		if slices.Contains(columns[:i], columns[i]) && r.matters(columns[i]) {
			return fmt.Errorf("the column %.60q occurs twice: rename one of them", columns[i])
		}
	}
	if err := missing(r.needed, columns); err != nil {
		return err
	}
	r.shared, r.columns = names, columns
	return nil
}

// maxColumns bounds the columns of all records of an NDJSON file.
const maxColumns = 1000

// names returns the columns of the reading.
func (r *rows) names() []string {
	if r.all != nil {
		return r.all
	}
	return r.columns
}

// matters reports whether a column is used: those that are needed, or all that have a
// name if none is listed.
func (r *rows) matters(column string) bool {
	return len(r.needed) == 0 && column != "" || slices.Contains(r.needed, column)
}

// unusable returns why a record cannot be used.
func (r *rows) unusable(record table.Record) string {
	if what := record.TooWide(len(r.columns)); what != "" {
		return what
	}
	for _, fault := range record.Faults {
		if fault.Cell >= len(r.columns) {
			return fmt.Sprintf("has %d cells, the header has %d: name the column", fault.Cell+1, len(r.columns))
		}
		if column := r.columns[fault.Cell]; r.matters(column) {
			return fmt.Sprintf("column %.60q %s", column, fault.What)
		}
	}
	return ""
}

// why returns why the reading is not complete; empty if it is.
func (r *rows) why() string {
	if r.skipped == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d rows cannot be used; the first: %s", r.skipped, r.read+r.skipped, r.first)
}

// missing reports the columns that are needed and not there.
func missing(needed, columns []string) error {
	var lacking []string
	for _, column := range needed {
		if !slices.Contains(columns, column) {
			lacking = append(lacking, fmt.Sprintf("%.60q", column))
		}
	}
	if lacking == nil {
		return nil
	}
	return fmt.Errorf("no column %s; there are: %.300q: correct the export, or the columns of the source", strings.Join(lacking, ", "), strings.Join(columns, ", "))
}

// ofTable returns the error of a table.
func ofTable(err error) error {
	if fault, ok := errors.AsType[*Error](err); ok {
		return fault
	}
	if fault, ok := errors.AsType[*fs.PathError](err); ok {
		return Errorf(Down, "cannot read the content: %w", fault.Err)
	}
	switch {
	case errors.Is(err, table.ErrEmpty):
		return &Error{Empty, err}
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, table.ErrTooLarge):
		return &Error{TooLarge, err}
	case errors.Is(err, table.ErrChanged):
		return &Error{NotReady, err}
	}
	return &Error{Malformed, err}
}

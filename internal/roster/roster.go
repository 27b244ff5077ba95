// Package roster turns the rows of a table into tasks, with every problem at its
// line and column. It is where the plan will live that compares a roster with
// what was applied.
//
// It must not know Redis, queues or platforms, nor where a file comes from and
// when: it is given a table and a time.
package roster

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"rollcall/internal/table"
	"rollcall/tasks"
)

// Options say how the rows of a file are understood. The zero value: all columns
// come from the file, and unknown ones are ignored.
type Options struct {
	// Tenant, Kind and Chat stand in for cells that are empty, and for columns
	// that the file does not have. A row that says otherwise is refused.
	Tenant string
	Kind   tasks.Kind
	Chat   string
	// Map names columns of the file that are not known by name: "学号": "user_id".
	Map map[string]string
	// Annotated reads a line and problems of each record: see Row.Line and Row.Found.
	Annotated bool
	// Strict refuses a file with columns that are not known.
	Strict bool
	// Ignore reports columns that are neither used nor reported, by name. nil: there are none.
	Ignore func(name string) bool
	// Defaults holds for rows that do not say otherwise.
	Defaults tasks.Options
	// Now is what delays count from.
	Now time.Time
}

func (o Options) ignores(name string) bool {
	return o.Ignore != nil && o.Ignore(name) || o.Annotated && annotation(name)
}

// File is a table whose columns are known.
type File struct {
	table   *table.Table
	records *Records
}

// Open maps the columns of a table. An error means that no row can be read.
func Open(t *table.Table, o Options) (*File, error) {
	for name, column := range o.Map {
		if _, ok := Column(column); !ok {
			return nil, fmt.Errorf("--map %.40s=%.40s: there is no column %.40s: columns are %s", name, column, column, strings.Join(allColumns(), ", "))
		}
	}
	records, err := NewRecords(o)
	if err != nil {
		return nil, err
	}
	f := &File{table: t, records: records}
	if t.Format == table.NDJSON {
		return f, nil
	}
	names, line := t.Header()
	for name := range records.mapped {
		if !slices.ContainsFunc(names, func(n string) bool { return fold(n) == name }) {
			return nil, fmt.Errorf("--map: the file has no column %.40s: it has %s", name, strings.Join(names[:min(30, len(names))], ", "))
		}
	}
	if _, err := records.layout(names); err != nil {
		return nil, fmt.Errorf("line %d: %w", line, err)
	}
	return f, nil
}

// Ignored lists the columns that are not known, as far as the file was read.
func (f *File) Ignored() []string { return slices.Clone(f.records.ignored) }

// Rows reads the rows from the beginning of the file, one at a time. A bad row has
// problems; an error ends the rows, and means that the file cannot be trusted.
func (f *File) Rows() iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		for record, err := range f.table.Records() {
			if err != nil {
				yield(Row{}, err)
				return
			}
			row, err := f.records.Row(record)
			if err != nil {
				yield(Row{}, fmt.Errorf("line %d: %w", record.Line, err))
				return
			}
			if !yield(row, nil) {
				return
			}
		}
	}
}

// Row is one task of a file.
type Row struct {
	// Line is where the row begins in its file, from 1.
	Line int
	// Request is the task with its options. Its Task is nil where the kind of the
	// row is not known.
	Request tasks.Request
	// Previous is the value that the target has now, as the file states it. Empty: not
	// stated.
	Previous string
	// Found are problems that a program found before, which sent the row: it is invalid.
	// They are bounded, because they come from outside.
	Found []string
	// Problems are those of the row's form. The task itself is not judged.
	Problems []tasks.Problem

	kind  tasks.Kind
	cells []cell
}

// cell is a value with its column, and the name that the file has for it.
type cell struct{ column, name, value string }

// Refusal returns a [*tasks.ValidationError] with everything wrong with a row
// that is badly formed, the problems of its task too. It is nil for a row that is
// well formed: its task is judged by the client that stores it.
func (r Row) Refusal(limits tasks.Limits) error {
	if len(r.Problems) == 0 {
		return nil
	}
	all := &tasks.ValidationError{Kind: r.kind, Problems: slices.Clone(r.Problems)}
	if r.Request.Task == nil {
		return all
	}
	more, _ := errors.AsType[*tasks.ValidationError](r.Request.Validate(limits))
	if more == nil {
		return all
	}
	for _, p := range more.Problems {
		// One reason a cell: a value that was lost is also of a wrong form.
		inCell := func(q tasks.Problem) bool { return q.Field != "" && columnOf(q.Field) == columnOf(p.Field) }
		if !slices.ContainsFunc(r.Problems, inCell) {
			all.Problems = append(all.Problems, p)
		}
	}
	return all
}

// Problem is one reason to refuse a row.
type Problem struct {
	Line   int
	Column string // as the file names it; empty: the row
	Value  string // of the cell; personal data
	What   string // the reason, without the value
}

// Explain returns the problems of an error that refused the row, with the names
// and values of the file.
func (r Row) Explain(err error) []Problem {
	invalid, ok := errors.AsType[*tasks.ValidationError](err)
	if !ok {
		p := Problem{Line: r.Line, What: err.Error()}
		if _, unserved := errors.AsType[*tasks.UnservedError](err); unserved {
			p.Column, p.Value = r.find("tenant")
		}
		return []Problem{p}
	}
	problems := make([]Problem, 0, len(invalid.Problems))
	for _, found := range invalid.Problems {
		p := Problem{Line: r.Line, What: found.What}
		if found.Field != "" {
			column := columnOf(found.Field)
			name, value := r.find(column)
			p.Column = name + strings.TrimPrefix(strings.TrimPrefix(Position(found), "column "), column)
			p.Value = value
		}
		problems = append(problems, p)
	}
	return problems
}

// find returns the name that the file has for a column, and the row's value.
func (r Row) find(column string) (name, value string) {
	for _, c := range r.cells {
		if c.column == column {
			return c.name, c.value
		}
	}
	return column, ""
}

// columnOf returns the column of a field: "add_user_ids" of "add_user_ids[3]".
func columnOf(field string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(field, "options."), "[")
	return name
}

// Position says where in a row a problem stands: "the row", "column searchable",
// "column add_user_ids, entry 2".
func Position(p tasks.Problem) string {
	if p.Field == "" {
		return "the row"
	}
	name, index, listed := strings.Cut(strings.TrimPrefix(p.Field, "options."), "[")
	var i int
	if listed {
		if _, err := fmt.Sscanf(index, "%d]", &i); err == nil {
			return fmt.Sprintf("column %s, entry %d", name, i+1)
		}
	}
	return "column " + name
}

var errTime = errors.New("is neither a time such as 2026-03-01T08:00:00+08:00 nor a delay such as +10m")

// ParseAt reads a time in RFC 3339, or a delay from now such as +10m. Empty is
// the zero time: at once.
func ParseAt(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if delay, ok := strings.CutPrefix(text, "+"); ok {
		d, err := time.ParseDuration(delay)
		if err != nil || d < 0 {
			return time.Time{}, errTime
		}
		return now.Add(d), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, errTime
	}
	return at, nil
}

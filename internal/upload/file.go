package upload

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/enqueue"
	"rollcall/internal/exitcode"
	"rollcall/internal/roster"
	"rollcall/internal/run"
	"rollcall/internal/table"
	"rollcall/tasks"
)

// File is an open roster file, whose columns are known.
type File struct {
	// Name is what messages call the file: its path, or "standard input".
	Name string

	app   *cli.App
	flags *Flags
	path  string
	input *table.Input
	table *table.Table
	rows  *roster.File
}

// Open opens the file at a path, or the standard input if the path is "-". defaults are
// for rows without options of their own. The caller closes the file.
func (f *Flags) Open(a *cli.App, path string, defaults tasks.Options) (*File, error) {
	options, err := f.rosterOptions(defaults, a.Now())
	if err != nil {
		return nil, err
	}
	file := &File{Name: path, app: a, flags: f, path: path}
	if path == "-" {
		file.Name = "standard input"
		file.input, err = table.Spool(a.Stdin)
	} else {
		file.input, err = table.OpenFile(path)
	}
	if err != nil {
		return nil, f.refuse(file.Name, err)
	}
	if file.table, err = table.Open(file.input, f.table); err == nil {
		file.rows, err = roster.Open(file.table, options)
	}
	if err != nil {
		return nil, f.refuse(file.Name, errors.Join(err, file.input.Close()))
	}
	return file, nil
}

// Close closes the file.
func (f *File) Close() error { return f.input.Close() }

// Rows reads the rows from the beginning of the file. An error ends them.
func (f *File) Rows() iter.Seq2[roster.Row, error] { return f.rows.Rows() }

// note prints how the file was read, for a person.
func (f *File) note(format string, args ...any) {
	if !f.app.JSON {
		console.Fprintf(f.app.Stderr, format+"\n", args...)
	}
}

// Judge returns the reason to refuse a row before anything is stored, or nil. A
// *tasks.StoreError says that Redis cannot be read, and nothing about the row.
type Judge func(ctx context.Context, row roster.Row) error

// NewJudge returns a Judge that knows the limits of the lanes that client knows. Without
// client, rows are judged by limits alone.
func NewJudge(client *enqueue.Client, limits tasks.Limits) Judge {
	return func(ctx context.Context, row roster.Row) error {
		if err := row.Refusal(limits); err != nil {
			return err
		}
		if client != nil {
			return client.Check(ctx, row.Request)
		}
		return row.Request.Validate(limits)
	}
}

// Checked are the rows of a file that was checked.
type Checked struct{ Rows, Invalid int }

// Check reads the whole file, reports its problems, and refuses a file with an invalid
// row unless such rows are skipped. refused is called with each invalid row; nil: it is
// not.
func (f *File) Check(ctx context.Context, judge Judge, refused func(row roster.Row, refusal error)) (checked Checked, err error) {
	found, err := f.newFindings()
	if err != nil {
		return checked, err
	}
	defer func() { err = errors.Join(err, found.close()) }()
	f.note("%s: read as %s", f.Name, f.table)
	for row, err := range f.Rows() {
		if err == nil && checked.Rows == run.MaxRows {
			err = fmt.Errorf("the file has more than %d rows: split it", run.MaxRows)
		}
		if err != nil {
			return checked, f.flags.refuse(f.Name, err)
		}
		checked.Rows++
		refusal := judge(ctx, row)
		if refusal == nil {
			continue
		}
		if fault, ok := errors.AsType[*tasks.StoreError](refusal); ok {
			return checked, &exitcode.Error{Code: cli.NoRedis, Err: fault}
		}
		checked.Invalid++
		if refused != nil {
			refused(row, refusal)
		}
		if err := found.add(row, refusal); err != nil {
			return checked, err
		}
	}
	if ignored := slices.DeleteFunc(f.rows.Ignored(), ofResults); len(ignored) > 0 {
		f.note("%s: unknown columns were ignored: %s", f.Name, strings.Join(ignored, ", "))
	}
	found.rest()
	if checked.Invalid == 0 || f.flags.SkipInvalid {
		return checked, nil
	}
	return checked, cli.BadInput("%s: %d of %d rows have problems%s: correct them, or use --skip-invalid for the other rows",
		f.Name, checked.Invalid, checked.Rows, f.flags.nothing())
}

// ofResults reports whether a column is one that rollcall run results adds to a file.
func ofResults(column string) bool {
	return slices.ContainsFunc([]string{"result", "结果"}, func(name string) bool {
		rest, found := strings.CutPrefix(strings.ToLower(column), name)
		return found && (rest == "" || strings.HasPrefix(rest, ":") || strings.HasPrefix(rest, "："))
	})
}

package upload

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/exitcode"
	"rollcall/internal/intake"
	"rollcall/internal/roster"
	"rollcall/internal/table"
	"rollcall/tasks"
)

// File is an open roster file, whose columns are known.
type File struct {
	// Name is what messages call the file: its path, or "standard input".
	Name string

	app      *cli.App
	flags    *Flags
	defaults tasks.Options
	path     string
	input    *table.Input
	table    *table.Table
	rows     *roster.File
}

// Open opens the file at a path, or the standard input if the path is "-". defaults are
// for rows without options of their own. The caller closes the file.
func (f *Flags) Open(a *cli.App, path string, defaults tasks.Options) (*File, error) {
	options, err := f.rosterOptions(defaults, a.Now())
	if err != nil {
		return nil, err
	}
	file := &File{Name: path, app: a, flags: f, path: path, defaults: defaults}
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

// Checked are the rows of a file that was checked.
type Checked struct{ Rows, Invalid int }

// Check reads the whole file, reports its problems, and refuses a file with an invalid
// row unless such rows are skipped. refused is called with each invalid row; nil: it is
// not.
func (f *File) Check(ctx context.Context, judge intake.Judge, refused func(row roster.Row, refusal error)) (checked Checked, err error) {
	found, err := f.newFindings()
	if err != nil {
		return checked, err
	}
	defer func() { err = errors.Join(err, found.close()) }()
	f.note("%s: read as %s", f.Name, f.table)
	checked.Rows, err = intake.Check(ctx, f.Rows(), judge, func(row roster.Row, refusal error) error {
		checked.Invalid++
		if refused != nil {
			refused(row, refusal)
		}
		return found.add(row, refusal)
	})
	if err != nil {
		return checked, f.unread(err)
	}
	if ignored := f.rows.Ignored(); len(ignored) > 0 {
		f.note("%s: unknown columns were ignored: %s", f.Name, strings.Join(ignored, ", "))
	}
	found.rest()
	if checked.Invalid == 0 || f.flags.SkipInvalid {
		return checked, nil
	}
	return checked, cli.BadInput("%s: %d of %d rows have problems%s: correct them, or use --skip-invalid for the other rows",
		f.Name, checked.Invalid, checked.Rows, f.flags.nothing())
}

// unread returns why the rows of the file could not be read to the end.
func (f *File) unread(err error) error {
	if _, coded := errors.AsType[*exitcode.Error](err); coded {
		return err // of the file of problems
	}
	if intake.IsFault(err) {
		return &exitcode.Error{Code: cli.NoRedis, Err: err}
	}
	if errors.Is(err, intake.ErrTooMany) {
		err = fmt.Errorf("the file has %w: split it", err)
	}
	return f.flags.refuse(f.Name, err)
}

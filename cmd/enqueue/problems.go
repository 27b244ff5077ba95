package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/exitcode"
	"rollcall/internal/roster"
	"rollcall/tasks"
)

// mostShown is the number of problems of a file that are printed; --problems writes all.
const mostShown = 20

// findings are the problems of a file: the first on the terminal, all in a file.
type findings struct {
	batch *batch
	path  string // of the file; empty: none
	file  *os.File
	out   *console.CSV
	rows  int // with problems
	count int // of problems
}

// newFindings creates the file of problems, which must not be the input.
func (b *batch) newFindings(path, input string) (*findings, error) {
	f := &findings{batch: b, path: path}
	if path == "" {
		return f, nil
	}
	old, err := os.Stat(path)
	if in, inErr := os.Stat(input); err == nil && inErr == nil && os.SameFile(old, in) {
		return nil, cli.BadInput("--problems %s: this is the input file; choose another file", path)
	}
	if f.file, err = os.Create(path); err != nil {
		return nil, cli.BadInput("--problems: %w", err)
	}
	f.out = console.NewWriter(f.file, path, true).CSV()
	return f, f.write("line", "column", "value", "problem")
}

func (f *findings) failed(err error) error {
	return &exitcode.Error{Code: exitcode.Usage, Err: fmt.Errorf("cannot write the problems to %s: %w; nothing was enqueued", f.path, err)}
}

func (f *findings) write(cells ...string) error {
	if err := f.out.Row(cells); err != nil {
		return f.failed(err)
	}
	return nil
}

// add reports the problems of a refused row.
func (f *findings) add(row roster.Row, refusal error) error {
	f.rows++
	r := f.batch.report
	if f.batch.JSON {
		r.add(entry{
			line: row.Line, task: row.Request.Task, key: row.Request.Options.Key,
			result: tasks.Result{Outcome: tasks.Refused, Err: refusal}, position: roster.Position,
		})
	} else {
		r.counts[tasks.Refused.String()]++
	}
	for _, p := range row.Explain(refusal) {
		f.count++
		if f.out != nil {
			if err := f.write(strconv.Itoa(p.Line), p.Column, p.Value, p.What); err != nil {
				return err
			}
		}
		if f.count <= mostShown && !f.batch.JSON {
			fmt.Fprintln(f.batch.Stderr, problemLine(p))
		}
	}
	return nil
}

// problemLine describes a problem with its value, which the owner of the file knows.
func problemLine(p roster.Problem) string {
	position := "the row"
	if p.Column != "" {
		position = "column " + p.Column
	}
	if p.Value != "" {
		position += fmt.Sprintf(" %.60q", p.Value)
	}
	return fmt.Sprintf("line %d: %s: %s", p.Line, position, p.What)
}

// rest reports the number of problems that were not printed.
func (f *findings) rest() {
	if f.batch.JSON || f.count <= mostShown {
		return
	}
	where := "use --problems FILE to write all problems to a file"
	if f.path != "" {
		where = "all problems are in " + f.path
	}
	fmt.Fprintf(f.batch.Stderr, "and %d more problems; %s\n", f.count-mostShown, where)
}

func (f *findings) close() error {
	if f.file == nil {
		return nil
	}
	if err := errors.Join(f.out.Flush(), f.file.Close()); err != nil {
		return f.failed(err)
	}
	return nil
}

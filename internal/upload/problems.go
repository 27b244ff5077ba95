package upload

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/exitcode"
	"rollcall/internal/roster"
)

// mostShown is the number of problems of a file that are printed; --problems writes all.
const mostShown = 20

// findings are the problems of a file: the first on the terminal, all in a file.
type findings struct {
	of    *File
	path  string // of the file of problems; empty: none
	file  *os.File
	out   *console.CSV
	count int // of problems
}

// newFindings creates the file of problems, which must not be the input.
func (f *File) newFindings() (*findings, error) {
	found := &findings{of: f, path: f.flags.problems}
	if found.path == "" {
		return found, nil
	}
	old, err := os.Stat(found.path)
	if in, inErr := os.Stat(f.path); err == nil && inErr == nil && os.SameFile(old, in) {
		return nil, cli.BadInput("--problems %s: this is the input file; choose another file", found.path)
	}
	if found.file, err = os.Create(found.path); err != nil {
		return nil, cli.BadInput("--problems: %w", err)
	}
	found.out = console.NewWriter(found.file, found.path, true).CSV()
	return found, found.write("line", "column", "value", "problem")
}

func (f *findings) failed(err error) error {
	return &exitcode.Error{Code: exitcode.Usage, Err: fmt.Errorf("cannot write the problems to %s: %w%s", f.path, err, f.of.flags.nothing())}
}

func (f *findings) write(cells ...string) error {
	if err := f.out.Row(cells); err != nil {
		return f.failed(err)
	}
	return nil
}

// add reports the problems of a refused row.
func (f *findings) add(row roster.Row, refusal error) error {
	for _, p := range row.Explain(refusal) {
		f.count++
		if f.out != nil {
			if err := f.write(strconv.Itoa(p.Line), p.Column, p.Value, p.What); err != nil {
				return err
			}
		}
		if f.count <= mostShown {
			f.of.note("%s", problemLine(p))
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
	if f.count <= mostShown {
		return
	}
	where := "use --problems FILE to write all problems to a file"
	if f.path != "" {
		where = "all problems are in " + f.path
	}
	f.of.note("and %d more problems; %s", f.count-mostShown, where)
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

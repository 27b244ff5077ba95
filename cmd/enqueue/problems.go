package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"rollcall/internal/roster"
	"rollcall/tasks"
)

// mostShown is how many problems of a file are printed; --problems has all.
const mostShown = 20

// findings are the problems of a file: the first on the terminal, all in a file.
type findings struct {
	batch *batch
	path  string // of the file; empty: none
	file  *os.File
	out   *csv.Writer
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
		return nil, badInput("--problems %s: this is the input file: name another one", path)
	}
	if f.file, err = os.Create(path); err != nil {
		return nil, badInput("--problems: %w", err)
	}
	// Excel takes a file without a byte order mark for one in the local encoding.
	if _, err := f.file.WriteString("\ufeff"); err != nil {
		return nil, errors.Join(f.failed(err), f.file.Close())
	}
	f.out = csv.NewWriter(f.file)
	return f, f.write("line", "column", "value", "problem")
}

func (f *findings) failed(err error) error {
	return &exitError{exitInput, fmt.Errorf("cannot write the problems to %s: %w; nothing was enqueued", f.path, err)}
}

func (f *findings) write(cells ...string) error {
	for i, cell := range cells {
		cells[i] = asText(cell)
	}
	if err := f.out.Write(cells); err != nil {
		return f.failed(err)
	}
	return nil
}

// asText keeps a spreadsheet from taking a cell for a formula.
func asText(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r＝＋－＠", []rune(cell)[0]) {
		return "'" + cell
	}
	return cell
}

// add reports why a row is refused.
func (f *findings) add(row roster.Row, refusal error) error {
	f.rows++
	r := f.batch.report
	if f.batch.json {
		r.add(entry{
			line: row.Line, task: row.Request.Task, key: row.Request.Options.Key,
			result: tasks.Result{Outcome: tasks.Refused, Err: refusal}, place: roster.Place,
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
		if f.count <= mostShown && !f.batch.json {
			fmt.Fprintln(f.batch.stderr, problemLine(p))
		}
	}
	return nil
}

// problemLine is a problem with its value: whoever has the file knows it.
func problemLine(p roster.Problem) string {
	place := "the row"
	if p.Column != "" {
		place = "column " + p.Column
	}
	if p.Value != "" {
		place += fmt.Sprintf(" %.60q", p.Value)
	}
	return fmt.Sprintf("line %d: %s: %s", p.Line, place, p.What)
}

// rest reports how many problems were not printed.
func (f *findings) rest() {
	if f.batch.json || f.count <= mostShown {
		return
	}
	where := "--problems FILE writes all of them to a file"
	if f.path != "" {
		where = "all of them are in " + f.path
	}
	fmt.Fprintf(f.batch.stderr, "and %d more problems: %s\n", f.count-mostShown, where)
}

func (f *findings) close() error {
	if f.file == nil {
		return nil
	}
	f.out.Flush()
	if err := errors.Join(f.out.Error(), f.file.Close()); err != nil {
		return f.failed(err)
	}
	return nil
}

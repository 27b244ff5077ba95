package runview

import (
	"io"
	"iter"
	"slices"
	"strings"

	"rollcall/internal/roster"
	"rollcall/internal/run"
	"rollcall/internal/sheet"
	"rollcall/internal/table"
)

// File is a file of rows with their results, from which the rows are read again when it is
// uploaded. Names and ids of people are never masked in it.
type File struct {
	Format  table.Format
	Chinese bool // the names of the columns, and the texts of results
	// Columns are those of the rows, as Columns returns them.
	Columns []string
	// Encoding is that of CSV, such as GB18030. Empty: UTF-8, with a byte order mark.
	Encoding string
}

// Columns are the columns of a file with the rows of a plan.
func Columns(p *run.Plan) []string {
	all := roster.CommonColumns()
	for _, l := range p.Lanes {
		for _, column := range roster.Columns(l.Kind) {
			if !slices.Contains(all, column) {
				all = append(all, column)
			}
		}
	}
	return roster.Order(all)
}

// Heads are the names of the columns of the file.
func (f File) Heads() []string {
	heads := make([]string, len(f.Columns))
	for i, column := range f.Columns {
		heads[i] = Head(column, f.Chinese)
	}
	return slices.Concat(heads, run.ResultColumns(f.Chinese))
}

// Head is the name of a column in a language.
func Head(column string, chinese bool) string {
	if !chinese {
		return column
	}
	for _, name := range roster.Synonyms(column) {
		if strings.ContainsFunc(name, func(r rune) bool { return r > 0x2e80 }) {
			return name
		}
	}
	return column
}

// Cells are the cells of a row.
func (f File) Cells(r run.Result) []string {
	of := roster.Cells(r.Request, r.Previous)
	cells := make([]string, len(f.Columns))
	for i, column := range f.Columns {
		cells[i] = of[column]
	}
	return slices.Concat(cells, run.ResultCells(r, f.Chinese))
}

// Write writes the file as its rows come. After an error it is not complete. Times are shown
// in their own zones.
func (f File) Write(w io.Writer, rows iter.Seq2[run.Result, error]) error {
	out, err := sheet.NewStream(w, f.Format, f.Encoding, f.Heads())
	if err != nil {
		return err
	}
	for row, err := range rows {
		if err == nil {
			err = out.Row(f.Cells(row))
		}
		if err != nil {
			out.Discard()
			return err
		}
	}
	return out.Close()
}

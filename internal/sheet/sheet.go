// Package sheet writes tables for people: as CSV, as an XLSX workbook or as NDJSON. It
// also adds columns to a copy of a file, which keeps its own form.
//
// It must not know what the columns mean.
package sheet

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/xuri/excelize/v2"

	"rollcall/internal/console"
	"rollcall/internal/table"
)

// FormatOf returns the format that the name of a file asks for.
func FormatOf(path string) (table.Format, error) {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".csv":
		return table.CSV, nil
	case ".xlsx":
		return table.XLSX, nil
	case ".ndjson", ".jsonl":
		return table.NDJSON, nil
	}
	return "", fmt.Errorf("%s: the name must end in .xlsx, .csv or .ndjson", path)
}

// Writer writes a table to a file. The file has its name only after Close: an interrupted
// command leaves no half of one. It is not safe for concurrent use.
type Writer struct {
	path string
	file *os.File
	rows rows // of a table that Create began
}

// rows writes the rows of one format.
type rows interface {
	row(cells []string) error
	end() error
}

// Create begins a file with columns, in the format that its name asks for. The caller
// calls Close or Discard.
func Create(path string, heads []string) (*Writer, error) {
	format, err := FormatOf(path)
	if err != nil {
		return nil, err
	}
	w, err := begin(path)
	if err != nil {
		return nil, err
	}
	if w.rows, err = newRows(w.file, path, format, heads); err != nil {
		w.Discard()
		return nil, err
	}
	return w, nil
}

// newRows begins a table in a format. name is what errors call the output.
func newRows(out io.Writer, name string, format table.Format, heads []string) (rows, error) {
	switch format {
	case table.XLSX:
		return newWorkbook(out, heads)
	case table.NDJSON:
		return &objects{out: bufio.NewWriter(out), heads: heads}, nil
	}
	csv := csvRows{console.NewWriter(out, name, true).CSV()}
	return csv, csv.row(heads)
}

// Stream writes a table to a connection as its rows come. A workbook is sent at its end. It
// is not safe for concurrent use.
type Stream struct {
	rows    rows
	encoded io.Closer // of CSV in another encoding than UTF-8; nil: none
}

// NewStream begins a table with columns. encoding is that of CSV, one that package table
// reads; empty: UTF-8. The caller calls Close or Discard.
func NewStream(out io.Writer, format table.Format, encoding string, heads []string) (*Stream, error) {
	s := &Stream{}
	if format == table.CSV {
		encoded, err := table.Encode(out, encoding)
		if err != nil {
			return nil, err
		}
		out, s.encoded = encoded, encoded
	}
	var err error
	s.rows, err = newRows(out, "the response", format, heads)
	return s, err
}

// Row writes a row, with a cell for each column.
func (s *Stream) Row(cells []string) error { return s.rows.row(cells) }

// Close completes the table.
func (s *Stream) Close() error {
	err := s.rows.end()
	if s.encoded != nil {
		err = errors.Join(err, s.encoded.Close())
	}
	return err
}

// Discard ends the table without completing it.
func (s *Stream) Discard() { discard(s.rows) }

// discard ends rows without completing them.
func discard(r rows) {
	if b, ok := r.(*workbook); ok {
		_ = b.file.Close() // it may have a temporary file
	}
}

// begin creates the temporary file.
func begin(path string) (*Writer, error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return nil, fmt.Errorf("cannot write %s: %w", path, cause(err))
	}
	return &Writer{path: path, file: file}, nil
}

// cause is an error without the path of the temporary file.
func cause(err error) error {
	if fault, ok := errors.AsType[*os.PathError](err); ok {
		return fault.Err
	}
	return err
}

// Row writes a row, with a cell for each column.
func (w *Writer) Row(cells []string) error {
	if err := w.rows.row(cells); err != nil {
		return fmt.Errorf("cannot write %s: %w", w.path, cause(err))
	}
	return nil
}

// Close completes the file and gives it its name. It replaces a file of that name.
func (w *Writer) Close() error { return w.commit(w.rows.end) }

// commit ends the content of the file by end, and gives the file its name.
func (w *Writer) commit(end func() error) error {
	err := end()
	if err == nil {
		err = w.file.Chmod(0o600) // the names of people
	}
	if err = errors.Join(err, w.file.Close()); err == nil {
		err = os.Rename(w.file.Name(), w.path)
	}
	if err != nil {
		_ = os.Remove(w.file.Name())
		return fmt.Errorf("cannot write %s: %w", w.path, cause(err))
	}
	return nil
}

// Discard removes what was written. After Close it does nothing.
func (w *Writer) Discard() {
	if w.file.Close() == nil {
		discard(w.rows)
		_ = os.Remove(w.file.Name())
	}
}

// csvRows writes CSV for a spreadsheet.
type csvRows struct{ *console.CSV }

func (c csvRows) row(cells []string) error { return c.Row(cells) }
func (c csvRows) end() error               { return c.Flush() }

// objects writes an object a line. Empty cells are left out.
type objects struct {
	out   *bufio.Writer
	heads []string
}

func (o *objects) row(cells []string) error {
	e := jsontext.NewEncoder(o.out, jsontext.AllowInvalidUTF8(true))
	err := e.WriteToken(jsontext.BeginObject)
	for i, cell := range cells {
		if cell != "" {
			err = errors.Join(err, e.WriteToken(jsontext.String(o.heads[i])), e.WriteToken(jsontext.String(cell)))
		}
	}
	return errors.Join(err, e.WriteToken(jsontext.EndObject))
}

func (o *objects) end() error { return o.out.Flush() }

// workbook writes a sheet as a stream: its memory does not grow with the rows.
type workbook struct {
	to     io.Writer
	file   *excelize.File
	stream *excelize.StreamWriter
	text   int // style of a cell that stays text when it is edited
	number int // of the last row
}

const sheetName = "rollcall"

func newWorkbook(to io.Writer, heads []string) (*workbook, error) {
	f := excelize.NewFile()
	b := &workbook{to: to, file: f}
	bold, err := f.NewStyle(&excelize.Style{Font: &excelize.Font{Bold: true}, NumFmt: asText})
	if err == nil {
		b.text, err = f.NewStyle(&excelize.Style{NumFmt: asText})
	}
	if err == nil {
		err = f.SetSheetName("Sheet1", sheetName)
	}
	if err == nil {
		b.stream, err = f.NewStreamWriter(sheetName)
	}
	if err == nil {
		err = b.stream.SetColWidth(1, len(heads), 16)
	}
	if err == nil {
		err = b.stream.SetPanes(&excelize.Panes{Freeze: true, YSplit: 1, TopLeftCell: "A2", ActivePane: "bottomLeft"})
	}
	if err == nil {
		err = b.write(heads, bold)
	}
	return b, err
}

// asText is the number format "@" of the format's own table (ECMA-376, 18.8.30).
const asText = 49

func (b *workbook) row(cells []string) error { return b.write(cells, b.text) }

func (b *workbook) write(cells []string, style int) error {
	b.number++
	row := make([]any, len(cells))
	for i, cell := range cells {
		if cell != "" {
			row[i] = excelize.Cell{StyleID: style, Value: cell}
		}
	}
	at, err := excelize.CoordinatesToCellName(1, b.number)
	if err != nil {
		return err
	}
	return b.stream.SetRow(at, row)
}

func (b *workbook) end() error {
	if err := b.stream.Flush(); err != nil {
		return errors.Join(err, b.file.Close())
	}
	return errors.Join(b.file.Write(b.to), b.file.Close())
}

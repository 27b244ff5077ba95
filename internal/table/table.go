// Package table reads files that hold a table: CSV in the forms that
// spreadsheets write, XLSX and NDJSON. It returns records of text, one at a
// time, so that its memory does not grow with the file.
//
// It must not know what the columns mean.
package table

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
)

const (
	// MaxSize bounds a file, in bytes: about 1,000,000 rows.
	MaxSize = 512 << 20
	// maxRecord bounds one record, in bytes of UTF-8.
	maxRecord = 1 << 20
	// maxColumns bounds the columns of a record.
	maxColumns = 1000
)

// Format is the format of a file.
type Format string

// The formats.
const (
	CSV    Format = "CSV"
	XLSX   Format = "XLSX"
	NDJSON Format = "NDJSON"
)

// Media is the media type of the format.
func (f Format) Media() string {
	switch f {
	case CSV:
		return "text/csv"
	case XLSX:
		return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
	default:
		return "application/x-ndjson"
	}
}

// Options override what is detected. The zero value detects everything.
type Options struct {
	Encoding string // one of [Encodings]; empty: detected
	Sheet    string // a sheet of a workbook; empty: the first visible one
}

// Record is one row of a table.
type Record struct {
	// Line is where the record begins in its file, from 1: a line of text, or a
	// row of a sheet.
	Line int
	// Names are the column names as the file has them. Records of one CSV or
	// XLSX file share them.
	Names []string
	// Cells are the values; there may be fewer or more than Names.
	Cells []string
	// Faults are cells whose value was lost before the file was written.
	Faults []Fault
	// Cut reports that the file ends without a line end after this record.
	Cut bool
}

// Fault is a cell that cannot be used.
type Fault struct {
	Cell int    // index into Cells
	What string // the reason and what to do
}

// Blank reports whether the record has no value: spreadsheets leave such rows.
func (r Record) Blank() bool {
	return len(r.Faults) == 0 && !slices.ContainsFunc(r.Cells, func(cell string) bool { return strings.TrimSpace(cell) != "" })
}

// TooWide returns what is wrong with a record that has a value to the right of its columns,
// of which there are so many: a delimiter in a value that is not in quotes moves all values
// after it. Empty: it has none.
func (r Record) TooWide(columns int) string {
	for i := len(r.Cells) - 1; i >= columns; i-- {
		if strings.TrimSpace(r.Cells[i]) != "" {
			return fmt.Sprintf("has %d cells, the header has %d: put a value that holds the delimiter in quotes, or name the column", i+1, columns)
		}
	}
	return ""
}

// Table is an open file whose form is known.
type Table struct {
	Format    Format
	Encoding  string // of text: "UTF-8", "GB18030" …
	Delimiter rune   // of CSV
	Sheet     string // of XLSX

	input   *Input
	text    *text // of CSV and NDJSON
	form    form  // of CSV
	records func() iter.Seq2[Record, error]
	header  Record
}

// String describes how the file was read: "CSV, GB18030, separated by semicolons".
func (t *Table) String() string {
	switch t.Format {
	case XLSX:
		return fmt.Sprintf("XLSX, sheet %q", t.Sheet)
	case NDJSON:
		return "NDJSON, " + t.Encoding
	case CSV:
		return fmt.Sprintf("CSV, %s, separated by %s", t.Encoding, delimiterName(t.Delimiter))
	}
	return string(t.Format)
}

// Open detects the form of a file and reads its header. Text is decoded once to
// the end, so that its encoding is known before the first record.
func Open(in *Input, o Options) (*Table, error) {
	t := &Table{input: in}
	head, err := in.head()
	if err != nil {
		return nil, err
	}
	if len(head) == 0 {
		return nil, ErrEmpty
	}
	if err := t.open(head, o); err != nil {
		return nil, err
	}
	if t.Format == NDJSON {
		return t, nil
	}
	for record, err := range t.records() {
		if err != nil {
			return nil, err
		}
		if record.Blank() {
			continue
		}
		t.header = record
		return t, nil
	}
	return nil, ErrEmpty
}

// ErrEmpty is the error of [Open] for a file without a row.
var ErrEmpty = errors.New("the file is empty: its first line must name the columns")

func (t *Table) open(head []byte, o Options) error {
	isZip, refusal := recognise(head)
	if isZip {
		if o.Encoding != "" {
			return errors.New("an XLSX file has no encoding to choose: remove --encoding")
		}
		book, err := openBook(t.input, o.Sheet)
		if err != nil {
			return err
		}
		t.Format, t.Sheet, t.records = XLSX, book.sheet, book.records
		return nil
	}
	if o.Sheet != "" {
		return errors.New("only an XLSX file has sheets: remove --sheet")
	}
	if refusal != nil && (o.Encoding == "" || !errors.Is(refusal, errWide)) {
		return refusal
	}
	text, err := newText(t.input, head, o.Encoding)
	if err != nil {
		return err
	}
	t.text, t.Encoding = text, text.encoding.name
	if text.isJSON() {
		t.Format = NDJSON
		t.records = func() iter.Seq2[Record, error] { return readNDJSON(text) }
		return nil
	}
	t.Format = CSV
	t.form = csvForm(text)
	t.Delimiter = t.form.delimiter
	t.records = func() iter.Seq2[Record, error] { return readCSV(text, t.form) }
	return nil
}

// Header returns the names of the columns and their line. NDJSON has none: each
// record has its own names.
func (t *Table) Header() (names []string, line int) { return t.header.Cells, t.header.Line }

// Records returns the records from the beginning of the file, without the header
// and without blank ones. It ends after the first error, which means that the
// rest of the file cannot be read.
func (t *Table) Records() iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for record, err := range t.records() {
			if err != nil {
				yield(Record{}, err)
				return
			}
			if record.Line <= t.header.Line || record.Blank() {
				continue
			}
			if record.Names == nil {
				record.Names = t.header.Cells
			}
			if !yield(record, nil) {
				return
			}
		}
		if err := t.input.unchanged(); err != nil {
			yield(Record{}, err)
		}
	}
}

func delimiterName(r rune) string {
	names := map[rune]string{',': "commas", ';': "semicolons", '\t': "tabs", '|': "vertical bars", '，': "full-width commas"}
	return cmp.Or(names[r], fmt.Sprintf("%q", r))
}

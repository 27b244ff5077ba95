package table

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"

	"golang.org/x/text/encoding"
	"golang.org/x/text/transform"

	"github.com/go-json-experiment/json/jsontext"
)

// Writer writes records in the form of a text file that was read: its encoding, byte order
// mark, delimiter and line ends.
type Writer struct {
	csv *csv.Writer // nil: NDJSON
	out *bufio.Writer
	end io.Closer // of the encoding; nil: UTF-8
}

// NewWriter returns a writer to w of a file like t, which is CSV or NDJSON.
func (t *Table) NewWriter(w io.Writer) (*Writer, error) {
	if t.text == nil {
		return nil, fmt.Errorf("a %s file is not text", t.Format)
	}
	out := &Writer{}
	if mark := t.text.encoding.bom; len(mark) > 0 && t.text.marked() {
		if _, err := w.Write(mark); err != nil {
			return nil, err
		}
	}
	if decoder := t.text.encoding.decoder; decoder != nil {
		encoded := transform.NewWriter(w, encoding.ReplaceUnsupported(decoder.NewEncoder()))
		w, out.end = encoded, encoded
	}
	out.out = bufio.NewWriter(w)
	if t.Format == NDJSON {
		return out, nil
	}
	if t.form.sepLine {
		fmt.Fprintf(out.out, "sep=%c\r\n", t.form.delimiter)
	}
	out.csv = csv.NewWriter(out.out)
	out.csv.Comma, out.csv.UseCRLF = t.form.delimiter, t.form.crlf
	return out, nil
}

// marked reports whether the file begins with a byte order mark.
func (t *text) marked() bool {
	head, err := t.input.head()
	return err == nil && bytes.HasPrefix(head, t.encoding.bom)
}

// Write writes a record. The names are those of the cells, for an object of NDJSON; an
// empty cell is left out of it.
func (w *Writer) Write(names, cells []string) error {
	if w.csv != nil {
		return w.csv.Write(cells)
	}
	e := jsontext.NewEncoder(w.out, jsontext.AllowInvalidUTF8(true))
	err := e.WriteToken(jsontext.BeginObject)
	for i, cell := range cells {
		if cell != "" {
			err = errors.Join(err, e.WriteToken(jsontext.String(names[i])), e.WriteToken(jsontext.String(cell)))
		}
	}
	return errors.Join(err, e.WriteToken(jsontext.EndObject))
}

// Close writes what is still buffered. It does not close the writer below.
func (w *Writer) Close() error {
	var err error
	if w.csv != nil {
		w.csv.Flush()
		err = w.csv.Error()
	}
	err = errors.Join(err, w.out.Flush())
	if w.end != nil {
		err = errors.Join(err, w.end.Close())
	}
	return err
}

// Encode returns a writer of UTF-8 text, which may begin with a byte order mark, to w in one
// of [Encodings]; empty: UTF-8. To close it does not close w.
func Encode(w io.Writer, name string) (io.WriteCloser, error) {
	c := codingUTF8
	if name != "" {
		var err error
		if c, err = named(name); err != nil {
			return nil, err
		}
	}
	if c.decoder == nil {
		return &encoded{to: w}, nil
	}
	out := transform.NewWriter(w, encoding.ReplaceUnsupported(c.decoder.NewEncoder()))
	return &encoded{to: out, end: out, bare: c.bom == nil}, nil
}

// encoded writes text in an encoding.
type encoded struct {
	to    io.Writer
	end   io.Closer // nil: UTF-8
	bare  bool      // the encoding has no byte order mark
	begun bool
}

func (e *encoded) Write(text []byte) (int, error) {
	rest := text
	if e.bare && !e.begun {
		rest = bytes.TrimPrefix(text, codingUTF8.bom)
	}
	e.begun = true
	n, err := e.to.Write(rest)
	return n + len(text) - len(rest), err
}

func (e *encoded) Close() error {
	if e.end == nil {
		return nil
	}
	return e.end.Close()
}

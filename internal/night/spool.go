package night

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"iter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"rollcall/internal/kinds"
	"rollcall/internal/run"
)

// spool holds the rows of a reading, compressed: some 20 bytes each. They are read several
// times, and used only once all were read.
type spool struct {
	packed bytes.Buffer
	writer *flate.Writer
	sum    hash.Hash // of all rows
	rows   int
}

// spooled is a row as the spool holds it.
type spooled struct {
	Line     int            `json:"l,omitzero"`
	Type     string         `json:"t,omitzero"`
	Payload  jsontext.Value `json:"p,omitempty"`
	Urgent   bool           `json:"u,omitzero"`
	At       int64          `json:"a,omitzero"` // Unix s
	Source   string         `json:"s,omitzero"`
	Number   int64          `json:"n,omitzero"`
	Previous string         `json:"v,omitzero"`
	Problems []string       `json:"x,omitempty"`
}

// add adds a row.
func (s *spool) add(r run.Row) error {
	if s.writer == nil {
		s.writer, _ = flate.NewWriter(&s.packed, flate.BestSpeed) // the level is valid
		s.sum = sha256.New()
	}
	o := r.Request.Options
	rec := spooled{Line: r.Line, Urgent: o.Urgent, Source: clean(o.Source), Number: o.Number, Previous: clean(r.Previous)}
	if !o.At.IsZero() {
		rec.At = o.At.Unix()
	}
	for _, p := range r.Problems {
		rec.Problems = append(rec.Problems, clean(p))
	}
	if r.Request.Task != nil {
		var err error
		if rec.Type, rec.Payload, err = kinds.Encode(r.Request.Task, 1); err != nil {
			rec.Type, rec.Payload, rec.Problems = "", nil, append(rec.Problems, clean(err.Error()))
		}
	}
	line, err := json.Marshal(rec, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("keep row %d of the reading: %w", s.rows+1, err)
	}
	s.rows++
	line = append(line, '\n')
	_, _ = s.sum.Write(line) // it never fails
	_, err = s.writer.Write(line)
	return err
}

// end ends the spool: no more rows are added.
func (s *spool) end() error {
	if s.writer == nil {
		return nil
	}
	return s.writer.Close()
}

// pages reads all rows in order, some at a time. The slice is used again for the next page.
func (s *spool) pages(size int) iter.Seq2[[]run.Row, error] {
	return func(yield func([]run.Row, error) bool) {
		if s.rows == 0 {
			return
		}
		in := jsontext.NewDecoder(flate.NewReader(bytes.NewReader(s.packed.Bytes())))
		page := make([]run.Row, 0, min(size, s.rows))
		for {
			var rec spooled
			err := json.UnmarshalDecode(in, &rec)
			if err == io.EOF { //nolint:errorlint // the decoder returns it as it is
				if len(page) > 0 {
					yield(page, nil)
				}
				return
			}
			if err != nil {
				yield(nil, fmt.Errorf("read the kept rows of the reading: %w", err))
				return
			}
			if page = append(page, rec.row()); len(page) == size {
				if !yield(page, nil) {
					return
				}
				page = page[:0]
			}
		}
	}
}

func (rec spooled) row() run.Row {
	r := run.Row{Line: rec.Line, Previous: rec.Previous, Problems: rec.Problems}
	o := &r.Request.Options
	o.Urgent, o.Source, o.Number = rec.Urgent, rec.Source, rec.Number
	if rec.At != 0 {
		o.At = time.Unix(rec.At, 0)
	}
	if rec.Type != "" {
		task, _, err := kinds.Decode(rec.Type, rec.Payload)
		if err != nil {
			r.Problems = append(r.Problems, err.Error())
		}
		r.Request.Task = task
	}
	return r
}

func clean(text string) string { return string(bytes.ToValidUTF8([]byte(text), []byte("\uFFFD"))) }

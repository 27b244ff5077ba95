package night

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"iter"

	"github.com/go-json-experiment/json/jsontext"

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

// add adds a row.
func (s *spool) add(r run.Row) error {
	if s.writer == nil {
		s.writer, _ = flate.NewWriter(&s.packed, flate.BestSpeed) // the level is valid
		s.sum = sha256.New()
	}
	line, err := run.EncodeRow(r)
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
			r, err := run.DecodeRow(in)
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
			if page = append(page, r); len(page) == size {
				if !yield(page, nil) {
					return
				}
				page = page[:0]
			}
		}
	}
}

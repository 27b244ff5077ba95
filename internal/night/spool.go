package night

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"iter"

	"rollcall/internal/run"
)

// spool holds the rows of a reading, compressed: some 20 bytes each. They are read several
// times, and used only once all were read.
type spool struct {
	blocks [][]byte // of pageRows rows each, compressed
	last   []byte   // rows that are in no block yet
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
	last, err := run.AppendRow(s.last, r)
	if err != nil {
		return fmt.Errorf("keep row %d of the reading: %w", s.rows+1, err)
	}
	s.last = last
	if s.rows++; s.rows%pageRows != 0 {
		return nil
	}
	return s.pack()
}

// pack makes a block of the last rows.
func (s *spool) pack() error {
	_, _ = s.sum.Write(s.last) // it never fails
	s.packed.Reset()
	s.writer.Reset(&s.packed)
	_, err := s.writer.Write(s.last)
	if err = errors.Join(err, s.writer.Close()); err != nil {
		return fmt.Errorf("keep rows of the reading: %w", err)
	}
	s.blocks = append(s.blocks, bytes.Clone(s.packed.Bytes()))
	s.last = s.last[:0]
	return nil
}

// end ends the spool: no more rows are added.
func (s *spool) end() error {
	var err error
	if len(s.last) > 0 {
		err = s.pack()
	}
	s.last, s.packed, s.writer = nil, bytes.Buffer{}, nil
	return err
}

// pages reads the rows of which want holds, by their index, in order, some at a time; nil:
// all. A row that is not wanted costs a tenth of another. The slice is used again for the
// next page.
func (s *spool) pages(want func(row int) bool) iter.Seq2[[]run.Row, error] {
	return func(yield func([]run.Row, error) bool) {
		page, row := make([]run.Row, 0, min(pageRows, s.rows)), 0
		var plain bytes.Buffer
		in := flate.NewReader(nil)
		for _, block := range s.blocks {
			page = page[:0]
			plain.Reset()
			err := in.(flate.Resetter).Reset(bytes.NewReader(block), nil) //nolint:forcetypeassert // as documented
			if err == nil {
				_, err = plain.ReadFrom(in)
			}
			if err == nil {
				page, row, err = appendRows(page, plain.Bytes(), row, want)
			}
			if err != nil {
				yield(nil, fmt.Errorf("read the kept rows of the reading: %w", err))
				return
			}
			if len(page) > 0 && !yield(page, nil) {
				return
			}
		}
	}
}

// appendRows adds the rows of a block, of which row is the first, that want holds. next is the
// first of the next block.
func appendRows(page []run.Row, block []byte, row int, want func(row int) bool) (all []run.Row, next int, err error) {
	for ; len(block) > 0; row++ {
		var one []byte
		if one, block, err = run.NextRow(block); err != nil {
			return page, row, err
		}
		if want != nil && !want(row) {
			continue
		}
		r, err := run.DecodeRow(one)
		if err != nil {
			return page, row, err
		}
		page = append(page, r)
	}
	return page, row, nil
}

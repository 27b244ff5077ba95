package table

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"strings"
)

// form is how a CSV file is written.
type form struct {
	delimiter rune
	sepLine   bool // the first line is Excel's "sep=;"
	crlf      bool // the first line ends so
}

var sepPattern = regexp.MustCompile(`^(?i:"?sep=(.|\t)"?)\r?\n`)

// csvForm finds the delimiter: the one of a "sep=" line, else the one that occurs
// most often in the first line outside of quotes. A file of one column has none.
func csvForm(t *text) form {
	r := bufio.NewReaderSize(t.reader(), 1<<16)
	head, _ := r.Peek(1 << 16) // what there is of it
	first := bytes.IndexByte(head, '\n')
	crlf := first > 0 && head[first-1] == '\r'
	if found := sepPattern.FindSubmatch(head); found != nil {
		return form{delimiter: []rune(string(found[1]))[0], sepLine: true, crlf: crlf}
	}
	line, _, _ := strings.Cut(strings.TrimLeft(string(head), "\r\n"), "\n")
	counts, quoted := map[rune]int{}, false
	for _, c := range line {
		if c == '"' {
			quoted = !quoted
		} else if !quoted {
			counts[c]++
		}
	}
	best := ','
	for _, c := range []rune{';', '\t', '|', '，'} {
		if counts[c] > counts[best] {
			best = c
		}
	}
	return form{delimiter: best, crlf: crlf}
}

func readCSV(t *text, f form) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		source := t.reader()
		skipped := 0
		if f.sepLine {
			buffered := bufio.NewReaderSize(source, 1<<16)
			_, _ = buffered.ReadSlice('\n') // csvForm found it
			source, skipped = buffered, 1
		}
		recent := &recent{source: source}
		r := csv.NewReader(recent)
		r.Comma, r.FieldsPerRecord = f.delimiter, -1
		// With tabs it would drop empty cells.
		r.TrimLeadingSpace = f.delimiter != '\t'
		for {
			cells, err := r.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			if err == nil && len(cells) > maxColumns {
				err = fmt.Errorf("the row has more than %d cells", maxColumns)
			}
			if err != nil {
				yield(Record{}, recent.explain(err, f, skipped))
				return
			}
			recent.done = r.InputOffset()
			recent.advance()
			line, _ := r.FieldPos(0)
			if !yield(Record{Line: line + skipped, Cells: cells, Cut: recent.cut()}, nil) {
				return
			}
		}
	}
}

// recent passes a stream on, and keeps what was not parsed into a record yet: an
// error is explained by it, and it bounds a record.
type recent struct {
	source io.Reader
	done   int64 // the offset at which the last record ended
	base   int64 // the offset of rest
	rest   []byte
	lines  int // that ended before base
	ended  bool
	last   byte
}

var errLong = errors.New("record too long")

func (r *recent) Read(p []byte) (int, error) {
	if len(r.rest) > maxRecord {
		return 0, errLong
	}
	n, err := r.source.Read(p)
	r.rest = append(r.rest, p[:n]...)
	if n > 0 {
		r.last = p[n-1]
	}
	r.ended = r.ended || errors.Is(err, io.EOF)
	return n, err
}

// advance drops what became records.
func (r *recent) advance() {
	n := min(int(r.done-r.base), len(r.rest))
	r.lines += bytes.Count(r.rest[:n], []byte("\n"))
	r.base += int64(n)
	r.rest = r.rest[n:]
}

// cut reports that the last record was read, and that no line end follows it.
func (r *recent) cut() bool { return r.ended && len(r.rest) == 0 && r.last != '\n' }

// explain names the line of a fault. A quote that is not closed where it should be
// swallows the lines after it, so its own line is the one to look at.
func (r *recent) explain(err error, f form, skipped int) error {
	fault, parsed := errors.AsType[*csv.ParseError](err)
	if !parsed && !errors.Is(err, errLong) {
		return err
	}
	opened, closed := openQuote(r.rest, f.delimiter, r.lines+skipped+1)
	switch {
	case opened > 0 && closed == 0 && errors.Is(err, errLong):
		return fmt.Errorf("the quote that opens in line %d is not closed within the next %d KiB: close it, "+
			`or write a quote that belongs to the value twice ("")`, opened, maxRecord>>10)
	case errors.Is(err, errLong):
		return fmt.Errorf("line %d: the row has more than %d KiB", r.lines+skipped+1, maxRecord>>10)
	case opened > 0 && closed == 0:
		return fmt.Errorf("the quote that opens in line %d is never closed: close it, "+
			`or write a quote that belongs to the value twice ("")`, opened)
	case opened > 0:
		return fmt.Errorf("the quote that opens in line %d is closed in line %d by a quote with text after it: "+
			"check that a quote is not missing in line %d, and write a quote that belongs to the value twice (\"\")", opened, closed, opened)
	}
	return fmt.Errorf("line %d, character %d: %w: put a cell that holds a delimiter, a quote or a line break in quotes, and write each quote in it twice",
		fault.Line+skipped, fault.Column, fault.Err)
}

// openQuote finds the first cell of text whose quotes are wrong: the line in which
// it opens, and the line of the quote that closes it with text after it, 0 if none
// does. opened is 0 if there is no such cell.
func openQuote(text []byte, delimiter rune, line int) (opened, closed int) {
	const start, plain, quoted, after = 0, 1, 2, 3
	state := start
	for i, c := range string(text) {
		switch {
		case state == quoted && c == '"':
			state = after
		case state == quoted:
		case state == after && c == '"':
			state = quoted
		case c == delimiter || c == '\n':
			state = start
		case c == '\r' && i+1 < len(text) && text[i+1] == '\n':
		case state == after:
			return opened, line
		case state == start && c == '"':
			state, opened = quoted, line
		case state == start && c == ' ' && delimiter != '\t':
		default:
			state = plain
		}
		if c == '\n' {
			line++
		}
	}
	if state == quoted {
		return opened, 0
	}
	return 0, 0
}

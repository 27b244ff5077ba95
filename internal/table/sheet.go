package table

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// sheet reads the rows of a worksheet as a stream.
type sheet struct {
	book   *book
	tokens *tokens
	row    int // of the last row; rows may leave out their number
	column int // of the next cell; cells may leave out their place
}

func newSheet(b *book, r io.Reader) *sheet { return &sheet{book: b, tokens: newTokens(r)} }

var errSheetEnds = errors.New("the sheet ends")

// next returns the next row. The sheet ends with errSheetEnds; an end of the XML
// before that of the sheet is an error.
func (s *sheet) next() (Record, error) {
	for {
		token, err := s.tokens.next()
		if err != nil {
			return Record{}, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			if t.Name.Local == "row" {
				return s.readRow(t)
			}
		case xml.EndElement:
			if t.Name.Local == "sheetData" {
				return Record{}, errSheetEnds
			}
		}
	}
}

func (s *sheet) readRow(start xml.StartElement) (Record, error) {
	s.row++
	if number := attribute(start, "r"); number != "" {
		n, err := strconv.Atoi(number)
		if err != nil || n < s.row {
			return Record{}, fmt.Errorf("row %.20q follows row %d", number, s.row-1)
		}
		s.row = n
	}
	record := Record{Line: s.row}
	s.column = 0
	for {
		token, err := s.tokens.next()
		if err != nil {
			return Record{}, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			if t.Name.Local != "c" {
				continue
			}
			if err := s.addCell(&record, t); err != nil {
				return Record{}, err
			}
		case xml.EndElement:
			if t.Name.Local == "row" {
				return record, nil
			}
		}
	}
}

// addCell reads a cell into its column. Cells without a value may be left out.
func (s *sheet) addCell(record *Record, start xml.StartElement) error {
	column := s.column
	if position := attribute(start, "r"); position != "" {
		if column = columnOf(position); column < s.column {
			return fmt.Errorf("row %d: cell %.20q: columns must be in order", s.row, position)
		}
	}
	if column >= maxColumns {
		return fmt.Errorf("row %d has more than %d columns", s.row, maxColumns)
	}
	s.column = column + 1
	c, err := s.readCell(start)
	if err != nil {
		return err
	}
	value, fault := s.book.show(c)
	if value == "" && fault == "" {
		return nil
	}
	for len(record.Cells) < column {
		record.Cells = append(record.Cells, "")
	}
	if fault != "" {
		record.Faults = append(record.Faults, Fault{column, fault})
	}
	record.Cells = append(record.Cells, value)
	return nil
}

// columnOf returns the index of a cell's column: 27 for "AB12". It is -1 for what
// is no place.
func columnOf(position string) int {
	n := 0
	for _, c := range position {
		if c < 'A' || c > 'Z' || n > maxColumns {
			break
		}
		n = n*26 + int(c-'A') + 1
	}
	return n - 1
}

// cell is a cell as the XML has it.
type cell struct {
	kind    string // "" or n: a number; s: shared text; str, inlineStr: text; b; e; d
	style   int
	value   string
	formula bool
}

func (s *sheet) readCell(start xml.StartElement) (cell, error) {
	c := cell{kind: attribute(start, "t")}
	c.style, _ = strconv.Atoi(attribute(start, "s")) // none is 0
	var err error
	c.value, c.formula, err = s.tokens.content("c", maxSheet)
	return c, err
}

// show returns the value of a cell as a person sees it, except that integers have
// all their digits; fault says why the value cannot be used.
func (b *book) show(c cell) (value, fault string) {
	switch c.kind {
	case "s":
		i, err := strconv.Atoi(c.value)
		if err != nil || i < 0 || i >= b.shared.len() {
			return "", "refers to a text that the workbook does not have: open it in Excel or WPS and save it again"
		}
		return b.shared.at(i), ""
	case "str", "inlineStr":
		return unescape(c.value), ""
	case "e":
		return c.value, "is an error of a formula: correct the formula, or enter the value"
	case "b":
		return map[string]string{"1": "TRUE", "true": "TRUE", "0": "FALSE", "false": "FALSE"}[c.value], ""
	case "d": // ISO 8601
		return strings.Replace(c.value, "T", " ", 1), ""
	}
	if c.value == "" {
		if c.formula {
			return "", "is a formula without a result: open the file in Excel or WPS and save it again"
		}
		return "", ""
	}
	number, err := strconv.ParseFloat(strings.TrimSpace(c.value), 64)
	if err != nil || math.IsNaN(number) || math.IsInf(number, 0) {
		return c.value, "is not a number, though the workbook says so"
	}
	format := "General"
	if c.style > 0 && c.style < len(b.formats) || c.style == 0 && len(b.formats) > 0 {
		format = b.formats[c.style]
	}
	return b.date.show(number, format)
}

func attribute(element xml.StartElement, name string) string {
	for _, a := range element.Attr {
		if a.Name.Local == name && a.Name.Space == "" {
			return a.Value
		}
	}
	return ""
}

// tokens are those of an XML stream, each bounded in its size.
type tokens struct {
	decoder *xml.Decoder
	source  *metered
}

func newTokens(r io.Reader) *tokens {
	source := &metered{source: r}
	return &tokens{decoder: xml.NewDecoder(source), source: source}
}

func (t *tokens) next() (xml.Token, error) {
	t.source.spent = 0
	token, err := t.decoder.RawToken() // elements are known by their local names
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return token, err
}

// content reads an element to its end: its value or its runs of text, at most so many bytes,
// without the phonetic ones that Japanese and Chinese workbooks may hold. formula: it has one.
func (t *tokens) content(element string, most int64) (content string, formula bool, err error) {
	var text strings.Builder
	inside, phonetic := "", false
	for {
		token, err := t.next()
		if err != nil {
			return "", false, err
		}
		switch part := token.(type) {
		case xml.StartElement:
			inside = part.Name.Local
			formula = formula || inside == "f"
			phonetic = phonetic || inside == "rPh"
		case xml.CharData:
			if inside == "v" || inside == "t" && !phonetic {
				text.Write(part)
			}
			if int64(text.Len()) > most {
				return "", false, errUnpacked
			}
		case xml.EndElement:
			switch inside = ""; part.Name.Local {
			case element:
				return text.String(), formula, nil
			case "rPh":
				phonetic = false
			}
		}
	}
}

// metered bounds how much is read for one token.
type metered struct {
	source io.Reader
	spent  int
}

func (m *metered) Read(p []byte) (int, error) {
	if m.spent > maxRecord {
		return 0, fmt.Errorf("an element of more than %d KiB", maxRecord>>10)
	}
	n, err := m.source.Read(p)
	m.spent += n
	return n, err
}

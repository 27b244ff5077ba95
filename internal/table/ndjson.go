package table

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// readNDJSON reads one object a line. Its keys are the names of the columns; a
// value is text, a number, true, false, null or a list of texts.
func readNDJSON(t *text) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		r := bufio.NewReaderSize(t.reader(), maxRecord)
		for line := 1; ; line++ {
			content, err := r.ReadSlice('\n')
			ended := errors.Is(err, io.EOF)
			if errors.Is(err, bufio.ErrBufferFull) {
				err = fmt.Errorf("line %d has more than %d KiB", line, maxRecord>>10)
			}
			if err != nil && !ended {
				yield(Record{}, err)
				return
			}
			if content := bytes.TrimSpace(content); len(content) > 0 {
				record, err := parseObject(content)
				if err != nil {
					yield(Record{}, fmt.Errorf("line %d: %w", line, err))
					return
				}
				record.Line = line
				if !yield(record, nil) {
					return
				}
			}
			if ended {
				return
			}
		}
	}
}

// Object reads one JSON object as a record: a line of NDJSON, or the same over several
// lines.
func Object(text []byte) (Record, error) {
	if len(text) > maxRecord {
		return Record{}, fmt.Errorf("the object has more than %d KiB", maxRecord>>10)
	}
	record, err := parseObject(bytes.TrimSpace(text))
	record.Line = 1
	return record, err
}

func parseObject(line []byte) (Record, error) {
	if isArray(line) || string(line) == "[" {
		return Record{}, errors.New("the file is a JSON array: write one object a line (jq -c '.[]' does it)")
	}
	d := jsontext.NewDecoder(bytes.NewReader(line))
	if token, err := d.ReadToken(); err != nil || token.Kind() != '{' {
		return Record{}, fmt.Errorf("not a JSON object: one object a line is expected, such as %s", `{"user_id":"u1","nickname":"Ann"}`)
	}
	record := Record{Names: []string{}, Cells: []string{}}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return Record{}, notJSON(err)
		}
		record.Names = append(record.Names, name.String())
		value, err := d.ReadValue()
		if err != nil {
			return Record{}, notJSON(err)
		}
		cell, fault := cellOf(value)
		if fault != "" {
			record.Faults = append(record.Faults, Fault{len(record.Cells), fault})
		}
		record.Cells = append(record.Cells, cell)
	}
	if _, err := d.ReadToken(); err != nil {
		return Record{}, notJSON(err)
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return Record{}, errors.New("text follows the object: write one object a line")
	}
	if len(record.Cells) > maxColumns {
		return Record{}, fmt.Errorf("the object has more than %d keys", maxColumns)
	}
	if i := repeated(record.Names); i >= 0 {
		return Record{}, fmt.Errorf("the key %.40q occurs twice", record.Names[i])
	}
	return record, nil
}

func notJSON(err error) error { return fmt.Errorf("not valid JSON: %w", err) }

// cellOf returns a value as the text of a cell; numbers keep all their digits.
func cellOf(value jsontext.Value) (cell, fault string) {
	switch value.Kind() {
	case 'n':
		return "", ""
	case '"':
		text, err := jsontext.AppendUnquote(nil, value)
		if err != nil {
			return "", "is not valid JSON text"
		}
		return string(text), ""
	case '[':
		return listOf(value)
	case '{':
		return "", "is an object: write text, a number or a list of texts"
	}
	return string(value), ""
}

func listOf(value jsontext.Value) (cell, fault string) {
	d := jsontext.NewDecoder(bytes.NewReader(value))
	_, _ = d.ReadToken() // the bracket
	var items []string
	for d.PeekKind() != ']' {
		value, err := d.ReadValue()
		if err != nil || value.Kind() != '"' && value.Kind() != '0' {
			return "", "is a list of something other than texts"
		}
		item, _ := cellOf(value)
		if strings.Contains(item, ";") {
			return "", "has an entry with a semicolon, which separates entries"
		}
		items = append(items, item)
	}
	return strings.Join(items, ";"), ""
}

package table

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// readNDJSON reads one object a line. Its keys are the names of the columns; a
// value is text, a number, true, false, null or a list of texts.
func readNDJSON(t *text) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		r := bufio.NewReaderSize(t.reader(), maxRecord)
		var objects objects
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
				record, err := objects.parse(content)
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
	record, err := new(objects).parse(bytes.TrimSpace(text))
	record.Line = 1
	return record, err
}

// objects reads JSON objects. Records share their names with the record before if it has
// the same: a million rows have one list.
type objects struct {
	decoder jsontext.Decoder
	names   []string // of the last record
	written []string // the same in JSON
}

func (o *objects) parse(line []byte) (Record, error) {
	if isArray(line) || string(line) == "[" {
		return Record{}, errors.New("the file is a JSON array: write one object a line (jq -c '.[]' does it)")
	}
	d := &o.decoder
	d.Reset(bytes.NewBuffer(line))
	if token, err := d.ReadToken(); err != nil || token.Kind() != '{' {
		return Record{}, fmt.Errorf("not a JSON object: one object a line is expected, such as %s", `{"user_id":"u1","nickname":"Ann"}`)
	}
	record, changed := Record{Cells: make([]string, 0, len(o.names))}, false
	for d.PeekKind() != '}' {
		name, err := d.ReadValue()
		if err != nil {
			return Record{}, notJSON(err)
		}
		if n := len(record.Cells); n >= len(o.written) || o.written[n] != string(name) {
			if !changed { // the records before keep their list
				o.names, o.written, changed = slices.Clone(o.names[:n]), o.written[:n], true
			}
			o.names, o.written = append(o.names, textOf(name)), append(o.written, string(name))
		}
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
	n := len(record.Cells)
	if n > maxColumns {
		return Record{}, fmt.Errorf("the object has more than %d keys", maxColumns)
	}
	o.names, o.written = o.names[:n:n], o.written[:n]
	record.Names = o.names
	if !changed {
		return record, nil
	}
	for i, name := range record.Names {
		if slices.Contains(record.Names[:i], name) {
			return Record{}, fmt.Errorf("the key %.40q occurs twice", name)
		}
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
		return textOf(value), ""
	case '[':
		return listOf(value)
	case '{':
		return "", "is an object: write text, a number or a list of texts"
	}
	return string(value), ""
}

// textOf returns the text of valid JSON. Most has no escapes, and needs one copy.
func textOf(value jsontext.Value) string {
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1])
	}
	text, _ := jsontext.AppendUnquote(nil, value) // the decoder has judged it
	return string(text)
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

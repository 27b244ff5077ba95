package roster

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"rollcall/internal/console"
	"rollcall/internal/kinds"
	"rollcall/internal/table"
	"rollcall/tasks"
)

// values are one row's, by column, with the problems that reading them finds.
type values struct {
	of       map[string]string
	problems []tasks.Problem
}

func (v *values) fault(column, what string) {
	v.problems = append(v.problems, tasks.Problem{Field: column, What: what})
}

func newRow(record table.Record, l *layout, o Options) Row {
	row := Row{Line: record.Line, kind: l.kind}
	row.cells = make([]cell, 0, len(record.Cells))
	if o.Annotated {
		row.annotate(record)
	}
	v := &values{of: make(map[string]string, len(record.Cells))}
	v.width(record, l)
	for i, text := range record.Cells {
		if i >= len(l.columns) || l.columns[i] == "" {
			continue
		}
		column := l.columns[i]
		text = norm.NFC.String(strings.TrimSpace(console.Original(text)))
		v.of[column] = text
		row.cells = append(row.cells, cell{column, l.shown[i], text})
		fault := slices.IndexFunc(record.Faults, func(f table.Fault) bool { return f.Cell == i })
		if fault >= 0 {
			v.fault(column, record.Faults[fault].What)
		} else if what := Suspect(column, text); what != "" {
			v.fault(column, what)
		}
	}
	v.standIn("tenant", o.Tenant, "--tenant")
	v.standIn("kind", string(l.kind), "--kind")
	if kind := word("kind", v.of["kind"]); kind != "" {
		row.kind = tasks.Kind(kind)
	} else {
		v.fault("kind", mustBeKind())
		row.Problems = v.problems
		return row
	}
	own, common := Columns(row.kind), CommonColumns()
	if slices.Contains(own, "chat_id") {
		v.standIn("chat_id", o.Chat, "--chat")
	}
	for _, column := range l.columns {
		if column != "" && v.of[column] != "" && !slices.Contains(own, column) && !slices.Contains(common, column) {
			v.fault(column, fmt.Sprintf("does not belong to a %s task: leave it empty", row.kind))
		}
	}
	row.Request = tasks.Request{Task: v.task(row.kind), Options: v.options(o.Defaults, o.Now)}
	row.Previous, row.Problems = v.of[kinds.Previous], v.problems
	return row
}

// width refuses a row with values to the right of the last name, and one at the end of a
// file that was cut.
func (v *values) width(record table.Record, l *layout) {
	if what := record.TooWide(l.named); what != "" {
		v.fault("", what)
		return
	}
	if record.Cut && len(record.Cells) < l.named {
		v.fault("", fmt.Sprintf("has %d cells, the header has %d, and the file ends there without a line end: the file was cut", len(record.Cells), l.named))
	}
}

// standIn fills an empty cell with the value of a flag.
func (v *values) standIn(column, value, flag string) {
	if value == "" {
		return
	}
	have := v.of[column]
	if column == "kind" {
		have = word("kind", have)
	}
	switch {
	case v.of[column] == "":
		v.of[column] = value
	case have != value:
		v.fault(column, fmt.Sprintf("differs from %s %s: correct one of them", flag, value))
	}
}

func (v *values) options(o tasks.Options, now time.Time) tasks.Options {
	o.Key = v.of["key"]
	switch word("urgent", v.of["urgent"]) {
	case "1":
		o.Urgent = true
	case "0":
		o.Urgent = false
	default:
		if v.of["urgent"] != "" {
			v.fault("urgent", "must be 1, true or yes, or 0, false or no, or empty")
		}
	}
	if at := v.of["at"]; at != "" {
		var err error
		if o.At, err = ParseAt(at, now); err != nil {
			v.fault("at", err.Error())
		}
	}
	o.Source = v.of["source"]
	switch number := v.of["number"]; {
	case number != "":
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || n < 0 || n > tasks.MaxNumber {
			v.fault("number", fmt.Sprintf("must be a whole number, 0 to %d", int64(tasks.MaxNumber)))
			break
		}
		if o.Number = n; o.Source == "" {
			v.fault("number", "is given without a source")
			o.Number = 0 // reported once
		}
	case o.Source != "":
		v.fault("number", "is missing: a source orders its tasks by it")
	}
	return o
}

// task returns the task of the row. A word of a column with choices is replaced by the choice
// that it stands for; of an unknown one package tasks says what is wrong, except of an option.
func (v *values) task(name tasks.Kind) tasks.Task {
	kind, _ := kinds.Named(name)
	for _, c := range kind.Columns {
		text := v.of[c.Name]
		if c.Choices == nil || text == "" {
			continue
		}
		switch known := word(c.Name, text); {
		case known != "":
			v.of[c.Name] = known
		case c.Option:
			v.fault(c.Name, "must be 0 or 1, or empty to leave it alone")
			v.of[c.Name] = ""
		}
	}
	return kind.Row(func(column string) string { return v.of[column] }, v.list)
}

// mustBeKind names the kinds, and the usual word for each in a Chinese file.
func mustBeKind() string {
	var usual []string
	for _, k := range kinds.All() {
		usual = append(usual, k.Words[0])
	}
	return fmt.Sprintf("must be %s (%s)", kinds.Choice(), strings.Join(usual, ", "))
}

// list splits the entries of a cell at semicolons.
func (v *values) list(column string) []string {
	if v.of[column] == "" {
		return nil
	}
	entries := strings.FieldsFunc(v.of[column]+" ", func(r rune) bool { return r == ';' || r == '；' })
	for i := range entries {
		entries[i] = strings.TrimSpace(entries[i])
	}
	if len(entries) > 1 && entries[len(entries)-1] == "" {
		entries = entries[:len(entries)-1] // a semicolon at the end
	}
	return entries
}

package night

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"rollcall/internal/roster"
	"rollcall/internal/run"
	"rollcall/internal/source"
	"rollcall/internal/table"
	"rollcall/tasks"
)

// Rule makes rows of records: of a roster's own columns, or of names by filters and
// templates.
type Rule interface {
	// Version identifies the rule. Another version may name everybody otherwise, so it is
	// approved once before it is used.
	Version() string
	// Begin begins a reading at a time, from which delays count.
	Begin(ctx context.Context, now time.Time) (Maker, error)
}

// Maker makes the rows of one reading. A row that cannot be used has Problems; an error
// ends the reading.
type Maker interface {
	// Add takes the next record and returns its rows, if they are known already. columns
	// are the same slice for records with the same columns.
	Add(columns []string, r source.Record) ([]run.Row, error)
	// End returns the rows that are known only after the last record.
	End(ctx context.Context) ([]run.Row, error)
}

// Columns is the rule of a roster whose columns are those of a file.
type Columns struct {
	// Tenant, Kind and Chat stand in for empty cells and missing columns.
	Tenant string
	Kind   tasks.Kind
	Chat   string
	// Map names columns that are not known by name: "学号": "user_id".
	Map map[string]string
}

// Version is a hash of the options.
func (c Columns) Version() string {
	text, err := json.Marshal(c, json.Deterministic(true))
	if err != nil { // text that is not valid UTF-8
		text = fmt.Append(nil, c)
	}
	sum := sha256.Sum256(text)
	return "columns-" + hex.EncodeToString(sum[:6])
}

// Begin begins a reading.
func (c Columns) Begin(_ context.Context, now time.Time) (Maker, error) {
	records, err := roster.NewRecords(roster.Options{Tenant: c.Tenant, Kind: c.Kind, Chat: c.Chat, Map: c.Map, Now: now})
	if err != nil {
		return nil, err
	}
	return &columnMaker{records: records}, nil
}

type columnMaker struct{ records *roster.Records }

func (m *columnMaker) Add(columns []string, r source.Record) ([]run.Row, error) {
	row, err := m.records.Row(table.Record{Line: lineOf(r.At), Names: columns, Cells: r.Fields})
	if err != nil {
		return nil, err
	}
	made := run.Row{Line: row.Line, Request: row.Request, Previous: row.Previous}
	// A key would suppress the same row in a later run.
	made.Request.Options.Key = ""
	if refusal := row.Refusal(tasks.Limits{}); refusal != nil {
		for _, p := range row.Explain(refusal) {
			what := p.What
			if p.Column != "" {
				what = "column " + p.Column + ": " + what
			}
			made.Problems = append(made.Problems, what)
		}
	}
	return []run.Row{made}, nil
}

func (m *columnMaker) End(context.Context) ([]run.Row, error) { return nil, nil }

// lineOf returns the line of a record of a file, 0 for another record.
func lineOf(at string) int {
	text, ok := strings.CutPrefix(at, "line ")
	if line, err := strconv.Atoi(text); ok && err == nil {
		return line
	}
	return 0
}

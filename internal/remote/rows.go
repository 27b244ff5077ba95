package remote

import (
	"maps"
	"slices"
	"time"

	"rollcall/internal/roster"
	"rollcall/internal/run"
	"rollcall/internal/table"
	"rollcall/tasks"
)

// plannedRow is a row of a plan as the API shows it.
type plannedRow struct {
	Row        int               `json:"row"`
	Line       int               `json:"line"`
	Key        string            `json:"key"`
	Decision   run.Decision      `json:"decision"`
	Values     []run.Value       `json:"values"`
	Why        string            `json:"why"`
	Suspicious string            `json:"suspicious"`
	Problems   []string          `json:"problems"`
	Undoable   bool              `json:"undoable"`
	Columns    map[string]string `json:"columns"`
}

// resultRow is the result of a row as the API shows it.
type resultRow struct {
	plannedRow

	Outcome   run.Outcome `json:"outcome"`
	Class     string      `json:"class"`
	Code      string      `json:"code"`
	Message   string      `json:"message"`
	Todo      string      `json:"todo"`
	RequestID string      `json:"request_id"`
	At        time.Time   `json:"at"`
}

// rowReader turns rows of the API into those of the service.
type rowReader struct{ records *roster.Records }

func newRowReader() *rowReader {
	records, err := roster.NewRecords(roster.Options{})
	if err != nil {
		panic("remote: the zero roster.Options are refused: " + err.Error())
	}
	return &rowReader{records}
}

// request returns the task that the columns of a row describe, with the value that the
// row states.
func (r *rowReader) request(columns map[string]string, key string) (tasks.Request, string) {
	names := slices.Sorted(maps.Keys(columns))
	record := table.Record{Names: names}
	for _, name := range names {
		record.Cells = append(record.Cells, columns[name])
	}
	if columns["kind"] != "" { // else the row has no task
		if row, err := r.records.Row(record); err == nil && row.Request.Task != nil {
			return row.Request, row.Previous
		}
	}
	return tasks.Request{Options: tasks.Options{Key: key}}, ""
}

func (r *rowReader) planned(v plannedRow) run.Planned {
	p := run.Planned{
		Row: run.Row{Line: v.Line, Problems: v.Problems}, Number: v.Row, Decision: v.Decision, Values: v.Values, Why: v.Why,
		Suspicious: v.Suspicious, Undoable: v.Undoable,
	}
	p.Request, p.Previous = r.request(v.Columns, v.Key)
	return p
}

func (r *rowReader) result(v resultRow) run.Result {
	return run.Result{
		Planned: r.planned(v.plannedRow), Outcome: v.Outcome, Class: v.Class, Code: v.Code, Message: v.Message,
		RequestID: v.RequestID, At: v.At, Advice: v.Todo,
	}
}

package remote

import (
	"maps"
	"slices"

	"rollcall/internal/roster"
	"rollcall/internal/run"
	"rollcall/internal/table"
	"rollcall/internal/wire"
	"rollcall/tasks"
)

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

func (r *rowReader) planned(v wire.PlannedRow) run.Planned {
	p := run.Planned{
		Row: run.Row{Line: v.Line, Problems: v.Problems}, Number: v.Row, Decision: v.Decision, Values: values(v.Values), Why: v.Why,
		Suspicious: v.Suspicious, Undoable: v.Undoable,
	}
	p.Request, p.Previous = r.request(v.Columns, v.Key)
	return p
}

func (r *rowReader) result(v wire.ResultRow) run.Result {
	return run.Result{
		Planned: r.planned(wire.PlannedRow{
			Row: v.Row, Line: v.Line, Place: v.Place, Decision: v.Decision, Values: v.Values, Why: v.Why, Problems: v.Problems, Columns: v.Columns,
		}),
		Outcome: v.Outcome, Class: v.Class, Code: v.Code, Message: v.Message, RequestID: v.RequestID, At: v.At, Advice: v.Todo,
	}
}

func values(all []wire.Value) []run.Value {
	values := make([]run.Value, len(all))
	for i, v := range all {
		values[i] = run.Value(v)
	}
	return values
}

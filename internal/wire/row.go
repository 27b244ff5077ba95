package wire

import (
	"time"

	"rollcall/internal/run"
	"rollcall/tasks"
)

// Value is one field of a row, before and after.
type Value struct {
	Field string `json:"field"`
	Old   string `json:"old,omitzero"`
	New   string `json:"new,omitzero"`
	Known bool   `doc:"The old value is known" json:"known"`
	// Stated says where the old value is from.
	Stated bool `doc:"The old value is from the column previous" json:"stated,omitzero"`
}

// Place is where the target of a row is.
type Place struct {
	Tenant string     `json:"tenant,omitzero"`
	Kind   tasks.Kind `json:"kind,omitzero"`
	Target string     `json:"target,omitzero"`
	Key    string     `doc:"Key that the row was sent with" json:"key,omitzero"`
}

// PlannedRow is a row of a plan. Names and ids of people are masked unless the token has
// the scope names.
type PlannedRow struct {
	Row  int `doc:"Number, from 1"   json:"row"`
	Line int `doc:"Line of the file" json:"line,omitzero"`
	Place

	Decision   run.Decision `enum:"change,new,unchanged,conflict,impossible,excluded" json:"decision"`
	Values     []Value      `json:"values"                                            nullable:"false"`
	Why        string       `doc:"Reason of the decision, if it is not obvious"       json:"why,omitzero"`
	Suspicious string       `doc:"Why a person should look at the row"                json:"suspicious,omitzero"`
	Problems   []string     `doc:"Why the row is impossible"                          json:"problems,omitempty"  nullable:"false"`
	Undoable   bool         `json:"undoable"`
	// Columns are those of a file with the row.
	Columns map[string]string `doc:"The row as the columns of a file, with columns=true" json:"columns,omitempty"`
}

// ResultRow is the result of a row. Names and ids of people are masked unless the token
// has the scope names.
type ResultRow struct {
	Row  int `doc:"Number, from 1"   json:"row"`
	Line int `doc:"Line of the file" json:"line,omitzero"`
	Place

	Outcome   run.Outcome `enum:"waiting,open,applied,unchanged,superseded,failed,cancelled,conflict,impossible,excluded" json:"outcome"`
	Values    []Value     `json:"values"                                                                                  nullable:"false"`
	Class     string      `doc:"Class of the dead letter"                                                                 json:"class,omitzero"`
	Code      string      `doc:"Code of the platform"                                                                     json:"code,omitzero"`
	Message   string      `json:"message,omitzero"`
	Todo      string      `doc:"What to do"                                                                               json:"todo,omitzero"`
	RequestID string      `doc:"Of the platform"                                                                          json:"request_id,omitzero"`
	At        time.Time   `json:"at,omitzero"`

	Decision run.Decision `doc:"That of the plan"                             enum:"change,new,unchanged,conflict,impossible,excluded" json:"decision,omitzero"`
	Why      string       `doc:"Reason of the decision, if it is not obvious" json:"why,omitzero"`
	Problems []string     `doc:"Why the row is impossible"                    json:"problems,omitempty"                                nullable:"false"`
	// Columns are those of a file with the row.
	Columns map[string]string `doc:"The row as the columns of a file, with columns=true" json:"columns,omitempty"`
}

// PlanPage is a page of a plan.
type PlanPage struct {
	Run  Run          `json:"run"`
	Rows []PlannedRow `json:"rows"                                                       nullable:"false"`
	Next int          `doc:"Value of after for the next page; missing: this is the last" json:"next,omitzero"`
}

// ResultPage is a page of results.
type ResultPage struct {
	Rows []ResultRow `json:"rows"                                                       nullable:"false"`
	Next int         `doc:"Value of after for the next page; missing: this is the last" json:"next,omitzero"`
}

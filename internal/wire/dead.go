package wire

import (
	"time"

	"rollcall/internal/deadletter"
	"rollcall/internal/ledger"
	"rollcall/tasks"
)

// DeadLetter is a task that no retry will complete. Names and ids of people are masked
// unless the token has the scope names.
type DeadLetter struct {
	ID           string         `doc:"Id of the task"                      json:"id"`
	Tenant       string         `json:"tenant"`
	Kind         tasks.Kind     `json:"kind"`
	Target       string         `json:"target,omitzero"`
	Key          string         `json:"key,omitzero"`
	Lane         string         `json:"lane,omitzero"`
	Organisation string         `json:"organisation,omitzero"`
	Urgent       bool           `doc:"From the urgent queue"               json:"urgent,omitzero"`
	Type         string         `doc:"Of the task in asynq"                json:"type,omitzero"`
	Revision     int64          `json:"revision,omitzero"`
	Cause        string         `doc:"Class, code and message in one line" json:"cause,omitzero"`
	Attempts     map[string]int `doc:"Failed attempts by class"            json:"attempts,omitempty"`
	Run          string         `json:"run,omitzero"`
	Row          int            `json:"row,omitzero"`
	Class        string         `json:"class"`
	Code         string         `doc:"Code of the platform"                json:"code,omitzero"`
	Message      string         `doc:"Of the platform"                     json:"message,omitzero"`
	Todo         string         `doc:"What to do"                          json:"todo,omitzero"`
	RequestID    string         `json:"request_id,omitzero"`
	First        time.Time      `doc:"First failure"                       json:"first"`
	Last         time.Time      `doc:"Last failure"                        json:"last"`
}

// DeadLetters are the newest dead letters, newest first.
type DeadLetters struct {
	DeadLetters []DeadLetter `json:"dead_letters" nullable:"false"`
}

// Chosen is the body of a request about some dead letters.
type Chosen struct {
	IDs    []string `doc:"Ids of the tasks" json:"ids"             maxItems:"100"  minItems:"1" nullable:"false"`
	Reason string   `doc:"For the events"   json:"reason,omitzero" maxLength:"500"`
}

// SettledLetter is the result for one dead letter.
type SettledLetter struct {
	ID      string             `json:"id"`
	Outcome deadletter.Outcome `doc:"missing: no dead letter has the id" enum:"replayed,underway,discarded,refused,failed,missing" json:"outcome"`
	TaskID  string             `doc:"Task that replaces it"              json:"task_id,omitzero"`
	Detail  string             `doc:"Why it stays"                       json:"detail,omitzero"`
}

// Settled are the results, in the order of the ids.
type Settled struct {
	Results []SettledLetter `json:"results" nullable:"false"`
}

// Causes are the dead letters by cause, the most frequent first.
type Causes struct {
	Causes []Cause `json:"causes" nullable:"false"`
}

// Cause is a group of dead letters with one class and code.
type Cause struct {
	Class       string    `json:"class"`
	Code        string    `doc:"Code of the platform" json:"code,omitzero"`
	DeadLetters int64     `doc:"How many"             json:"dead_letters"`
	Lanes       []string  `doc:"Lanes that have them" json:"lanes"         nullable:"false"`
	Latest      time.Time `doc:"When the latest died" json:"latest"`
	Todo        string    `doc:"What to do"           json:"todo,omitzero"`
}

// Missing is the outcome of an id that no dead letter has.
const Missing = deadletter.Outcome("missing")

// DeadLetterOf returns a dead letter as clients see it.
func DeadLetterOf(d ledger.DeadLetter) DeadLetter {
	return DeadLetter{
		ID: d.ID, Tenant: d.Tenant, Kind: tasks.Kind(d.Kind), Target: d.Target, Key: d.Key, Lane: d.Lane, Organisation: d.Organisation,
		Urgent: d.Urgent, Type: d.Type, Revision: d.Revision, Cause: d.Cause, Attempts: d.Attempts, Run: d.Run, Row: d.Row,
		Class: d.Class, Code: d.Code, Message: d.Message, Todo: d.Todo, RequestID: d.RequestID, First: d.First, Last: d.Last,
	}
}

// Letter returns the dead letter as the ledger returns it, without its payload.
func (d DeadLetter) Letter() ledger.DeadLetter {
	return ledger.DeadLetter{
		ID: d.ID, Tenant: d.Tenant, Kind: string(d.Kind), Target: d.Target, Key: d.Key, Lane: d.Lane, Organisation: d.Organisation,
		Urgent: d.Urgent, Type: d.Type, Revision: d.Revision, Cause: d.Cause, Attempts: d.Attempts, Run: d.Run, Row: d.Row,
		Class: d.Class, Code: d.Code, Message: d.Message, Todo: d.Todo, RequestID: d.RequestID, First: d.First, Last: d.Last,
	}
}

package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"

	"rollcall/internal/console"
	"rollcall/internal/exitcode"
	"rollcall/internal/kinds"
	"rollcall/internal/roster"
	"rollcall/tasks"
)

// entry is one task and its result.
type entry struct {
	line   int // of the file; 0 for a task from the arguments
	task   tasks.Task
	key    string
	result tasks.Result
	// position returns the flag or argument of a problem, for a task from the arguments.
	position func(tasks.Problem) string
}

// record is an entry as --json prints it. Its names are stable: names are added, never
// changed. It contains no nickname and no DingTalk ID.
type record struct {
	Line     int             `json:"line,omitzero"`
	Kind     tasks.Kind      `json:"kind,omitzero"`
	Tenant   string          `json:"tenant,omitzero"`
	Target   string          `json:"target,omitzero"`
	Key      string          `json:"key,omitzero"`
	Outcome  string          `json:"outcome"` // `stored`, `already_there`, `outdated`, `refused`, `not_stored` or `not_known`; `valid` in a dry run. Of a row of a file: its decision, with --wait its result, or `refused`
	TaskID   string          `json:"task_id,omitzero"`
	Queue    string          `json:"queue,omitzero"`
	Revision int64           `json:"revision,omitzero"`  // none if an earlier request stored the task
	Run      string          `json:"run,omitzero"`       // of a row of a file
	Problems []tasks.Problem `json:"problems,omitempty"` // of an invalid task
	Error    string          `json:"error,omitzero"`     // why it was not stored
	Warning  string          `json:"warning,omitzero"`   // it is stored, but a record was lost; this costs at most one call
}

// report prints and counts the results of tasks that are enqueued directly, or only
// checked, and the rows of a file that are refused.
type report struct {
	*app

	rows   bool // a line or an object for each task
	counts map[string]int
}

const outcomeValid = "valid"

func (r *report) outcome(result tasks.Result) string {
	if r.dryRun && result.Err == nil {
		return outcomeValid
	}
	return result.Outcome.String()
}

func (r *report) add(e entry) {
	outcome := r.outcome(e.result)
	r.counts[outcome]++
	kind, tenant, target := describe(e.task)
	if r.JSON {
		rec := record{
			Line: e.line, Kind: kind, Tenant: tenant, Target: target, Key: e.key, Outcome: outcome,
			TaskID: e.result.TaskID, Queue: e.result.Queue, Revision: e.result.Revision, Warning: e.result.Warning,
		}
		if err := e.result.Err; err != nil {
			rec.Error = err.Error()
			if invalid, ok := errors.AsType[*tasks.ValidationError](err); ok {
				rec.Problems = invalid.Problems
			}
		}
		// A record of strings and numbers always encodes, unless a string is not UTF-8.
		line, err := json.Marshal(rec, json.Deterministic(true))
		if err != nil {
			line = fmt.Appendf(nil, `{"line":%d,"outcome":%q,"error":"the input is not valid UTF-8"}`, e.line, outcome)
		}
		console.Fprintf(r.Stdout, "%s\n", line)
		return
	}
	if e.result.Err != nil { // of the task from the arguments: problems of rows are printed before
		for _, reason := range reasons(e) {
			console.Fprintf(r.Stderr, "%s: %s\n", painted(outcome), console.Line(reason))
		}
		return
	}
	if r.rows {
		where := ""
		if e.line > 0 {
			where = fmt.Sprintf("line %d: ", e.line)
		}
		line := fmt.Sprintf("%s%s %s %s %s %s", where, painted(outcome), kind, tenant, target, e.result.TaskID)
		console.Fprintln(r.Stdout, strings.TrimRight(line, " "))
	}
	if e.result.Warning != "" {
		console.Fprintf(r.Stderr, "warning: %s\n", console.Line(e.result.Warning))
	}
}

// reasons returns every problem of a task with its position.
func reasons(e entry) []string {
	invalid, ok := errors.AsType[*tasks.ValidationError](e.result.Err)
	if !ok {
		return []string{e.result.Err.Error()}
	}
	var out []string
	for _, p := range invalid.Problems {
		out = append(out, e.position(p)+": "+p.What)
	}
	return out
}

func painted(outcome string) console.Painted {
	text := strings.ReplaceAll(outcome, "_", " ")
	switch outcome {
	case outcomeValid, tasks.Stored.String(), tasks.AlreadyThere.String(), tasks.Outdated.String():
		return console.Paint(console.Green, text)
	}
	return console.Paint(console.Red, text)
}

// summary is the counts of the rows of a file that was only checked.
func (r *report) summary() string {
	var parts []string
	for _, outcome := range []string{outcomeValid, tasks.Refused.String()} {
		if n := r.counts[outcome]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, outcome))
		}
	}
	if len(parts) == 0 {
		return "no tasks"
	}
	return strings.Join(parts, ", ")
}

// exitCode is the code of the worst outcome. An unknown outcome is worse than tasks
// that can be sent again.
func (r *report) exitCode() int {
	switch {
	case r.counts[tasks.NotKnown.String()] > 0:
		return exitNotKnown
	case r.counts[tasks.NotStored.String()] > 0:
		return exitNotStored
	case r.counts[tasks.Refused.String()] > 0:
		return exitRefused
	}
	return exitcode.OK
}

// refuse counts an invalid row of a file, and with --json prints it.
func (r *report) refuse(row roster.Row, refusal error) {
	if !r.JSON { // its problems are printed
		r.counts[tasks.Refused.String()]++
		return
	}
	r.add(entry{
		line: row.Line, task: row.Request.Task, key: row.Request.Options.Key,
		result: tasks.Result{Outcome: tasks.Refused, Err: refusal},
	})
}

// describe names a task by ids, never by names of people.
func describe(task tasks.Task) (kind tasks.Kind, tenant, target string) {
	if task == nil {
		return "", "", ""
	}
	tenant, kind = task.Lane()
	change, _ := kinds.Change(task, "")
	return kind, tenant, change.Key
}

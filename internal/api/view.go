package api

import (
	"cmp"
	"slices"
	"time"

	"rollcall/internal/kinds"
	"rollcall/internal/privacy"
	"rollcall/internal/run"
	"rollcall/tasks"
)

// Run is a run as clients see it.
type Run struct {
	ID      string    `json:"id" example:"01JD7Z5W9T3K8Q2M4N6P8R0S1V"`
	Name    string    `json:"name,omitzero" doc:"Label that its author gave"`
	Author  string    `json:"author,omitzero" doc:"Who made it; token:NAME for a token"`
	UndoOf  string    `json:"undo_of,omitzero" doc:"Run that this one takes back"`
	State   run.State `json:"state" enum:"uploading,planned,held,canary,applying,paused,done,cancelled,rejected,expired"`
	Reason  string    `json:"reason,omitzero" doc:"Why it is in this state"`
	By      string    `json:"by,omitzero" doc:"Who brought it there; missing: rollcall"`
	Created time.Time `json:"created"`
	Changed time.Time `json:"changed" doc:"When it came into this state"`
	Applied time.Time `json:"applied,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	Rows    int       `json:"rows" doc:"Rows that are in"`
	Sealed  bool      `json:"sealed" doc:"No more rows can be added"`
	Fed     int       `json:"fed" doc:"Rows that are or were in the queues of their lanes"`
	// Outcomes are rows by outcome.
	Outcomes map[run.Outcome]int `json:"outcomes,omitempty" doc:"Rows by outcome, once it was applied"`
	Progress string              `json:"progress,omitzero" doc:"What the worker reported last"`
	Plan     *Plan               `json:"plan,omitzero" doc:"Missing until it was planned"`
	Ignored  []string            `json:"ignored_columns,omitempty" nullable:"false" doc:"Columns of the upload that are not known; only in the answer to the upload"`
}

// Plan is the summary of a plan.
type Plan struct {
	Digest     string               `json:"digest" doc:"Identifies exactly this plan: apply needs it"`
	At         time.Time            `json:"at"`
	Until      time.Time            `json:"until" doc:"When the plan expires"`
	Counts     map[run.Decision]int `json:"counts" doc:"Rows by decision"`
	Calls      int                  `json:"calls" doc:"Rows that are sent"`
	Undoable   int                  `json:"undoable" doc:"Rows that could be undone after they were applied"`
	Suspicious int                  `json:"suspicious" doc:"Rows that a person should look at"`
	Seconds    int                  `json:"seconds" doc:"How long the calls take at the lanes' rates"`
	Guards     []Guard              `json:"guards" nullable:"false" doc:"Checks that object. One that is not allowed holds the run when it is applied."`
	Costs      []Cost               `json:"costs" nullable:"false" doc:"Metered calls by organisation"`
}

// Guard is a check of the whole plan that objects.
type Guard struct {
	Name    string `json:"name" example:"changes"`
	What    string `json:"what" doc:"What it found"`
	Allow   string `json:"allow" example:"allow-changes" doc:"The value of the parameter allow that accepts it"`
	Allowed bool   `json:"allowed"`
	Rows    []int  `json:"rows" nullable:"false" doc:"The first rows that it is about, at most 10"`
}

// Cost is what a plan spends of the month of an organisation.
type Cost struct {
	Organisation string `json:"organisation"`
	Month        string `json:"month" example:"2026-11"`
	Calls        int    `json:"calls" doc:"Metered calls of the plan"`
	Spent        int64  `json:"spent"`
	Quota        int    `json:"quota,omitzero" doc:"Missing: the month is not bounded"`
	Left         int64  `json:"left,omitzero"`
}

func runView(r run.Run) Run {
	v := Run{
		ID: r.ID, Name: r.Name, Author: r.Author, UndoOf: r.UndoOf, State: r.State, Reason: r.Reason, By: r.By,
		Created: r.Created.UTC(), Changed: r.Changed.UTC(), Applied: r.Applied, Ended: r.Ended, Rows: r.Rows, Sealed: r.Sealed,
		Fed: r.Fed, Outcomes: r.Outcomes, Progress: r.Progress,
	}
	if r.Plan == nil {
		return v
	}
	p := r.Plan
	v.Plan = &Plan{
		Digest: p.Digest, At: p.At, Until: p.Until, Counts: p.Counts, Calls: p.Calls(), Undoable: p.Undoable,
		Suspicious: p.Suspicious, Seconds: p.Seconds,
	}
	for _, g := range p.Guards {
		v.Plan.Guards = append(v.Plan.Guards, Guard{Name: g.Name, What: g.What, Allow: g.Flag, Allowed: g.Allowed, Rows: g.Rows})
	}
	for _, c := range p.Costs {
		v.Plan.Costs = append(v.Plan.Costs, Cost{Organisation: c.Organisation, Month: c.Month, Calls: c.Calls, Spent: c.Spent, Quota: c.Quota, Left: c.Left})
	}
	return v
}

// Value is one field of a row, before and after.
type Value struct {
	Field string `json:"field"`
	Old   string `json:"old,omitzero"`
	New   string `json:"new,omitzero"`
	Known bool   `json:"known" doc:"The old value is known"`
}

// PlannedRow is a row of a plan. Names and ids of people are masked unless the token has
// the scope names.
type PlannedRow struct {
	Row        int          `json:"row" doc:"Number, from 1"`
	Line       int          `json:"line,omitzero" doc:"Line of the file"`
	Tenant     string       `json:"tenant,omitzero"`
	Kind       tasks.Kind   `json:"kind,omitzero"`
	Target     string       `json:"target,omitzero"`
	Key        string       `json:"key,omitzero" doc:"Key that the row was sent with"`
	Decision   run.Decision `json:"decision" enum:"change,new,unchanged,conflict,impossible,excluded"`
	Values     []Value      `json:"values" nullable:"false"`
	Why        string       `json:"why,omitzero" doc:"Reason of the decision, if it is not obvious"`
	Suspicious string       `json:"suspicious,omitzero" doc:"Why a person should look at the row"`
	Problems   []string     `json:"problems,omitempty" nullable:"false" doc:"Why the row is impossible"`
	Undoable   bool         `json:"undoable"`
}

// ResultRow is the result of a row. Names and ids of people are masked unless the token
// has the scope names.
type ResultRow struct {
	Row       int         `json:"row" doc:"Number, from 1"`
	Line      int         `json:"line,omitzero" doc:"Line of the file"`
	Tenant    string      `json:"tenant,omitzero"`
	Kind      tasks.Kind  `json:"kind,omitzero"`
	Target    string      `json:"target,omitzero"`
	Key       string      `json:"key,omitzero" doc:"Key that the row was sent with"`
	Outcome   run.Outcome `json:"outcome" enum:"waiting,open,applied,unchanged,superseded,failed,cancelled,conflict,impossible,excluded"`
	Values    []Value     `json:"values" nullable:"false"`
	Class     string      `json:"class,omitzero" doc:"Class of the dead letter"`
	Code      string      `json:"code,omitzero" doc:"Code of the platform"`
	Message   string      `json:"message,omitzero"`
	Todo      string      `json:"todo,omitzero" doc:"What to do"`
	RequestID string      `json:"request_id,omitzero" doc:"Of the platform"`
	At        time.Time   `json:"at,omitzero"`
}

// masker shows or masks names and ids of people.
type masker struct{ personal bool }

func (c caller) masker() masker { return masker{personal: c.May(scopeNames)} }

func (m masker) values(kind tasks.Kind, values []run.Value) []Value {
	all := make([]Value, len(values))
	for i, v := range values {
		all[i] = Value{Field: v.Field, Old: v.Old, New: v.New, Known: v.Known}
		if !m.personal {
			all[i].Old, all[i].New = privacy.Value(kind, v.Field, v.Old), privacy.Value(kind, v.Field, v.New)
		}
	}
	return all
}

// target returns the lane and the key of the target of a row, and its own key. A key may
// hold a name.
func (m masker) target(row run.Row) (tenant string, kind tasks.Kind, target, key string) {
	key = row.Request.Options.Key
	if !m.personal {
		key = privacy.Mask(key)
	}
	if row.Request.Task == nil {
		return "", "", "", key
	}
	tenant, kind = row.Request.Task.Lane()
	changed, _ := kinds.Change(row.Request.Task, "")
	if m.personal {
		return tenant, kind, changed.Key, key
	}
	return tenant, kind, privacy.Target(kind, changed.Key), key
}

// words returns a text of ours or of a platform about a row.
func (m masker) words(row run.Row, texts ...string) string {
	text := cmp.Or(texts...)
	if m.personal || row.Request.Task == nil {
		return text
	}
	return privacy.Redact(text, append(privacy.Words(row.Request.Task), row.Request.Options.Key, row.Previous))
}

func (m masker) planned(p run.Planned) PlannedRow {
	v := PlannedRow{Row: p.Number, Line: p.Line, Decision: p.Decision, Why: m.words(p.Row, p.Why), Suspicious: m.words(p.Row, p.Suspicious), Undoable: p.Undoable}
	v.Tenant, v.Kind, v.Target, v.Key = m.target(p.Row)
	v.Values = m.values(v.Kind, p.Values)
	for _, problem := range p.Problems {
		v.Problems = append(v.Problems, m.words(p.Row, problem))
	}
	return v
}

func (m masker) result(r run.Result) ResultRow {
	v := ResultRow{
		Row: r.Number, Line: r.Line, Outcome: r.Outcome, Class: r.Class, Code: r.Code, Message: m.words(r.Row, r.Message, r.Why),
		Todo: r.Advice, RequestID: m.words(r.Row, r.RequestID), At: r.At,
	}
	v.Tenant, v.Kind, v.Target, v.Key = m.target(r.Row)
	v.Values = m.values(v.Kind, r.Values)
	return v
}

// mayRow reports whether the caller may see a row.
func (c caller) mayRow(row run.Row) bool {
	if row.Request.Task == nil {
		return true
	}
	tenant, _ := row.Request.Task.Lane()
	return c.MayTenant(tenant)
}

// maySee reports whether the caller may see a run: it made the run, or may use all its
// tenants and read.
func (c caller) maySee(r run.Run) bool {
	if c.owns(r) {
		return true
	}
	if len(c.Tenants) == 0 {
		return true
	}
	return r.Plan != nil && len(r.Plan.Lanes) > 0 &&
		!slices.ContainsFunc(r.Plan.Lanes, func(l run.Lane) bool { return !c.MayTenant(l.Tenant) })
}

// owns reports whether the caller made a run.
func (c caller) owns(r run.Run) bool { return r.Author == c.by() }

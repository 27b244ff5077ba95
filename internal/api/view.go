package api

import (
	"cmp"
	"slices"
	"time"

	"rollcall/internal/access"
	"rollcall/internal/kinds"
	"rollcall/internal/privacy"
	"rollcall/internal/run"
	"rollcall/tasks"
)

// Run is a run as clients see it.
type Run struct {
	ID      string    `example:"01JD7Z5W9T3K8Q2M4N6P8R0S1V"                                                 json:"id"`
	Name    string    `doc:"Label that its author gave"                                                     json:"name,omitzero"`
	Author  string    `doc:"Who made it; token:NAME for a token"                                            json:"author,omitzero"`
	UndoOf  string    `doc:"Run that this one takes back"                                                   json:"undo_of,omitzero"`
	State   run.State `enum:"uploading,planned,held,canary,applying,paused,done,cancelled,rejected,expired" json:"state"`
	Reason  string    `doc:"Why it is in this state"                                                        json:"reason,omitzero"`
	By      string    `doc:"Who brought it there; missing: rollcall"                                        json:"by,omitzero"`
	Created time.Time `json:"created"`
	Changed time.Time `doc:"When it came into this state"                                                   json:"changed"`
	Applied time.Time `json:"applied,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	Rows    int       `doc:"Rows that are in"                                                               json:"rows"`
	Sealed  bool      `doc:"No more rows can be added"                                                      json:"sealed"`
	Fed     int       `doc:"Rows that are or were in the queues of their lanes"                             json:"fed"`
	// Outcomes are rows by outcome.
	Outcomes map[run.Outcome]int `doc:"Rows by outcome, once it was applied"                                       json:"outcomes,omitempty"`
	Progress string              `doc:"What the worker reported last"                                              json:"progress,omitzero"`
	Plan     *Plan               `doc:"Missing until it was planned"                                               json:"plan,omitzero"`
	Ignored  []string            `doc:"Columns of the upload that are not known; only in the answer to the upload" json:"ignored_columns,omitempty" nullable:"false"`
}

// Plan is the summary of a plan.
type Plan struct {
	Digest     string               `doc:"Identifies exactly this plan: apply needs it"                                  json:"digest"`
	At         time.Time            `json:"at"`
	Until      time.Time            `doc:"When the plan expires"                                                         json:"until"`
	Counts     map[run.Decision]int `doc:"Rows by decision"                                                              json:"counts"`
	Calls      int                  `doc:"Rows that are sent"                                                            json:"calls"`
	Undoable   int                  `doc:"Rows that could be undone after they were applied"                             json:"undoable"`
	Suspicious int                  `doc:"Rows that a person should look at"                                             json:"suspicious"`
	Seconds    int                  `doc:"How long the calls take at the lanes' rates"                                   json:"seconds"`
	Guards     []Guard              `doc:"Checks that object. One that is not allowed holds the run when it is applied." json:"guards"     nullable:"false"`
	Costs      []Cost               `doc:"Metered calls by organisation"                                                 json:"costs"      nullable:"false"`
}

// Guard is a check of the whole plan that objects.
type Guard struct {
	Name    string `example:"changes"                                      json:"name"`
	What    string `doc:"What it found"                                    json:"what"`
	Allow   string `doc:"The value of the parameter allow that accepts it" example:"allow-changes" json:"allow"`
	Allowed bool   `json:"allowed"`
	Rows    []int  `doc:"The first rows that it is about, at most 10"      json:"rows"             nullable:"false"`
}

// Cost is what a plan spends of the month of an organisation.
type Cost struct {
	Organisation string `json:"organisation"`
	Month        string `example:"2026-11"                       json:"month"`
	Calls        int    `doc:"Metered calls of the plan"         json:"calls"`
	Spent        int64  `json:"spent"`
	Quota        int    `doc:"Missing: the month is not bounded" json:"quota,omitzero"`
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
	Known bool   `doc:"The old value is known" json:"known"`
}

// PlannedRow is a row of a plan. Names and ids of people are masked unless the token has
// the scope names.
type PlannedRow struct {
	Row        int          `doc:"Number, from 1"                                     json:"row"`
	Line       int          `doc:"Line of the file"                                   json:"line,omitzero"`
	Tenant     string       `json:"tenant,omitzero"`
	Kind       tasks.Kind   `json:"kind,omitzero"`
	Target     string       `json:"target,omitzero"`
	Key        string       `doc:"Key that the row was sent with"                     json:"key,omitzero"`
	Decision   run.Decision `enum:"change,new,unchanged,conflict,impossible,excluded" json:"decision"`
	Values     []Value      `json:"values"                                            nullable:"false"`
	Why        string       `doc:"Reason of the decision, if it is not obvious"       json:"why,omitzero"`
	Suspicious string       `doc:"Why a person should look at the row"                json:"suspicious,omitzero"`
	Problems   []string     `doc:"Why the row is impossible"                          json:"problems,omitempty"  nullable:"false"`
	Undoable   bool         `json:"undoable"`
}

// ResultRow is the result of a row. Names and ids of people are masked unless the token
// has the scope names.
type ResultRow struct {
	Row       int         `doc:"Number, from 1"                                                                           json:"row"`
	Line      int         `doc:"Line of the file"                                                                         json:"line,omitzero"`
	Tenant    string      `json:"tenant,omitzero"`
	Kind      tasks.Kind  `json:"kind,omitzero"`
	Target    string      `json:"target,omitzero"`
	Key       string      `doc:"Key that the row was sent with"                                                           json:"key,omitzero"`
	Outcome   run.Outcome `enum:"waiting,open,applied,unchanged,superseded,failed,cancelled,conflict,impossible,excluded" json:"outcome"`
	Values    []Value     `json:"values"                                                                                  nullable:"false"`
	Class     string      `doc:"Class of the dead letter"                                                                 json:"class,omitzero"`
	Code      string      `doc:"Code of the platform"                                                                     json:"code,omitzero"`
	Message   string      `json:"message,omitzero"`
	Todo      string      `doc:"What to do"                                                                               json:"todo,omitzero"`
	RequestID string      `doc:"Of the platform"                                                                          json:"request_id,omitzero"`
	At        time.Time   `json:"at,omitzero"`
}

// masker shows or masks names and ids of people.
type masker struct{ personal bool }

func (c caller) masker() masker { return masker{personal: c.May(access.Names)} }

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

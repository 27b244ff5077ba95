package api

import (
	"slices"
	"time"

	"rollcall/internal/access"
	"rollcall/internal/privacy"
	"rollcall/internal/roster"
	"rollcall/internal/run"
	"rollcall/internal/runview"
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
	File     File                `doc:"That the rows are of; missing: it is not known"                             json:"file,omitzero"`
	History  []Step              `doc:"The states before this one, the first one first"                            json:"history,omitempty"         nullable:"false"`
	Progress string              `doc:"What the worker reported last"                                              json:"progress,omitzero"`
	Settings Settings            `json:"settings,omitzero"`
	Plan     *Plan               `doc:"Missing until it was planned"                                               json:"plan,omitzero"`
	Ignored  []string            `doc:"Columns of the upload that are not known; only in the answer to the upload" json:"ignored_columns,omitempty" nullable:"false"`
}

// File is a file that the rows of a run are of.
type File struct {
	Name     string `doc:"Without directories"                           json:"name,omitzero"`
	Encoding string `doc:"Of text, such as GB18030; missing: a workbook" json:"encoding,omitzero"`
}

// Step is a state that a run was in.
type Step struct {
	State  run.State `enum:"uploading,planned,held,canary,applying,paused,done,cancelled,rejected,expired" json:"state"`
	At     time.Time `doc:"When it came into the state"                                                    json:"at"`
	By     string    `doc:"Who brought it there; missing: rollcall"                                        json:"by,omitzero"`
	Reason string    `json:"reason,omitzero"`
}

// Settings are the choices of a run. Missing ones are the defaults.
type Settings struct {
	Allowed       []string `doc:"Guards that do not hold the run, as allow names them"            json:"allowed,omitempty"       nullable:"false"`
	Canary        int      `doc:"Rows that must end well before the rest is sent; negative: none" json:"canary,omitzero"`
	CanaryChats   bool     `doc:"The first row of each chat is the canary"                        json:"canary_chats,omitzero"`
	MaxFailed     float64  `doc:"Share of failed rows above which the run pauses"                 json:"max_failed,omitzero"`
	TrustPrevious bool     `doc:"A row is unchanged if its column previous says so"               json:"trust_previous,omitzero"`
	OtherApprover bool     `doc:"The approval of a held run needs another token"                  json:"other_approver,omitzero"`
	ValidSeconds  int      `doc:"How long a plan can be applied"                                  json:"valid_seconds,omitzero"`
}

// Part is the part of a run that goes through one lane.
type Part struct {
	Organisation string     `json:"organisation"`
	Tenant       string     `json:"tenant"`
	Kind         tasks.Kind `json:"kind"`
	Rows         int        `json:"rows"`
	Calls        int        `doc:"Rows that are sent"                                    json:"calls"`
	Rate         float64    `doc:"Calls a second; missing: no worker has published them" json:"rate,omitzero"`
	First        int        `doc:"First block of 256 rows with rows of the lane"         json:"first"`
	Last         int        `doc:"Last such block"                                       json:"last"`
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
	Guards     []Guard              `doc:"Checks that object. One that is not allowed holds the run when it is applied." json:"guards"          nullable:"false"`
	Costs      []Cost               `doc:"Metered calls by organisation"                                                 json:"costs"           nullable:"false"`
	Lanes      []Part               `doc:"The parts of the run by lane"                                                  json:"lanes,omitempty" nullable:"false"`
}

// Guard is a check of the whole plan that objects.
type Guard struct {
	Name    string `example:"changes"                                         json:"name"`
	What    string `doc:"What it found"                                       json:"what"`
	Allow   string `doc:"The value of the parameter allow that accepts it"    example:"allow-changes" json:"allow"`
	Allowed bool   `json:"allowed"`
	Rows    []int  `doc:"The first rows that it is about, at most 10"         json:"rows"             nullable:"false"`
	Lines   []int  `doc:"Their lines in the file; missing: not all are known" json:"lines,omitempty"  nullable:"false"`
}

// Cost is what a plan spends of the month of an organisation.
type Cost struct {
	Organisation string `json:"organisation"`
	Month        string `example:"2026-11"                                       json:"month"`
	Calls        int    `doc:"Metered calls of the plan"                         json:"calls"`
	Spent        int64  `json:"spent"`
	Quota        int    `doc:"Missing: the month is not bounded"                 json:"quota,omitzero"`
	Left         int64  `json:"left,omitzero"`
	Bounded      bool   `doc:"The month has a quota"                             json:"bounded,omitzero"`
	Reserve      int    `doc:"Calls of the quota that are kept for urgent tasks" json:"reserve,omitzero"`
	// RunsOut is when the calls of the month are spent with this plan.
	RunsOut time.Time `doc:"When the calls of the month are spent with this plan; missing: not in this month" json:"runs_out,omitzero"`
}

func runView(r run.Run) Run {
	v := Run{
		ID: r.ID, Name: r.Name, Author: r.Author, UndoOf: r.UndoOf, State: r.State, Reason: r.Reason, By: r.By,
		Created: r.Created.UTC(), Changed: r.Changed.UTC(), Applied: r.Applied, Ended: r.Ended, Rows: r.Rows, Sealed: r.Sealed,
		Fed: r.Fed, Outcomes: r.Outcomes, Progress: r.Progress, Settings: Settings(r.Settings), File: File(r.File),
	}
	for _, step := range r.History {
		v.History = append(v.History, Step(step))
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
		v.Plan.Guards = append(v.Plan.Guards, Guard{Name: g.Name, What: g.What, Allow: g.Flag, Allowed: g.Allowed, Rows: g.Rows, Lines: g.Lines})
	}
	for _, c := range p.Costs {
		v.Plan.Costs = append(v.Plan.Costs, Cost{
			Organisation: c.Organisation, Month: c.Month, Calls: c.Calls, Spent: c.Spent, Quota: c.Quota, Left: c.Left,
			Bounded: c.Bounded, Reserve: c.Reserve, RunsOut: c.RunsOut,
		})
	}
	for _, l := range p.Lanes {
		v.Plan.Lanes = append(v.Plan.Lanes, Part(l))
	}
	return v
}

// Value is one field of a row, before and after.
type Value struct {
	Field string `json:"field"`
	Old   string `json:"old,omitzero"`
	New   string `json:"new,omitzero"`
	Known bool   `doc:"The old value is known" json:"known"`
	// Stated says where the old value is from.
	Stated bool `doc:"The old value is from the column previous" json:"stated,omitzero"`
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
	// Columns are those of a file with the row.
	Columns map[string]string `doc:"The row as the columns of a file, with columns=true" json:"columns,omitempty"`
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

	Decision run.Decision `doc:"That of the plan"                             enum:"change,new,unchanged,conflict,impossible,excluded" json:"decision,omitzero"`
	Why      string       `doc:"Reason of the decision, if it is not obvious" json:"why,omitzero"`
	Problems []string     `doc:"Why the row is impossible"                    json:"problems,omitempty"                                nullable:"false"`
	// Columns are those of a file with the row.
	Columns map[string]string `doc:"The row as the columns of a file, with columns=true" json:"columns,omitempty"`
}

// masker makes rows for clients that may see names and ids of people, or not.
type masker struct{ runview.Masker }

func (c caller) masker() masker { return masker{runview.Masker{Shown: c.May(access.Names)}} }

// maskerUnless returns that, or one that masks if the client wants it.
func (c caller) maskerUnless(masked bool) masker {
	return masker{runview.Masker{Shown: c.May(access.Names) && !masked}}
}

func (m masker) values(kind tasks.Kind, values []run.Value) []Value {
	all := make([]Value, len(values))
	for i, v := range m.Values(kind, values) {
		all[i] = Value{Field: v.Field, Old: v.Old, New: v.New, Known: v.Known, Stated: v.Stated}
	}
	return all
}

// columns returns a row as the columns of a file.
func (m masker) columns(row run.Row) map[string]string {
	request, previous := row.Request, row.Previous
	if !m.Shown {
		if request.Task != nil {
			request.Task = privacy.Task(request.Task)
		}
		request.Options.Key, previous = privacy.Mask(request.Options.Key), privacy.Mask(previous)
	}
	return roster.Cells(request, previous)
}

func (m masker) planned(p run.Planned) PlannedRow {
	at := m.Place(p.Row)
	v := PlannedRow{
		Row: p.Number, Line: p.Line, Tenant: at.Tenant, Kind: at.Kind, Target: at.Target, Key: at.Key, Decision: p.Decision,
		Values: m.values(at.Kind, p.Values), Why: m.Words(p.Row, p.Why), Suspicious: m.Words(p.Row, p.Suspicious), Undoable: p.Undoable,
	}
	for _, problem := range p.Problems {
		v.Problems = append(v.Problems, m.Words(p.Row, problem))
	}
	return v
}

func (m masker) result(r run.Result) ResultRow {
	at := m.Place(r.Row)
	v := ResultRow{
		Row: r.Number, Line: r.Line, Tenant: at.Tenant, Kind: at.Kind, Target: at.Target, Key: at.Key, Outcome: r.Outcome,
		Values: m.values(at.Kind, r.Values), Class: r.Class, Code: r.Code, Message: m.Words(r.Row, r.Message, r.Why), Todo: r.Advice,
		RequestID: m.Words(r.Row, r.RequestID), At: r.At, Decision: r.Decision, Why: m.Words(r.Row, r.Why),
	}
	for _, problem := range r.Problems {
		v.Problems = append(v.Problems, m.Words(r.Row, problem))
	}
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

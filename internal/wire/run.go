package wire

import (
	"time"

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

// RunPage is a page of runs, newest first.
type RunPage struct {
	Runs []Run     `json:"runs"                                                        nullable:"false"`
	Next time.Time `doc:"Value of before for the next page; missing: this is the last" json:"next,omitzero"`
}

// RunOf returns a run as clients see it.
func RunOf(r run.Run) Run {
	v := Run{
		ID: r.ID, Name: r.Name, Author: r.Author, UndoOf: r.UndoOf, State: r.State, Reason: r.Reason, By: r.By,
		Created: r.Created.UTC(), Changed: r.Changed.UTC(), Applied: r.Applied, Ended: r.Ended, Rows: r.Rows, Sealed: r.Sealed, Fed: r.Fed,
		Outcomes: r.Outcomes, Progress: r.Progress, Settings: Settings(r.Settings), File: File(r.File),
		History: each(r.History, func(s run.Step) Step { return Step(s) }),
	}
	if p := r.Plan; p != nil {
		v.Plan = &Plan{
			Digest: p.Digest, At: p.At, Until: p.Until, Counts: p.Counts, Calls: p.Calls(), Undoable: p.Undoable, Suspicious: p.Suspicious, Seconds: p.Seconds,
			Guards: each(p.Guards, guardOf), Costs: each(p.Costs, costOf), Lanes: each(p.Lanes, func(l run.Lane) Part { return Part(l) }),
		}
	}
	return v
}

func guardOf(g run.Guard) Guard {
	return Guard{Name: g.Name, What: g.What, Allow: g.Flag, Allowed: g.Allowed, Rows: g.Rows, Lines: g.Lines}
}

func costOf(c run.Cost) Cost {
	return Cost{
		Organisation: c.Organisation, Month: c.Month, Calls: c.Calls, Spent: c.Spent, Quota: c.Quota, Left: c.Left, Bounded: c.Bounded,
		Reserve: c.Reserve, RunsOut: c.RunsOut,
	}
}

// Run returns the run as the service returns it.
func (v Run) Run() run.Run {
	r := run.Run{
		ID: v.ID, Name: v.Name, Author: v.Author, UndoOf: v.UndoOf, State: v.State, Reason: v.Reason, By: v.By,
		Created: v.Created.Local(), Changed: v.Changed.Local(), Applied: v.Applied.Local(), Ended: v.Ended.Local(), Rows: v.Rows, Sealed: v.Sealed, Fed: v.Fed,
		Outcomes: v.Outcomes, Progress: v.Progress, Settings: run.Settings(v.Settings), File: run.File(v.File),
		History: each(v.History, func(s Step) run.Step { return run.Step(s) }),
	}
	if p := v.Plan; p != nil {
		r.Plan = &run.Plan{
			Digest: p.Digest, At: p.At, Until: p.Until, Counts: p.Counts, Undoable: p.Undoable, Suspicious: p.Suspicious, Seconds: p.Seconds,
			Guards: each(p.Guards, Guard.guard), Costs: each(p.Costs, Cost.cost), Lanes: each(p.Lanes, func(l Part) run.Lane { return run.Lane(l) }),
		}
	}
	return r
}

func (g Guard) guard() run.Guard {
	return run.Guard{Name: g.Name, What: g.What, Flag: g.Allow, Allowed: g.Allowed, Rows: g.Rows, Lines: g.Lines}
}

func (c Cost) cost() run.Cost {
	return run.Cost{
		Organisation: c.Organisation, Month: c.Month, Calls: c.Calls, Spent: c.Spent, Quota: c.Quota, Left: c.Left, Bounded: c.Bounded,
		Reserve: c.Reserve, RunsOut: c.RunsOut,
	}
}

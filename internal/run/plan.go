package run

import (
	"time"

	"rollcall/tasks"
)

// Row is one row of a run as it is uploaded.
type Row struct {
	// Line is where it stands in its file. 0: it has none.
	Line int
	// Request is its task with options. Its Run and Row are set by the run. A Task of
	// nil is allowed for a row with Problems.
	Request tasks.Request
	// Previous is the value that the target has now, where the ledger does not know it.
	// Empty: not stated. It is of the one value of a nickname or ID; rows of other kinds
	// have none.
	Previous string
	// Problems are why the row cannot be carried out. Such a row is impossible.
	Problems []string
	// Of is the number of the row that this row of an undo takes back. 0: none.
	Of int
}

// Decision is what the plan does with a row.
type Decision string

// The decisions of a plan.
const (
	RowChange     Decision = "change"     // the value differs from the known one, or the row has no value, as edits of members
	RowNew        Decision = "new"        // the value that the target has is not known
	RowUnchanged  Decision = "unchanged"  // the target has the value; no call is made
	RowConflict   Decision = "conflict"   // another row, or another change since the plan, wants something else
	RowImpossible Decision = "impossible" // the row is wrong, or cannot be carried out now
	RowExcluded   Decision = "excluded"   // a person left the row out
)

// Decisions lists all decisions, in the order in which they are shown.
func Decisions() []Decision {
	return []Decision{RowChange, RowNew, RowUnchanged, RowConflict, RowImpossible, RowExcluded}
}

// Calls reports whether a row with the decision is sent.
func (d Decision) Calls() bool { return d == RowChange || d == RowNew }

// Value is one field of a row, before and after.
type Value struct {
	Field string `json:"field"`        // of the target
	Old   string `json:"old,omitzero"` // the value before
	New   string `json:"new,omitzero"` // the value of the row
	// Known says that Old is known. Stated: from the column previous, not from the ledger.
	Known  bool `json:"known,omitzero"`  // the old value is known
	Stated bool `json:"stated,omitzero"` // it is from the column previous, not from the ledger
}

// Planned is a row with its decision.
type Planned struct {
	Row

	Number   int // from 1
	Decision Decision
	Values   []Value // none for a row that cannot be read
	// Why is the reason of a conflict, an impossible row or a change that is not obvious.
	Why string
	// Suspicious is why a person should look at the row, e.g. a name that lost its
	// Chinese characters. Empty: nothing.
	Suspicious string
	// Undoable says that the run can be undone for this row once it is applied.
	Undoable bool
}

// Plan is the summary of a plan. Service.Rows returns its rows.
type Plan struct {
	// Digest identifies exactly this plan.
	Digest string    `json:"digest"`
	At     time.Time `json:"at"`
	// Until is when the plan expires.
	Until  time.Time        `json:"until"`
	Counts map[Decision]int `json:"counts"` // rows by [decision](runs.md#reference)
	// Undoable is how many rows could be undone after they were applied.
	Undoable int `json:"undoable"`
	// Suspicious is how many rows a person should look at.
	Suspicious int `json:"suspicious"`
	// Guards are those that object, also if their flag was given.
	Guards []Guard `json:"guards,omitempty"`
	// Lanes are the tenants and kinds of the rows, sorted by tenant and kind.
	Lanes []Lane `json:"lanes,omitempty"`
	// Costs are one for each organisation with metered calls, sorted.
	Costs []Cost `json:"costs,omitempty"`
	// Seconds is how long the calls take at the lanes' rates, if nothing else is sent.
	Seconds int `json:"seconds"`
}

// Calls returns how many rows the plan sends.
func (p *Plan) Calls() int { return p.Counts[RowChange] + p.Counts[RowNew] }

// Objections returns the guards that hold the run.
func (p *Plan) Objections() []Guard {
	var open []Guard
	for _, g := range p.Guards {
		if !g.Allowed {
			open = append(open, g)
		}
	}
	return open
}

// Lane is the part of a run that goes through one lane.
type Lane struct {
	Organisation string     `json:"organisation"`
	Tenant       string     `json:"tenant"`
	Kind         tasks.Kind `json:"kind"`
	Rows         int        `json:"rows"`  // how many
	Calls        int        `json:"calls"` // rows that are sent
	// Rate is the lane's calls a second. 0: no worker has published it.
	Rate float64 `json:"rate,omitzero"`

	// First and Last are the blocks between which the rows of the lane are.
	First int `json:"first"` // block in which rows of the lane are
	Last  int `json:"last"`  // block
}

// Cost is what a plan spends of an organisation's month.
type Cost struct {
	Organisation string `json:"organisation"`
	Calls        int    `json:"calls"` // metered calls of the plan
	Month        string `json:"month"` // 2006-01, in Asia/Shanghai
	// Spent and Quota are of the month, as counted now. Bounded is false if the month has
	// no quota; the rest is zero then.
	Spent   int64 `json:"spent"`            // calls of the month, as counted now
	Quota   int   `json:"quota,omitzero"`   // calls; 0: none
	Reserve int   `json:"reserve,omitzero"` // of the quota, for urgent tasks alone
	Left    int64 `json:"left,omitzero"`    // calls
	Bounded bool  `json:"bounded"`          // the month has a quota; the numbers above are 0 otherwise
	// RunsOut is the day on which the month's calls would be spent with this plan, at
	// the use of the month so far. Zero: not in this month.
	RunsOut time.Time `json:"runs_out,omitzero"`
}

// Guard is a check of the whole plan that objects.
type Guard struct {
	// Name identifies it, e.g. "changes". Flag is the one that allows it, without
	// dashes, e.g. "allow-changes".
	Name    string `json:"name"`             // such as changes
	What    string `json:"what"`             // what it found, with counts
	Flag    string `json:"flag"`             // that allows it, without dashes; empty: an approval alone does
	Allowed bool   `json:"allowed,omitzero"` // the flag was given
	Rows    []int  `json:"rows,omitempty"`   // the first rows that it is about, at most 10
	// Lines are the lines of Rows in their file. Empty: not all are known.
	Lines []int `json:"lines,omitempty"`
}

// Accept is what a person types to accept what the guard found.
func (g Guard) Accept() string {
	if g.Flag == "" {
		return "rollcall run approve"
	}
	return "--" + g.Flag
}

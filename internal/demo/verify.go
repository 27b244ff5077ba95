package demo

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"rollcall/tasks"
)

// Result is what rollcall says became of a task.
type Result string

const (
	// ResultApplied means that the platform holds the requested value.
	ResultApplied Result = "applied"
	// ResultNoCall means that no call was needed: unchanged, superseded, settled.
	ResultNoCall Result = "no call needed"
	// ResultDead means that it was given up and changed nothing.
	ResultDead Result = "dead letter"
	// ResultUnverified means that it was given up and may have been applied.
	ResultUnverified Result = "unverified"
)

// Outcome is one task and what rollcall says became of it.
type Outcome struct {
	Task     tasks.Task
	Revision int64
	Result   Result
	Took     string // the ID that was taken, if not the wanted one
	Cause    string // of a dead letter
}

// Believed is what the platforms hold, one value a key such as
// "nick chat7Af3929 u001" or "id u001".
type Believed map[string]string

// Disagreements compares what rollcall says with what the platforms hold: the
// state before, plus every change reported as applied in the order of revisions,
// must be the state after; what is unverified may hold either value. An empty
// list means that they agree.
func Disagreements(before, after Believed, outcomes []Outcome) []string {
	expected := maps.Clone(before)
	either := map[string]string{}
	slices.SortStableFunc(outcomes, func(a, b Outcome) int { return cmp.Compare(a.Revision, b.Revision) })
	for _, o := range outcomes {
		switch o.Result {
		case ResultApplied:
			maps.Copy(expected, wants(o))
		case ResultUnverified:
			maps.Copy(either, wants(o))
		case ResultNoCall, ResultDead:
		}
	}

	var wrong []string
	keys := maps.Clone(expected)
	maps.Copy(keys, after)
	for key := range keys {
		want, got := expected[key], after[key]
		if want == gone {
			want = ""
		}
		if maybe, unverified := either[key]; unverified && got == maybe {
			continue
		}
		if got != want {
			wrong = append(wrong, fmt.Sprintf("%s: the platform holds %q, rollcall's report says %q", key, got, want))
		}
	}
	slices.Sort(wrong)
	return wrong
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"rollcall/internal/ledger"
	"rollcall/internal/sandbox"
	"rollcall/runs"
	"rollcall/tasks"
)

// sent is what the runs themselves report.
type sent struct {
	rows   map[string]runs.Result // by task id
	faults []string               // runs whose rows and counts differ
}

// results reads the outcomes of all rows.
func (r *runner) results(ctx context.Context) (*sent, error) {
	all := &sent{rows: map[string]runs.Result{}}
	for _, run := range []*sentRun{&r.long, &r.cancelled} {
		if run.applied.IsZero() {
			continue
		}
		counts := map[runs.Outcome]int{}
		for row, err := range r.client.Results(ctx, run.id) {
			if err != nil {
				return nil, fmt.Errorf("read the results of run %s: %w", run.id, err)
			}
			all.rows[fmt.Sprintf("%s:%d", run.id, row.Number)] = row
			counts[row.Outcome]++
		}
		now, err := r.client.Get(ctx, run.id)
		if err != nil {
			return nil, err
		}
		if err := r.revisions(ctx, run.id); err != nil {
			return nil, err
		}
		if !maps.Equal(counts, now.Outcomes) {
			all.faults = append(all.faults, fmt.Sprintf("run %s counts %v, and its rows are %v", run.id, now.Outcomes, counts))
		}
	}
	return all, nil
}

// revisions gives the rows of a run their revisions. Edits of members have their own.
func (r *runner) revisions(ctx context.Context, id string) error {
	raw, err := r.rdb.HGet(ctx, "rollcall:{run:"+id+"}:run", "revisions").Bytes()
	if err != nil {
		return fmt.Errorf("read the revisions of run %s: %w", id, err)
	}
	taken := map[string]int64{} // by organisation and API
	if err := json.Unmarshal(raw, &taken); err != nil {
		return err
	}
	for _, w := range slices.Concat(r.plan.long, r.plan.cancelled) {
		edits := slices.ContainsFunc(w.fields, func(f ledger.Field) bool { return f.Mode == ledger.Edit })
		if first, _, _ := strings.Cut(w.id, ":"); first == id && !edits {
			w.rev = taken[w.target.Organisation+"/"+w.target.API]
		}
	}
	return nil
}

// resultOfRow returns the end of a row of a run.
func (ev *evidence) resultOfRow(w *change) result {
	if !w.acknowledged() {
		return result{what: never}
	}
	row, there := ev.sent.rows[w.id]
	task, stored := ev.tasks[w.id]
	word := "row, " + string(row.Outcome)
	switch {
	case !there:
		return result{what: gone}
	case !row.Outcome.Final():
		return result{what: open, word: word}
	case stored && !ended(task.state):
		return result{what: open, word: word + ", and its task is " + task.state.String()}
	}
	switch row.Outcome {
	case runs.OutcomeApplied, runs.OutcomeUnchanged, runs.OutcomeSuperseded:
		return result{what: done, word: string(row.Outcome)}
	case runs.OutcomeFailed:
		return ev.resultOfFailed(w, row)
	default: // no call was to be made
		return result{what: never, word: word}
	}
}

// resultOfFailed returns the end of a row that failed: as that of any task it is, or was, a
// dead letter.
func (ev *evidence) resultOfFailed(w *change, row runs.Result) result {
	if letter, there := ev.deadOf(w.id); there {
		return result{what: dead, word: letter.Class}
	}
	if _, closed := ev.closed[w.id]; closed {
		return result{what: done, word: "its dead letter closed: a newer change was applied"}
	}
	return result{what: open, word: "failed (" + row.Class + ") without a dead letter"}
}

// deadOf returns the dead letter of a task. One that vanished may have been stored again
// with a derived id.
func (ev *evidence) deadOf(id string) (letter ledger.DeadLetter, there bool) {
	for n := range 5 {
		if letter, there = ev.dead[derived(id, n)]; there {
			return letter, true
		}
	}
	return letter, false
}

func derived(id string, n int) string {
	if n == 0 {
		return id
	}
	return fmt.Sprintf("%s~%d", id, n)
}

// violations are the promises about runs that were not kept.
func (r *runner) violations(ev *evidence) (all []violation) {
	r.mu.Lock()
	all = append(all, r.faults...)
	r.mu.Unlock()
	blame := func(rule, format string, arguments ...any) {
		all = append(all, violation{rule, fmt.Sprintf(format, arguments...)})
	}
	for _, text := range ev.sent.faults {
		blame(ruleRun, "%s", text)
	}
	for _, run := range []*sentRun{&r.long, &r.cancelled} {
		if run.applied.IsZero() {
			blame(ruleRun, "run %q was never applied", run.id)
		}
	}
	for _, text := range r.lateCalls(ev) {
		blame(ruleStopped, "%s", text)
	}
	r.judgeConflicts(ev, blame)
	r.judgeCancelled(ev, blame)
	return all
}

// judgeConflicts compares the rows that are conflicts with the single changes since the
// plan.
func (r *runner) judgeConflicts(ev *evidence, blame func(rule, format string, arguments ...any)) {
	between, since := map[ledger.Target]*change{}, map[ledger.Target]bool{}
	for _, w := range r.plan.between {
		if w.acknowledged() {
			between[w.target], since[w.target] = w, true
		}
	}
	for _, w := range r.plan.after {
		since[w.target] = true
	}
	for _, w := range r.plan.long {
		row := ev.sent.rows[w.id]
		switch other := between[w.target]; {
		case row.Outcome == runs.OutcomeImpossible:
			blame(rulePlan, "%s: %s", w, row.Message)
		case row.Outcome == runs.OutcomeConflict && !since[w.target]:
			blame(ruleConflict, "%s is a conflict, and no one changed its target since the plan: %s", w, row.Message)
		case row.Outcome == runs.OutcomeApplied && other != nil:
			blame(ruleConflict, "%s was applied, though %s was acknowledged after the plan", w, other)
		}
	}
}

// judgeCancelled checks that cancelled rows are neither dead letters nor applied.
func (r *runner) judgeCancelled(ev *evidence, blame func(rule, format string, arguments ...any)) {
	values := believed(ev.state)
	for _, w := range r.plan.cancelled {
		row := ev.sent.rows[w.id]
		switch letter, dead := ev.deadOf(w.id); {
		case row.Outcome == runs.OutcomeApplied, row.Outcome == runs.OutcomeFailed, row.Outcome == "":
		case row.Outcome != runs.OutcomeCancelled:
			blame(ruleRun, "%s of a cancelled run has ended as %s", w, row.Outcome)
		case dead:
			blame(ruleRun, "%s was cancelled, and has a dead letter: %s", w, letter.Cause)
		case values[fieldOf{w.target.API, w.target.Key, "nickname"}] != "" && !ev.mayBeOverwritten(w.target, "nickname"):
			blame(ruleRun, "%s was cancelled, but the platform has its name, and its outcome is not recorded as unknown", w)
		}
	}
}

// own are the targets of a run whose calls can only be the run's.
func (r *runner) own(ev *evidence, run *sentRun) map[ledger.Target]bool {
	list := r.plan.cancelled
	if run == &r.long {
		list = r.plan.long
	}
	own := map[ledger.Target]bool{}
	for _, w := range list {
		own[w.target] = true
	}
	for target, h := range ev.history { // a value is sent again without the run
		if h.resent() {
			delete(own, target)
		}
	}
	for _, singles := range [][]*change{r.plan.before, r.plan.between, r.plan.after} {
		for _, w := range singles {
			delete(own, w.target)
		}
	}
	return own
}

// lateCalls lists the calls of rows that left after a pause or a cancel.
func (r *runner) lateCalls(ev *evidence) (all []string) {
	for _, run := range []*sentRun{&r.long, &r.cancelled} {
		own := r.own(ev, run)
		for _, c := range ev.calls {
			for _, s := range run.stops {
				after := c.Time.Sub(s.acknowledged)
				if own[called(c)] && after > stopWithin+onTheWay && (s.resumed.IsZero() || c.Time.Before(s.resumed)) {
					all = append(all, fmt.Sprintf("call %d (%s %+v) of run %s arrived %s after a pause or cancel was acknowledged",
						c.Number, c.API, c.Target, run.id, after.Round(time.Millisecond)))
				}
			}
		}
	}
	return all
}

// lastCall is how long after the acknowledgement of a stop the last call arrived.
func (r *runner) lastCall(ev *evidence) (last time.Duration) {
	for _, run := range []*sentRun{&r.long, &r.cancelled} {
		own := r.own(ev, run)
		for _, c := range ev.calls {
			for _, s := range run.stops {
				if own[called(c)] && (s.resumed.IsZero() || c.Time.Before(s.resumed)) {
					last = max(last, c.Time.Sub(s.acknowledged))
				}
			}
		}
	}
	return last
}

// called returns the target of a call; the zero value for one that has none.
func called(c sandbox.Call) ledger.Target {
	t := ledger.Target{Organisation: organisation}
	switch c.API {
	case sandbox.APIGroupNick:
		t.API, t.Key = string(tasks.KindNickname), c.Target.Chat+"/"+c.Target.User
	case sandbox.APIGroupUpdate:
		t.API, t.Key = string(tasks.KindGroup), c.Target.Chat
	case sandbox.APIChangeID:
		t.API, t.Key = string(tasks.KindID), c.Target.User
	case sandbox.APIClassNick:
		t.API, t.Key = string(tasks.KindCourse), c.Target.Course
	}
	return t
}

// describe prints what became of the runs.
func (r *runner) describe(ev *evidence, row func(string, any)) {
	row("rows of the long run; of the cancelled one", fmt.Sprintf("%d; %d", len(r.plan.long), len(r.plan.cancelled)))
	row("uploaders killed", r.uploader.killed)
	row("times a producer repeated a step of a run", r.repeated.Load())
	row("pauses", len(r.long.stops))
	row("ms from a pause or cancel to the last call that arrived", r.lastCall(ev).Milliseconds())
	row("seconds from the application of the long run to its end", int(r.long.ended.Sub(r.long.applied).Seconds()))
	row("single changes of its targets", len(r.plan.before)+len(r.plan.between)+len(r.plan.after))
	for _, part := range []struct {
		name string
		list []*change
	}{{"long", r.plan.long}, {"cancelled", r.plan.cancelled}} {
		counts := map[string]int{}
		for _, w := range part.list {
			counts[string(ev.sent.rows[w.id].Outcome)]++
		}
		for _, outcome := range sortedKeys(counts) {
			row("rows of the "+part.name+" run: "+outcome, counts[outcome])
		}
	}
}

package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/outcome"
	"rollcall/internal/sandbox"
	"rollcall/tasks"
)

// The rules, as docs/chaos.md lists them.
const (
	ruleLost       = "lost change"        // acknowledged, but it neither ended nor waits
	ruleLimbo      = "limbo"              // it has not ended, or something still waits for it
	ruleOrder      = "order of revisions" // a later change has the lower revision
	ruleValue      = "wrong value"
	ruleMember     = "wrong member"
	ruleSecondID   = "second ID"     // another candidate was sent, though the one before may have been applied
	ruleEffectID   = "ID twice"      // an ID took hold twice
	ruleDeadLetter = "dead letter"   // incomplete
	ruleOverlap    = "overlap"       // two calls for one target at once
	rulePlan       = "refused"       // a valid change was refused, or not stored after the faults
	ruleWorker     = "worker's end"  // it ended without being killed
	ruleStrange    = "strange value" // that no change requested
	ruleHold       = "long hold"     // a hold that outlasted its cause
	ruleDrain      = "slow end"      // tasks that had not ended soon after the last fault
	ruleResent     = "sent again"    // a value, more often than it may have been overwritten
	ruleUnnamed    = "unnamed"       // a damaged key that a worker read and did not name
	ruleUnrepaired = "not repaired"  // a damaged key, or a lane that does not work after it was repaired
	ruleRun        = "run"           // a run that does not end as it should, or miscounts its rows
	ruleStopped    = "late call"     // of a run, after a pause or a cancel
	ruleConflict   = "conflict"      // a row that is one without another change, or is none with one
	rulePace       = "slowed down"   // an organisation, by the damage of another
)

// violation is a broken promise.
type violation struct{ rule, text string }

// verdict is the oracle's result.
type verdict struct {
	violations []violation
	results    map[*change]result
	ends       map[string]int // results in words
	// excused counts fields whose value is not that of the latest change, by the
	// reported reason.
	excused map[string]int
	lost    []*change
	// again counts calls that sent a value again, and lateSettles the settles after which
	// that may be needed.
	again, lateSettles int
	gaps               int // targets without a whole history, which are in neither
	// drop are targets whose record must be dropped before the roster heals them.
	drop []ledger.Target
}

// oracle compares.
type oracle struct {
	*evidence
	verdict

	lossy   bool // acknowledged writes may be lost: count them
	late    bool // requests may take effect after they were given up
	alone   bool // so may what is asked of replicas elsewhere before an ID is sent
	targets map[ledger.Target][]*change
}

// consult judges changes, in the order of the plan, by the evidence.
func consult(ev *evidence, changes []*change, variant string) verdict {
	o := &oracle{evidence: ev, lossy: lossy(variant), late: variant == late, alone: variant == everysec, targets: map[ledger.Target][]*change{}}
	o.results, o.ends, o.excused = map[*change]result{}, map[string]int{}, map[string]int{}
	for _, w := range changes {
		o.targets[w.target] = append(o.targets[w.target], w)
		o.ending(w)
	}
	for _, note := range ev.open {
		o.blame(ruleLimbo, "%s", note)
	}
	beliefs := believed(ev.state)
	for target, of := range o.targets {
		o.revisions(of)
		o.values(target, of, beliefs)
		if target.API == string(tasks.KindGroup) {
			o.members(target, of)
		}
		o.resends(target)
	}
	o.ids()
	o.dead(changes)
	o.overlaps()
	slices.SortFunc(o.violations, func(a, b violation) int {
		return strings.Compare(a.rule+a.text, b.rule+b.text)
	})
	return o.verdict
}

func (o *oracle) blame(rule, format string, arguments ...any) {
	o.violations = append(o.violations, violation{rule, fmt.Sprintf(format, arguments...)})
}

// ending records the end of a change.
func (o *oracle) ending(w *change) {
	f := o.resultOf(w)
	o.results[w] = f
	switch f.what {
	case done:
		o.ends["done, "+f.word]++
	case dead:
		o.ends["dead letter, "+f.word]++
	case never:
		if f.word == "" {
			f.word = "never stored (" + w.outcome.String() + ")"
		}
		o.ends[f.word]++
		if w.outcome == tasks.Refused || w.outcome == tasks.NotStored && w.asked > 0 {
			o.blame(rulePlan, "%s: %v", w, w.err)
		}
	case open:
		o.ends["open, "+f.word]++
		o.blame(ruleLimbo, "%s is still %s", w, f.word)
	case gone:
		o.ends["lost"]++
		o.lost = append(o.lost, w)
		if !o.lossy {
			o.blame(ruleLost, "%s was acknowledged as %s, and nothing is left of it", w, w.outcome)
		}
	}
}

// revisions compares the order in which changes were acknowledged with their revisions.
func (o *oracle) revisions(of []*change) {
	var last *change
	for _, w := range of {
		if w.rev == 0 {
			if task, there := o.tasks[w.id]; there {
				w.rev = revision(w, task.payload)
			} else if deadLetter, there := o.evidence.dead[w.id]; there {
				w.rev = deadLetter.Revision
			} else if deadLetter, there := o.closed[w.id]; there {
				w.rev = deadLetter.Revision
			}
		}
		if w.rev == 0 {
			continue
		}
		if last != nil && w.rev <= last.rev {
			o.blame(ruleOrder, "%s was asked for after %s", w, last)
		}
		last = w
	}
}

func revision(w *change, payload []byte) int64 {
	typename, _, err := kinds.Encode(w.task, 1)
	if err != nil {
		return 0
	}
	_, meta, err := kinds.Decode(typename, payload)
	if err != nil {
		return 0
	}
	return meta.Revision
}

// overlaps checks that two tasks for one target never run at the same time. If a lease
// can be lost with its Redis, it may happen once.
func (o *oracle) overlaps() {
	if o.lossy {
		return
	}
	// The platform notices a moment later that a client gave up or was disconnected, so
	// the next call seems to overlap.
	cut := map[string]time.Time{}
	notices := timeout + 2*time.Second
	if o.late {
		notices += landsWithin
	}
	calls := slices.Clone(o.calls)
	slices.SortFunc(calls, func(a, b sandbox.Call) int { return int(a.Number - b.Number) })
	for _, c := range calls {
		if c.Target == (sandbox.Target{}) {
			continue // a call for a token, which two workers may make at once
		}
		about := c.API + " " + c.Target.Chat + " " + c.Target.User + " " + c.Target.Course
		if c.Overlapping > 0 && c.Time.Sub(cut[about]) > notices {
			o.blame(ruleOverlap, "call %d (%s %+v at %s) arrived while %d for the same were under way",
				c.Number, c.API, c.Target, c.Time.Format("15:04:05.000"), c.Overlapping)
		}
		if c.Fault != "" {
			cut[about] = c.Time
		}
	}
}

// dead checks that every dead letter is complete and describes the task that was
// stored.
func (o *oracle) dead(changes []*change) {
	byID := map[string]*change{}
	for _, w := range changes {
		if w.id != "" {
			byID[w.id] = w
		}
	}
	answered := map[string]bool{}
	for _, c := range o.calls {
		answered[c.RequestID] = true
	}
	for id, deadLetter := range o.evidence.dead {
		first, _, _ := strings.Cut(id, "~")
		w := byID[first]
		if w == nil {
			o.blame(ruleDeadLetter, "the dead letter of task %s belongs to no enqueued task: %s", id, deadLetter.Cause)
			continue
		}
		for _, problem := range incomplete(deadLetter, w, answered) {
			o.blame(ruleDeadLetter, "%s: its dead letter of class %s %s (%s)", w, deadLetter.Class, problem, deadLetter.Cause)
		}
	}
}

// incomplete lists what is missing in a dead letter.
func incomplete(deadLetter ledger.DeadLetter, w *change, answered map[string]bool) (problems []string) {
	want := func(ok bool, problem string) {
		if !ok {
			problems = append(problems, problem)
		}
	}
	decoded, meta, err := kinds.Decode(deadLetter.Type, deadLetter.Payload)
	want(err == nil, fmt.Sprintf("has a payload that cannot be read: %v", err))
	if err == nil {
		_, ours, errOurs := kinds.Encode(w.task, meta.Revision)
		_, theirs, errTheirs := kinds.Encode(decoded, meta.Revision)
		want(errOurs == nil && errTheirs == nil && bytes.Equal(ours, theirs), "holds another task")
		want(deadLetter.Revision == meta.Revision, "has another revision than its payload")
	}
	n := 0
	for _, times := range deadLetter.Attempts {
		n += times
	}
	want(deadLetter.Tenant != "" && deadLetter.Kind == w.target.API && deadLetter.Lane == deadLetter.Tenant+"."+deadLetter.Kind, "has no lane or tenant")
	want(deadLetter.Target == w.target.Key && deadLetter.Organisation == organisation, "has another target")
	want(deadLetter.Key == w.options.Key, "does not have its producer's key")
	want(deadLetter.Urgent == w.options.Urgent, "is wrong about being urgent")
	want(deadLetter.Class != "" && deadLetter.Class != string(outcome.Unreadable), "has no class")
	want(deadLetter.Cause != "", "has no cause")
	// Redis may have lost a task before a worker started it.
	want(n > 0 || deadLetter.Class == "vanished", "has no attempt")
	want(!deadLetter.First.IsZero() && !deadLetter.Last.Before(deadLetter.First), "has no times, or they run backwards")
	want(deadLetter.Code == "" || deadLetter.Message != "", "has a code and no message")
	want(deadLetter.Class != "rejected" || deadLetter.Code != "", "has no code of the platform that refused it")
	// ClassIn names no request, and where the ledger knows the lock there was none.
	want(deadLetter.Code == "" || deadLetter.Code == "locked" || deadLetter.Kind == string(tasks.KindCourse) || deadLetter.RequestID != "",
		"has a code and no request id")
	want(deadLetter.RequestID == "" || answered[deadLetter.RequestID], "names a request that the platform does not know")
	return problems
}

// answeredCleanly reports whether a call of the ID change was definitely refused, in an
// answer that was sent.
func answeredCleanly(c sandbox.Call) bool {
	return c.Status != 0 && c.Effect == 0 && cleanCodes[c.Code]
}

// cleanCodes are definite refusals of an ID change: nothing was done.
var cleanCodes = map[string]bool{
	"incorrect.reserved": true, "incorrect.format": true, "incorrect.length": true, "emp.not.exist": true,
	"internalenterpriseaccount.limit": true, "have.been.set": true, "InvalidAuthentication": true,
	"Forbidden.AccessDenied.QpsLimitForAppkeyAndApi": true, "Forbidden.AccessDenied.QpmLimitForAppkeyAndApi": true,
}

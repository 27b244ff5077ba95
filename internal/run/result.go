package run

import "time"

// Outcome is what became of a row.
type Outcome string

// The outcomes of a row. All but OutcomeWaiting and OutcomeOpen are final.
const (
	OutcomeWaiting    Outcome = "waiting"    // not in a queue yet
	OutcomeOpen       Outcome = "open"       // in the queue of its lane, or running
	OutcomeApplied    Outcome = "applied"    // the platform accepted it
	OutcomeUnchanged  Outcome = "unchanged"  // the target had the value; no call was made
	OutcomeSuperseded Outcome = "superseded" // a later change is known or applied; no call was made
	OutcomeFailed     Outcome = "failed"     // it is a dead letter, or was refused
	OutcomeCancelled  Outcome = "cancelled"  // the run was cancelled before it was sent
	OutcomeConflict   Outcome = "conflict"   // see Decision
	OutcomeImpossible Outcome = "impossible" // see Decision
	OutcomeExcluded   Outcome = "excluded"   // see Decision
)

// Outcomes lists all outcomes, in the order in which they are shown.
func Outcomes() []Outcome {
	return []Outcome{OutcomeWaiting, OutcomeOpen, OutcomeApplied, OutcomeUnchanged, OutcomeSuperseded, OutcomeFailed, OutcomeCancelled, OutcomeConflict, OutcomeImpossible, OutcomeExcluded}
}

// Final reports whether the outcome cannot change any more.
func (o Outcome) Final() bool { return o != OutcomeWaiting && o != OutcomeOpen }

// Result is a row with its outcome.
type Result struct {
	Planned

	Outcome   Outcome
	Code      string // of the platform; may be empty
	Message   string // of the platform, or the reason in our words
	Class     string // of the dead letter; see docs/outcomes.md
	RequestID string // of the platform
	At        time.Time
	// Advice is what to do, in English. Empty: nothing.
	Advice string
}

// Undone is a row of a run with what undoing it means.
type Undone struct {
	Result

	// Set are the values that undo the row, by field. nil: the row is left out, for the
	// reason Why.
	Set map[string]string
	// WhyNot is empty for a row that can be undone.
	WhyNot string
}

// Verdict is what an undo did to a row of the run that it takes back.
type Verdict string

// The verdicts of Service.Verify.
const (
	VerdictRestored   Verdict = "restored"   // the old value is back
	VerdictSkipped    Verdict = "skipped"    // the target was changed since, and left alone
	VerdictImpossible Verdict = "impossible" // see Why
	VerdictOpen       Verdict = "open"       // the undo has not ended
	VerdictNothing    Verdict = "nothing"    // the run had not changed it
)

// Verified is a row of the run that was undone.
type Verified struct {
	Number    int // of the row in the run that was undone
	Line      int
	Row       Row // as it was uploaded to that run
	UndoRow   int // of the row in the undo; 0: it has none
	Verdict   Verdict
	RequestID string // of the call that restored it
	At        time.Time
	Why       string
	Values    []Value // Old: as the run had set it; New: as it is restored
}

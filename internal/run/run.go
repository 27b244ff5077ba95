// Package run holds runs: sets of changes that came in together, with a life of their
// own. A run is uploaded, planned, applied, watched and perhaps undone. Its rows stay in
// Redis in compressed blocks, and workers feed them into the queues of the lanes about a
// minute before they are due.
//
// It must not know any platform, how a task is executed, nor where the rows of a run come
// from: a file, a request and a schedule give it the same values.
package run

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// State is where a run is in its life.
type State string

// The states of a run.
const (
	StateUploading State = "uploading" // rows are being added, or are sealed and not planned
	StatePlanned   State = "planned"   // the plan can be applied until it expires
	StateHeld      State = "held"      // a guard objects: a person approves or rejects
	StateCanary    State = "canary"    // applied; the first rows must end before the rest is sent
	StateApplying  State = "applying"  // rows are sent
	StatePaused    State = "paused"    // no row is sent until somebody resumes the run
	StateDone      State = "done"      // every row has an outcome
	StateCancelled State = "cancelled" // no row is sent any more
	StateRejected  State = "rejected"  // a person rejected the plan
	StateExpired   State = "expired"   // the plan was not applied in time
	// StateDamaged is that of a run whose record cannot be read: it waits until it is
	// repaired. Service.List alone returns such a run.
	StateDamaged State = "damaged"
)

// States lists all states in the order of a run's life, without StateDamaged.
func States() []State {
	return []State{StateUploading, StatePlanned, StateHeld, StateCanary, StateApplying, StatePaused, StateDone, StateCancelled, StateRejected, StateExpired}
}

// Ended reports whether the run cannot change any more.
func (s State) Ended() bool {
	return slices.Contains([]State{StateDone, StateCancelled, StateRejected, StateExpired}, s)
}

// Sends reports whether rows of the run are sent.
func (s State) Sends() bool { return s == StateCanary || s == StateApplying }

// Applied reports whether the run was applied and has not ended.
func (s State) Applied() bool { return s.Sends() || s == StatePaused }

// Draft is what a new run is made from. The zero value is valid.
type Draft struct {
	// ID is a new id of package ledger. Create returns the run that has it already, so that a
	// request whose answer was lost can be repeated. Empty: Create makes one.
	ID string
	// Name is a label that people give: 1 to 64 of A-Z, a-z, 0-9, ".", "_" and "-".
	// Several runs may have the same. Empty: none.
	Name string
	// Author is who made the run, for the list and for approvals.
	Author string
	// UndoOf is the run that this one takes back. Service.Undo sets it.
	UndoOf string
	// File is the file that the rows are of.
	File File
	// Settings are the run's own. The zero value: the defaults.
	Settings Settings
	// Guards are what the maker of the run found, in more rows than those of the run for
	// example. They hold the run as those of its plan do. One without a Flag is accepted
	// by an approval alone.
	Guards []Guard
	// Judged are the names of the guards of a plan that the maker has judged itself: the
	// plan leaves them out.
	Judged []string
}

// File is a file that the rows of a run are of. The zero value: there is none, or it is not
// known.
type File struct {
	Name     string `json:"name,omitzero"`     // without directories
	Encoding string `json:"encoding,omitzero"` // of text, such as GB18030; empty: a workbook
}

// longestName bounds the name of a file, in bytes.
const longestName = 200

func (f File) clean() File {
	name := clean(f.Name)
	if len(name) > longestName {
		name = strings.ToValidUTF8(name[:longestName], "") + "…"
	}
	return File{Name: name, Encoding: clean(f.Encoding)}
}

// Settings are the choices of a run.
type Settings struct {
	// Allowed are the flags of the guards that do not hold the run, without
	// their dashes, as Guard.Flag names them.
	Allowed []string `json:"allowed,omitempty"` // flags of the guards that do not hold the run, without dashes
	// Canary is how many rows must end before the rest is sent. 0: 20. Negative: none.
	Canary int `json:"canary,omitzero"`
	// CanaryChats makes the canary of the first row of each chat instead, of 1,000 chats at
	// most. Rows without a chat count as one.
	CanaryChats bool `json:"canary_chats,omitzero"`
	// MaxFailed is the share of failed rows, of at least 10 that have ended, above which
	// the run pauses. 0: 0.2. 1: never.
	MaxFailed float64 `json:"max_failed,omitzero"`
	// TrustPrevious lets a row be unchanged because its column previous says so.
	TrustPrevious bool `json:"trust_previous,omitzero"`
	// OtherApprover refuses an approval by the author of the run.
	OtherApprover bool `json:"other_approver,omitzero"`
	// ValidSeconds is how long a plan can be applied. 0: 72 h.
	ValidSeconds int `json:"valid_seconds,omitzero"`
}

const (
	defaultCanary    = 20
	mostCanaryChats  = 1000
	defaultMaxFailed = 0.2
	defaultValidFor  = 72 * time.Hour
)

func (s Settings) canary() int {
	if s.CanaryChats {
		return mostCanaryChats
	}
	return max(cmp.Or(s.Canary, defaultCanary), 0)
}

func (s Settings) maxFailed() float64 { return cmp.Or(s.MaxFailed, defaultMaxFailed) }

func (s Settings) validFor() time.Duration {
	return cmp.Or(time.Duration(s.ValidSeconds)*time.Second, defaultValidFor)
}

// Run is a run as it is now.
type Run struct {
	ID       string    `json:"id"`               // of the run
	Name     string    `json:"name,omitzero"`    // that people gave it
	Author   string    `json:"author,omitzero"`  // who made it
	UndoOf   string    `json:"undo_of,omitzero"` // the run that it takes back
	File     File      `json:"file,omitzero"`    // that its rows are of, if that is known
	Settings Settings  `json:"settings,omitzero"`
	State    State     `json:"state"`           // [of a run](runs.md#reference)
	Reason   string    `json:"reason,omitzero"` // why it is in this state: of a pause, a hold, a rejection
	By       string    `json:"by,omitzero"`     // who brought it there; empty: rollcall
	Created  time.Time `json:"created"`         // when
	Changed  time.Time `json:"changed"`         // when it came into this state
	// Applied and Ended are zero until then.
	Applied time.Time `json:"applied,omitzero"` // when
	Ended   time.Time `json:"ended,omitzero"`   // when
	// Rows is how many rows are in; Sealed says that no more will come.
	Rows   int  `json:"rows"`   // how many are in
	Sealed bool `json:"sealed"` // no more rows will come
	// Plan is nil until the run was planned. Its counts are those of the plan.
	Plan *Plan `json:"plan,omitzero"` // none until it is planned
	// Progress is what the worker that feeds the run reported last, in words.
	Progress string `json:"progress,omitzero"`
	// Fed is how many rows are or were in the queues of their lanes.
	Fed int `json:"fed"`
	// Outcomes are the rows by outcome. They are counted by Service.Get, not by List,
	// unless the run has ended.
	Outcomes map[Outcome]int `json:"outcomes,omitempty"` // rows by [result](runs.md#reference); a list has them of ended runs alone

	// History are the states before the one now, the first one first.
	History []Step `json:"history,omitempty"` // the states before this one, the first one first

	fed map[string]int // by lane
}

// Step is a state that a run was in.
type Step struct {
	State  State     `json:"state"`           // [of a run](runs.md#reference)
	At     time.Time `json:"at"`              // when it came into the state
	By     string    `json:"by,omitzero"`     // who brought it there; empty: rollcall
	Reason string    `json:"reason,omitzero"` // why
}

// NotFoundError reports a run that does not exist, or no longer.
type NotFoundError struct{ ID string }

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("run %.80q not found; rollcall run list shows all", e.ID)
}

// StateError reports that a run is in a state in which something cannot be done.
type StateError struct {
	ID     string
	State  State
	Reason string // of the state; may be empty
	Event  string // what was tried: "apply"
}

func (e *StateError) Error() string {
	text := fmt.Sprintf("cannot %s run %s: it is %s", e.Event, e.ID, e.State)
	if e.Reason != "" {
		text += " (" + e.Reason + ")"
	}
	return text + e.next()
}

// next is what to do instead, after a semicolon.
func (e *StateError) next() string {
	switch e.State {
	case StateExpired, StateRejected:
		return "; plan its file once more: rollcall plan FILE"
	case StateCancelled, StateDone:
		if e.Event == string(eventPlan) || e.Event == string(eventApply) {
			return "; the same file does only what is left: rollcall plan FILE"
		}
	case StateCanary, StateApplying, StatePaused:
		if e.Event == string(eventPlan) {
			return "; rollcall run watch " + e.ID + " shows it"
		}
	}
	return ""
}

// DigestError reports that the plan is another than the one that was seen.
type DigestError struct{ ID, Given, Is string }

func (e *DigestError) Error() string {
	if e.Is == "" {
		return fmt.Sprintf("run %s has no plan now: it is being planned, or that was interrupted; to plan it again: rollcall plan %s", e.ID, e.ID)
	}
	return fmt.Sprintf("the plan of run %s is not the one with digest %.40q: it has digest %s; rollcall run show %s shows it, then use that digest",
		e.ID, e.Given, e.Is, e.ID)
}

// GapError reports rows that do not follow those that are in.
type GapError struct {
	ID   string
	From int // position of the first row given
	In   int // rows that are in
}

func (e *GapError) Error() string {
	return fmt.Sprintf("run %s has %d rows: cannot add rows from position %d; continue at %d", e.ID, e.In, e.From, e.In)
}

// CountError reports that a run is sealed, or was to be sealed, with another number of
// rows than it has.
type CountError struct {
	ID       string
	Want, In int
}

func (e *CountError) Error() string {
	return fmt.Sprintf("run %s has %d rows, not %d: the upload is incomplete; continue at row %d", e.ID, e.In, e.Want, e.In+1)
}

// BusyError reports that a change of a run was not made, because others change the same run.
// It may be tried again.
type BusyError struct {
	ID   string
	What string // others do
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("run %s: %s; rollcall run show %s shows it, then try again", e.ID, e.What, e.ID)
}

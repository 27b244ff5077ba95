package explain

import (
	"cmp"
	"slices"
	"time"

	"rollcall/internal/ledger"
	"rollcall/internal/outcome"
)

// Word summarises the state of a target or of a field. The words are stable.
type Word string

// The words, those first that need a person most.
const (
	Damaged  Word = "damaged"  // a key or an entry of it cannot be read; nothing is done at the target until it is repaired
	Person   Word = "person"   // an ID may have been applied: a person settles it
	Dead     Word = "dead"     // the latest change is a dead letter
	Vanished Word = "vanished" // the latest change is not applied, and asynq does not have its task
	Underway Word = "underway" // a task holds the target
	Waiting  Word = "waiting"  // the task of the latest change waits, or membership edits do
	Doubt    Word = "doubt"    // the outcome of a send is unknown, and no task will send it again
	Settled  Word = "settled"  // up to date
	Unknown  Word = "unknown"  // the target is not known
)

var ranks = []Word{Damaged, Person, Dead, Vanished, Underway, Waiting, Doubt, Settled, Unknown}

// Detail distinguishes conclusions with the same word.
type Detail string

// The details.
const (
	Plain       Detail = ""
	WasSettled  Detail = "settled" // Dead: the unknown outcome of the dead letter is settled
	Ended       Detail = "ended"   // Vanished: the ledger knows that the task has ended
	Edits       Detail = "edits"   // Waiting: membership edits
	WithResend  Detail = "resend"  // Settled: a late request may take effect; the value is sent once more
	MayBeLate   Detail = "late"    // Settled: a late request may take effect
	OfTheTarget Detail = "target"  // Underway: no field is known yet
)

// Conclusion is what the state of a target or of a field means.
type Conclusion struct {
	Word   Word
	Detail Detail
	Field  string // "": of the target
	Task   Task   // of the latest change of the field
	// DeadWaits says that a dead letter of the target waits for a person, though the target
	// is settled.
	DeadWaits bool
}

// lateFor is the time for which a request that timed out may still take effect at the
// platform, as in the ledger.
const lateFor = 5 * time.Minute

// Conclude returns the conclusion of the target: that of its most urgent field.
func (x *Target) Conclude() Conclusion {
	if len(x.Record.Damaged) > 0 {
		return Conclusion{Word: Damaged}
	}
	var all []Conclusion
	for _, name := range x.Record.Names() {
		all = append(all, x.ConcludeField(name))
	}
	if len(x.Record.Edits) > 0 {
		all = append(all, Conclusion{Word: Waiting, Detail: Edits})
	}
	if len(all) == 0 {
		if x.Record.InFlight {
			return Conclusion{Word: Underway, Detail: OfTheTarget}
		}
		return Conclusion{Word: Unknown}
	}
	worst := slices.MinFunc(all, func(a, b Conclusion) int {
		return cmp.Compare(slices.Index(ranks, a.Word), slices.Index(ranks, b.Word))
	})
	worst.DeadWaits = worst.Word == Settled && len(x.Dead) > 0
	return worst
}

// ConcludeField returns the conclusion of one field.
func (x *Target) ConcludeField(name string) Conclusion {
	f := x.Record.Fields[name]
	task, pending := x.Tasks[f.TaskID], f.Latest > f.Applied
	c := Conclusion{Field: name, Task: task}
	switch {
	case f.Unknown != 0 && f.Lock != nil && f.Lock.Why == ledger.LockUnverified:
		c.Word = Person
	case pending && task.Dead != nil && task.Dead.Class == string(outcome.Unverified) && f.Unknown == 0:
		c.Word, c.Detail = Dead, WasSettled
	case pending && task.Dead != nil:
		c.Word = Dead
	case x.Record.InFlight:
		c.Word = Underway
	case pending && task.ID != "" && task.State == "" && task.Open:
		c.Word = Vanished
	case pending && task.ID != "" && task.State == "":
		c.Word, c.Detail = Vanished, Ended
	case pending:
		c.Word = Waiting
	case f.Unknown != 0:
		c.Word = Doubt
	case !f.Late.IsZero() && !x.ResendAt.IsZero():
		c.Word, c.Detail = Settled, WithResend
	case !f.Late.IsZero() && x.Now.Sub(f.Late) < lateFor:
		c.Word, c.Detail = Settled, MayBeLate
	default:
		c.Word = Settled
	}
	return c
}

package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"rollcall/cmd/rollcall/internal/dead"
	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/ledger"
	"rollcall/internal/outcome"
	"rollcall/internal/privacy"
	"rollcall/tasks"
)

// conclusion summarises the state of a target or a field: a word for scripts, and a
// text. The lowest rank needs an operator most.
type conclusion struct {
	rank int
	Word string
	Text string
}

// The words. They are stable.
const (
	isDamaged   = "damaged"  // a key or an entry of it cannot be read; nothing is done at the target until it is repaired
	needsPerson = "person"   // an ID may have been applied: a person settles it
	isDead      = "dead"     // the latest change is a dead letter
	isLost      = "vanished" // the latest change is not applied, and asynq does not have its task
	isUnderway  = "underway" // a task holds the target
	isWaiting   = "waiting"  // the task of the latest change waits, or membership edits do
	hasUnknown  = "doubt"    // the outcome of a send is unknown, and no task will send it again
	isSettled   = "settled"  // up to date
	isUnknown   = "unknown"  // the target is not known
)

var ranks = []string{isDamaged, needsPerson, isDead, isLost, isUnderway, isWaiting, hasUnknown, isSettled, isUnknown}

func concludes(word, format string, args ...any) conclusion {
	return conclusion{rank: slices.Index(ranks, word), Word: word, Text: fmt.Sprintf(format, args...)}
}

// conclude returns the conclusion of the target: that of its most urgent field.
func (x *explanation) conclude() conclusion {
	if damaged := x.record.Damaged; len(damaged) > 0 {
		return concludes(isDamaged, "damaged: nothing is done at it until a key is repaired: %s; to do: %s",
			damaged[0], console.Glued("rollcall repair "+x.lane.Name()+" TARGET"))
	}
	var all []conclusion
	for _, name := range x.record.Names() {
		all = append(all, x.concludeField(name))
	}
	if edits := x.record.Edits; len(edits) > 0 {
		all = append(all, concludes(isWaiting, "waiting: %s in the queue", cli.Count(len(edits), "membership edit")))
	}
	if len(all) == 0 {
		if x.record.InFlight {
			return concludes(isUnderway, "running: a task is running for this target")
		}
		return concludes(isUnknown, "unknown: the ledger has no record of this target. Check the spelling, and that a change was enqueued in the last 400 days")
	}
	slices.SortStableFunc(all, func(a, b conclusion) int { return cmp.Compare(a.rank, b.rank) })
	worst := all[0]
	if worst.Word == isSettled && len(x.dead) > 0 {
		worst.Text += "; but a dead letter for this target waits for a person"
	}
	return worst
}

func (x *explanation) concludeField(name string) conclusion {
	f := x.record.Fields[name]
	task, pending := x.tasks[f.TaskID], f.Latest > f.Applied
	switch {
	case f.Unknown != 0 && f.Lock != nil && f.Lock.Why == ledger.LockUnverified:
		return concludes(needsPerson, "unknown outcome: an %s was sent and may or may not have been applied; a person must look it up at the platform, then run %s",
			strings.ToUpper(name), x.settleCommands())
	case pending && task.dead != nil && task.dead.Class == string(outcome.Unverified) && f.Unknown == 0:
		return concludes(isDead, "dead: the latest %s is a dead letter, and its unknown outcome is settled; to do: %s, or discard it",
			name, console.Glued("rollcall dead replay "+task.ID))
	case pending && task.dead != nil:
		return concludes(isDead, "dead: the latest %s is a dead letter, %s; to do: %s", name, dead.Cause(task.dead.Class, task.dead.Code), dead.Advice(*task.dead))
	case x.record.InFlight:
		return concludes(isUnderway, "running: a task has the lease of this target until %s, and can renew it", x.record.Until.In(x.now.Location()).Format("15:04:05"))
	case pending && f.TaskID != "" && task.State == "" && task.Open:
		return concludes(isLost, "vanished: the latest %s is not applied, and asynq does not know its task; a worker will add a dead letter for it", name)
	case pending && f.TaskID != "" && task.State == "":
		return concludes(isLost, "ended: the latest %s was not applied, and its task is neither waiting nor a dead letter; enqueue it again if it is still needed", name)
	case pending:
		return concludes(isWaiting, "waiting: the latest %s is not applied yet%s", name, x.why(task))
	case f.Unknown != 0:
		return concludes(hasUnknown, "unknown outcome: a request for the %s had no clear answer; the next task sends again, even if the value is the same", name)
	}
	text := "up to date"
	if !f.Late.IsZero() && !x.resendAt.IsZero() {
		return concludes(isSettled, "up to date, unless a request that timed out takes effect late; the value is sent once more after %s", x.resendAt.In(x.now.Location()).Format("15:04:05"))
	}
	if !f.Late.IsZero() && x.now.Sub(f.Late) < lateFor {
		text += ", unless a request that timed out takes effect late"
	}
	return concludes(isSettled, "%s", text)
}

// why describes the state of a task and what stops its lane.
func (x *explanation) why(task taskFacts) string {
	text := ""
	if task.State != "" {
		text = "; its task is " + task.words(nil)
	}
	if blocked := x.lane.Blocked(); blocked != "" {
		text += "; " + blocked
	}
	return text
}

func (x *explanation) settleCommands() string {
	if x.lane.Kind != tasks.KindID {
		return "enqueue it again"
	}
	of := " --tenant " + x.lane.Tenant + " --user "
	if x.personal {
		of += x.record.Target.Key
	} else {
		of += "USER"
	}
	return console.Glued("rollcall ids confirm"+of) + " or " + console.Glued("rollcall ids reject"+of)
}

// value quotes the value of a field, masked unless personal data is shown.
func (x *explanation) value(field, value string) string {
	if value == "" {
		return "(value not set by rollcall)"
	}
	return fmt.Sprintf("%q", x.shown(field, value))
}

func (x *explanation) shown(field, value string) string {
	if x.personal {
		return value
	}
	return privacy.Value(x.lane.Kind, field, value)
}

// masked is a text of a platform without the names and ids of the record, and without
// more words.
func (x *explanation) masked(text string, more ...string) string {
	if x.personal {
		return text
	}
	return privacy.Redact(text, slices.Concat(x.words, more))
}

func (x *explanation) target() string {
	if x.personal {
		return x.record.Target.Key
	}
	return privacy.Target(x.lane.Kind, x.record.Target.Key)
}

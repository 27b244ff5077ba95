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

// conclusion is what to conclude of a target or a field, in a word for scripts
// and in words. What needs somebody most comes first.
type conclusion struct {
	rank int
	Word string
	Text string
}

// The words, by how much they need somebody. They are a contract.
const (
	needsPerson = "person"   // a doubt that a person settles
	isDead      = "dead"     // a dead letter holds the newest wish
	isLost      = "vanished" // asynq does not know its task
	hasUnknown  = "doubt"    // it may hold one value or another
	isUnderway  = "underway" // a task is at it
	isWaiting   = "waiting"  // its task waits
	isSettled   = "settled"  // up to date
	isUnknown   = "unknown"  // nothing is known of it
)

var ranks = []string{needsPerson, isDead, isLost, isUnderway, isWaiting, hasUnknown, isSettled, isUnknown}

func concludes(word, format string, args ...any) conclusion {
	return conclusion{rank: slices.Index(ranks, word), Word: word, Text: fmt.Sprintf(format, args...)}
}

// conclude is that of the target: of the field that needs somebody most.
func (x *explanation) conclude() conclusion {
	var all []conclusion
	for _, name := range x.record.Names() {
		all = append(all, x.concludeField(name))
	}
	if edits := x.record.Edits; len(edits) > 0 {
		all = append(all, concludes(isWaiting, "waiting: %s in line", cli.Count(len(edits), "membership edit")))
	}
	if len(all) == 0 {
		if x.record.InFlight {
			return concludes(isUnderway, "under way: a task is at it")
		}
		return concludes(isUnknown, "unknown: nothing is known of it. Was a wish for it ever enqueued, and is it spelt so? The ledger forgets after 400 days")
	}
	slices.SortStableFunc(all, func(a, b conclusion) int { return cmp.Compare(a.rank, b.rank) })
	worst := all[0]
	if worst.Word == isSettled && len(x.dead) > 0 {
		worst.Text += "; a dead letter of it waits for a person"
	}
	return worst
}

func (x *explanation) concludeField(name string) conclusion {
	f := x.record.Fields[name]
	task, pending := x.tasks[f.TaskID], f.Latest > f.Applied
	switch {
	case f.Unknown != 0 && f.Lock != nil && f.Lock.Why == ledger.LockUnverified:
		return concludes(needsPerson, "a person must settle it: an %s was sent and may or may not have been applied; look it up at the platform, then %s",
			strings.ToUpper(name), x.settleCommands())
	case pending && task.dead != nil && task.dead.Class == string(outcome.Unverified) && f.Unknown == 0:
		return concludes(isDead, "dead: the newest %s is a dead letter, and its doubt is settled; to do: %s, or discard it",
			name, console.Glued("rollcall dead replay "+task.ID))
	case pending && task.dead != nil:
		return concludes(isDead, "dead: the newest %s is a dead letter, %s; to do: %s", name, dead.Cause(task.dead.Class, task.dead.Code), dead.Advice(*task.dead))
	case x.record.InFlight:
		return concludes(isUnderway, "under way: a task is at it until %s, unless it renews that", x.record.Until.In(x.now.Location()).Format("15:04:05"))
	case pending && f.TaskID != "" && task.State == "" && task.Open:
		return concludes(isLost, "vanished: the newest %s is not applied, and asynq does not know its task; a worker's sweep writes a dead letter for it", name)
	case pending && f.TaskID != "" && task.State == "":
		return concludes(isLost, "ended: the newest %s was not applied, and its task is neither waiting nor a dead letter; enqueue it again if it still matters", name)
	case pending:
		return concludes(isWaiting, "waiting: the newest %s is not applied yet%s", name, x.why(task))
	case f.Unknown != 0:
		return concludes(hasUnknown, "in doubt: a send of the %s was never clearly answered; the next task for it sends again, whatever the value", name)
	}
	text := "up to date"
	if !f.Late.IsZero() && x.now.Sub(f.Late) < lateFor {
		text += ", unless a send that was given up lands late"
	}
	return concludes(isSettled, "%s", text)
}

// why says what a task waits for, as far as that is the lane's.
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

// value is a value of a field, masked if need be, and quoted.
func (x *explanation) value(field, value string) string {
	if value == "" {
		return "(no value of ours)"
	}
	return fmt.Sprintf("%q", x.shown(field, value))
}

func (x *explanation) shown(field, value string) string {
	if x.personal {
		return value
	}
	return privacy.Value(x.lane.Kind, field, value)
}

func (x *explanation) target() string {
	if x.personal {
		return x.record.Target.Key
	}
	return privacy.Target(x.lane.Kind, x.record.Target.Key)
}

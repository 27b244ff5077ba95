package explain

import (
	"fmt"
	"strings"

	"rollcall/cmd/rollcall/internal/lanes"
	"rollcall/internal/console"
	"rollcall/internal/deadletter"
	known "rollcall/internal/explain"
	"rollcall/tasks"
)

// words returns a conclusion as text, with the commands that a person types next.
func (x *explanation) words(c known.Conclusion) string {
	text := x.sentence(c)
	if c.DeadWaits {
		text += "; but a dead letter for this target waits for a person"
	}
	return text
}

func (x *explanation) sentence(c known.Conclusion) string {
	switch c.Word {
	case known.Damaged:
		return fmt.Sprintf("damaged: nothing is done at it until a key is repaired: %s; to do: %s",
			x.Record.Damaged[0], console.Glued("rollcall repair "+x.lane.Name()+" TARGET"))
	case known.Person:
		return fmt.Sprintf("unknown outcome: an %s was sent and may or may not have been applied; a person must look it up at the platform, then run %s",
			strings.ToUpper(c.Field), x.settleCommands())
	case known.Dead:
		if c.Detail == known.WasSettled {
			return fmt.Sprintf("dead: the latest %s is a dead letter, and its unknown outcome is settled; to do: %s, or discard it",
				c.Field, console.Glued("rollcall dead replay "+c.Task.ID))
		}
		dead := *c.Task.Dead
		return fmt.Sprintf("dead: the latest %s is a dead letter, %s; to do: %s", c.Field, deadletter.Named(dead.Class, dead.Code), deadletter.Advice(dead))
	case known.Vanished:
		if c.Detail == known.Ended {
			return fmt.Sprintf("ended: the latest %s was not applied, and its task is neither waiting nor a dead letter; enqueue it again if it is still needed", c.Field)
		}
		return fmt.Sprintf("vanished: the latest %s is not applied, and asynq does not know its task; a worker will add a dead letter for it", c.Field)
	case known.Underway:
		if c.Detail == known.OfTheTarget {
			return "running: a task is running for this target"
		}
		return fmt.Sprintf("running: a task has the lease of this target until %s, and can renew it", x.Record.Until.In(x.Now.Location()).Format("15:04:05"))
	case known.Waiting:
		if c.Detail == known.Edits {
			return fmt.Sprintf("waiting: %s in the queue", console.Count(len(x.Record.Edits), "membership edit"))
		}
		return fmt.Sprintf("waiting: the latest %s is not applied yet%s", c.Field, x.why(c.Task))
	case known.Doubt:
		return fmt.Sprintf("unknown outcome: a request for the %s had no clear answer; the next task sends again, even if the value is the same", c.Field)
	case known.Settled:
		switch c.Detail {
		case known.WithResend:
			return "up to date, unless a request that timed out takes effect late; the value is sent once more after " + x.ResendAt.In(x.Now.Location()).Format("15:04:05")
		case known.MayBeLate:
			return "up to date, unless a request that timed out takes effect late"
		case known.Plain, known.WasSettled, known.Ended, known.Edits, known.OfTheTarget:
		}
		return "up to date"
	case known.Unknown:
	}
	return "unknown: the ledger has no record of this target. Check the spelling, and that a change was enqueued in the last 400 days"
}

// why describes the state of a task and what stops its lane.
func (x *explanation) why(task known.Task) string {
	text := ""
	if task.State != "" {
		text = "; its task is " + taskWords(task, nil)
	}
	if blocked := lanes.Blocked(x.lane); blocked != "" {
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
		of += x.Record.Target.Key
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
	return fmt.Sprintf("%q", x.Value(field, value))
}

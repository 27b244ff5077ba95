package explain

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/deadletter"
	known "rollcall/internal/explain"
	"rollcall/internal/ledger"
)

// printer prints an explanation for a person.
type printer struct{ *cli.Printer }

// explanation prints everything known about a target.
func (p *printer) explanation(x *explanation) {
	end := x.Conclude()
	style := map[known.Word]console.Style{
		known.Damaged: console.Red, known.Person: console.Red, known.Dead: console.Red, known.Vanished: console.Red, known.Doubt: console.Yellow,
		known.Underway: console.Green, known.Waiting: console.Yellow, known.Settled: console.Green, known.Unknown: console.Yellow,
	}[end.Word]
	p.Text(style, 0, x.words(end))
	console.Fprintln(p.Out)
	p.fact("target", x.lane.Name()+" "+x.Key()+", of organisation "+x.lane.Organisation)
	if x.Record.InFlight {
		p.fact("in flight", "a task is running; its lease expires "+p.Exact(x.Record.Until)+" unless the task renews it or ends")
	}
	if !x.Record.Settled.IsZero() {
		p.fact("last settled", p.Exact(x.Record.Settled))
	}
	for _, d := range x.Record.Damaged {
		p.fact("damaged", d.String())
	}
	for _, name := range x.Record.Names() {
		p.field(x, name, x.Record.Fields[name])
	}
	p.edits(x)
	p.sources(x.Record.Sources)
	p.effects(x)
	p.deadLetters(x)
	x.survey.Print(p.Printer, x.lane)
}

// fact prints a label and a text.
func (p *printer) fact(label, text string) { p.Fact(console.Plain, 2, 13, label, text) }

func (p *printer) title(text string) {
	console.Fprintln(p.Out)
	console.Fprintln(p.Out, console.Paint(console.Bold, text))
}

func (p *printer) field(x *explanation, name string, f ledger.State) {
	p.title(name)
	if f.Latest > 0 {
		text := p.revision(f.Latest)
		if f.TaskID != "" {
			text += ", task " + console.Glued(f.TaskID)
		}
		p.fact("latest", text)
		if f.Latest > f.Applied {
			p.fact("its task", taskWords(x.Tasks[f.TaskID], p))
		}
	}
	if f.Applied == 0 {
		p.fact("applied", "nothing yet, according to the ledger")
	} else {
		text := x.value(name, f.Value)
		if f.Wanted != "" {
			text += " instead of " + x.value(name, f.Wanted)
		}
		p.fact("applied", text+", by the change of "+p.revision(f.Applied))
	}
	p.unknownOf(x, name, f)
	if !f.Late.IsZero() {
		p.fact("late", "an earlier request timed out and may have taken effect after the last one, "+p.Exact(f.Late)+": an equal change is sent again instead of counted as unchanged")
		if !x.ResendAt.IsZero() {
			p.fact("sent again", "the applied value is sent once more after "+p.Exact(x.ResendAt)+", when the lane has no task, unless a newer change is known")
		}
	}
	if f.Attempts > 0 {
		p.fact("refused", console.Count(f.Attempts, "candidate")+" of the latest task, each with a clear answer")
	}
	if f.Lock != nil {
		p.fact("locked", "until "+p.Exact(f.Lock.Until)+": "+lockWords(f.Lock.Why))
	}
}

// unknownOf prints an unknown outcome and what follows from it.
func (p *printer) unknownOf(x *explanation, name string, f ledger.State) {
	if f.Unknown == 0 {
		return
	}
	if in := f.Intent; in != nil {
		p.fact("unknown", x.value(name, in.Value)+" was sent "+console.Count(in.Sends, "time")+", last "+p.Exact(in.At)+", by task "+console.Glued(in.TaskID)+
			". It may or may not have been applied, and DingTalk has no API to read it. No other ID is sent for this employee until this is settled")
		if task := x.Tasks[in.TaskID]; task.State != "" && f.Lock == nil {
			p.fact("next", "that task sends the same ID again; it is "+taskWords(task, p))
		}
		return
	}
	if x.Record.InFlight {
		p.fact("unknown", "a request for the change of "+p.revision(f.Unknown)+" may be running now")
		return
	}
	how := " had no answer: the platform may have the new value or the old one, or may still apply the new one. "
	if f.Answered {
		how = " had an unclear answer: the platform has the new value or the old one, and the request is over. "
	}
	p.fact("unknown", "a request for the change of "+p.revision(f.Unknown)+how+"The next task sends again, even if the value is the same")
}

func lockWords(why string) string {
	switch why {
	case ledger.LockApplied:
		return "the ID was changed, which DingTalk allows once a year"
	case ledger.LockSaid:
		return "DingTalk reported an earlier change within a year, but not its date; the next try is at this time"
	case ledger.LockUnverified:
		return "a change may have been applied; a person must settle it"
	}
	return why
}

// revision is the time at which a change was enqueued, and its revision.
func (p *printer) revision(rev int64) string {
	return p.Exact(time.UnixMicro(rev)) + ", revision " + strconv.FormatInt(rev, 10)
}

// taskWords describes the state of a task; without times if p is nil.
func taskWords(t known.Task, p *printer) string {
	var text string
	switch {
	case t.ID == "":
		return "not known: an older producer enqueued it without a record of its task"
	case t.State == "" && t.Dead != nil:
		text = "a dead letter, no longer in asynq"
	case t.State == "" && t.Open:
		text = "unknown to asynq, but not ended"
	case t.State == "":
		text = "unknown to asynq: ended or deleted"
	default:
		text = t.State + " in " + t.Queue
		if t.Dead != nil {
			text += ", a dead letter"
		}
	}
	if p == nil {
		return text
	}
	if (t.State == "retry" || t.State == "scheduled") && !t.Next.IsZero() {
		text += ", next " + p.Exact(t.Next)
	}
	if t.Error != "" && t.State != "completed" {
		text += "; last: " + t.Error
	}
	return text
}

func (p *printer) edits(x *explanation) {
	edits := x.Record.Edits
	if len(edits) == 0 {
		return
	}
	p.title("membership edits, in their order")
	for i, e := range edits {
		if i == known.EditsRead {
			p.Text(console.Plain, 2, fmt.Sprintf("and %d more", len(edits)-i))
			break
		}
		p.Text(console.Plain, 2, p.revision(e.Revision)+", task "+console.Glued(e.TaskID)+": "+taskWords(x.Tasks[e.TaskID], p))
	}
}

func (p *printer) sources(sources map[string]int64) {
	if len(sources) == 0 {
		return
	}
	p.title("highest number by source")
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		p.fact(name, strconv.FormatInt(sources[name], 10))
	}
}

func (p *printer) effects(x *explanation) {
	if len(x.Record.Effects) == 0 {
		return
	}
	p.title("last effects")
	for _, e := range x.Record.Effects {
		p.Text(console.Plain, 2, p.Exact(e.At)+": "+x.effect(e))
	}
}

func (x *explanation) effect(e ledger.Event) string {
	if e.By != "" {
		return e.By + ": " + e.Did
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(e.Set)) {
		text := name
		if value := e.Set[name]; value != "" {
			text += " " + x.value(name, value)
		}
		parts = append(parts, text)
	}
	text := strings.Join(parts, ", ")
	if e.RequestID != "" {
		text += ", request " + console.Glued(x.Masked(e.RequestID))
	}
	if e.Did == ledger.DidResend {
		return text + ", sent once more because a late send may have overwritten it"
	}
	if e.Did == ledger.DidRefresh {
		return text + ", sent once more to confirm it"
	}
	return text + ", task " + console.Glued(e.TaskID)
}

func (p *printer) deadLetters(x *explanation) {
	if len(x.Dead) > 0 {
		p.title("dead letters")
	}
	for _, l := range x.Dead {
		p.Text(console.Plain, 2, p.Exact(l.Last)+": task "+console.Glued(l.ID)+", "+deadletter.Named(l.Class, l.Code)+"; "+console.Glued("rollcall dead show "+l.ID))
	}
	if x.More {
		p.Text(console.Plain, 2, fmt.Sprintf("only the newest %d dead letters of the lane were read, and those of the tasks above", known.DeadLettersRead))
	}
}

package explain

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/cmd/rollcall/internal/dead"
	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/ledger"
)

// lateFor is how long a request that was given up may still be carried out at
// the platform, as the ledger has it.
const lateFor = 5 * time.Minute

// labels is how wide the words before facts are.
const labels = 13

// printer prints an explanation for a person.
type printer struct{ *cli.Printer }

// explanation prints all that is known of a target.
func (p *printer) explanation(x *explanation) {
	end := x.conclude()
	style := map[string]console.Style{
		needsPerson: console.Red, isDead: console.Red, isLost: console.Red, hasUnknown: console.Yellow, isUnderway: console.Green, isWaiting: console.Yellow, isSettled: console.Green, isUnknown: console.Yellow,
	}[end.Word]
	p.Text(style, 0, end.Text)
	fmt.Fprintln(p.Out)
	p.fact("target", x.lane.Name()+" "+x.target()+", of organisation "+x.lane.Organisation)
	if x.record.InFlight {
		p.fact("in flight", "a task is at it; its mark runs out "+p.moment(x.record.Until)+" unless it is renewed, or goes when the task ends")
	}
	if !x.record.Settled.IsZero() {
		p.fact("last settled", p.moment(x.record.Settled))
	}
	for _, name := range x.record.Names() {
		p.field(x, name, x.record.Fields[name])
	}
	p.edits(x)
	p.sources(x.record.Sources)
	p.effects(x)
	p.deadLetters(x)
	x.survey.Print(p.Printer, x.lane)
}

// fact prints a text beside its label.
func (p *printer) fact(label, text string) {
	const indent = 2
	for _, line := range console.Wrap(text, p.Width-indent-labels) {
		fmt.Fprintf(p.Out, "%*s%-*s%s\n", indent, "", labels, label, line)
		label = ""
	}
}

// moment is a time to the second, as logs have it, and how far away it is.
func (p *printer) moment(t time.Time) string {
	local := t.In(p.Now.Location())
	clock := local.Format("2006-01-02 15:04:05")
	if local.Format(time.DateOnly) == p.Now.Format(time.DateOnly) {
		clock = local.Format("15:04:05")
	}
	_, unavailable, _ := strings.Cut(p.At(t), "(")
	return clock + " (" + unavailable
}

func (p *printer) title(text string) {
	fmt.Fprintln(p.Out)
	fmt.Fprintln(p.Out, console.Paint(console.Bold, console.Line(text)))
}

func (p *printer) field(x *explanation, name string, f ledger.State) {
	p.title(name)
	if f.Latest > 0 {
		text := p.revision(f.Latest)
		if f.TaskID != "" {
			text += ", task " + console.Glued(f.TaskID)
		}
		p.fact("newest wish", text)
		if f.Latest > f.Applied {
			p.fact("its task", x.tasks[f.TaskID].words(p))
		}
	}
	if f.Applied == 0 {
		p.fact("applied", "nothing yet, as far as the ledger knows")
	} else {
		text := x.value(name, f.Value)
		if f.Wanted != "" {
			text += ", where " + x.value(name, f.Wanted) + " was wished for"
		}
		p.fact("applied", text+", for the wish of "+p.revision(f.Applied))
	}
	p.unknownOf(x, name, f)
	if !f.Late.IsZero() {
		p.fact("late", "a send before the last was given up and may have landed after it, "+p.moment(f.Late)+": an equal wish is sent again and not taken for unchanged")
	}
	if f.Attempts > 0 {
		p.fact("refused", cli.Count(f.Attempts, "candidate")+" of the newest task, each by a clear answer")
	}
	if f.Lock != nil {
		p.fact("locked", "until "+p.moment(f.Lock.Until)+": "+lockWords(f.Lock.Why))
	}
}

// doubtOf says what is in doubt and what that means.
func (p *printer) unknownOf(x *explanation, name string, f ledger.State) {
	if f.Unknown == 0 {
		return
	}
	if in := f.Intent; in != nil {
		p.fact("in doubt", x.value(name, in.Value)+" was sent "+cli.Count(in.Sends, "time")+", last "+p.moment(in.At)+", by task "+console.Glued(in.TaskID)+
			". It may or may not have been applied, and cannot be read back. Nothing else is sent for this person until that is settled")
		if task := x.tasks[in.TaskID]; task.State != "" && f.Lock == nil {
			p.fact("next", "the same is sent again by that task, which is "+task.words(p))
		}
		return
	}
	if x.record.InFlight {
		p.fact("in doubt", "a send of the wish of "+p.revision(f.Unknown)+" may be under way at this moment")
		return
	}
	how := " has had no clear answer: the platform may have it, or what was before, or may still carry it out. "
	if f.Answered {
		how = " was answered, and not clearly: the platform may have it, or what was before, and nothing of it is under way any more. "
	}
	p.fact("in doubt", "a send of the wish of "+p.revision(f.Unknown)+how+"The next task for it sends, even if the value is the same")
}

func lockWords(why string) string {
	switch why {
	case ledger.LockApplied:
		return "it was changed, which the platform allows once a year"
	case ledger.LockSaid:
		return "the platform said that it was changed within a year; when that ends is not known, so it is asked again then"
	case ledger.LockUnverified:
		return "a change may have been applied, and a person is to settle that"
	}
	return why
}

// revision is when a wish was enqueued, and its number.
func (p *printer) revision(rev int64) string {
	return p.moment(time.UnixMicro(rev)) + ", revision " + strconv.FormatInt(rev, 10)
}

// words say where a task is. Without a printer no times are told.
func (t taskFacts) words(p *printer) string {
	var text string
	switch {
	case t.ID == "":
		return "not known: its producer is older than the ledger's notes of tasks"
	case t.State == "" && t.dead != nil:
		text = "a dead letter, and asynq has it no more"
	case t.State == "" && t.Open:
		text = "unknown to asynq, though it has not ended"
	case t.State == "":
		text = "unknown to asynq: it has ended, or was deleted"
	default:
		text = t.State + " in " + t.Queue
		if t.dead != nil {
			text += ", a dead letter"
		}
	}
	if p == nil {
		return text
	}
	if (t.State == "retry" || t.State == "scheduled") && !t.Next.IsZero() {
		text += ", next " + p.moment(t.Next)
	}
	if t.Error != "" && t.State != "completed" {
		text += "; last: " + t.Error
	}
	return text
}

func (p *printer) edits(x *explanation) {
	edits := x.record.Edits
	if len(edits) == 0 {
		return
	}
	p.title("membership edits in line, which go in this order")
	for i, e := range edits {
		if i == editsShown {
			p.Text(console.Plain, 2, fmt.Sprintf("and %d more", len(edits)-i))
			break
		}
		p.Text(console.Plain, 2, p.revision(e.Revision)+", task "+console.Glued(e.TaskID)+": "+x.tasks[e.TaskID].words(p))
	}
}

func (p *printer) sources(sources map[string]int64) {
	if len(sources) == 0 {
		return
	}
	p.title("highest number of each source")
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		p.fact(name, strconv.FormatInt(sources[name], 10))
	}
}

func (p *printer) effects(x *explanation) {
	if len(x.record.Effects) == 0 {
		return
	}
	p.title("last effects")
	for _, e := range x.record.Effects {
		p.Text(console.Plain, 2, p.moment(e.At)+": "+x.effect(e))
	}
}

func (x *explanation) effect(e ledger.Event) string {
	if e.By != "" {
		return e.By + " said " + e.Did
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
		text += ", request " + console.Glued(e.RequestID)
	}
	return text + ", task " + console.Glued(e.TaskID)
}

func (p *printer) deadLetters(x *explanation) {
	if len(x.dead) > 0 {
		p.title("dead letters")
	}
	for _, l := range x.dead {
		p.Text(console.Plain, 2, p.moment(l.Last)+": task "+console.Glued(l.ID)+", "+dead.Cause(l.Class, l.Code)+"; "+console.Glued("rollcall dead show "+l.ID))
	}
	if x.more {
		p.Text(console.Plain, 2, fmt.Sprintf("looked for among the newest %d of the lane; others are found if the record above names their tasks", deadLettersRead))
	}
}

package plan

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"rollcall/cmd/rollcall/internal/session"
	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/pace"
	"rollcall/internal/run"
)

const (
	mostPairs  = 8  // rows that are shown old and new
	mostLooked = 10 // rows that a person should look at
)

// Print prints a plan for a person, or the run as JSON.
func Print(ctx context.Context, s *session.Session, r run.Run) error {
	if s.JSON {
		return s.PrintJSON(r)
	}
	rows, err := newSample(ctx, s.Runs, r)
	if err != nil {
		return err
	}
	p := &printer{s.NewPrinter()}
	p.head(r)
	p.counts(r.Plan)
	p.pairs(rows)
	p.look(rows)
	p.costs(r.Plan)
	p.guards(r.Plan)
	return nil
}

// printer prints plans.
type printer struct{ *cli.Printer }

// head is the line that names the run.
func (p *printer) head(r run.Run) {
	title := "run " + r.ID
	if r.Name != "" {
		title += ", " + r.Name
	}
	if r.UndoOf != "" {
		title += ", undo of " + r.UndoOf
	}
	p.Text(console.Bold, 0, fmt.Sprintf("%s: %s, can be applied until %s", title, console.Count(r.Rows, "row"), p.Zoned(r.Plan.Until)))
}

// meaning explains a decision in the table of counts.
func meaning(d run.Decision) string {
	return map[run.Decision]string{
		run.RowChange:     "to another value",
		run.RowNew:        "to a value; the one before is not known",
		run.RowUnchanged:  "no call is made",
		run.RowConflict:   "not sent: another row or change wants something else",
		run.RowImpossible: "not sent: wrong, or cannot be carried out now",
		run.RowExcluded:   "not sent: left out by a person",
	}[d]
}

func (p *printer) counts(plan *run.Plan) {
	for _, d := range run.Decisions() {
		n := plan.Counts[d]
		if n == 0 && d != run.RowChange && d != run.RowUnchanged {
			continue
		}
		style := console.Plain
		switch {
		case n == 0:
		case d.Calls():
			style = console.Green
		case d == run.RowConflict || d == run.RowImpossible:
			style = console.Yellow
		}
		console.Fprintf(p.Out, "  %s  %s\n", console.Paint(style, fmt.Sprintf("%-10s %7d", d, n)), meaning(d))
	}
}

// pairs prints the first rows that change, old and new side by side.
func (p *printer) pairs(rows sample) {
	if len(rows.pairs) == 0 {
		return
	}
	t := console.Table{Width: p.Width, Indent: 2, Columns: []console.Column{
		{Head: "LINE", Most: 7, Right: true}, {Head: "TARGET", Most: 28}, {Head: "NOW"}, {Most: 1}, {Head: "THEN"},
	}}
	for _, row := range rows.pairs {
		for i, c := range changes(row) {
			line, target := "", ""
			if i == 0 {
				line, target = place(row), shown.Place(row.Row).Target
			}
			t.Add(line, target, old(c), "→", c.New)
		}
	}
	console.Fprintln(p.Out)
	t.Print(p.Out)
	if rows.morePairs > 0 {
		p.Text(console.Plain, 2, "and "+console.Count(rows.morePairs, "more row"))
	}
}

// look prints the rows that a person should look at.
func (p *printer) look(rows sample) {
	if len(rows.look) == 0 {
		return
	}
	console.Fprintf(p.Out, "\n%s\n", console.Paint(console.Yellow, "look at these:"))
	for _, row := range rows.look {
		text := fmt.Sprintf("%s: %s: %s", where(row), row.Decision, reason(row))
		if target := shown.Place(row.Row).Target; target != "" {
			text = fmt.Sprintf("%s: %s %s%s: %s", where(row), row.Decision, target, shortChange(row), reason(row))
		}
		p.Text(console.Plain, 2, text)
	}
	if rows.moreLook > 0 {
		p.Text(console.Plain, 2, fmt.Sprintf("and %d more; -o plan.xlsx writes all rows", rows.moreLook))
	}
}

func reason(row run.Planned) string {
	if row.Suspicious != "" {
		return row.Suspicious
	}
	return row.Why
}

// shortChange is the first change of a row.
func shortChange(row run.Planned) string {
	for _, c := range changes(row) {
		return fmt.Sprintf(" (%s → %s)", old(c), c.New)
	}
	return ""
}

func (p *printer) costs(plan *run.Plan) {
	if plan.Calls() == 0 {
		return
	}
	console.Fprintln(p.Out)
	for _, c := range plan.Costs {
		p.fact("cost", p.cost(c), costStyle(c))
	}
	takes := "unknown: no worker has published the rates of the lanes"
	if plan.Seconds > 0 {
		takes = "about " + cli.Duration(time.Duration(plan.Seconds)*time.Second) + " at the rates of the lanes"
	}
	p.fact("duration", takes, console.Plain)
	p.fact("undo", fmt.Sprintf("%d of %s could be undone afterwards", plan.Undoable, console.Count(plan.Calls(), "row")), console.Plain)
}

// fact prints a text after its name.
func (p *printer) fact(name, text string, style console.Style) { p.Fact(style, 0, 11, name, text) }

func (p *printer) cost(c run.Cost) string {
	text := fmt.Sprintf("%s of %s", console.Count(c.Calls, "metered call"), c.Organisation)
	if !c.Bounded {
		return text + "; the month has no quota"
	}
	text += fmt.Sprintf("; %s has %d of %d left", c.Month, c.Left, c.Quota)
	if c.Reserve > 0 {
		text += fmt.Sprintf(", %d of them for urgent tasks", c.Reserve)
	}
	if c.RunsOut.IsZero() {
		return text + "; the month suffices at the use so far"
	}
	return text + "; with this plan the month runs out on " + c.RunsOut.In(pace.Shanghai).Format(time.DateOnly) + " (Asia/Shanghai)"
}

func costStyle(c run.Cost) console.Style {
	if c.Bounded && !c.RunsOut.IsZero() {
		return console.Yellow
	}
	return console.Plain
}

// guards prints what holds the run, with the flags that accept it.
func (p *printer) guards(plan *run.Plan) {
	if len(plan.Guards) == 0 {
		return
	}
	console.Fprintln(p.Out)
	for _, g := range plan.Guards {
		text, style := "held: "+g.What, console.Red
		if len(g.Rows) > 0 {
			what, of := "row", g.Rows
			if len(g.Lines) > 0 { // people look into their file
				what, of = "line", g.Lines
			}
			if len(of) > 1 {
				what += "s"
			}
			text += " (" + what + " " + numbers(of) + ")"
		}
		if g.Allowed {
			p.Text(console.Plain, 0, strings.Replace(text, "held: ", "accepted with --"+g.Flag+": ", 1))
			continue
		}
		p.Text(style, 0, text)
		p.Text(console.Plain, 6, "to accept it: "+console.Glued(g.Accept()))
	}
}

// numbers lists the first rows of a guard.
func numbers(rows []int) string {
	var parts []string
	for _, n := range rows {
		parts = append(parts, strconv.Itoa(n))
	}
	return strings.Join(parts, ", ")
}

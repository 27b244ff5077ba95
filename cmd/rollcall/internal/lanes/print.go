package lanes

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/hold"
	"rollcall/internal/overview"
	"rollcall/internal/pace"
)

// printer prints lanes, holds and events for a person.
type printer struct{ *cli.Printer }

func (a *app) newPrinter() *printer { return &printer{a.NewPrinter()} }

// survey prints all lanes; if detailed, also what each has learned.
func (p *printer) survey(s *Survey, detailed bool) {
	p.headline(s)
	p.holds(s)
	if len(s.Lanes) > 0 {
		console.Fprintln(p.Out)
		p.table(s, detailed)
	}
	p.months(s)
}

func (p *printer) headline(s *Survey) {
	held, unseen := 0, 0
	for _, l := range s.Lanes {
		if len(l.Holds) > 0 {
			held++
		}
		if l.Unseen {
			unseen++
		}
	}
	text, style := console.Count(len(s.Lanes), "lane")+", none on hold", console.Green
	if held > 0 {
		text, style = fmt.Sprintf("%d of %s on hold", held, console.Count(len(s.Lanes), "lane")), console.Red
	}
	if unseen > 0 {
		text += fmt.Sprintf(", %d without a worker", unseen)
		if held == 0 {
			style = console.Yellow
		}
	}
	console.Fprintln(p.Out, console.Paint(style, text))
}

// holds prints each hold once, however many lanes it holds.
func (p *printer) holds(s *Survey) {
	var all []hold.Hold
	for _, l := range s.Lanes {
		for _, h := range l.Holds {
			same := func(o hold.Hold) bool { return o.Scope == h.Scope && o.Class == h.Class }
			if !slices.ContainsFunc(all, same) {
				all = append(all, h)
			}
		}
	}
	for _, h := range append(all, s.Strays...) {
		console.Fprintln(p.Out)
		p.hold(s, h)
	}
}

func (p *printer) hold(s *Survey, h hold.Hold) {
	const indent = 6
	title := console.Glued("HELD  ") + heldBy(h)
	if h.Bulk {
		title += ": urgent tasks still run"
	}
	p.Text(console.Red, 0, title)
	p.Text(console.Plain, indent, h.Reason)
	if seen := h.Seen.Text(p.Now.Location()); seen != "" {
		p.Text(console.Plain, indent, "seen: "+seen)
	}
	since := "since " + p.when(h.Since) + ", by " + h.By
	if !h.Until.IsZero() {
		since += "; until " + p.when(h.Until)
	}
	p.Text(console.Plain, indent, since)
	if h.Probe != hold.ByTime {
		p.Text(console.Plain, indent, p.probes(h)+", "+console.Count(h.Tries, "probe")+" so far")
	}
	p.Text(console.Plain, indent, "ends: "+glueCommand(s.howToEnd(h)))
	held, _ := s.lanesOf(h.Scope)
	switch {
	case h.Level == hold.Lane && len(held) > 0:
	case len(held) > 0:
		p.Text(console.Plain, indent, "lanes: "+strings.Join(held, ", "))
	case h.Level == hold.Address:
		p.Text(console.Plain, indent, "lanes: all that call from this address; none of the lanes below does")
	default:
		p.Text(console.Plain, indent, "lanes: none that a worker serves")
	}
}

// probes describes when a hold is probed, and how.
func (p *printer) probes(h hold.Hold) string {
	how := map[hold.Probe]string{
		hold.ByTask: "with the first waiting task", hold.ByToken: "with a token request, which is not metered",
		hold.ByAddress: "with a token request, which is not metered",
	}[h.Probe]
	switch due := !p.Now.Before(h.Next); {
	case h.Probing != "" && !due:
		return "being probed by " + h.Probing + ", " + how
	case due:
		return "probe due now, " + how
	}
	return "next probe " + p.when(h.Next) + ", " + how
}

// when is a time with its zone and its distance from now.
func (p *printer) when(t time.Time) string {
	return hold.Moment(t, p.Now.Location()) + ", " + p.Distance(t)
}

func heldBy(h hold.Hold) string {
	class := string(h.Class)
	if h.Class == hold.Operator {
		class = "by a person"
	}
	return h.String() + ", " + class
}

// glueCommand keeps the command in a text on one line.
func glueCommand(text string) string {
	if i := strings.Index(text, "rollcall lanes "); i >= 0 {
		return text[:i] + console.Glued(text[i:])
	}
	return text
}

func (p *printer) months(s *Survey) {
	all := s.months()
	if len(all) == 0 {
		return
	}
	month := all[0].Status.Month
	console.Fprintln(p.Out)
	console.Fprintf(p.Out, "%s  until %s\n", console.Paint(console.Bold, "CALLS OF "+month.Name), p.At(month.Ends))
	width := 0
	for _, m := range all {
		width = max(width, console.Cells(m.Organisation))
	}
	for _, m := range all {
		text, style := spent(m.Status)
		if n := m.Status.Month.Messages; n > 0 {
			text += "; " + console.Count(int(n), "message") + " of robots"
		}
		text = console.Glued(m.Organisation+strings.Repeat(" ", width-console.Cells(m.Organisation))) + "  " + text
		p.Text(style, 2, text)
	}
}

func spent(s pace.Status) (text string, style console.Style) {
	left, bounded := s.MonthLeft()
	reserve := min(left, int64(s.Quota.Reserve))
	switch {
	case s.Month.Said:
		return fmt.Sprintf("%d spent; the platform reports an exhausted quota", s.Month.Spent), console.Red
	case !bounded:
		return fmt.Sprintf("%d spent, no quota is configured", s.Month.Spent), console.Plain
	}
	text = fmt.Sprintf("%d of %d spent, %d left", s.Month.Spent, s.Quota.Calls, left)
	if reserve > 0 {
		text += fmt.Sprintf(", %d of them for urgent tasks", reserve)
	}
	switch {
	case left <= int64(s.Quota.Reserve):
		return text, console.Red
	case s.Quota.Warn > 0 && s.Month.Spent >= int64(s.Quota.Warn):
		return text, console.Yellow
	}
	return text, console.Plain
}

// Print prints one lane of a survey and its holds.
func (s *Survey) Print(out *cli.Printer, l overview.Lane) {
	p := &printer{out}
	alone := *s
	alone.Lanes, alone.Strays = []overview.Lane{l}, nil
	p.holds(&alone)
	console.Fprintln(p.Out)
	p.table(&alone, false)
}

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"rollcall/internal/console"
	"rollcall/internal/hold"
	"rollcall/internal/pace"
)

const (
	// columns is how wide the output is that no terminal bounds.
	columns = 80

	bold   = console.Bold
	red    = console.Red
	yellow = console.Yellow
	green  = console.Green
)

// printer prints lanes, holds and events for a person.
type printer struct {
	out   io.Writer
	now   time.Time
	width int
}

func (a *app) newPrinter() *printer {
	p := &printer{out: a.stdout, now: a.now(), width: columns}
	if width := a.stdout.Width(); width >= 40 {
		p.width = min(width, 120)
	}
	return p
}

// text prints a text wrapped and indented, its later lines a little more.
func (p *printer) text(style console.Style, indent int, text string) {
	const hang = 2
	for i, line := range wrap(text, p.width-indent-hang) {
		if i == 1 {
			indent += hang
		}
		fmt.Fprintln(p.out, strings.Repeat(" ", indent)+console.Paint(style, line))
	}
}

// at is a moment and how far away it is.
func (p *printer) at(t time.Time) string {
	local, today := t.In(p.now.Location()), p.now.Format(time.DateOnly)
	clock := local.Format("2006-01-02 15:04")
	if local.Format(time.DateOnly) == today {
		clock = local.Format("15:04")
	}
	switch d := t.Sub(p.now); {
	case d > 0:
		return clock + " (in " + short(d) + ")"
	case -d < time.Second:
		return clock + " (now)"
	default:
		return clock + " (" + short(-d) + " ago)"
	}
}

// survey prints all lanes. detailed tells what each has learned, too.
func (p *printer) survey(s *survey, detailed bool) {
	p.headline(s)
	p.holds(s)
	if len(s.lanes) > 0 {
		fmt.Fprintln(p.out)
		p.table(s, detailed)
	}
	p.months(s)
}

func (p *printer) headline(s *survey) {
	held, unseen := 0, 0
	for _, l := range s.lanes {
		if len(l.holds) > 0 {
			held++
		}
		if l.unseen {
			unseen++
		}
	}
	text, style := count(len(s.lanes), "lane")+", none on hold", green
	if held > 0 {
		text, style = fmt.Sprintf("%d of %s on hold", held, count(len(s.lanes), "lane")), red
	}
	if unseen > 0 {
		text += fmt.Sprintf(", %d without a worker", unseen)
		if held == 0 {
			style = yellow
		}
	}
	fmt.Fprintln(p.out, console.Paint(style, text))
}

// holds prints each hold once, however many lanes it holds.
func (p *printer) holds(s *survey) {
	var all []hold.Hold
	for _, l := range s.lanes {
		for _, h := range l.holds {
			same := func(o hold.Hold) bool { return o.Place == h.Place && o.Class == h.Class }
			if !slices.ContainsFunc(all, same) {
				all = append(all, h)
			}
		}
	}
	for _, h := range append(all, s.strays...) {
		fmt.Fprintln(p.out)
		p.hold(s, h)
	}
}

func (p *printer) hold(s *survey, h hold.Hold) {
	const indent = 6
	title := glued("HELD  ") + heldBy(h)
	if h.Bulk {
		title += ": urgent tasks still go"
	}
	p.text(red, 0, title)
	p.text(console.Plain, indent, h.Reason)
	if seen := h.Seen.Text(p.now.Location()); seen != "" {
		p.text(console.Plain, indent, "seen: "+seen)
	}
	since := "since " + p.when(h.Since) + ", by " + h.By
	if h.Until.IsZero() {
		p.text(console.Plain, indent, since)
	} else {
		p.text(console.Plain, indent, since+"; until "+p.when(h.Until))
	}
	if h.Probe != hold.ByTime {
		p.text(console.Plain, indent, p.probes(h)+", "+count(h.Tries, "probe")+" so far")
	}
	p.text(console.Plain, indent, "ends: "+glueCommand(s.lift(h)))
	held, _ := s.lanesOf(h.Place)
	switch {
	case h.Level == hold.Lane && len(held) > 0:
	case len(held) > 0:
		p.text(console.Plain, indent, "lanes: "+strings.Join(held, ", "))
	case h.Level == hold.Address:
		p.text(console.Plain, indent, "lanes: all that call from there; no lane here says that it does")
	default:
		p.text(console.Plain, indent, "lanes: none that a worker serves")
	}
}

// probes says when a hold is probed, and how.
func (p *printer) probes(h hold.Hold) string {
	how := map[hold.Probe]string{
		hold.ByTask: "by the first task that waits", hold.ByToken: "by a call for a token, which is not metered",
		hold.ByAddress: "by a call for a token, which is not metered",
	}[h.Probe]
	switch due := !p.now.Before(h.Next); {
	case h.Probing != "" && !due:
		return "probed now by " + h.Probing + ", " + how
	case due:
		return "to be probed now, " + how
	}
	return "next probe " + p.when(h.Next) + ", " + how
}

// when is a time with its zone and how far away it is.
func (p *printer) when(t time.Time) string {
	zoned := hold.Moment(t, p.now.Location())
	switch d := t.Sub(p.now); {
	case d > 0:
		return zoned + ", in " + short(d)
	case -d < time.Second:
		return zoned + ", now"
	default:
		return zoned + ", " + short(-d) + " ago"
	}
}

func heldBy(h hold.Hold) string {
	class := string(h.Class)
	if h.Class == hold.Operator {
		class = "by a person"
	}
	return plain(h.String()) + ", " + class
}

// glueCommand keeps the command of an advice on one line.
func glueCommand(text string) string {
	if i := strings.Index(text, "enqueue lanes "); i >= 0 {
		return text[:i] + glued(text[i:])
	}
	return text
}

func (p *printer) months(s *survey) {
	all := s.organisations()
	if len(all) == 0 {
		return
	}
	month := all[0].status.Month
	fmt.Fprintln(p.out)
	fmt.Fprintln(p.out, console.Paint(bold, "CALLS OF "+month.Name)+"  until "+p.at(month.Ends))
	width := 0
	for _, o := range all {
		width = max(width, cells(o.name))
	}
	for _, o := range all {
		text, style := spent(o.status)
		text = glued(o.name+strings.Repeat(" ", width-cells(o.name))) + "  " + text
		p.text(style, 2, text)
	}
}

func spent(s pace.Status) (text string, style console.Style) {
	left, bounded := s.MonthLeft()
	reserve := min(left, int64(s.Quota.Reserve))
	switch {
	case s.Month.Said:
		text = fmt.Sprintf("%d spent; the platform says there are no more", s.Month.Spent)
		return text, red
	case !bounded:
		return fmt.Sprintf("%d spent, no quota is configured", s.Month.Spent), console.Plain
	}
	text = fmt.Sprintf("%d of %d spent, %d left", s.Month.Spent, s.Quota.Calls, left)
	if reserve > 0 {
		text += fmt.Sprintf(", %d of them for urgent tasks", reserve)
	}
	switch {
	case left <= int64(s.Quota.Reserve):
		return text, red
	case s.Quota.Warn > 0 && s.Month.Spent >= int64(s.Quota.Warn):
		return text, yellow
	}
	return text, console.Plain
}

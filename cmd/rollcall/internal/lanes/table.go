package lanes

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/hold"
	"rollcall/internal/overview"
)

// head names the columns after LANE; docs and help explain them.
func head() []string {
	return []string{"URGENT", "PENDING", "ACTIVE", "SCHED", "RETRY", "ARCH", "CALLS/S", "ETA"}
}

func row(l overview.Lane) []string {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	return []string{
		number(l.Urgent.Pending), number(l.Bulk.Pending), number(l.Urgent.Active + l.Bulk.Active),
		number(l.Urgent.Scheduled + l.Bulk.Scheduled), number(l.Urgent.Retry + l.Bulk.Retry), number(l.Urgent.Archived + l.Bulk.Archived),
		rates(l.Pace.InUse, l.Pace.Allowed), etaText(l),
	}
}

func etaText(l overview.Lane) string {
	eta, known := l.ETA()
	switch {
	case l.Held():
		return "held"
	case !known:
		return "?"
	case l.Waits() == 0:
		return "-"
	}
	return cli.Duration(eta)
}

func rates(used, allowed float64) string {
	if allowed <= 0 {
		return "-"
	}
	return rate(used) + "/" + rate(allowed)
}

func rate(r float64) string {
	if r > 0 && r < 1 {
		return strconv.FormatFloat(r, 'f', 2, 64)
	}
	return strconv.FormatFloat(r, 'f', 1, 64)
}

// table prints a row for each lane. A name too long for its column gets a line of
// its own.
func (p *printer) table(s *Survey, detailed bool) {
	rows := make([][]string, len(s.Lanes))
	widths := make([]int, len(head()))
	for i, title := range head() {
		widths[i] = len(title)
	}
	longest := len("LANE")
	for i, l := range s.Lanes {
		rows[i] = row(l)
		longest = max(longest, len(l.Name()))
		for j, text := range rows[i] {
			widths[j] = max(widths[j], len(text))
		}
	}
	numbers := 0
	for _, w := range widths {
		numbers += w + 1
	}
	first := min(longest, max(p.Width-numbers, len("LANE")))
	line := func(name string, row []string) string {
		var b strings.Builder
		fmt.Fprintf(&b, "%-*s", first, name)
		for i, text := range row {
			fmt.Fprintf(&b, " %*s", widths[i], text)
		}
		return b.String()
	}
	console.Fprintln(p.Out, console.Paint(console.Bold, line("LANE", head())))
	for i, l := range s.Lanes {
		name, style := l.Name(), console.Plain
		switch {
		case len(l.Holds) > 0:
			style = console.Red
		case l.Urgency() < 4:
			style = console.Yellow
		}
		if len(name) > first {
			console.Fprintln(p.Out, console.Paint(style, name))
			name = ""
		}
		console.Fprintln(p.Out, console.Paint(style, line(name, rows[i])))
		p.notes(l, detailed)
	}
}

// notes prints what the numbers of a lane do not show.
func (p *printer) notes(l overview.Lane, detailed bool) {
	warn := func(format string, args ...any) { p.Text(console.Yellow, 2, fmt.Sprintf(format, args...)) }
	notify := func(format string, args ...any) { p.Text(console.Plain, 2, fmt.Sprintf(format, args...)) }
	for _, h := range l.Holds {
		text := "on hold: " + heldBy(h)
		if h.Bulk {
			text += "; urgent tasks still run"
		}
		p.Text(console.Red, 2, text)
	}
	switch {
	case l.Unseen && l.Seen.IsZero():
		warn("no worker has ever served this lane: start one, or delete the tasks in the web UI")
	case l.Unseen:
		warn("no worker since %s: start a worker, or check why it stopped", p.At(l.Seen))
	}
	if queues := pausedQueues(l); queues != "" {
		warn("asynq's pause button is set on %s: resume the queue in the web UI", queues)
	}
	if l.Pace.Paused > 0 {
		warn("paused for another %s after the platform refused a call for its rate", cli.Duration(l.Pace.Paused))
	}
	if l.Pace.Share > 0 && l.Pace.Share < 1 {
		warn("runs at %d %% of its limit because calls were refused: another client uses the limit too, or the platform lowered it", int(l.Pace.Share*100))
	}
	spent := func(h hold.Hold) bool { return h.Class == hold.Quota }
	if left, bounded := l.Pace.MonthLeft(); bounded && l.Waits() > left && !slices.ContainsFunc(l.Holds, spent) {
		warn("%s waiting, but the monthly quota has only %s left", console.Count(int(l.Waits()), "task"), console.Count(int(left), "call"))
	}
	if limit := dayLimit(l); limit > 0 {
		left := max(0, int64(limit)-l.Pace.Day)
		style := console.Plain
		if left == 0 || l.Waits() > left {
			style = console.Yellow
		}
		p.Text(style, 2, fmt.Sprintf("today %d of %s, %d left", l.Pace.Day, console.Count(limit, "call"), left))
	}
	if len(l.Pace.Limits) == 0 && !l.Unseen {
		warn("no worker has published the limits of this lane")
	}
	if detailed {
		if limits := limitsOf(l); limits != "" {
			notify("limits: %s", limits)
		}
		notify("%s", learned(l))
		if oldest := max(l.Urgent.Oldest, l.Bulk.Oldest); oldest > 0 {
			notify("oldest pending task: waiting for %s", cli.Duration(oldest))
		}
		if !l.Unseen {
			notify("worker last seen %s", p.At(l.Seen))
		}
	}
}

func pausedQueues(l overview.Lane) string {
	switch {
	case l.Urgent.Paused && l.Bulk.Paused:
		return "both queues"
	case l.Urgent.Paused:
		return "the urgent queue"
	case l.Bulk.Paused:
		return "the queue of tasks that are not urgent"
	}
	return ""
}

// learned describes what a lane has learned about its platform's rate limit.
func learned(l overview.Lane) string {
	s := l.Pace
	if s.Booked == 0 {
		return "no calls yet"
	}
	text := "assumes that calls arrive up to " + spread(s.Spread) + " early or late; "
	if s.Refused == 0 {
		return text + "no call was refused for its rate"
	}
	text += console.Count(int(s.Refused), "call") + " refused for the rate so far"
	if s.Bad > 0 {
		text += ", the last one at " + spread(s.Bad)
	}
	return text
}

// limitsOf describes the limits of a lane, as a worker published them.
func limitsOf(l overview.Lane) string {
	parts := make([]string, len(l.Pace.Limits))
	for i, limit := range l.Pace.Limits {
		per := limit.Per.String()
		switch {
		case limit.Per >= time.Hour:
			per = strings.TrimSuffix(strings.TrimSuffix(per, "0s"), "0m")
		case limit.Per >= time.Minute:
			per = strings.TrimSuffix(per, "0s")
		}
		parts[i] = fmt.Sprintf("%s in %s", console.Count(limit.Calls, "call"), per)
	}
	return strings.Join(parts, "; ")
}

func spread(d time.Duration) string {
	return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', -1, 64) + " ms"
}

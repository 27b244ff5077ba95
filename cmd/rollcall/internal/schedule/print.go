package schedule

import (
	"fmt"
	"math"
	"slices"
	"time"

	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/night"
	sched "rollcall/internal/schedule"
)

// entryRecord is a schedule as --json prints it. Its names are stable.
type entryRecord struct {
	Schedule string       `json:"schedule"`               // its name
	Cron     string       `json:"cron"`                   // as in the configuration
	Zone     string       `json:"zone"`                   // of cron
	Offset   float64      `json:"offset_seconds"`         // by which its times are later than those of cron: its part of the jitter
	Overlap  string       `json:"overlap"`                // queue or skip
	Window   float64      `json:"misfire_window_seconds"` // how late a tick may begin
	Does     string       `json:"does"`                   // in words
	Next     time.Time    `json:"next,omitzero"`          // not there: paused, or no time within five years
	Paused   *pauseRecord `json:"paused,omitempty"`       // not there: not paused
	Last     *tickRecord  `json:"last,omitempty"`         // newest tick; not there: none yet
	Damaged  string       `json:"damaged,omitzero"`       // key in Redis that has another type: no tick begins until it is repaired
	Leader   bool         `json:"leader"`                 // a worker leads; if not, no tick is enqueued
}

// pauseRecord is a pause as --json prints it.
type pauseRecord struct {
	Since  time.Time `json:"since"`
	By     string    `json:"by"`
	Reason string    `json:"reason"`
}

// tickRecord is a tick as --json prints it. Its times are those of Redis' clock.
type tickRecord struct {
	Tick     string    `json:"tick"`              // id, as in the web UI
	At       time.Time `json:"at"`                // scheduled time
	State    string    `json:"state"`             // due, waiting, running, retrying, done, failed, skipped, missed or deleted
	Start    time.Time `json:"start,omitzero"`    // of the first attempt
	End      time.Time `json:"end,omitzero"`      // not there: it has not ended
	Attempts int       `json:"attempts,omitzero"` // that began
	Worker   string    `json:"worker,omitzero"`   // of the last attempt, `<host>/<process id>`
	Result   string    `json:"result,omitzero"`   // of the last attempt, or its error
	Missed   int       `json:"missed,omitzero"`   // times before it that were missed
	By       string    `json:"by,omitzero"`       // person who started it; not there: its time
	Reason   string    `json:"reason,omitzero"`   // of that person, or why it was not carried out
	Night    string    `json:"night,omitzero"`    // what became of its night since, as schedule report has it; not there: it has no report
}

func newTickRecord(p sched.Past) *tickRecord {
	return &tickRecord{
		Tick: p.ID, At: p.At, State: string(p.State), Start: p.Start, End: p.End, Attempts: p.Attempts, Worker: p.Worker,
		Result: p.Result, Missed: p.Missed, By: p.By, Reason: p.Reason,
	}
}

func newEntryRecord(e sched.Info, leader bool) entryRecord {
	r := entryRecord{
		Schedule: e.Name, Cron: e.Cron, Zone: e.Zone, Offset: e.Offset.Seconds(), Overlap: string(e.Overlap),
		Window: e.MisfireWindow.Seconds(), Does: e.Does, Leader: leader, Damaged: e.Damaged, Paused: (*pauseRecord)(e.Pause),
	}
	if !e.Next.IsZero() {
		r.Next = e.Next.UTC()
	}
	if e.Last != nil {
		r.Last = newTickRecord(*e.Last)
	}
	return r
}

func (a *app) printSurvey(s sched.Survey) error {
	if len(s.Entries) == 0 {
		console.Fprintln(a.Stderr, "no schedules: no worker has published one. Add one to the configuration, and start or reload a worker")
		return nil
	}
	if a.JSON {
		for _, e := range s.Entries {
			if err := a.PrintJSON(newEntryRecord(e, s.Leader)); err != nil {
				return err
			}
		}
		return nil
	}
	p := a.NewPrinter()
	p.Now = s.Now.In(p.Now.Location())
	if !s.Leader {
		p.Text(console.Red, 0, "no worker leads: no tick is enqueued; start a worker, or check why it stopped")
	}
	for _, e := range s.Entries {
		printEntry(p, e)
	}
	return nil
}

func printEntry(p *cli.Printer, e sched.Info) {
	const indent = 2
	when := e.Cron + " (" + e.Zone + ")"
	if e.Offset > 0 {
		when += " +" + e.Offset.String()
	}
	title := e.Name + ": " + when + ": " + e.Does
	if e.Damaged != "" {
		p.Text(console.Red, 0, title)
		p.Text(console.Red, indent, (&sched.DamagedError{Key: e.Damaged}).Error()+": "+console.Glued("rollcall repair --key '"+e.Damaged+"' --yes"))
		return
	}
	if e.Pause != nil {
		p.Text(console.Yellow, 0, title)
		p.Text(console.Yellow, indent, "paused since "+p.Zoned(e.Pause.Since)+", by "+e.Pause.By+": "+e.Pause.Reason)
	} else {
		p.Text(console.Bold, 0, title)
		next := "none within five years"
		if !e.Next.IsZero() {
			next = p.Zoned(e.Next)
		}
		p.Text(console.Plain, indent, "next "+next)
	}
	if e.Last == nil {
		p.Text(console.Plain, indent, "last none yet")
		return
	}
	text := "last " + p.Zoned(e.Last.At) + ": " + string(e.Last.State)
	if about := about(*e.Last); about != "" {
		text += ": " + about
	}
	p.Text(style(e.Last.State), indent, text)
}

// about is what a tick did, or why it did nothing.
func about(t sched.Past) string {
	if t.Result != "" {
		return t.Result
	}
	return t.Reason
}

func style(s sched.State) console.Style {
	switch s {
	case sched.Failed, sched.Missed, sched.Deleted:
		return console.Red
	case sched.Retrying, sched.Skipped:
		return console.Yellow
	case sched.Due, sched.Waiting, sched.Running, sched.Done:
	}
	return console.Plain
}

func (a *app) printTicks(ticks []sched.Past, reports []night.Report) error {
	p := a.NewPrinter()
	for _, t := range ticks {
		i := slices.IndexFunc(reports, func(r night.Report) bool { return r.Tick.Equal(t.At) })
		if a.JSON {
			record := newTickRecord(t)
			if i >= 0 {
				record.Night = string(reports[i].State)
			}
			if err := a.PrintJSON(record); err != nil {
				return err
			}
			continue
		}
		if i >= 0 && t.State == sched.Done { // newer than its result
			t.Result = reports[i].Summary(night.English)
		}
		p.Text(style(t.State), 0, console.Glued(fmt.Sprintf("%s  %-8s", t.At.In(p.Now.Location()).Format("2006-01-02 15:04:05 -07:00"), t.State))+"  "+course(t))
		if t.By != "" {
			p.Text(console.Plain, 2, "started by "+join(t.By, t.Reason))
		}
		if t.Missed > 0 {
			p.Text(console.Plain, 2, console.Count(t.Missed, "time")+" before it missed")
		}
		if text := about(t); text != "" && (t.By == "" || t.Result != "") {
			p.Text(console.Plain, 2, text)
		}
	}
	return nil
}

func join(by, reason string) string {
	if reason == "" {
		return by
	}
	return by + ": " + reason
}

// course is when a tick began, how long it took, and where.
func course(t sched.Past) string {
	if t.Start.IsZero() {
		return ""
	}
	text := "began " + late(t.Start.Sub(t.At)) + " late"
	if !t.End.IsZero() {
		text += ", took " + late(t.End.Sub(t.Start))
	}
	if t.Attempts > 1 {
		text += fmt.Sprintf(", %d attempts", t.Attempts)
	}
	return text + ", " + t.Worker
}

// late is a length of time with a tenth of a second where it is short.
func late(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%.1fs", math.Max(0, d.Seconds()))
	}
	return cli.Duration(d)
}

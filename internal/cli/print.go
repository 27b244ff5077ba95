package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"rollcall/internal/console"
)

// Columns is how wide an output is that no terminal bounds.
const Columns = 80

// PrintJSON prints an object on a line.
func (a *App) PrintJSON(record any) error {
	line, err := json.Marshal(record, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return fmt.Errorf("print as JSON: %w", err)
	}
	_, err = a.Stdout.Write(append(line, '\n'))
	return err
}

// PrintAll prints one object a line.
func PrintAll[Record any](a *App, records []Record) error {
	for _, r := range records {
		if err := a.PrintJSON(r); err != nil {
			return err
		}
	}
	return nil
}

// Printer prints text for a person, no wider than the terminal.
type Printer struct {
	Out   io.Writer
	Now   time.Time // its location is that of all times
	Width int
}

// NewPrinter returns a printer to the standard output.
func (a *App) NewPrinter() *Printer {
	p := &Printer{Out: a.Stdout, Now: a.Now(), Width: Columns}
	if width := a.Stdout.Width(); width >= 40 {
		p.Width = min(width, 120)
	}
	return p
}

// Text prints a text wrapped and indented, its later lines a little more.
func (p *Printer) Text(style console.Style, indent int, text string) {
	const hang = 2
	for i, line := range console.Wrap(text, p.Width-indent-hang) {
		if i == 1 {
			indent += hang
		}
		console.Fprintf(p.Out, "%*s%s\n", indent, "", console.Paint(style, line))
	}
}

// Fact prints a text wrapped after its label, which is indented and takes so many cells.
func (p *Printer) Fact(style console.Style, indent, cells int, label, text string) {
	for _, line := range console.Wrap(text, p.Width-indent-cells) {
		blank := strings.Repeat(" ", max(cells-console.Cells(label), 0))
		console.Fprintf(p.Out, "%*s%s%s%s\n", indent, "", label, blank, console.Paint(style, line))
		label = ""
	}
}

// At is a time to the minute and how far it is from now.
func (p *Printer) At(t time.Time) string { return p.clock(t, "15:04") + " (" + p.Distance(t) + ")" }

// Exact is At to the second, as in logs.
func (p *Printer) Exact(t time.Time) string {
	return p.clock(t, time.TimeOnly) + " (" + p.Distance(t) + ")"
}

// Zoned is At with the zone as its distance from UTC: the text may be read elsewhere.
func (p *Printer) Zoned(t time.Time) string {
	return p.clock(t, "15:04 UTC-07:00") + " (" + p.Distance(t) + ")"
}

// clock is a time in a form, with its date unless that is today.
func (p *Printer) clock(t time.Time, form string) string {
	local := t.In(p.Now.Location())
	if local.Format(time.DateOnly) != p.Now.Format(time.DateOnly) {
		form = time.DateOnly + " " + form
	}
	return local.Format(form)
}

// Distance is how far a time is from now.
func (p *Printer) Distance(t time.Time) string {
	switch d := t.Sub(p.Now); {
	case d > 0:
		return "in " + Duration(d)
	case -d < time.Second:
		return "now"
	default:
		return Duration(-d) + " ago"
	}
}

// Clock is a time to the second, in local time.
func Clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// Duration is a length of time in two units at most.
func Duration(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int((d+time.Second-1)/time.Second))
	case d < 10*time.Minute:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	case d < 1000*24*time.Hour:
		return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
	}
	return "years"
}

// mostNamed bounds how many names stand in a message.
const mostNamed = 12

// Listed is a list of names for a message, the first of many.
func Listed(names []string) string {
	if more := len(names) - mostNamed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:mostNamed], ", "), more)
	}
	return strings.Join(names, ", ")
}

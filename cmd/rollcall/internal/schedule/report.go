package schedule

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/night"
	sched "rollcall/internal/schedule"
)

func (a *app) reportCommand() *cobra.Command {
	var at, lang string
	cmd := &cobra.Command{
		Use:   "report NAME",
		Short: "Show what a night of a nightly sync did",
		Long: `Show the report of a night: what was read, sent, refused and carried over, who
is missing, how far the platform may differ, how long the month's calls last,
and what a person must decide. Redis keeps the reports of the last 30 nights of
each schedule. With --json, print the report as webhooks get it, with its texts.

` + exits,
		Example: `  rollcall schedule report nightly
  rollcall schedule report nightly --night 2026-11-29 --lang zh
  rollcall schedule report nightly --json | jq .drift`,
		Args: cli.Exactly("NAME of a schedule"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, store *sched.Store, nights *night.Service) error {
				return a.report(ctx, store, nights, args[0], at, night.Language(lang))
			})
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&at, "night", "", "day or `TIME` of the tick, as 2026-11-29 or as\nschedule history --json has it; default: the\nlast night")
	cli.Language(cmd, &lang, "the report")
	return cmd
}

func (a *app) report(ctx context.Context, store *sched.Store, nights *night.Service, name, at string, l night.Language) error {
	all, err := nights.History(ctx, name)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		if _, err := store.History(ctx, name, 1); err != nil { // does it exist at all?
			return err
		}
		console.Fprintf(a.Stderr, "schedule %s has no report: it had no night yet, or it has no source\n", name)
		return nil
	}
	r, err := nightOf(all, at, a.Now().Location())
	if err != nil {
		return err
	}
	if a.JSON {
		return a.PrintJSON(r)
	}
	a.printReport(r, l)
	return nil
}

// nightOf returns the report of a night: of a day in the zone, of a tick by its time or
// its id, or the newest.
func nightOf(all []night.Report, text string, zone *time.Location) (night.Report, error) {
	if text == "" {
		return all[0], nil
	}
	var is func(night.Report) bool
	of := text
	if _, at, isID := strings.Cut(text, "@"); isID {
		of = strings.TrimPrefix(at, "now-")
	}
	if at, err := time.Parse(time.RFC3339, of); err == nil {
		is = func(r night.Report) bool { return r.Tick.Equal(at) }
	} else if day, err := time.Parse(time.DateOnly, of); err == nil {
		is = func(r night.Report) bool { return r.Tick.In(zone).Format(time.DateOnly) == day.Format(time.DateOnly) }
	} else {
		return night.Report{}, cli.BadInput("--night %.40q: must be a day, as 2026-11-29, or the time of a tick, as 2026-11-29T18:37:00Z", text)
	}
	i := slices.IndexFunc(all, is) // the newest of a day
	if i < 0 {
		return night.Report{}, cli.BadInput("no report of the night %s: there are %d, from %s to %s", text, len(all),
			all[len(all)-1].Tick.In(zone).Format(time.DateOnly), all[0].Tick.In(zone).Format(time.DateOnly))
	}
	return all[i], nil
}

// printReport prints a report for a person.
func (a *app) printReport(r night.Report, l night.Language) {
	p := a.NewPrinter()
	zone := p.Now.Location()
	title := console.Bold
	if len(r.Decide) > 0 {
		title = console.Yellow
	}
	p.Text(title, 0, r.Title(l, zone))
	lines := r.Lines(l, zone)
	wide := 0
	for _, line := range lines {
		wide = max(wide, console.Cells(line.Label))
	}
	for _, line := range lines {
		style := console.Plain
		if line.Bad {
			style = console.Yellow
		}
		p.Fact(style, 2, wide+2, line.Label, line.Text)
	}
	for _, why := range r.Problems {
		p.Text(console.Plain, 4, why)
	}
	for _, why := range r.Decisions(l) {
		p.Text(console.Yellow, 2, l.Of("to decide: ", "需要决定：")+why)
	}
	if r.Again > 0 {
		p.Text(console.Plain, 2, fmt.Sprintf(l.Of("%[2]s needed the same", "之前连续 %[1]d 晚也是如此"), r.Again, console.Count(r.Again, "previous night")))
	}
	if r.Run == "" {
		return
	}
	p.Text(console.Plain, 2, console.Glued("rollcall run show "+r.Run))
	if r.State == night.StateHeld {
		p.Text(console.Plain, 2, console.Glued("rollcall run approve "+r.Run+" --digest DIGEST"))
	}
}

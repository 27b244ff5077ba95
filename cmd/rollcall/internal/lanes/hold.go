package lanes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/hold"
	"rollcall/internal/roster"
)

// holdFlags are those of lanes hold.
type holdFlags struct {
	reason   string
	length   string
	until    string
	bulkOnly bool
	by       string
}

const scopeHelp = `PLACE is a lane (lakeside-dt.nickname), a tenant with all its lanes (tenant
lakeside-dt), an organisation with all whose calls count against its month
(organisation lakeside), or an address with all lanes that call from it (address
default).`

func (a *app) holdCommand() *cobra.Command {
	var f holdFlags
	cmd := &cobra.Command{
		Use:   "hold PLACE --reason TEXT",
		Short: "Keep a lane, a tenant or an organisation from sending",
		Long: `Keep a lane, a tenant or an organisation from sending. Within some two seconds
workers take no more task of it; those that are running are finished. What is
enqueued waits, and loses no attempt. The hold outlives workers and restarts.

` + scopeHelp + `

A person's hold stands beside one that comes by itself; neither undoes the
other. Said again, it takes the new reason and the new end.

Exit codes:
  0   the place is on hold
  4   Redis cannot be reached: say it again, that does no harm
  64  bad usage, or a place that no worker serves: nothing is held`,
		Example: `  rollcall lanes hold lakeside-dt.nickname --reason "wrong roster" --for 2h
  rollcall lanes hold tenant lakeside-dt --reason "moving to another app"
  rollcall lanes hold organisation lakeside --reason "saving calls" --bulk-only`,
		Args: scopeArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return a.hold(cmd.Context(), args, f) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.reason, "reason", "", "reason, for other operators; required")
	flags.StringVar(&f.length, "for", "", "for a `DURATION`, as 90m or 36h")
	flags.StringVar(&f.until, "until", "", "until `TIME`: RFC 3339, or +10m from now")
	flags.BoolVar(&f.bulkOnly, "bulk-only", false, "let urgent tasks go")
	cli.By(cmd, &f.by)
	return cmd
}

func scopeArgs(_ *cobra.Command, args []string) error {
	if len(args) == 0 || len(args) > 2 {
		return fmt.Errorf("%d arguments are given, a place is wanted: a lane, or tenant NAME, or organisation NAME", len(args))
	}
	return nil
}

// place reads a place that lanes know.
func (s *Survey) scope(args []string) (hold.Scope, error) {
	text := strings.Join(args, " ")
	p, ok := hold.ParseScope(text)
	known := func(o hold.Scope) bool { return s.knows(o) }
	if ok && known(p) {
		return p, nil
	}
	if len(args) == 1 {
		for _, level := range []hold.Level{hold.Tenant, hold.Organisation} {
			if meant := (hold.Scope{Level: level, Name: text}); known(meant) {
				return p, cli.BadInput("%q is no lane: say %s for all lanes of that %s", text, meant, level)
			}
		}
	}
	if !ok {
		return p, cli.BadInput("%q is no place: say a lane, or tenant NAME, or organisation NAME; %s", text, s.served())
	}
	return p, cli.BadInput("no worker serves %s; %s", p, s.served())
}

func (s *Survey) knows(p hold.Scope) bool {
	held, not := s.lanesOf(p)
	return len(held)+len(not) > 0
}

// hold puts a person's hold.
func (a *app) hold(ctx context.Context, args []string, f holdFlags) error {
	until, err := a.end(f)
	if err != nil {
		return err
	}
	if strings.TrimSpace(f.reason) == "" {
		return cli.BadInput("--reason is missing: give other operators the reason for the hold of %s", strings.Join(args, " "))
	}
	return a.WithRedis(ctx, func(ctx context.Context, rdb redis.UniversalClient) error {
		ctx, cancel := context.WithTimeout(ctx, cli.AnswerWithin)
		defer cancel()
		s, err := Read(ctx, rdb, a.Now())
		if err != nil {
			return err
		}
		scope, err := s.scope(args)
		if err != nil {
			return err
		}
		held, not := s.lanesOf(scope)
		if len(held) == 0 {
			return cli.BadInput("%s would hold nothing: an organisation's hold is for lanes whose calls count against its month, and %s do not; hold their tenants",
				scope, cli.Listed(not))
		}
		h, change, err := hold.NewStore(rdb).Put(ctx, hold.Hold{
			Scope: scope, Class: hold.Operator, Reason: strings.TrimSpace(f.reason), Bulk: f.bulkOnly, Since: a.Now(), Until: until, By: a.Person(f.by),
		})
		if err != nil {
			return err
		}
		return a.reportHold(s, h, change, held, not)
	})
}

func (a *app) reportHold(s *Survey, h hold.Hold, change hold.Change, held, not []string) error {
	if a.JSON {
		return a.PrintJSON(struct {
			Outcome hold.Change `json:"outcome"`
			holdRecord

			Lanes []string `json:"lanes"`
		}{change, s.record(h), held})
	}
	p := a.newPrinter()
	text := h.String() + " is on hold"
	if !h.Until.IsZero() {
		text += " until " + p.At(h.Until)
	}
	text += map[hold.Change]string{hold.Changed: ", which is changed", hold.Same: ", as it was"}[change]
	p.Text(console.Bold, 0, text)
	takes := ": no task is taken of "
	if h.Bulk {
		takes = ": urgent tasks alone are taken of "
	}
	p.Text(console.Plain, 2, cli.Count(len(held), "lane")+takes+cli.Listed(held))
	if len(not) > 0 {
		p.Text(console.Yellow, 2, "not held, as their calls do not count against the month: "+cli.Listed(not)+"; hold them by lane or tenant")
	}
	p.Text(console.Plain, 2, "what is running is finished; lift: "+glueCommand(h.HowToEnd()))
	return nil
}

// end is when a hold is to end; zero: when somebody lifts it.
func (a *app) end(f holdFlags) (time.Time, error) {
	now := a.Now()
	switch {
	case f.length != "" && f.until != "":
		return now, cli.BadInput("--for and --until are both given: keep one")
	case f.length != "":
		d, err := time.ParseDuration(f.length)
		if err != nil || d <= 0 {
			return now, cli.BadInput("--for: %q is no length of time: say 90m, 2h30m or 36h", f.length)
		}
		return now.Add(d), nil
	}
	until, err := roster.ParseAt(f.until, now)
	if err != nil {
		return now, cli.BadInput("--until: %w", err)
	}
	if !until.IsZero() && !until.After(now) {
		return now, cli.BadInput("--until: %s is over", f.until)
	}
	return until, nil
}

func (a *app) eventsCommand() *cobra.Command {
	n := 20
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show when lanes were held and released, and by whom",
		Long: `Show the last holds that began, changed or ended, the newest last: when, what,
which place, of which class, by whom, and why. Redis keeps some 10,000 of them.

Exit codes:
  0   done
  4   Redis cannot be read
  64  bad usage`,
		Example: `  rollcall lanes events
  rollcall lanes events -n 100 --json | jq 'select(.class == "quota")'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.events(cmd.Context(), n) },
	}
	cli.Limit(cmd, &n, "the last `N`")
	return cmd
}

// eventRecord is an event as --json prints it; its names are a contract.
type eventRecord struct {
	Time   time.Time  `json:"time"`
	Event  string     `json:"event"`
	Level  hold.Level `json:"level"`
	Name   string     `json:"name"`
	Class  hold.Class `json:"class"`
	Reason string     `json:"reason"`
	By     string     `json:"by"`
	Seen   hold.Seen  `json:"seen,omitzero"`
}

func (a *app) events(ctx context.Context, n int) error {
	if n < 1 {
		return cli.BadInput("-n %d: say how many, 1 or more", n)
	}
	return a.WithRedis(ctx, func(ctx context.Context, rdb redis.UniversalClient) error {
		ctx, cancel := context.WithTimeout(ctx, cli.AnswerWithin)
		defer cancel()
		events, err := hold.ReadEvents(ctx, rdb, n)
		if err != nil {
			return err
		}
		if len(events) == 0 {
			fmt.Fprintln(a.Stderr, "nothing was held yet, as far as Redis knows")
			return nil
		}
		p := a.newPrinter()
		for _, e := range events {
			if !a.JSON {
				p.event(e)
				continue
			}
			err = errors.Join(err, a.PrintJSON(eventRecord{e.Time, e.Event, e.Level, e.Name, e.Class, e.Reason, e.By, e.Seen}))
		}
		return err
	})
}

// eventSeen is what the hold of an event was put for; empty: nothing is known.
func (p *printer) eventSeen(e hold.Event) string {
	if seen := e.Seen.Text(p.Now.Location()); seen != "" {
		return " · seen: " + seen
	}
	return ""
}

func (p *printer) event(e hold.Event) {
	word, _ := strings.CutPrefix(e.Event, "hold.")
	style := console.Plain
	switch {
	case slices.Contains([]string{string(hold.Entered), string(hold.Changed)}, word):
		style = console.Red
	case word == string(hold.Left):
		style = console.Green
	}
	clock := e.Time.In(p.Now.Location()).Format("2006-01-02 15:04:05")
	said := fmt.Sprintf("%-7s", word)
	for i, line := range console.Wrap(console.Glued(clock)+" "+console.Glued(said)+" "+e.String()+", "+string(e.Class)+", by "+e.By, p.Width-2) {
		if i == 0 {
			fmt.Fprintln(p.Out, strings.Replace(line, said, console.Paint(style, said), 1))
			continue
		}
		fmt.Fprintln(p.Out, "  "+line)
	}
	p.Text(console.Plain, 2, e.Reason+p.eventSeen(e))
}

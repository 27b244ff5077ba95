package lanes

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"rollcall/internal/audit"
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

const scopeHelp = `SCOPE is a lane (lakeside-dt.nickname), a tenant with all its lanes (tenant
lakeside-dt), an organisation with all lanes whose calls count against its
monthly quota (organisation lakeside), or an egress address with all lanes that
call from it (address default).`

func (a *app) holdCommand() *cobra.Command {
	var f holdFlags
	cmd := &cobra.Command{
		Use:   "hold SCOPE --reason TEXT",
		Short: "Put a lane, a tenant or an organisation on hold",
		Long: `Put a lane, a tenant or an organisation on hold. Within about two seconds,
workers stop taking its tasks; running tasks finish. Other tasks wait in their
queues and lose no attempt. The hold survives a restart of the workers.

` + scopeHelp + `

A hold by a person and an automatic hold are independent: neither ends the
other. The same command again replaces the reason and the end.

Exit codes:
  0   the scope is on hold
  4   cannot reach Redis; safe to retry
  64  wrong usage, or no worker serves the scope: nothing was held`,
		Example: `  rollcall lanes hold lakeside-dt.nickname --reason "wrong roster" --for 2h
  rollcall lanes hold tenant lakeside-dt --reason "moving to another app"
  rollcall lanes hold organisation lakeside --reason "saving calls" --bulk-only`,
		Args: scopeArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return a.hold(cmd.Context(), args, f) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.reason, "reason", "", "reason for the hold, a `TEXT` for other operators;\nrequired")
	flags.StringVar(&f.length, "for", "", "end of the hold: a `DURATION` from now, such as 90m")
	flags.StringVar(&f.until, "until", "", "end of the hold: `TIME` in RFC 3339, or +10m from now")
	flags.BoolVar(&f.bulkOnly, "bulk-only", false, "hold only tasks that are not urgent")
	cli.By(cmd, &f.by)
	return cmd
}

func scopeArgs(_ *cobra.Command, args []string) error {
	const scope = "SCOPE, which is a lane, or tenant NAME, or organisation NAME, or address NAME"
	switch {
	case len(args) == 0:
		return errors.New("missing argument: " + scope)
	case len(args) > 2:
		return fmt.Errorf("too many arguments (%d): expected one %s", len(args), scope)
	}
	return nil
}

// scope parses a scope, which must cover at least one lane.
func (s *Survey) scope(args []string) (hold.Scope, error) {
	text := strings.Join(args, " ")
	p, ok := hold.ParseScope(text)
	if ok && s.knows(p) {
		return p, nil
	}
	if len(args) == 1 {
		for _, level := range []hold.Level{hold.Tenant, hold.Organisation} {
			if meant := (hold.Scope{Level: level, Name: text}); s.knows(meant) {
				return p, cli.BadInput("%q is not a lane; for all lanes of that %[3]s, use %[2]s", text, meant, level)
			}
		}
	}
	if !ok {
		return p, cli.BadInput("unknown scope %q: use a lane, or tenant NAME, or organisation NAME; %s", text, s.served())
	}
	return p, cli.BadInput("no worker serves %s; %s", p, s.served())
}

func (s *Survey) knows(p hold.Scope) bool {
	held, not := s.lanesOf(p)
	return len(held)+len(not) > 0
}

// hold adds the hold of a person, or changes it.
func (a *app) hold(ctx context.Context, args []string, f holdFlags) error {
	until, err := a.end(f)
	if err != nil {
		return err
	}
	if strings.TrimSpace(f.reason) == "" {
		return cli.BadInput("missing --reason: other operators need the reason for the hold of %s", strings.Join(args, " "))
	}
	return a.WithRedisFor(ctx, cli.AnswerWithin, func(ctx context.Context, rdb redis.UniversalClient) error {
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
			return cli.BadInput("a hold of %s has no effect: it holds only lanes whose calls count against the monthly quota, and those of %s do not; hold their tenants instead",
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
	text += map[hold.Change]string{hold.Changed: " (hold changed)", hold.Same: " (hold unchanged)"}[change]
	p.Text(console.Bold, 0, text)
	effect := " on hold: "
	if h.Bulk {
		effect = " on hold except for urgent tasks: "
	}
	p.Text(console.Plain, 2, console.Count(len(held), "lane")+effect+cli.Listed(held))
	if len(not) > 0 {
		p.Text(console.Yellow, 2, "not on hold, because their calls do not count against the monthly quota: "+cli.Listed(not)+"; hold these lanes or their tenants instead")
	}
	p.Text(console.Plain, 2, "running tasks finish; to end the hold: "+glueCommand(h.HowToEnd()))
	return nil
}

// end returns when a hold is to end; zero: when a person releases it.
func (a *app) end(f holdFlags) (time.Time, error) {
	now := a.Now()
	switch {
	case f.length != "" && f.until != "":
		return now, cli.BadInput("--for and --until cannot be used together: choose one")
	case f.length != "":
		d, err := time.ParseDuration(f.length)
		if err != nil || d <= 0 {
			return now, cli.BadInput("--for: invalid duration %q: use a form such as 90m, 2h30m or 36h", f.length)
		}
		return now.Add(d), nil
	}
	until, err := roster.ParseAt(f.until, now)
	if err != nil {
		return now, cli.BadInput("--until: %w", err)
	}
	if !until.IsZero() && !until.After(now) {
		return now, cli.BadInput("--until: %s is in the past", f.until)
	}
	return until, nil
}

func (a *app) eventsCommand() *cobra.Command {
	n := 20
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show when lanes were held and released, and by whom",
		Long: `Show the latest events, newest last: holds that began, changed or ended, dead
letters that were replayed or discarded, ID changes that were settled, and what
users changed in the web UI. Each has a time, a scope, a class, a person or
worker, and a reason. Redis keeps the last 10,000 or so.

Exit codes:
  0   done
  4   cannot read Redis
  64  wrong usage`,
		Example: `  rollcall lanes events
  rollcall lanes events -n 100 --json | jq 'select(.class == "quota")'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.events(cmd.Context(), n) },
	}
	cli.Limit(cmd, &n, 1, "number of events, `N`")
	return cmd
}

// eventRecord is an event as --json prints it; its names are stable.
type eventRecord struct {
	Time   time.Time `json:"time"`  // UTC
	Event  string    `json:"event"` // hold.entered, hold.changed, hold.left, dead.replayed, dead.closed, …
	Level  string    `json:"level"` // of a hold: lane, tenant, organisation or address
	Name   string    `json:"name"`
	Class  string    `json:"class"`
	Reason string    `json:"reason"`
	By     string    `json:"by"`
	Seen   hold.Seen `json:"seen,omitzero"`
}

func (a *app) events(ctx context.Context, n int) error {
	return a.WithRedisFor(ctx, cli.AnswerWithin, func(ctx context.Context, rdb redis.UniversalClient) error {
		events, err := audit.Read(ctx, rdb, n)
		if err != nil {
			return err
		}
		if len(events) == 0 {
			console.Fprintln(a.Stderr, "no events recorded in Redis")
			return nil
		}
		p := a.newPrinter()
		for _, e := range events {
			if !a.JSON {
				p.event(e)
				continue
			}
			err = errors.Join(err, a.PrintJSON(eventRecord{e.Time, e.Event, e.Level, e.Name, e.Class, e.Reason, e.By, hold.SeenIn(e)}))
		}
		return err
	})
}

func (p *printer) event(e audit.Event) {
	word := strings.TrimPrefix(e.Event, "hold.")
	style := console.Plain
	switch hold.Change(word) {
	case hold.Entered, hold.Changed:
		style = console.Red
	case hold.Left:
		style = console.Green
	case hold.Same:
	}
	clock := e.Time.In(p.Now.Location()).Format("2006-01-02 15:04:05")
	column := fmt.Sprintf("%-7s", word)
	for i, line := range console.Wrap(console.Glued(clock)+" "+console.Glued(column)+" "+e.Scope()+", "+e.Class+", by "+e.By, p.Width-2) {
		if i == 0 {
			before, after, _ := strings.Cut(line, column)
			console.Fprintf(p.Out, "%s%s%s\n", before, console.Paint(style, column), after)
			continue
		}
		console.Fprintln(p.Out, "  "+line)
	}
	reason := e.Reason
	if seen := hold.SeenIn(e).Text(p.Now.Location()); seen != "" {
		reason += " · seen: " + seen
	}
	p.Text(console.Plain, 2, reason)
}

// Package lanes is rollcall lanes: it shows the state of the lanes and their holds,
// and holds and releases them.
package lanes

import (
	"context"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/hold"
	"rollcall/internal/overview"
	"rollcall/internal/remote"
)

// app is one call of the command.
type app struct{ *cli.App }

const lanesExits = `Exit codes:
  0   done
  4   cannot read Redis
  64  wrong usage, or no worker serves the lane, tenant or organisation`

// Command shows the state of the lanes; its subcommands hold and release them.
func Command(cliApp *cli.App) *cobra.Command {
	a := &app{cliApp}
	cmd := &cobra.Command{
		Use:   "lanes [LANE|TENANT|ORGANISATION...]",
		Short: "Show the state of the workers' lanes, and hold or release them",
		Long: `Show the state of the lanes, those on hold first. A lane is one API of a tenant;
it has the name of its queue, such as lakeside-dt.nickname.

  URGENT   pending in the urgent queue     RETRY    waiting for a retry
  PENDING  pending in the other queue      ARCH     archived, for a person
  ACTIVE   running                         CALLS/S  calls per second: current
  SCHED    waiting for their time                   and allowed
  ETA      time to run the waiting tasks at the allowed rate: pending, retries,
           and scheduled tasks that are due; "held" while the lane is on hold

A line below a row reports a pause, a reduced rate, asynq's pause button, or a
worker that has not been seen for 3 minutes. The calls of each organisation in
this month follow the lanes. If you name lanes, tenants or organisations, their
rows also show the limits and what the lane has learned about its platform.

` + lanesExits,
		Example: `  rollcall lanes
  rollcall lanes lakeside-dt
  rollcall lanes --json | jq 'select(.holds)'`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.showLanes(cmd, args) },
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(a.holdCommand(), a.releaseCommand(), a.eventsCommand())
	return cmd
}

func (a *app) showLanes(cmd *cobra.Command, names []string) error {
	return a.withSurvey(cmd.Context(), func(s *Survey) error {
		if len(names) > 0 {
			if err := s.keep(names, cmd.SuggestionsFor(names[0])); err != nil {
				return err
			}
		}
		switch {
		case len(s.Lanes)+len(s.Strays) == 0:
			// Not on the standard output, where --json promises objects.
			console.Fprintf(a.Stderr, noLanes+"\n")
		case a.JSON:
			for _, h := range s.Strays {
				console.Fprintf(a.Stderr, "%s is on hold (%s), but no lane belongs to it\n", h.String(), h.Class)
			}
			for _, l := range s.Lanes {
				if err := a.PrintJSON(s.Record(l)); err != nil {
					return err
				}
			}
		default:
			a.newPrinter().survey(s, len(names) > 0)
		}
		return nil
	})
}

// withSurvey calls do with the lanes as they are in Redis, or at the API.
func (a *app) withSurvey(ctx context.Context, do func(*Survey) error) error {
	if a.UsesAPI() {
		return a.WithAPI(ctx, func(ctx context.Context, client *remote.Client) error {
			read, err := client.Survey(ctx, a.Now())
			if err != nil {
				return err
			}
			return do((*Survey)(read))
		})
	}
	return a.WithRedisFor(ctx, cli.AnswerWithin, func(ctx context.Context, rdb redis.UniversalClient) error {
		s, err := Read(ctx, rdb, a.Now())
		if err != nil {
			return err
		}
		return do(s)
	})
}

const noLanes = "no lanes: no worker has published its lanes in the last 7 days.\n" +
	"Start a worker (worker run --config FILE), or check that --redis names the\n" +
	"Redis that the workers use."

// keep removes all lanes but those that are named.
func (s *Survey) keep(names, commands []string) error {
	for _, name := range names {
		if slices.ContainsFunc(s.Lanes, func(l overview.Lane) bool { return named(l, name) }) {
			continue
		}
		if len(commands) > 0 {
			return cli.BadInput("no worker serves a lane, tenant or organisation %q; did you mean rollcall lanes %s?", name, commands[0])
		}
		return cli.BadInput("no worker serves a lane, tenant or organisation %q; %s", name, s.served())
	}
	s.Lanes = slices.DeleteFunc(s.Lanes, func(l overview.Lane) bool {
		return !slices.ContainsFunc(names, func(name string) bool { return named(l, name) })
	})
	s.Strays = nil
	return nil
}

func named(l overview.Lane, name string) bool {
	return name == l.Name() || name == l.Tenant || name == l.Organisation
}

// served lists the lanes, for a message about an unknown one.
func (s *Survey) served() string {
	if len(s.Lanes) == 0 {
		return strings.ReplaceAll(noLanes, "\n", " ")
	}
	var names []string
	for _, l := range s.Lanes {
		names = append(names, l.Name())
	}
	slices.Sort(names)
	return "served lanes: " + cli.Listed(names)
}

// lanesOf returns the lanes that a hold of a scope affects, and the lanes of the
// same organisation that it does not.
func (s *Survey) lanesOf(p hold.Scope) (held, not []string) {
	for _, l := range s.Lanes {
		switch {
		case slices.Contains(l.Scopes(), p):
			held = append(held, l.Name())
		case p.Level == hold.Organisation && p.Name == l.Organisation:
			not = append(not, l.Name())
		}
	}
	slices.Sort(held)
	slices.Sort(not)
	return held, not
}

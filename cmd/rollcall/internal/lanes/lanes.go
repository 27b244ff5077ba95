// Package lanes is rollcall lanes: how the lanes get on, what holds them, and
// how to hold and release them.
package lanes

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/hold"
	"rollcall/internal/registry"
)

// app is one call of the command.
type app struct{ *cli.App }

const lanesExits = `Exit codes:
  0   done
  4   Redis cannot be read
  64  bad usage, or a lane, tenant or organisation that no worker serves`

// Command shows how the lanes get on; the commands below it hold and release
// them.
func Command(cliApp *cli.App) *cobra.Command {
	a := &app{cliApp}
	cmd := &cobra.Command{
		Use:   "lanes [LANE|TENANT|ORGANISATION...]",
		Short: "Show how the workers' lanes get on, and hold or release them",
		Long: `Show how the lanes get on, those on hold first. A lane is a tenant at one API;
its name is that of its queue: lakeside-dt.nickname.

  URGENT   pending in the urgent queue     RETRY    wait for another try
  PENDING  pending in the other queue      ARCH     archived: for a person
  ACTIVE   being carried out               CALLS/S  calls a second, in use and
  SCHED    wait for their time                      allowed now
  ETA      how long what waits takes at the allowed rate: pending, retries and
           what is scheduled and due; "held" while the lane takes nothing

Below a row stands what is not as usual: a pause, a share of the rate, asynq's
pause button, a worker that has not been seen for 3 minutes. Below all lanes
stand the month's calls of each organisation. Lanes that are named, by
themselves or by tenant or organisation, also show what their pace has learned.

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
	return a.WithRedis(cmd.Context(), func(ctx context.Context, rdb redis.UniversalClient) error {
		ctx, cancel := context.WithTimeout(ctx, cli.AnswerWithin)
		defer cancel()
		s, err := Read(ctx, rdb, a.Now())
		if err != nil {
			return err
		}
		if len(names) > 0 {
			if err := s.keep(names, cmd.SuggestionsFor(names[0])); err != nil {
				return err
			}
		}
		switch {
		case len(s.Lanes)+len(s.strays) == 0:
			// Not on the standard output, where --json promises objects.
			fmt.Fprintln(a.Stderr, noLanes)
		case a.JSON:
			for _, h := range s.strays {
				fmt.Fprintf(a.Stderr, "%s is on hold (%s), and no lane says that it is of it\n", console.Line(h.String()), h.Class)
			}
			return a.PrintJSON(s.records()...)
		default:
			a.newPrinter().survey(s, len(names) > 0)
		}
		return nil
	})
}

const noLanes = "there are no lanes: no worker has published its lanes in the last 7 days.\n" +
	"Start one (worker run --config FILE), or see whether --redis names the Redis\n" +
	"that the workers use."

// keep leaves the lanes that names name.
func (s *Survey) keep(names, commands []string) error {
	for _, name := range names {
		if slices.ContainsFunc(s.Lanes, func(l State) bool { return l.named(name) }) {
			continue
		}
		if len(commands) > 0 {
			return cli.BadInput("no worker serves a lane, tenant or organisation %q: is the command rollcall lanes %s meant?", name, commands[0])
		}
		return cli.BadInput("no worker serves a lane, tenant or organisation %q; %s", name, s.served())
	}
	s.Lanes = slices.DeleteFunc(s.Lanes, func(l State) bool { return !slices.ContainsFunc(names, l.named) })
	s.strays = nil
	return nil
}

func (l State) named(name string) bool {
	return name == l.Name() || name == l.Tenant || name == l.Organisation
}

// served lists the lanes, for who named one that is not among them.
func (s *Survey) served() string {
	if len(s.Lanes) == 0 {
		return strings.ReplaceAll(noLanes, "\n", " ")
	}
	var names []string
	for _, l := range s.Lanes {
		names = append(names, l.Name())
	}
	slices.Sort(names)
	return "served are " + cli.Listed(names)
}

// lanesOf are the lanes that a hold of a place holds, and those of the place
// that it does not.
func (s *Survey) lanesOf(p hold.Scope) (held, not []string) {
	for _, l := range s.Lanes {
		switch {
		case slices.Contains(l.scopes(), p):
			held = append(held, l.Name())
		case p.Level == hold.Organisation && p.Name == l.Organisation:
			not = append(not, l.Name())
		}
	}
	slices.Sort(held)
	slices.Sort(not)
	return held, not
}

// Name is that of the lane, and of its queue that is not urgent.
func (l State) Name() string { return registry.Queue(l.Tenant, l.Kind, false) }

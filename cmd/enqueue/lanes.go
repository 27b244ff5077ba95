package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"rollcall/internal/hold"
	"rollcall/internal/redisdb"
	"rollcall/internal/registry"
)

const (
	// dialWithin bounds a try to connect, and answerWithin all that a command asks
	// of Redis: somebody is waiting.
	dialWithin   = 5 * time.Second
	answerWithin = 15 * time.Second
)

const lanesExits = `Exit codes:
  0   done
  4   Redis cannot be read
  64  bad usage, or a lane, tenant or organisation that no worker serves`

func (a *app) lanesCommand() *cobra.Command {
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
themselves or by tenant or organisation, tell also what their pace has learned.

` + lanesExits,
		Example: `  enqueue lanes
  enqueue lanes lakeside-dt
  enqueue lanes --json | jq 'select(.holds)'`,
		// Flags of the root that are about tasks stand here too, or they would be
		// taken and not heeded.
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			cmd.Flags().Visit(func(f *pflag.Flag) {
				if slices.Contains(aboutTasks(), f.Name) {
					err = badInput("--%s is about a task: %s takes no such flag", f.Name, cmd.CommandPath())
				}
			})
			return err
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.showLanes(cmd, args) },
	}
	for _, name := range aboutTasks() {
		if name == "dry-run" || name == "urgent" {
			cmd.PersistentFlags().Bool(name, false, "")
		} else {
			cmd.PersistentFlags().String(name, "", "")
		}
		_ = cmd.PersistentFlags().MarkHidden(name) // it is there
	}
	cmd.PersistentFlags().BoolVar(&a.json, "json", false, "print one JSON object a lane, hold or event")
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(a.holdCommand(), a.releaseCommand(), a.eventsCommand())
	return cmd
}

func aboutTasks() []string { return []string{"dry-run", "nickname-max", "urgent", "at"} }

// withRedis runs do with a client, for a command that somebody waits for.
func (a *app) withRedis(ctx context.Context, do func(context.Context, redis.UniversalClient) error) error {
	options, err := a.redisOptions()
	if err != nil {
		return err
	}
	if options.DialTimeout == 0 {
		options.DialTimeout = dialWithin
	}
	if options.MaxRetries == 0 {
		options.MaxRetries = 1
	}
	rdb := redisdb.New(options)
	defer func() { _ = rdb.Close() }()
	err = do(ctx, rdb)
	if _, coded := errors.AsType[*exitError](err); err != nil && !coded {
		if failed := a.stdout.Err(); failed != nil {
			return failed // no fault of Redis
		}
		return &exitError{exitNoRedis, ofRedis(err)}
	}
	return err
}

// ofRedis is an error for a person: what is wrong with Redis, if it passes.
func ofRedis(err error) error {
	if _, passing := redisdb.FaultOf(err); passing {
		return fmt.Errorf("%s; safe to retry", redisdb.Explain(err))
	}
	return err
}

func (a *app) showLanes(cmd *cobra.Command, names []string) error {
	return a.withRedis(cmd.Context(), func(ctx context.Context, rdb redis.UniversalClient) error {
		ctx, cancel := context.WithTimeout(ctx, answerWithin)
		defer cancel()
		s, err := readSurvey(ctx, rdb, a.now())
		if err != nil {
			return err
		}
		if len(names) > 0 {
			if err := s.keep(names, cmd.SuggestionsFor(names[0])); err != nil {
				return err
			}
		}
		switch {
		case len(s.lanes)+len(s.strays) == 0:
			// Not on the standard output, where --json promises objects.
			fmt.Fprintln(a.stderr, noLanes)
		case a.json:
			for _, h := range s.strays {
				fmt.Fprintf(a.stderr, "%s is on hold (%s), and no lane says that it is of it\n", plain(h.String()), h.Class)
			}
			return a.printJSON(s.records()...)
		default:
			a.newPrinter().survey(s, len(names) > 0)
		}
		return nil
	})
}

const noLanes = "there are no lanes: no worker has told in the last 7 days what it serves.\n" +
	"Start one (worker run --config FILE), or see whether --redis names the Redis\n" +
	"that the workers use."

// keep leaves the lanes that names name.
func (s *survey) keep(names, commands []string) error {
	for _, name := range names {
		if slices.ContainsFunc(s.lanes, func(l laneState) bool { return l.named(name) }) {
			continue
		}
		if len(commands) > 0 {
			return badInput("no worker serves a lane, tenant or organisation %q: is the command enqueue lanes %s meant?", name, commands[0])
		}
		return badInput("no worker serves a lane, tenant or organisation %q; %s", name, s.served())
	}
	s.lanes = slices.DeleteFunc(s.lanes, func(l laneState) bool { return !slices.ContainsFunc(names, l.named) })
	s.strays = nil
	return nil
}

func (l laneState) named(name string) bool {
	return name == l.name() || name == l.Tenant || name == l.Organisation
}

// mostNamed bounds how many names stand in a message.
const mostNamed = 12

// served lists the lanes, for who named one that is not among them.
func (s *survey) served() string {
	if len(s.lanes) == 0 {
		return strings.ReplaceAll(noLanes, "\n", " ")
	}
	var names []string
	for _, l := range s.lanes {
		names = append(names, l.name())
	}
	slices.Sort(names)
	return "served are " + listed(names)
}

func listed(names []string) string {
	if more := len(names) - mostNamed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:mostNamed], ", "), more)
	}
	return strings.Join(names, ", ")
}

// lanesOf are the lanes that a hold of a place holds, and those of the place
// that it does not.
func (s *survey) lanesOf(p hold.Place) (held, not []string) {
	for _, l := range s.lanes {
		switch {
		case slices.Contains(l.places(), p):
			held = append(held, l.name())
		case p.Level == hold.Organisation && p.Name == l.Organisation:
			not = append(not, l.name())
		}
	}
	slices.Sort(held)
	slices.Sort(not)
	return held, not
}

func (l laneState) name() string { return registry.Queue(l.Tenant, l.Kind, false) }

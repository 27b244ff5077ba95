// Package schedule is rollcall schedule: it shows the schedules that workers run, pauses
// and resumes them, runs one now, and shows what became of its ticks.
package schedule

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/exitcode"
	"rollcall/internal/night"
	sched "rollcall/internal/schedule"
)

// app is one call of the command.
type app struct{ *cli.App }

const exits = `Exit codes:
  0   done
  1   a key is damaged; the command names it
  4   cannot reach Redis; safe to retry
  64  wrong usage, or no schedule has the name: nothing was done`

// Command shows and steers schedules.
func Command(cliApp *cli.App) *cobra.Command {
	a := &app{cliApp}
	cmd := &cobra.Command{
		Use:   "schedule",
		Short: "Show, run, pause and resume the workers' schedules",
		Long: `Show, run, pause and resume the workers' schedules: rosters, courses and nights
that are carried out automatically. The configuration of the workers defines
them. A tick is one time of a schedule; it is carried out once, by one of the
workers.`,
		Example: `  rollcall schedule list
  rollcall schedule history nightly
  rollcall schedule report nightly
  rollcall schedule pause nightly --reason "the school moves"
  rollcall schedule resume nightly
  rollcall schedule run nightly`,
	}
	cli.HelpWhenBare(cmd)
	cmd.AddCommand(a.listCommand(), a.steerCommand(runs), a.steerCommand(pauses), a.steerCommand(resumes), a.historyCommand(), a.reportCommand())
	return cmd
}

// with calls do with the record of the schedules and of their nights. Errors of a name are
// of wrong usage.
func (a *app) with(ctx context.Context, do func(context.Context, *sched.Store, *night.Service) error) error {
	return a.WithRedisFor(ctx, cli.AnswerWithin, func(ctx context.Context, rdb redis.UniversalClient) error {
		err := do(ctx, sched.NewStore(rdb), night.New(night.Config{Redis: rdb}))
		if missing, ok := errors.AsType[*sched.NotFoundError](err); ok {
			if len(missing.Known) == 0 {
				return cli.BadInput("%w: no worker has published a schedule; add one to the configuration, and start or reload a worker", missing)
			}
			return cli.BadInput("%w; the schedules are %s", missing, cli.Listed(missing.Known))
		}
		if _, damaged := errors.AsType[*sched.DamagedError](err); damaged { // no fault of Redis
			return &exitcode.Error{Code: exitcode.Failed, Err: err}
		}
		return err
	})
}

func (a *app) listCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Show the schedules, with their next and last ticks",
		Long: `Show the schedules as the worker that leads runs them: what each does, its next
time, its last tick with the result, and who paused it and why. With --json,
print an object for each schedule.

` + exits,
		Example: `  rollcall schedule list
  rollcall schedule list --json | jq 'select(.paused)'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, store *sched.Store, _ *night.Service) error {
				survey, err := store.List(ctx)
				if err != nil {
					return err
				}
				return a.printSurvey(survey)
			})
		},
	}
}

func (a *app) historyCommand() *cobra.Command {
	n := 10
	cmd := &cobra.Command{
		Use:   "history NAME",
		Short: "Show the last ticks of a schedule, and what became of them",
		Long: `Show the last ticks of a schedule, the newest last: the scheduled time, the
state, the beginning, how long it took, the worker and the result. A night of a
nightly sync shows what became of it since: rollcall schedule report has more.
Redis keeps the last 100 of each schedule, for 90 days. With --json, print an
object for each tick.

  waiting   in its queue                 done      carried out
  running   a worker carries it out      failed    a dead letter in its queue
  retrying  an attempt failed            skipped   another tick had not ended,
  missed    no worker was there in time            or the schedule was paused
  deleted   from its queue               due       not yet in its queue

` + exits,
		Example: `  rollcall schedule history nightly
  rollcall schedule history nightly --json | jq 'select(.result)'`,
		Args: cli.Exactly("NAME of a schedule"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, store *sched.Store, nights *night.Service) error {
				ticks, err := store.History(ctx, args[0], n)
				if err != nil {
					return err
				}
				if len(ticks) == 0 {
					console.Fprintf(a.Stderr, "schedule %s had no tick yet\n", args[0])
					return nil
				}
				reports, err := nights.History(ctx, args[0])
				if err != nil {
					return err
				}
				return a.printTicks(ticks, reports)
			})
		},
	}
	cli.Limit(cmd, &n, 1, "number of ticks, `N`")
	return cmd
}

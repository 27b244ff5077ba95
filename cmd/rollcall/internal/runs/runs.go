// Package runs is rollcall run: it shows, steers and undoes runs, and writes their results.
package runs

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"rollcall/cmd/rollcall/internal/session"
	"rollcall/cmd/rollcall/internal/watch"
	"rollcall/internal/cli"
	"rollcall/internal/run"
)

const exits = `Exit codes:
  0   done, even if there are none
  4   cannot read Redis
  64  wrong usage, or no run has the name`

// app is one call of the command.
type app struct{ *cli.App }

// Command shows and steers runs.
func Command(cliApp *cli.App) *cobra.Command {
	a := &app{cliApp}
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Show, steer and undo runs, and write their results",
		Long: `Show, steer and undo runs. A run is a set of changes that came in together: the
rows of a file, or of one tick of a schedule. rollcall plan and rollcall apply
make runs. They are kept for 90 days, or as runs.keep of the workers says.

A run is named by its id, by the beginning of it (6 characters or more), or by
its name, of which the newest run counts.`,
		Example: `  rollcall run list
  rollcall run watch spring-term
  rollcall run results spring-term --failed -o failed.xlsx
  rollcall run undo spring-term`,
	}
	cli.HelpWhenBare(cmd)
	cmd.AddCommand(
		a.listCommand(), a.showCommand(), a.watchCommand(), a.resultsCommand(),
		a.steerCommand(pauses), a.steerCommand(resumes), a.steerCommand(cancels), a.steerCommand(approves), a.steerCommand(rejects),
		a.undoCommand(),
	)
	return cmd
}

// withRun calls do with the run that a word names.
func (a *app) withRun(ctx context.Context, word string, do func(context.Context, *session.Session, run.Run) error) error {
	return session.With(ctx, a.App, func(ctx context.Context, s *session.Session) error {
		r, err := s.Find(ctx, word)
		parts, err := direct(ctx, s, word, err)
		if err != nil {
			return err
		}
		if len(parts) > 0 {
			return cli.BadInput("the tasks of %s were enqueued directly: only rollcall run show knows them; rollcall dead list --run %s shows those that failed", word, word)
		}
		return do(ctx, s, r)
	})
}

// direct returns the tasks that were enqueued directly under a name, where err says that no
// run has it. If there are none, it returns err.
func direct(ctx context.Context, s *session.Session, word string, err error) ([]run.Direct, error) {
	if _, missing := errors.AsType[*run.NotFoundError](err); !missing {
		return nil, err
	}
	parts, readErr := s.Runs.DirectParts(ctx, word, "")
	if len(parts) > 0 || readErr != nil {
		return parts, readErr
	}
	return nil, err
}

func (a *app) watchCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "watch RUN",
		Short: "Follow a run until it ends",
		Long: `Follow a run until it ends: how many rows are done, at what rate, when it will
end, why rows failed, and what holds it back. An interrupt ends the command, not
the run. In a pipe it prints a line where something changes, and ends when the
run is paused. With --json, print the run as an object for each change.

Exit codes:
  0   the run is done, and no row failed
  3   some rows failed, or the run has not ended
  4   cannot read Redis
  64  wrong usage, or no run has the name`,
		Example: `  rollcall run watch spring-term`,
		Args:    cli.Exactly("RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withRun(cmd.Context(), args[0], func(ctx context.Context, s *session.Session, r run.Run) error {
				return watch.Run(ctx, s, r.ID)
			})
		},
	}
}

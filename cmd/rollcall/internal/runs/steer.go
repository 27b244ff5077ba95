package runs

import (
	"context"

	"github.com/spf13/cobra"

	"rollcall/cmd/rollcall/internal/session"
	"rollcall/cmd/rollcall/internal/watch"
	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/run"
)

// steering is a command that changes the state of a run.
type steering struct {
	name, short, long string
	example           string
	reason, digest    bool // flags
	do                func(s *session.Session, ctx context.Context, id string, f steerFlags) (run.Run, error)
}

type steerFlags struct{ by, reason, digest string }

var (
	pauses = steering{
		name: "pause", short: "Pause a run", reason: true,
		long:    "Pause a run: no call of it is sent later than one second after the command. Rows\nthat are in queues wait there.",
		example: `  rollcall run pause spring-term --reason "wrong list?"`,
		do: func(s *session.Session, ctx context.Context, id string, f steerFlags) (run.Run, error) {
			return s.Runs.Pause(ctx, id, f.by, f.reason)
		},
	}
	resumes = steering{
		name: "resume", short: "Continue a paused run", long: "Continue a paused run.",
		example: `  rollcall run resume spring-term`,
		do: func(s *session.Session, ctx context.Context, id string, f steerFlags) (run.Run, error) {
			return s.Runs.Resume(ctx, id, f.by)
		},
	}
	cancels = steering{
		name: "cancel", short: "End a run", reason: true,
		long: `End a run: no call of it is sent later than one second after the command. Rows
that were not sent end as cancelled. rollcall run undo takes back what was
applied.`,
		example: `  rollcall run cancel spring-term --reason "wrong list"`,
		do: func(s *session.Session, ctx context.Context, id string, f steerFlags) (run.Run, error) {
			return s.Runs.Cancel(ctx, id, f.by, f.reason)
		},
	}
	approves = steering{
		name: "approve", short: "Apply a run that a guard holds", digest: true,
		long: `Apply a run that a guard holds. --digest names the plan that you have seen, so
that no other is approved: rollcall run show prints it.`,
		example: `  rollcall run approve spring-term --digest 3f9a01b2`,
		do: func(s *session.Session, ctx context.Context, id string, f steerFlags) (run.Run, error) {
			return s.Runs.Approve(ctx, id, f.digest, f.by)
		},
	}
	rejects = steering{
		name: "reject", short: "End a run that was not applied", reason: true,
		long:    "End a run that is planned, or that a guard holds. Nothing of it is sent.",
		example: `  rollcall run reject spring-term --reason "old list"`,
		do: func(s *session.Session, ctx context.Context, id string, f steerFlags) (run.Run, error) {
			return s.Runs.Reject(ctx, id, f.by, f.reason)
		},
	}
)

func (a *app) steerCommand(t steering) *cobra.Command {
	var f steerFlags
	cmd := &cobra.Command{
		Use:   t.name + " RUN",
		Short: t.short,
		Long: t.long + `

Exit codes:
  0   done
  4   cannot reach Redis; safe to retry
  64  wrong usage, no run has the name, or its state does not allow it:
      nothing was done`,
		Example: t.example,
		Args:    cli.Exactly("RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if t.digest && f.digest == "" {
				return cli.BadInput("missing --digest: it names the plan that you have seen; rollcall run show %s prints it", args[0])
			}
			f.by = a.Person(f.by)
			return a.withRun(cmd.Context(), args[0], func(ctx context.Context, s *session.Session, r run.Run) error {
				changed, err := t.do(s, ctx, r.ID, f)
				if err != nil {
					return err
				}
				return steered(s, changed)
			})
		},
	}
	cmd.Flags().SortFlags = false
	if t.digest {
		cmd.Flags().StringVar(&f.digest, "digest", "", "`DIGEST` of the plan that was seen, 8 characters\nor more; required")
	}
	if t.reason {
		cmd.Flags().StringVar(&f.reason, "reason", "", "reason, a `TEXT` for others")
	}
	cli.By(cmd, &f.by)
	return cmd
}

// steered prints the state of a run after a change.
func steered(s *session.Session, r run.Run) error {
	if s.JSON {
		return s.PrintJSON(r)
	}
	console.Fprintf(s.Stdout, "run %s: %s\n", r.ID, r.State)
	if next := watch.Next(r); next != "" {
		console.Fprintf(s.Stdout, "next: %s\n", next)
	}
	return nil
}

package schedule

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/exitcode"
	"rollcall/internal/night"
	sched "rollcall/internal/schedule"
)

// exitBusy: another tick has not ended.
const exitBusy = 3

// steered is a schedule that was changed, as --json prints it. Its names are stable.
type steered struct {
	Schedule string `json:"schedule"`         // its name
	Outcome  string `json:"outcome"`          // paused, changed (another reason), resumed, same (it was not paused) or started
	Tick     string `json:"tick,omitzero"`    // id of the tick that was started
	By       string `json:"by"`               // as the event in the audit log
	Reason   string `json:"reason,omitempty"` // as the event in the audit log
}

// steering is a command that changes a schedule.
type steering struct {
	use, short, long, example string
	reason                    string // usage of --reason
	required                  bool   // the reason
	// do returns what became of the schedule that done names, and the same as text.
	do func(ctx context.Context, store *sched.Store, done steered) (steered, string, error)
}

var (
	runs = steering{
		use: "run NAME", short: "Run a schedule now",
		long: `Run a schedule now: start one tick in addition to those of its times, also while
the schedule is paused. A worker carries it out within seconds. While another
tick of the schedule runs, it waits for its end; a schedule with overlap: skip
starts nothing then.

Exit codes:
  0   the tick is in the queue of the workers
  3   another tick has not ended, and the schedule has overlap: skip
  4   cannot reach Redis; safe to retry
  64  wrong usage, or no schedule has the name: nothing was done`,
		example: `  rollcall schedule run nightly
  rollcall schedule run nightly --reason "the roster was corrected"`,
		reason: "reason, a `TEXT` for the audit log",
		do: func(ctx context.Context, store *sched.Store, done steered) (steered, string, error) {
			t, err := store.RunNow(ctx, done.Schedule, done.By, done.Reason)
			history := "rollcall schedule history " + done.Schedule
			if busy, ok := errors.AsType[*sched.BusyError](err); ok {
				return done, "", &exitcode.Error{Code: exitBusy, Err: errors.New(busy.Error() + "; wait for its end: " + history)}
			}
			if err != nil {
				return done, "", err
			}
			done.Outcome, done.Tick = "started", t.ID()
			return done, "tick " + t.ID() + " is in the queue; to see its result: " + console.Glued(history), nil
		},
	}
	pauses = steering{
		use: "pause NAME --reason TEXT", short: "Pause a schedule",
		long: `Pause a schedule: none of its ticks begins until it is resumed, also after a
restart of the workers. A tick that has begun ends. The same command again
replaces the reason.

` + exits,
		example: `  rollcall schedule pause nightly --reason "the school moves to another app"`,
		reason:  "reason for the pause, a `TEXT` for other operators;\nrequired", required: true,
		do: func(ctx context.Context, store *sched.Store, done steered) (steered, string, error) {
			before, err := store.Pause(ctx, done.Schedule, done.By, done.Reason)
			text := "schedule " + done.Schedule + " is paused"
			if done.Outcome = "paused"; before {
				done.Outcome, text = "changed", text+" (it was before; reason replaced)"
			}
			return done, text + "; to end the pause: " + console.Glued("rollcall schedule resume "+done.Schedule), err
		},
	}
	resumes = steering{
		use: "resume NAME", short: "End the pause of a schedule",
		long: `End the pause of a schedule. The times of the pause are not carried out: the
first tick is that of the next time. To carry one out now, use rollcall schedule
run.

` + exits,
		example: `  rollcall schedule resume nightly`,
		reason:  "reason, a `TEXT` for the audit log",
		do: func(ctx context.Context, store *sched.Store, done steered) (steered, string, error) {
			before, err := store.Resume(ctx, done.Schedule, done.By, done.Reason)
			text := "schedule " + done.Schedule + " is no longer paused"
			if done.Outcome = "resumed"; !before {
				done.Outcome, text = "same", "schedule "+done.Schedule+" was not paused"
			}
			return done, text, err
		},
	}
)

func (a *app) steerCommand(t steering) *cobra.Command {
	var by, reason string
	cmd := &cobra.Command{
		Use: t.use, Short: t.short, Long: t.long, Example: t.example,
		Args: cli.Exactly("NAME of a schedule"),
		RunE: func(cmd *cobra.Command, args []string) error {
			done := steered{Schedule: args[0], By: a.Person(by), Reason: strings.TrimSpace(reason)}
			if t.required && done.Reason == "" {
				return cli.BadInput("missing --reason: other operators need the reason for the pause of %s", args[0])
			}
			return a.with(cmd.Context(), func(ctx context.Context, store *sched.Store, _ *night.Service) error {
				done, text, err := t.do(ctx, store, done)
				switch {
				case err != nil:
					return err
				case a.JSON:
					return a.PrintJSON(done)
				}
				a.NewPrinter().Text(console.Plain, 0, text)
				return nil
			})
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&reason, "reason", "", t.reason)
	cli.By(cmd, &by)
	return cmd
}

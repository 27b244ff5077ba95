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

// why is who runs a command, and why.
type why struct{ by, reason string }

func (w *why) flags(cmd *cobra.Command, usage string) {
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&w.reason, "reason", "", usage)
	cli.By(cmd, &w.by)
}

// steered is a schedule that was changed, as --json prints it. Its names are stable.
type steered struct {
	Schedule string `json:"schedule"`         // its name
	Outcome  string `json:"outcome"`          // paused, changed (another reason), resumed, same (it was not paused) or started
	Tick     string `json:"tick,omitzero"`    // id of the tick that was started
	By       string `json:"by"`               // as the event in the audit log
	Reason   string `json:"reason,omitempty"` // as the event in the audit log
}

func (a *app) print(s steered, text string) error {
	if a.JSON {
		return a.PrintJSON(s)
	}
	a.NewPrinter().Text(console.Plain, 0, text)
	return nil
}

func (a *app) runCommand() *cobra.Command {
	var w why
	cmd := &cobra.Command{
		Use:   "run NAME",
		Short: "Run a schedule now",
		Long: `Run a schedule now: start one tick in addition to those of its times, also while
the schedule is paused. A worker carries it out within seconds. While another
tick of the schedule runs, it waits for its end; a schedule with overlap: skip
starts nothing then.

Exit codes:
  0   the tick is in the queue of the workers
  3   another tick has not ended, and the schedule has overlap: skip
  4   cannot reach Redis; safe to retry
  64  wrong usage, or no schedule has the name: nothing was done`,
		Example: `  rollcall schedule run nightly
  rollcall schedule run nightly --reason "the roster was corrected"`,
		Args: cli.Exactly("NAME of a schedule"),
		RunE: func(cmd *cobra.Command, args []string) error {
			by, reason := a.Person(w.by), strings.TrimSpace(w.reason)
			return a.with(cmd.Context(), func(ctx context.Context, store *sched.Store, _ *night.Service) error {
				t, err := store.RunNow(ctx, args[0], by, reason)
				if busy, ok := errors.AsType[*sched.BusyError](err); ok {
					return &exitcode.Error{Code: exitBusy, Err: errors.New(busy.Error() + "; wait for its end: rollcall schedule history " + args[0])}
				}
				if err != nil {
					return err
				}
				return a.print(steered{Schedule: args[0], Outcome: "started", Tick: t.ID(), By: by, Reason: reason},
					"tick "+t.ID()+" is in the queue; to see its result: "+console.Glued("rollcall schedule history "+args[0]))
			})
		},
	}
	w.flags(cmd, "reason, a `TEXT` for the audit log")
	return cmd
}

func (a *app) pauseCommand() *cobra.Command {
	var w why
	cmd := &cobra.Command{
		Use:   "pause NAME --reason TEXT",
		Short: "Pause a schedule",
		Long: `Pause a schedule: none of its ticks begins until it is resumed, also after a
restart of the workers. A tick that has begun ends. The same command again
replaces the reason.

` + exits,
		Example: `  rollcall schedule pause nightly --reason "the school moves to another app"`,
		Args:    cli.Exactly("NAME of a schedule"),
		RunE: func(cmd *cobra.Command, args []string) error {
			by, reason := a.Person(w.by), strings.TrimSpace(w.reason)
			if reason == "" {
				return cli.BadInput("missing --reason: other operators need the reason for the pause of %s", args[0])
			}
			return a.with(cmd.Context(), func(ctx context.Context, store *sched.Store, _ *night.Service) error {
				before, err := store.Pause(ctx, args[0], by, reason)
				if err != nil {
					return err
				}
				outcome, text := "paused", "schedule "+args[0]+" is paused"
				if before {
					outcome, text = "changed", text+" (it was before; reason replaced)"
				}
				return a.print(steered{Schedule: args[0], Outcome: outcome, By: by, Reason: reason},
					text+"; to end the pause: "+console.Glued("rollcall schedule resume "+args[0]))
			})
		},
	}
	w.flags(cmd, "reason for the pause, a `TEXT` for other operators;\nrequired")
	return cmd
}

func (a *app) resumeCommand() *cobra.Command {
	var w why
	cmd := &cobra.Command{
		Use:   "resume NAME",
		Short: "End the pause of a schedule",
		Long: `End the pause of a schedule. The times of the pause are not carried out: the
first tick is that of the next time. To carry one out now, use rollcall schedule
run.

` + exits,
		Example: `  rollcall schedule resume nightly`,
		Args:    cli.Exactly("NAME of a schedule"),
		RunE: func(cmd *cobra.Command, args []string) error {
			by, reason := a.Person(w.by), strings.TrimSpace(w.reason)
			return a.with(cmd.Context(), func(ctx context.Context, store *sched.Store, _ *night.Service) error {
				before, err := store.Resume(ctx, args[0], by, reason)
				if err != nil {
					return err
				}
				outcome, text := "resumed", "schedule "+args[0]+" is no longer paused"
				if !before {
					outcome, text = "same", "schedule "+args[0]+" was not paused"
				}
				return a.print(steered{Schedule: args[0], Outcome: outcome, By: by, Reason: reason}, text)
			})
		},
	}
	w.flags(cmd, "reason, a `TEXT` for the audit log")
	return cmd
}

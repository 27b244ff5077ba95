package runs

import (
	"context"

	"github.com/spf13/cobra"

	"rollcall/cmd/rollcall/internal/plan"
	"rollcall/cmd/rollcall/internal/session"
	"rollcall/cmd/rollcall/internal/watch"
	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/run"
)

func (a *app) showCommand() *cobra.Command {
	var tenant string
	var rows bool
	cmd := &cobra.Command{
		Use:   "show RUN",
		Short: "Show one run: its plan, state and rows by outcome",
		Long: `Show one run: its plan until it is applied, then its state and its rows by
outcome. An undo is compared with the run that it takes back.

Of tasks that were enqueued directly, show the results by lane: open (waiting or
running), dead (has or had a dead letter), applied, unchanged (the target had
the value), superseded (the target has a newer change), settled (applied before,
and delivered again). --rows shows the numbers of open and dead rows; a row of a
file has the number of its line. With --json, print an object for each lane.

` + exits,
		Example: `  rollcall run show spring-term
  rollcall run show --rows 20260301-191532-3f9a01`,
		Args: cli.Exactly("RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return session.With(cmd.Context(), a.App, func(ctx context.Context, s *session.Session) error {
				return show(ctx, s, args[0], tenant, rows)
			})
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&tenant, "tenant", "", "of tasks that were enqueued directly: only this\ntenant, by `NAME`")
	cmd.Flags().BoolVar(&rows, "rows", false, "of tasks that were enqueued directly: also the\nnumbers of open and dead rows")
	return cmd
}

func show(ctx context.Context, s *session.Session, word, tenant string, rows bool) error {
	r, err := s.Find(ctx, word)
	parts, err := direct(ctx, s, word, err)
	switch {
	case err != nil:
		return err
	case len(parts) > 0:
		if tenant != "" {
			if parts, err = s.Runs.DirectParts(ctx, word, tenant); err != nil {
				return err
			}
		}
		return showDirect(s, word, tenant, parts, rows)
	}
	if s.JSON {
		return s.PrintJSON(r)
	}
	p := s.NewPrinter()
	if r.Plan != nil && (r.State == run.StatePlanned || r.State == run.StateHeld) {
		if err := plan.Print(ctx, s, r); err != nil {
			return err
		}
		console.Fprintln(p.Out)
	}
	facts(p, r)
	watch.Outcomes(p, r)
	if r.UndoOf != "" && !r.Applied.IsZero() {
		if err := verify(ctx, s, r); err != nil {
			return err
		}
	}
	if next := watch.Next(r); next != "" {
		console.Fprintln(p.Out, "next: "+next)
	}
	return nil
}

// facts prints where a run comes from.
func facts(p *cli.Printer, r run.Run) {
	text := "created " + p.Zoned(r.Created)
	if r.Author != "" {
		text += " by " + r.Author
	}
	if r.Name != "" {
		text = r.Name + ": " + text
	}
	if !r.Applied.IsZero() {
		text += ", applied " + p.Zoned(r.Applied)
	}
	if !r.Ended.IsZero() {
		text += ", ended " + p.Zoned(r.Ended)
	}
	if r.UndoOf != "" {
		text += ", undo of " + r.UndoOf
	}
	p.Text(console.Plain, 0, text)
	if r.Progress != "" && r.State.Applied() {
		p.Text(console.Plain, 0, r.Progress)
	}
}

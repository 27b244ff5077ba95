package runs

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"rollcall/cmd/rollcall/internal/apply"
	"rollcall/cmd/rollcall/internal/plan"
	"rollcall/cmd/rollcall/internal/session"
	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/exitcode"
	"rollcall/internal/run"
	"rollcall/internal/upload"
)

func (a *app) undoCommand() *cobra.Command {
	var yes, preview bool
	var by, name string
	cmd := &cobra.Command{
		Use:   "undo RUN",
		Short: "Take back what a run applied",
		Long: `Take back what a run applied: make a run that sets the old values again, of the
rows whose last call and current value are this run's and whose old value is
known. Edits of members, courses and IDs cannot be undone. The command shows the
plan of the undo and the rows that it cannot take back, asks, applies it,
watches it, and compares the result row by row. An undo can be undone too.

` + apply.Exits,
		Example: `  rollcall run undo spring-term --dry-run
  rollcall run undo spring-term`,
		Args: cli.Exactly("RUN"),
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cli.DryRun(cmd, &preview)
	cmd.Flags().StringVar(&name, "name", "", "`NAME` of the undo, a label for lists")
	guards := upload.NewGuards(cmd)
	cli.By(cmd, &by)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.withRun(cmd.Context(), args[0], func(ctx context.Context, s *session.Session, r run.Run) error {
			u := undo{Session: s, of: r, yes: yes, preview: preview}
			u.draft = run.Draft{Name: name, Author: a.Person(by), Settings: run.Settings{Allowed: guards.Names()}}
			return u.run(ctx)
		})
	}
	return cmd
}

// undo takes back a run.
type undo struct {
	*session.Session

	of           run.Run
	draft        run.Draft
	yes, preview bool
}

func (u *undo) run(ctx context.Context) error {
	if !u.yes && !u.preview && !u.Asks() {
		return cli.BadInput("no terminal to ask on: use --dry-run to see what an undo of run %s would do, and --yes to apply it; nothing was done", u.of.ID)
	}
	would, err := u.Runs.Undoing(ctx, u.of.ID)
	if err != nil {
		return err
	}
	if would.Can == 0 {
		return u.nothing(would.Left)
	}
	made, err := u.Runs.Undo(ctx, u.of.ID, u.draft)
	if err != nil {
		return err
	}
	if made, err = u.Runs.Plan(ctx, made.ID, nil); err != nil {
		return err
	}
	if !u.JSON {
		u.printLeft(would.Left)
	}
	if u.preview {
		if err := plan.Print(ctx, u.Session, made); err != nil || u.JSON {
			return err
		}
		console.Fprintf(u.Stdout, "\nnext: rollcall apply %s --digest %s --wait\n", made.ID, plan.Short(made.Plan.Digest))
		return nil
	}
	applied := apply.Confirmed(ctx, u.Session, made, apply.Options{Yes: u.yes, By: u.draft.Author, Watch: true})
	code := exitcode.Of(applied)
	if u.JSON || code != exitcode.OK && code != session.Unfinished {
		return applied
	}
	now, err := u.Runs.Get(ctx, made.ID)
	if err != nil || now.Applied.IsZero() {
		return applied
	}
	return cmp.Or(verify(ctx, u.Session, now), applied)
}

func (u *undo) nothing(left map[string]int) error {
	if u.JSON {
		return nil
	}
	console.Fprintf(u.Stdout, "nothing to undo in run %s\n", u.of.ID)
	u.printLeft(left)
	return nil
}

func (u *undo) printLeft(left map[string]int) {
	p := u.NewPrinter()
	for _, why := range byCount(left) {
		p.Text(console.Yellow, 0, fmt.Sprintf("cannot take back %s: %s", console.Count(left[why], "row"), why))
	}
}

// byCount sorts reasons, the most frequent first.
func byCount(of map[string]int) []string {
	all := make([]string, 0, len(of))
	for why := range of {
		all = append(all, why)
	}
	slices.SortFunc(all, func(x, y string) int { return cmp.Or(cmp.Compare(of[y], of[x]), cmp.Compare(x, y)) })
	return all
}

// verify compares an undo with the run that it takes back, row by row.
func verify(ctx context.Context, s *session.Session, of run.Run) error {
	done, err := s.Runs.Restored(ctx, of.ID)
	if err != nil {
		return err
	}
	p := s.NewPrinter()
	p.Text(console.Bold, 0, "compared with run "+of.UndoOf+":")
	for _, v := range []struct {
		verdict run.Verdict
		text    string
	}{
		{run.VerdictRestored, "the old value is back"},
		{run.VerdictSkipped, "changed since, and left alone"},
		{run.VerdictImpossible, "cannot be taken back"},
		{run.VerdictOpen, "not ended yet"},
		{run.VerdictNothing, "the run had not changed it"},
	} {
		if n := done.Counts[v.verdict]; n > 0 {
			console.Fprintf(p.Out, "  %-10s %7d  %s\n", v.verdict, n, v.text)
		}
	}
	for _, row := range done.Others {
		p.Text(console.Yellow, 2, fmt.Sprintf("%s: %s: %s", place(row.Number, row.Line), row.Verdict, row.Why))
	}
	return nil
}

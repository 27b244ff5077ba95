// Package apply is rollcall apply: it applies a plan that was seen, or plans a file, asks,
// applies it and watches it.
package apply

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"rollcall/cmd/rollcall/internal/plan"
	"rollcall/cmd/rollcall/internal/session"
	"rollcall/cmd/rollcall/internal/watch"
	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/exitcode"
	"rollcall/internal/run"
	"rollcall/internal/upload"
)

// Exits is the part of a help text about the exit codes of commands that apply a run.
const Exits = `Exit codes:
  0   applied; if it was watched: done, and no row failed
  1   the answer was no, or a failure while running
  3   a guard holds the run, some rows failed, or the run has not ended
  4   cannot reach Redis; safe to retry
  64  wrong usage, a file that is refused, or another plan than the one that
      was seen: nothing was applied`

// flags are those of one call.
type flags struct {
	file   *plan.Flags
	from   string
	digest string
	yes    bool
	wait   bool
}

// Command applies a plan.
func Command(cliApp *cli.App) *cobra.Command {
	f := &flags{}
	cmd := &cobra.Command{
		Use:   "apply RUN|FILE",
		Short: "Apply a plan, or plan a file and apply it",
		Long: `Apply exactly the plan of a run: a row whose target was changed since becomes a
conflict. A run is named by its id, the beginning of it, or its name. --digest
names the plan that was seen; without it the plan is shown, and you are asked.

--from reads a file of rollcall plan -o, and leaves out the rows that are marked
in its column "leave out". Nothing else of the file is used.

With a FILE the command plans it, shows the plan, asks, applies it and watches
it. The flags about a file are those of rollcall plan.

If a guard objects, the run is held: rollcall run approve applies it then. The
flag of the guard accepts what it found.

` + Exits,
		Example: `  rollcall apply rsdf3k2m7q4wxyzab --digest 3f9a01b2
  rollcall apply --from plan.xlsx --wait
  rollcall apply --tenant lakeside-dt --chat chat1 names.csv`,
		ValidArgsFunction: upload.Files,
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&f.from, "from", "", "apply the plan in `FILE`, but for the rows marked\nthere")
	cmd.Flags().StringVar(&f.digest, "digest", "", "`DIGEST` of the plan that was seen, 8 characters\nor more")
	cmd.Flags().BoolVar(&f.yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&f.wait, "wait", false, "watch the run until it ends; always with a FILE")
	f.file = plan.NewFlags(cmd)
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if f.from != "" {
			return cobra.NoArgs(cmd, args)
		}
		return cli.Exactly("RUN or FILE")(cmd, args)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return session.With(cmd.Context(), cliApp, func(ctx context.Context, s *session.Session) error {
			if f.from != "" {
				return f.review(ctx, s, cmd)
			}
			isFile, err := s.IsFile(ctx, args[0])
			if err != nil {
				return err
			}
			if isFile {
				return f.applyFile(ctx, s, args[0])
			}
			return f.applyRun(ctx, s, cmd, args[0])
		})
	}
	return cmd
}

// ofRun are the flags that apply to a run that exists.
var ofRun = []string{"from", "digest", "yes", "wait", "by", "redis", "api", "token-file", "json", "help"}

// onlyRun refuses flags about a file.
func (f *flags) onlyRun(cmd *cobra.Command) error {
	var other []string
	allowed := append(f.file.Guards.Names(), ofRun...)
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if !slices.Contains(allowed, flag.Name) {
			other = append(other, "--"+flag.Name)
		}
	})
	if len(other) > 0 {
		return cli.BadInput("%s: only for a file; this run has its rows already", strings.Join(other, ", "))
	}
	return nil
}

// applyFile plans a file, asks, applies and watches.
func (f *flags) applyFile(ctx context.Context, s *session.Session, path string) error {
	if f.digest != "" {
		return cli.BadInput("--digest: only for a run; the plan of a file is made now")
	}
	if !f.yes && !s.Asks() {
		return cli.BadInput("no terminal to ask on: add --yes, or use rollcall plan first; nothing was uploaded")
	}
	r, err := plan.File(ctx, s, f.file, path)
	if err != nil {
		return err
	}
	return Confirmed(ctx, s, r, Options{Yes: f.yes, By: f.file.Person(s.App), Watch: true})
}

// applyRun applies the plan of a run.
func (f *flags) applyRun(ctx context.Context, s *session.Session, cmd *cobra.Command, word string) error {
	if err := f.onlyRun(cmd); err != nil {
		return err
	}
	r, err := s.Find(ctx, word)
	if err != nil {
		return err
	}
	if r.Plan == nil {
		return &run.StateError{ID: r.ID, State: r.State, Reason: "it has no plan", Event: "apply"}
	}
	if f.digest != "" && len(f.digest) < shortest {
		return cli.BadInput("--digest %s: give %d characters or more", f.digest, shortest)
	}
	if f.digest == "" && !f.yes && !s.Asks() {
		return cli.BadInput("no terminal to ask on: add --digest %s if you have seen this plan, or --yes; nothing was applied", plan.Short(r.Plan.Digest))
	}
	if r, err = f.file.Allow(ctx, s, r); err != nil {
		return err
	}
	o := Options{Yes: f.yes, Digest: f.digest, By: f.file.Person(s.App), Watch: f.wait}
	return Confirmed(ctx, s, r, o)
}

// shortest is how many characters of a digest are enough.
const shortest = 8

// review applies the plan in a file, without the rows that are marked there.
func (f *flags) review(ctx context.Context, s *session.Session, cmd *cobra.Command) error {
	if err := f.onlyRun(cmd); err != nil {
		return err
	}
	review, err := plan.Read(ctx, f.from)
	if err != nil {
		return err
	}
	r, err := s.Runs.Get(ctx, review.Run)
	if err != nil {
		return err
	}
	if err := review.Complete(r); err != nil {
		return err
	}
	if r, err = f.file.Allow(ctx, s, r); err != nil {
		return err
	}
	digest := review.Digest
	if len(review.Out) > 0 {
		if r, err = s.Runs.Exclude(ctx, r.ID, digest, review.Out); err != nil {
			return err
		}
		digest = r.Plan.Digest
		if !s.JSON {
			console.Fprintf(s.Stdout, "left out: %s\n", console.Count(len(review.Out), "row"))
		}
	}
	return Confirmed(ctx, s, r, Options{Digest: digest, By: f.file.Person(s.App), Watch: f.wait})
}

// Options say how a run is applied.
type Options struct {
	// Digest is that of the plan that was seen. Empty: the plan is shown first.
	Digest string
	Yes    bool // do not ask
	By     string
	Watch  bool // until the run ends
}

// Confirmed applies the plan of a run. It shows the plan and asks, unless o names a plan
// that was seen or says yes.
func Confirmed(ctx context.Context, s *session.Session, r run.Run, o Options) error {
	if o.Digest == "" {
		if err := plan.Print(ctx, s, r); err != nil {
			return err
		}
		o.Digest = r.Plan.Digest
		if r.Plan.Calls() == 0 && r.Plan.Counts[run.RowUnchanged] > 0 && !s.JSON {
			console.Fprintf(s.Stdout, "\nno call is needed; the unchanged rows are confirmed when the run is applied\n")
		}
		if !o.Yes {
			if err := ask(ctx, s, r); err != nil {
				return err
			}
		}
	}
	r, err := s.Runs.Apply(ctx, r.ID, o.Digest, o.By)
	if err != nil {
		return err
	}
	if r.State == run.StateHeld {
		return held(s, r)
	}
	if o.Watch {
		return watch.Run(ctx, s, r.ID)
	}
	if s.JSON {
		return s.PrintJSON(r)
	}
	console.Fprintf(s.Stdout, "applied: run %s\nnext: rollcall run watch %s\n", r.ID, r.ID)
	return nil
}

// ask asks whether a plan is to be applied. A no is an error.
func ask(ctx context.Context, s *session.Session, r run.Run) error {
	question := fmt.Sprintf("Apply this plan, with %s?", console.Count(r.Plan.Calls(), "call"))
	if len(r.Plan.Objections()) > 0 {
		question += " A guard holds it for an approval."
	}
	console.Fprintln(s.Stderr)
	yes, err := s.Ask(ctx, question)
	if err != nil || !yes {
		return &exitcode.Error{Code: exitcode.Failed, Err: fmt.Errorf(
			"not applied; to apply it later: rollcall apply %s --digest %s", r.ID, plan.Short(r.Plan.Digest))}
	}
	return nil
}

// held reports that guards hold a run.
func held(s *session.Session, r run.Run) error {
	if s.JSON {
		if err := s.PrintJSON(r); err != nil {
			return err
		}
		return &exitcode.Error{Code: session.Unfinished}
	}
	p := s.NewPrinter()
	p.Text(console.Red, 0, "held, nothing was sent: run "+r.ID)
	for _, g := range r.Plan.Objections() {
		p.Text(console.Plain, 2, g.What+"; to accept it: "+console.Glued(g.Accept()))
	}
	console.Fprintf(s.Stdout, "next: rollcall run approve %s --digest %s\n", r.ID, plan.Short(r.Plan.Digest))
	return &exitcode.Error{Code: session.Unfinished}
}

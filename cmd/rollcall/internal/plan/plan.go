// Package plan is rollcall plan: it uploads a file as a run, and shows what the run would
// do before anything is sent.
package plan

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"rollcall/cmd/rollcall/internal/session"
	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/exitcode"
	"rollcall/internal/intake"
	"rollcall/internal/run"
	"rollcall/internal/upload"
	"rollcall/tasks"
)

// exitChanges is the exit code of a plan that has changes.
const exitChanges = 2

// Command uploads and plans a file.
func Command(a *cli.App) *cobra.Command {
	var out, lang string
	var example bool
	cmd := &cobra.Command{
		Use:   "plan FILE|RUN",
		Short: "Show what a file would change, before anything is sent",
		Long: `Upload the rows of a file as a run, compare each with what is known about its
target, and show what applying the run would do. Nothing is sent. - is standard
input.

  change      the target has another value, or the row has no value
  unchanged   the target has the value: no call is made
  new         the value of the target is not known
  conflict    another row, or another change, wants something else
  impossible  the row is wrong, or cannot be carried out now
  excluded    a person left the row out

With a RUN that was not applied yet, its rows are compared again, also after
three days have nearly passed or targets have changed: the plan gets a new
digest, and a new end.

A guard that objects holds the run when it is applied. Each guard names the flag
that accepts what it found.

-o writes all rows to a file, for review: leave a row out by any mark in its
column "leave out", then give the file to rollcall apply --from. Names and ids
of people are shown, because the plan is there to be checked.

` + upload.Columns() + `
The column previous has the value that a target has now, where rollcall does not
know it: it is shown, and used to undo.

` + planExits,
		Example: `  rollcall plan --example --lang zh
  rollcall plan --tenant lakeside-dt --chat chat1 names.csv
  rollcall plan --name spring-term -o plan.xlsx names.xlsx
  rollcall plan spring-term`,
		ValidArgsFunction: upload.Files,
	}
	cmd.Flags().SortFlags = false
	f := NewFlags(cmd)
	cmd.Flags().StringVarP(&out, "output", "o", "", "also write all rows to `FILE`: .xlsx, .csv or .ndjson")
	cmd.Flags().BoolVar(&example, "example", false, "print a file with the columns of --kind, and end")
	cli.Language(cmd, &lang, "a file")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if example {
			return cobra.NoArgs(cmd, args)
		}
		return cli.Exactly("FILE or RUN")(cmd, args)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if example {
			return printExample(a, f, lang == chinese)
		}
		if out != "" {
			if _, err := Format(out); err != nil {
				return err
			}
		}
		return session.With(cmd.Context(), a, func(ctx context.Context, s *session.Session) error {
			return show(ctx, s, f, args[0], out, language(lang))
		})
	}
	return cmd
}

const planExits = `Exit codes:
  0   nothing to do
  1   a failure while running, such as an output error
  2   the plan has changes
  4   cannot reach Redis; safe to retry
  64  wrong usage, or a file that is refused: nothing was uploaded
  78  ROLLCALL_REDIS_URL or ROLLCALL_REDIS_URL_FILE names no usable Redis`

// show plans a file, or a run once more, and prints the plan.
func show(ctx context.Context, s *session.Session, f *Flags, arg, out string, lang language) error {
	isFile, err := s.IsFile(ctx, arg)
	if _, neither := errors.AsType[*run.NotFoundError](err); neither && strings.Contains(arg, ".") {
		isFile, err = true, nil // the name of a file that there is not
	}
	if err != nil {
		return err
	}
	var r run.Run
	if isFile {
		r, err = File(ctx, s, f, arg)
	} else {
		r, err = again(ctx, s, f, arg)
	}
	if err != nil {
		return err
	}
	if err := Print(ctx, s, r); err != nil {
		return err
	}
	if out != "" {
		if err := write(ctx, s, r, out, lang); err != nil {
			return err
		}
	}
	if !s.JSON {
		next(s, r, out)
	}
	if r.Plan.Calls() > 0 {
		return &exitcode.Error{Code: exitChanges}
	}
	return nil
}

// again plans the rows of a run once more.
func again(ctx context.Context, s *session.Session, f *Flags, word string) (run.Run, error) {
	r, err := s.Find(ctx, word)
	if err != nil {
		return r, err
	}
	if r, err = f.Allow(ctx, s, r); err != nil {
		return r, err
	}
	p := newProgress(s, r.Rows)
	defer p.end()
	return s.Runs.Plan(ctx, r.ID, func(done, _ int) { p.at("planning", done) })
}

// next prints the command that applies a plan.
func next(s *session.Session, r run.Run, out string) {
	switch {
	case r.Plan.Calls() == 0:
		console.Fprintf(s.Stdout, "\nnothing to do\n")
	case out != "":
		console.Fprintf(s.Stdout, "\nwritten: %s\nnext: rollcall apply --from %s\n", out, out)
	default:
		console.Fprintf(s.Stdout, "\nnext: rollcall apply %s --digest %s\n", r.ID, Short(r.Plan.Digest))
	}
}

// Short is the part of a digest that people type.
func Short(digest string) string { return digest[:min(len(digest), 8)] }

// Flags say how a file is read and what run is made of it.
type Flags struct {
	*upload.RunFlags

	read upload.Flags
	when upload.When
}

// NewFlags adds the flags to a command.
func NewFlags(cmd *cobra.Command) *Flags {
	f := &Flags{read: upload.Flags{Nothing: "nothing was uploaded"}}
	f.read.Add(cmd, "plan a file with invalid rows; they are impossible")
	cmd.Flags().BoolVar(&f.when.Urgent, "urgent", false, "run before all tasks that are not urgent")
	cmd.Flags().StringVar(&f.when.At, "at", "", "run at `TIME` or later: RFC 3339, or +10m from now")
	f.RunFlags = upload.NewRunFlags(cmd)
	return f
}

// Allow accepts at a run what the guards find whose flags are set.
func (f *Flags) Allow(ctx context.Context, s *session.Session, r run.Run) (run.Run, error) {
	flags := f.Guards.Names()
	if len(flags) == 0 {
		return r, nil
	}
	return s.Runs.Allow(ctx, r.ID, flags...)
}

// File checks a file, uploads it as a run and plans the run.
func File(ctx context.Context, s *session.Session, f *Flags, path string) (r run.Run, err error) {
	draft, err := f.Draft(s.App)
	if err != nil {
		return r, err
	}
	defaults, err := f.when.Options(s.Now())
	if err != nil {
		return r, err
	}
	file, err := f.read.Open(s.App, path, defaults)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	checker, end, err := s.Checker(ctx)
	if err != nil {
		return r, err
	}
	defer end()
	judge := intake.NewJudge(checker, tasks.Limits{})
	checked, err := file.Check(ctx, judge, nil)
	if err != nil {
		return r, err
	}
	p := newProgress(s, checked.Rows)
	defer p.end()
	r, err = file.Upload(ctx, s.Runs, draft, judge, func(in int) { p.at("uploading", in) })
	if err != nil {
		return r, err
	}
	return s.Runs.Plan(ctx, r.ID, func(done, _ int) { p.at("planning", done) })
}

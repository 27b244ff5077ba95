package main

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/exitcode"
	"rollcall/internal/intake"
	"rollcall/internal/ledger"
	"rollcall/internal/remote"
	"rollcall/internal/run"
	"rollcall/internal/upload"
	"rollcall/tasks"
)

// bulkFlags are the flags of one file.
type bulkFlags struct {
	read upload.Flags
	run  *upload.RunFlags
	wait bool
}

func (a *app) bulkCommand() *cobra.Command {
	f := bulkFlags{read: upload.Flags{Nothing: "nothing was enqueued"}}
	cmd := &cobra.Command{
		Use:   "bulk [--name NAME] FILE",
		Short: "Apply the rows of a CSV, XLSX or NDJSON file",
		Long: `Apply the rows of a file as a run, without a question; - is standard input. The
file is CSV as written by Excel and WPS (commas, semicolons or tabs; UTF-8,
UTF-16 or GB18030), an XLSX workbook, or NDJSON. The format is detected from the
content. rollcall plan shows what a file would do, and rollcall apply asks.

` + upload.Columns() + `

The whole file is checked before the first row is sent. If a row is invalid, the
file is refused, unless --skip-invalid is given. All problems are reported with
line, column and value. Rows of one file that want different values for one
target are not sent. --urgent and --at apply to rows without a value of their
own.

A guard that objects holds the run, and nothing is sent: the message names the
flag that accepts what it found. A worker sends the rows. --wait ends when the
run has ended.

--verbose prints a line for each row, --json an object.`,
		Example: `  enqueue bulk --dry-run roster.csv
  enqueue bulk --tenant lakeside-dt --chat chat1 --wait nicknames.xlsx
  enqueue bulk --map 学号=user_id --skip-invalid --problems bad.csv roster.csv
  export-roster | enqueue bulk --json - | jq 'select(.outcome == "refused")'`,
		Args:              cli.Exactly("FILE"),
		ValidArgsFunction: upload.Files,
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.dryRun {
				return a.rehearse(cmd.Context(), args[0], f)
			}
			return a.bulk(cmd.Context(), args[0], f)
		},
	}
	cmd.Flags().SortFlags = false
	f.read.Add(cmd, "enqueue the valid rows of a file with invalid ones")
	f.run = upload.NewRunFlags(cmd)
	cmd.Flags().BoolVar(&f.wait, "wait", false, "end when the run has ended")
	cmd.Flags().BoolVar(&a.verbose, "verbose", false, "print a line for each row")
	return cmd
}

// rehearse checks a file without Redis.
func (a *app) rehearse(ctx context.Context, path string, f bulkFlags) (err error) {
	if _, err := f.run.Draft(a.App); err != nil {
		return err
	}
	file, r, err := a.open(path, f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	judge := intake.NewJudge(nil, tasks.Limits{NicknameMax: a.nicknameMax})
	if _, err := file.Check(ctx, judge, r.refuse); err != nil {
		return err
	}
	for row, err := range file.Rows() {
		if err != nil {
			return cli.BadInput("%s: %w", file.Name, err)
		}
		if judge(ctx, row) == nil {
			r.add(entry{line: row.Line, task: row.Request.Task, key: row.Request.Options.Key, result: tasks.Result{Outcome: tasks.Stored}})
		}
	}
	if !a.JSON {
		console.Fprintln(a.Stdout, r.summary())
	}
	if code := r.exitCode(); code != exitcode.OK {
		return &exitcode.Error{Code: code}
	}
	return nil
}

// open opens a file, and returns the report on its invalid rows.
func (a *app) open(path string, f bulkFlags) (*upload.File, *report, error) {
	defaults, err := a.options()
	if err != nil {
		return nil, nil, err
	}
	file, err := f.read.Open(a.App, path, defaults)
	return file, &report{app: a, rows: a.verbose || a.JSON, counts: map[string]int{}}, err
}

// bulk applies the rows of a file.
func (a *app) bulk(ctx context.Context, path string, f bulkFlags) (err error) {
	draft, err := f.run.Draft(a.App)
	if err != nil {
		return err
	}
	file, r, err := a.open(path, f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if a.UsesAPI() {
		return a.WithAPI(ctx, func(ctx context.Context, client *remote.Client) error {
			checker, err := client.NewChecker(ctx)
			if err != nil {
				return err
			}
			return a.send(ctx, file, r, draft, f.wait, checker, client)
		})
	}
	client, err := a.Producer()
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	return a.WithRedis(ctx, func(ctx context.Context, rdb redis.UniversalClient) error {
		return a.send(ctx, file, r, draft, f.wait, client, run.New(run.Config{Redis: rdb, Ledger: ledger.New(rdb)}))
	})
}

// send checks a file and applies its rows.
func (a *app) send(ctx context.Context, file *upload.File, r *report, draft run.Draft, wait bool, checker intake.Checker, to runs) error {
	judge := intake.NewJudge(checker, tasks.Limits{})
	if _, err := file.Check(ctx, judge, r.refuse); err != nil {
		return err
	}
	b := batch{app: a, refused: r.counts[tasks.Refused.String()], runs: to}
	return b.apply(ctx, file, judge, draft, wait)
}

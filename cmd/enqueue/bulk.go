package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall/internal/cli"
	"rollcall/internal/enqueue"
	"rollcall/internal/exitcode"
	"rollcall/internal/kinds"
	"rollcall/internal/roster"
	"rollcall/internal/table"
	"rollcall/tasks"
)

// chunk is the number of rows in one call of the client. Results are printed after each
// chunk, so that an interrupted command has printed what was stored.
const chunk = 2000

// bulkFlags control how a file is read.
type bulkFlags struct {
	run      string
	named    bool // by --run
	kind     string
	maps     []string
	skip     bool
	problems string // path of the file of all problems
	table    table.Options
	roster   roster.Options
}

func (a *app) bulkCommand() *cobra.Command {
	var f bulkFlags
	cmd := &cobra.Command{
		Use:   "bulk [--run NAME] FILE",
		Short: "Enqueue the rows of a CSV, XLSX or NDJSON file",
		Long: `Enqueue the rows of a file; - is standard input. The file is CSV as written by
Excel and WPS (commas, semicolons or tabs; UTF-8, UTF-16 or GB18030), an XLSX
workbook, or NDJSON. The format is detected from the content.

The first line names the columns, in any order. Chinese names such as 用户ID are
known, and --map adds others. Unknown columns are ignored.

  all       kind, tenant, key, urgent, at, source, number
  nickname  chat_id, user_id, nickname
  course    course_id
  group     chat_id, name, owner, owner_type, icon, add_user_ids,
            del_user_ids, add_ext_ids, del_ext_ids, mention_all_authority,
            show_history_type, validation_type, searchable,
            chat_banned_type, management_type
  id        user_id, dingtalk_id, alternatives
  student   student_uid, student_name

--tenant, --kind and --chat replace columns with the same value in every row.
Without a kind, it is detected from the columns if only one kind fits. Separate
the entries of a list with semicolons. An empty cell means no value.

The whole file is checked before the first row is stored. If a row is invalid,
the file is refused, unless --skip-invalid is given. All problems are reported
with line, column and value. Rows for one target are stored in their order: the
last one wins. --urgent and --at apply to rows without a value of their own.

The rows form a run. The command prints its name first, and finally the number
of stored rows. --verbose prints a line for each row, --json an object. If the
reader of a pipe stops, the rows are stored all the same.`,
		Example: `  enqueue bulk --dry-run roster.csv
  enqueue bulk --tenant lakeside-dt --chat chat1 nicknames.xlsx
  enqueue bulk --map 学号=user_id --skip-invalid --problems bad.csv roster.csv
  export-roster | enqueue bulk --json - | jq 'select(.outcome == "refused")'`,
		Args: cli.Exactly("FILE"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"csv", "xlsx", "ndjson", "jsonl", "txt"}, cobra.ShellCompDirectiveFilterFileExt
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("run") && !tasks.ValidRun(f.run) {
				return cli.BadInput("--run: invalid name %.80q: use 1 to 64 of A-Z, a-z, 0-9, ., _ and -", f.run)
			}
			if f.run == "" {
				f.run = newRun(a.Now())
			}
			if err := f.complete(); err != nil {
				return err
			}
			f.named = cmd.Flags().Changed("run")
			return a.bulk(cmd.Context(), args[0], f)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.roster.Tenant, "tenant", "", "tenant of all rows, by `NAME`")
	flags.StringVar(&f.kind, "kind", "", "kind of all rows:\n"+kinds.Choice())
	flags.StringVar(&f.roster.Chat, "chat", "", "chat of all rows, by `ID`")
	flags.StringArrayVar(&f.maps, "map", nil, "read the column NAME of the file as COLUMN:\n`NAME=COLUMN`; may be repeated")
	flags.BoolVar(&f.roster.Strict, "strict", false, "refuse a file with unknown columns")
	flags.BoolVar(&f.skip, "skip-invalid", false, "enqueue the valid rows of a file with invalid ones")
	flags.StringVar(&f.problems, "problems", "", "write all problems to `FILE`, as CSV")
	flags.StringVar(&f.table.Encoding, "encoding", "", "encoding of the file, if it is detected wrongly:\n"+strings.Join(table.Encodings(), ", "))
	flags.StringVar(&f.table.Sheet, "sheet", "", "sheet of a workbook, by `NAME`; default: the first")
	flags.StringVar(&f.run, "run", "", "new `NAME` for the run of these rows; default: made\nfrom the current time")
	flags.BoolVar(&a.verbose, "verbose", false, "print a line for each row")
	return cmd
}

// complete parses --kind and --map.
func (f *bulkFlags) complete() error {
	if f.roster.Kind = tasks.Kind(f.kind); f.kind != "" && !slices.Contains(tasks.Kinds(), f.roster.Kind) {
		return cli.BadInput("--kind %.40q: must be %s", f.kind, kinds.Choice())
	}
	f.roster.Map = make(map[string]string, len(f.maps))
	for _, text := range f.maps {
		name, column, found := strings.Cut(text, "=")
		if !found || name == "" || column == "" {
			return cli.BadInput("--map %.80q: must be NAME=COLUMN, such as 学号=user_id", text)
		}
		f.roster.Map[name] = column
	}
	return nil
}

// newRun returns a name that sorts by time and is unique: a file that is enqueued twice
// makes two runs.
func newRun(now time.Time) string {
	var salt [3]byte
	_, _ = rand.Read(salt[:]) // it never fails
	return now.UTC().Format("20060102-150405-") + hex.EncodeToString(salt[:])
}

func (a *app) bulk(ctx context.Context, path string, f bulkFlags) (err error) {
	if f.roster.Defaults, err = a.options(); err != nil {
		return err
	}
	f.roster.Now = a.Now()
	input, name, err := a.input(path)
	if err != nil {
		return cli.BadInput("%s: %w; nothing was enqueued", name, err)
	}
	defer func() { err = errors.Join(err, input.Close()) }()
	content, err := table.Open(input, f.table)
	if err != nil {
		return cli.BadInput("%s: %w; nothing was enqueued", name, err)
	}
	file, err := roster.Open(content, f.roster)
	if err != nil {
		return cli.BadInput("%s: %w; nothing was enqueued", name, err)
	}
	if f.named && !a.dryRun {
		if err := a.refuseKnownRun(ctx, f.run); err != nil {
			return err
		}
	}
	client, err := a.connect()
	if err != nil {
		return err
	}
	if client != nil {
		defer func() { _ = client.Close() }()
	}
	r := a.newFileReport()
	b := &batch{app: a, file: file, client: client, report: r, run: f.run}
	if err := b.validate(ctx, f, path, name, content.String()); err != nil {
		return err
	}
	if f.named && !a.dryRun {
		if err := a.claimRun(ctx, f.run); err != nil {
			return err
		}
	}
	r.begin(f.run)
	if err := b.store(ctx, name); err != nil {
		return err
	}
	r.summary()
	if code := r.exitCode(); code != exitcode.OK {
		return &exitcode.Error{Code: code}
	}
	return nil
}

func (a *app) input(path string) (input *table.Input, name string, err error) {
	if path != "-" {
		input, err = table.OpenFile(path)
		return input, path, err
	}
	input, err = table.Spool(a.Stdin)
	return input, "standard input", err
}

// batch is the file of one command.
type batch struct {
	*app

	file   *roster.File
	client *enqueue.Client // nil in a dry run
	report *report
	run    string
}

// validate reads the whole file and stores nothing. It refuses a file with an invalid
// row, unless invalid rows are to be skipped.
func (b *batch) validate(ctx context.Context, f bulkFlags, path, name, form string) (err error) {
	found, err := b.newFindings(f.problems, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, found.close()) }()
	b.note("%s: read as %s", name, form)
	rows := 0
	for row, err := range b.file.Rows() {
		if err == nil && row.Line >= tasks.MaxRows {
			err = fmt.Errorf("the file has more than %d lines: split it", tasks.MaxRows-1)
		}
		if err != nil {
			return cli.BadInput("%s: %w; nothing was enqueued", name, err)
		}
		rows++
		refusal := b.check(ctx, row)
		if refusal == nil {
			continue
		}
		if fault, ok := errors.AsType[*tasks.StoreError](refusal); ok {
			return &exitcode.Error{Code: exitNotStored, Err: fault}
		}
		if err := found.add(row, refusal); err != nil {
			return err
		}
	}
	if ignored := b.file.Ignored(); len(ignored) > 0 {
		b.note("%s: unknown columns were ignored: %s", name, strings.Join(ignored, ", "))
	}
	found.rest()
	switch {
	case found.rows == 0:
		return nil
	case f.skip:
		return nil
	}
	return cli.BadInput("%s: %d of %d rows have problems; nothing was enqueued: correct them, or enqueue the other rows with --skip-invalid",
		name, found.rows, rows)
}

// note prints how the file was read, for a person.
func (b *batch) note(format string, args ...any) {
	if !b.JSON {
		fmt.Fprintf(b.Stderr, format+"\n", args...)
	}
}

// check returns the reason to refuse a row, before anything is stored.
func (b *batch) check(ctx context.Context, row roster.Row) error {
	limits := tasks.Limits{NicknameMax: b.nicknameMax}
	if err := row.Refusal(limits); err != nil {
		return err
	}
	if b.client != nil {
		return b.client.Check(ctx, row.Request)
	}
	return row.Request.Validate(limits)
}

// store reads the file again and enqueues the valid rows.
func (b *batch) store(ctx context.Context, name string) error {
	var rows []roster.Row
	for row, err := range b.file.Rows() {
		if err != nil {
			b.enqueue(ctx, rows)
			b.report.summary()
			return cli.BadInput("%s: %w; the rows before it were enqueued", name, err)
		}
		refusal := b.check(ctx, row)
		if _, unknown := errors.AsType[*tasks.StoreError](refusal); refusal != nil && !unknown {
			continue // validate reported it
		}
		row.Request.Options.Run, row.Request.Options.Row = b.run, row.Line
		if rows = append(rows, row); len(rows) == chunk {
			b.enqueue(ctx, rows)
			rows = rows[:0]
		}
	}
	b.enqueue(ctx, rows)
	return nil
}

func (b *batch) enqueue(ctx context.Context, rows []roster.Row) {
	requests := make([]tasks.Request, len(rows))
	for i, row := range rows {
		requests[i] = row.Request
	}
	for i, result := range b.enqueueAll(ctx, b.client, requests) {
		row := rows[i]
		b.report.add(entry{line: row.Line, task: row.Request.Task, key: row.Request.Options.Key, result: result, position: roster.Position})
	}
}

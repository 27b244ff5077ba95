package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"os"
	"time"

	"github.com/spf13/cobra"

	"rollcall/internal/roster"
	"rollcall/tasks"
)

// chunk is how many rows go to the client at a time. Results are printed after
// each, so that an interrupt leaves behind what was done.
const chunk = 2000

func (a *app) bulkCommand() *cobra.Command {
	var run string
	cmd := &cobra.Command{
		Use:   "bulk [--run NAME] FILE",
		Short: "Enqueue a CSV file of tasks",
		Long: `Enqueue a CSV file of tasks; - is the standard input. The first line names the
columns, in any order; kind and tenant must be among them:

  all       kind, tenant, key, urgent, at, source, number
  nickname  chat_id, user_id, nickname
  course    course_id
  group     chat_id, name, owner, owner_type, icon, add_user_ids,
            del_user_ids, add_ext_ids, del_ext_ids, mention_all_authority,
            show_history_type, validation_type, searchable,
            chat_banned_type, management_type
  id        user_id, dingtalk_id, alternatives

Lists are separated by semicolons. An empty cell is one that is not given. The
file is UTF-8, with or without a byte order mark; lines end in LF or CRLF.

Rows for one target are stored in their order: the last one wins. A bad row is
reported with its line and column, and the others are stored. --urgent and --at
hold for rows that do not say otherwise.

The rows are a run, whose name is printed first: enqueue runs show NAME tells
how it gets on.`,
		Example: `  enqueue bulk roster.csv
  enqueue bulk --dry-run roster.csv
  export-roster | enqueue bulk --json - | jq 'select(.outcome == "refused")'`,
		Args: exactly("the file, or -"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"csv"}, cobra.ShellCompDirectiveFilterFileExt
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("run") && !tasks.ValidRun(run) {
				return badInput("--run %.80q is no name of a run: 1 to 64 of A-Z, a-z, 0-9, ., _ and -", run)
			}
			if run == "" {
				run = newRun(a.now())
			}
			return a.bulk(cmd.Context(), args[0], run)
		},
	}
	cmd.Flags().StringVar(&run, "run", "", "what the rows are called together: a `NAME`;\nwithout it one is made of the time")
	return cmd
}

// newRun names a run so that it sorts by time and no two are alike: a file that
// is enqueued twice is two runs.
func newRun(now time.Time) string {
	var salt [3]byte
	_, _ = rand.Read(salt[:]) // it never fails
	return now.UTC().Format("20060102-150405-") + hex.EncodeToString(salt[:])
}

func (a *app) bulk(ctx context.Context, path, run string) error {
	defaults, err := a.options()
	if err != nil {
		return err
	}
	in, name := a.stdin, "the standard input"
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return &exitError{exitInput, err}
		}
		defer func() { _ = file.Close() }()
		in, name = file, path
	}
	rows, err := roster.Read(in, defaults, a.now())
	if err != nil {
		return badInput("%s: %w; nothing was enqueued", name, err)
	}
	if n := len(rows); n > 0 && rows[n-1].Line >= tasks.MaxRows {
		return badInput("%s: has more than %d lines: split it; nothing was enqueued", name, tasks.MaxRows-1)
	}
	for i := range rows {
		rows[i].Request.Options.Run, rows[i].Request.Options.Row = run, rows[i].Line
	}
	client, err := a.connect()
	if err != nil {
		return err
	}
	if client != nil {
		defer func() { _ = client.Close() }()
	}
	r := a.newReport()
	if client != nil {
		r.begin(run)
	}
	for len(rows) > 0 {
		n := min(chunk, len(rows))
		a.enqueueRows(ctx, client, rows[:n], r)
		rows = rows[n:]
	}
	r.summary()
	if code := r.exitCode(); code != exitOK {
		return &exitError{code: code}
	}
	return nil
}

func (a *app) enqueueRows(ctx context.Context, client *tasks.Client, rows []roster.Row, r *report) {
	results := make([]tasks.Result, len(rows))
	var requests []tasks.Request
	var at []int
	for i, row := range rows {
		if err := row.Refusal(tasks.Limits{NicknameMax: a.nicknameMax}); err != nil {
			results[i] = tasks.Result{Outcome: tasks.Refused, Err: err}
			continue
		}
		requests, at = append(requests, row.Request), append(at, i)
	}
	for i, result := range a.enqueueAll(ctx, client, requests) {
		results[at[i]] = result
	}
	for i, row := range rows {
		r.add(entry{line: row.Line, task: row.Request.Task, key: row.Request.Options.Key, result: results[i], place: roster.Place})
	}
}

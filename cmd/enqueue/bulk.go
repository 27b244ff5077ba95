package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"rollcall/tasks"
)

// chunk is how many rows go to the client at a time. Results are printed after
// each, so that an interrupt leaves behind what was done.
const chunk = 2000

func (a *app) bulkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "bulk FILE",
		Short: "Enqueue a CSV file of tasks",
		Long: `Enqueue a CSV file of tasks; - is the standard input. The first line names the
columns, in any order; kind and tenant must be among them:

  all       kind, tenant, key, urgent, at
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
hold for rows that do not say otherwise.`,
		Example: `  enqueue bulk roster.csv
  enqueue bulk --dry-run roster.csv
  export-roster | enqueue bulk --json - | jq 'select(.outcome == "refused")'`,
		Args: exactly("the file, or -"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.bulk(cmd.Context(), args[0]) },
	}
}

func (a *app) bulk(ctx context.Context, path string) error {
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
		defer file.Close()
		in, name = file, path
	}
	rows, err := readRows(in, defaults, a.now())
	if err != nil {
		return badInput("%s: %w; nothing was enqueued", name, err)
	}
	client, err := a.connect()
	if err != nil {
		return err
	}
	if client != nil {
		defer client.Close()
	}
	r := a.newReport()
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

func (a *app) enqueueRows(ctx context.Context, client *tasks.Client, rows []row, r *report) {
	results := make([]tasks.Result, len(rows))
	var requests []tasks.Request
	var at []int
	for i, row := range rows {
		if len(row.problems) > 0 {
			results[i] = a.refuse(row)
			continue
		}
		requests, at = append(requests, row.request), append(at, i)
	}
	for i, result := range a.enqueueAll(ctx, client, requests) {
		results[at[i]] = result
	}
	for i, row := range rows {
		r.add(entry{line: row.line, task: row.request.Task, key: row.request.Options.Key, result: results[i], place: column})
	}
}

// refuse refuses a row for its form, and says what else is wrong with it.
func (a *app) refuse(row row) tasks.Result {
	kind, _, _ := describe(row.request.Task)
	all := &tasks.ValidationError{Kind: kind, Problems: row.problems}
	if row.request.Task != nil {
		for _, r := range a.enqueueAll(context.Background(), nil, []tasks.Request{row.request}) {
			if more, ok := r.Err.(*tasks.ValidationError); ok {
				all.Problems = append(all.Problems, more.Problems...)
			}
		}
	}
	return tasks.Result{Outcome: tasks.Refused, Err: all}
}

// column turns options.searchable into "column searchable".
func column(p tasks.Problem) string {
	if p.Field == "" {
		return "the row"
	}
	name, index, listed := strings.Cut(strings.TrimPrefix(p.Field, "options."), "[")
	var i int
	if listed {
		if _, err := fmt.Sscanf(index, "%d]", &i); err == nil {
			return fmt.Sprintf("column %s, entry %d", name, i+1)
		}
	}
	return "column " + name
}

package main

import (
	"context"

	"github.com/spf13/cobra"

	"rollcall/internal/cli"
	"rollcall/internal/enqueue"
	"rollcall/internal/exitcode"
	"rollcall/internal/roster"
	"rollcall/tasks"
)

// The exit codes, in addition to those of all commands. They are stable;
// docs/exit-codes.md lists them.
const (
	exitRefused   = 3 // some rows of a file were refused or failed, or its run is not done
	exitNotStored = 4 // Redis did not take all
	exitNotKnown  = 5 // Redis may or may not have taken some
)

// app is one call of the command, with the flags that all tasks share.
type app struct {
	*cli.App

	verbose     bool
	dryRun      bool
	nicknameMax int
	urgent      bool
	at          string
	key         string
	source      string
	number      int64
}

// command builds the command.
func command(cliApp *cli.App) *cobra.Command {
	a := &app{App: cliApp}
	root := a.Root(&cobra.Command{
		Use:   "enqueue",
		Short: "Put tasks into Redis for rollcall's workers",
		Long: `Put tasks into Redis for rollcall's workers: one from the arguments, or many
from a file. The command rollcall shows their results.

` + cli.RedisHelp + `

Exit codes:
  0   all tasks are stored, or were stored before
  1   a failure while running, such as an output error
  3   some rows of a file were refused or failed, a guard holds its run, or with
      --wait the run has not ended
  4   cannot store some tasks in Redis; they are not stored, safe to retry
  5   unknown outcome: Redis may or may not have stored a task, or applied a run
  64  wrong flags, arguments or input: nothing was enqueued
  78  ROLLCALL_REDIS_URL or ROLLCALL_REDIS_URL_FILE names no usable Redis`,
		Example: `  enqueue nickname --tenant lakeside-dt --chat chat1 --user u1 "张三"
  enqueue course --tenant lakeside-ci 561294
  enqueue group --tenant lakeside-dt --chat chat1 --name "Class 3-2"
  enqueue id --tenant lakeside-dt --user u1 zhangsan01 zhangsan02
  enqueue bulk roster.csv`,
	}, "print one JSON object per task")
	flags := root.PersistentFlags()
	flags.BoolVar(&a.dryRun, "dry-run", false, "only check the input, without Redis; store nothing")
	flags.IntVar(&a.nicknameMax, "nickname-max", 0, "longest nickname for --dry-run, `N` characters")
	flags.BoolVar(&a.urgent, "urgent", false, "run before all tasks that are not urgent")
	flags.StringVar(&a.at, "at", "", "run at `TIME` or later: RFC 3339, or +10m from now")
	root.AddCommand(a.nicknameCommand(), a.courseCommand(), a.groupCommand(), a.idCommand(), a.studentCommand(), a.bulkCommand())
	return root
}

// options returns the client's options from the flags of all tasks.
func (a *app) options() (tasks.Options, error) {
	at, err := roster.ParseAt(a.at, a.Now())
	if err != nil {
		return tasks.Options{}, cli.BadInput("--at: %w", err)
	}
	return tasks.Options{Urgent: a.urgent, At: at, Key: a.key, Source: a.source, Number: a.number}, nil
}

// enqueueAll stores requests, or only checks them in a dry run.
func (a *app) enqueueAll(ctx context.Context, client *enqueue.Client, requests []tasks.Request) []tasks.Result {
	if client != nil {
		return client.EnqueueAll(ctx, requests)
	}
	results := make([]tasks.Result, len(requests))
	for i, r := range requests {
		results[i] = tasks.Result{Outcome: tasks.Stored} // reported as valid
		if err := r.Validate(tasks.Limits{NicknameMax: a.nicknameMax}); err != nil {
			results[i] = tasks.Result{Outcome: tasks.Refused, Err: err}
		}
	}
	return results
}

// connect returns a client, or nil for a dry run.
func (a *app) connect() (*enqueue.Client, error) {
	if a.dryRun {
		return nil, nil //nolint:nilnil // a dry run needs no client
	}
	options, err := a.RedisOptions()
	if err != nil {
		return nil, err
	}
	client, err := enqueue.New(enqueue.Config{Redis: options})
	if err != nil {
		return nil, exitcode.AsUsage(err)
	}
	return client, nil
}

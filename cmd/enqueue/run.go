package main

import (
	"context"

	"github.com/spf13/cobra"

	"rollcall/internal/cli"
	"rollcall/internal/kinds"
	"rollcall/internal/remote"
	"rollcall/internal/upload"
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
	when        upload.When
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

` + cli.APIHelp + `

Exit codes:
  0   all tasks are stored, or were stored before
  1   a failure while running, such as an output error
  3   some rows of a file were refused or failed, a guard holds its run, or with
      --wait the run has not ended
  4   cannot store some tasks in Redis, or reach the API; they are not stored,
      safe to retry
  5   unknown outcome: Redis may or may not have stored a task, or applied a run
  64  wrong flags, arguments or input: nothing was enqueued
  78  ROLLCALL_REDIS_URL or ROLLCALL_REDIS_URL_FILE names no usable Redis, or
      ROLLCALL_API or ROLLCALL_TOKEN_FILE no usable API`,
		Example: `  enqueue nickname --tenant lakeside-dt --chat chat1 --user u1 "张三"
  enqueue course --tenant lakeside-ci 561294
  enqueue group --tenant lakeside-dt --chat chat1 --name "Class 3-2"
  enqueue id --tenant lakeside-dt --user u1 zhangsan01 zhangsan02
  enqueue bulk roster.csv`,
	}, "print one JSON object per task")
	flags := root.PersistentFlags()
	flags.BoolVar(&a.dryRun, "dry-run", false, "only check the input, without Redis; store nothing")
	flags.IntVar(&a.nicknameMax, "nickname-max", 0, "longest nickname for --dry-run, `N` characters")
	flags.BoolVar(&a.when.Urgent, "urgent", false, "run before all tasks that are not urgent")
	flags.StringVar(&a.when.At, "at", "", "run at `TIME` or later: RFC 3339, or +10m from now")
	for _, k := range kinds.All() {
		root.AddCommand(a.one(k))
	}
	root.AddCommand(a.bulkCommand())
	return root
}

// options returns the client's options from the flags of all tasks.
func (a *app) options() (tasks.Options, error) {
	options, err := a.when.Options(a.Now())
	options.Key, options.Source, options.Number = a.key, a.source, a.number
	return options, err
}

// enqueueOne stores a request, or only checks it in a dry run.
func (a *app) enqueueOne(ctx context.Context, r tasks.Request) (result tasks.Result, err error) {
	switch {
	case a.dryRun:
		if err := r.Validate(tasks.Limits{NicknameMax: a.nicknameMax}); err != nil {
			return tasks.Result{Outcome: tasks.Refused, Err: err}, nil
		}
		return tasks.Result{Outcome: tasks.Stored}, nil // reported as valid
	case a.UsesAPI():
		err = a.WithAPI(ctx, func(ctx context.Context, client *remote.Client) error {
			result = client.Enqueue(ctx, r)
			return nil
		})
		return result, err
	}
	client, err := a.Producer()
	if err != nil {
		return result, err
	}
	defer func() { _ = client.Close() }()
	return client.EnqueueAll(ctx, []tasks.Request{r})[0], nil
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"rollcall/internal/buildinfo"
	"rollcall/internal/console"
	"rollcall/internal/enqueue"
	"rollcall/internal/exitcode"
	"rollcall/internal/readfile"
	"rollcall/internal/redisdb"
	"rollcall/internal/roster"
	"rollcall/internal/secret"
	"rollcall/tasks"
)

// The exit codes. Scripts rely on them: docs/enqueue.md lists them.
const (
	exitOK        = exitcode.OK     // all stored, or there already
	exitFailed    = exitcode.Failed // a failure here, as an output that cannot be written
	exitInput     = exitcode.Usage  // bad usage or input: nothing was enqueued
	exitConfig    = exitcode.Config // the environment names no usable Redis: nothing was enqueued
	exitRefused   = 3               // some rows of a file were refused
	exitNotStored = 4               // Redis did not take all
	exitNotKnown  = 5               // Redis may or may not have taken some

	// Of lanes, beside exitOK and exitInput.
	exitHeld    = 3 // the place is still on hold
	exitNoRedis = 4 // Redis cannot be read or written
)

const (
	defaultRedis = "redis://127.0.0.1:6379/0"
	urlFileMax   = 64 << 10 // bytes of the file that ROLLCALL_REDIS_URL_FILE names
)

// exitError ends the command with a code. Its message, if any, is printed.
type exitError struct {
	code int
	err  error // nil: everything has been said
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func badInput(format string, args ...any) error {
	return &exitError{exitInput, fmt.Errorf(format, args...)}
}

// run is the command without the process around it.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, env environment) int {
	plain := env.getenv("NO_COLOR") != ""
	a := &app{
		stdin: stdin, stdout: console.NewWriter(stdout, "standard output", plain), stderr: console.NewWriter(stderr, "standard error", plain),
		environment: env, now: time.Now,
	}
	root := a.command()
	withCodes(root)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	return a.exitCode(root.ExecuteContext(ctx))
}

// exitCode prints what is still to be said of the command's end. An output that
// failed is named by its own error alone, and counts unless something worse did.
func (a *app) exitCode(err error) int {
	code := exitOK
	_, unwritten := errors.AsType[*console.WriteError](err)
	if err != nil && !unwritten {
		exit, ok := errors.AsType[*exitError](err)
		if !ok { // cobra's own: flags and arguments
			exit = &exitError{exitInput, fmt.Errorf("%w; see enqueue --help", err)}
		}
		if exit.err != nil {
			fmt.Fprintln(a.stderr, "enqueue:", exit.err)
		}
		code = exit.code
	}
	if err := a.stdout.Err(); err != nil {
		fmt.Fprintln(a.stderr, "enqueue:", err)
		code = cmp.Or(code, exitFailed)
	}
	if a.stderr.Err() != nil {
		code = cmp.Or(code, exitFailed)
	}
	return code
}

// withCodes gives an error of a command that ran the code exitFailed, unless it
// has one. Errors without a code are then cobra's alone: flags and arguments.
func withCodes(cmd *cobra.Command) {
	if runE := cmd.RunE; runE != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			err := runE(cmd, args)
			if _, coded := errors.AsType[*exitError](err); err == nil || coded {
				return err
			}
			return &exitError{exitFailed, err}
		}
	}
	for _, sub := range cmd.Commands() {
		withCodes(sub)
	}
}

// environment is what main alone may ask the process for.
type environment struct {
	getenv   func(string) string
	hostname func() (string, error)
}

// app holds what all subcommands share.
type app struct {
	environment

	stdin          io.Reader
	stdout, stderr *console.Writer
	now            func() time.Time

	redis       string
	json        bool
	verbose     bool
	dryRun      bool
	nicknameMax int
	urgent      bool
	at          string
	key         string
	source      string
	number      int64
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "enqueue",
		Short: "Put tasks into Redis for rollcall's workers",
		Long: `Put tasks into Redis for rollcall's workers: one from the arguments, or many
from a CSV file. The command lanes shows how they get on, and holds them; runs
tells what became of a file; dead deals with those that no retry mends; explain
tells all that is known of a target.

Redis is named by --redis, else by ROLLCALL_REDIS_URL, else by the file that
ROLLCALL_REDIS_URL_FILE names, else it is ` + defaultRedis + `.
A password given with --redis is seen by whoever lists processes.

A URL is one of
  redis://[user:password@]host[:port][/db]
  redis+sentinel://[user:password@]host[:port],host[:port]/master[/db]
  redis+cluster://[user:password@]host[:port],host[:port]
and begins with rediss instead of redis for TLS; docs/redis.md says the rest.

Exit codes; lanes, runs and dead add their own:
  0   all tasks are stored, or were there already
  1   a failure while running, such as an output that cannot be written
  3   some rows of a file were refused; the others are stored
  4   Redis did not take some tasks; they are certainly not stored
  5   Redis may or may not have stored some tasks: its answer was lost
  64  wrong flags, arguments or input: nothing was enqueued
  78  ROLLCALL_REDIS_URL or ROLLCALL_REDIS_URL_FILE names no usable Redis`,
		Example: `  enqueue nickname --tenant lakeside-dt --chat chat1 --user u1 "张三"
  enqueue course --tenant lakeside-ci 561294
  enqueue group --tenant lakeside-dt --chat chat1 --name "Class 3-2"
  enqueue id --tenant lakeside-dt --user u1 zhangsan01 zhangsan02
  enqueue bulk roster.csv
  enqueue lanes
  enqueue dead list`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return badInput("no task was named: say nickname, course, group, id, student or bulk; or lanes, to see how they get on, dead, for dead letters, or explain, for a target; see enqueue --help")
		},
	}
	// Of all arguments that of bulk alone is a file.
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	root.Version = buildinfo.Read().String()
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.Flags().Bool("version", false, "print the version")
	flags := root.PersistentFlags()
	flags.SortFlags = false
	flags.StringVar(&a.redis, "redis", "", "where Redis is, as a `URL`; see enqueue --help")
	flags.BoolVar(&a.json, "json", false, "print one JSON object a task")
	flags.BoolVar(&a.dryRun, "dry-run", false, "only judge the input; ask no Redis, store nothing")
	flags.IntVar(&a.nicknameMax, "nickname-max", 0, "for --dry-run: longest nickname, `N` characters")
	flags.BoolVar(&a.urgent, "urgent", false, "before all tasks that are not urgent")
	flags.StringVar(&a.at, "at", "", "not before `TIME`: RFC 3339, or +10m from now")
	root.AddCommand(a.nicknameCommand(), a.courseCommand(), a.groupCommand(), a.idCommand(), a.studentCommand(), a.bulkCommand(), a.lanesCommand())
	root.AddCommand(a.deadCommand(), a.runsCommand(), a.explainCommand())
	return root
}

// options turns the flags that all tasks share into the client's.
func (a *app) options() (tasks.Options, error) {
	at, err := roster.ParseAt(a.at, a.now())
	if err != nil {
		return tasks.Options{}, badInput("--at: %w", err)
	}
	return tasks.Options{Urgent: a.urgent, At: at, Key: a.key, Source: a.source, Number: a.number}, nil
}

// enqueueAll stores requests, or only judges them in a dry run.
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
		return nil, nil //nolint:nilnil // a dry run needs none, and asks for none
	}
	options, err := a.redisOptions()
	if err != nil {
		return nil, err
	}
	client, err := enqueue.New(enqueue.Config{Redis: options})
	if err != nil {
		return nil, &exitError{exitInput, err}
	}
	return client, nil
}

func (a *app) redisOptions() (*redis.UniversalOptions, error) {
	address, err := a.address()
	if err != nil {
		return nil, err
	}
	options, err := redisdb.Config{URL: address, ClientName: "rollcall-enqueue"}.Options()
	switch {
	case err != nil && a.redis != "":
		return nil, badInput("--redis: %w", err)
	case err != nil:
		return nil, &exitError{exitConfig, err}
	}
	options.DialerRetries = 2 // somebody is waiting
	return options, nil
}

func (a *app) address() (secret.Text, error) {
	if a.redis != "" {
		return secret.New(a.redis), nil
	}
	if url := strings.TrimSpace(a.getenv("ROLLCALL_REDIS_URL")); url != "" {
		return secret.New(url), nil
	}
	path := a.getenv("ROLLCALL_REDIS_URL_FILE")
	if path == "" {
		return secret.New(defaultRedis), nil
	}
	content, err := readfile.Whole(path, urlFileMax)
	if err != nil {
		return secret.Text{}, &exitError{exitConfig, fmt.Errorf("ROLLCALL_REDIS_URL_FILE: %w", err)}
	}
	return secret.New(strings.TrimSpace(string(content))), nil
}

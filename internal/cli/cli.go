// Package cli is what the commands enqueue and rollcall have in common: the
// connection to Redis, exit codes, outputs, and flags that mean the same
// in every command.
//
// It must not know what a command does.
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/spf13/cobra"

	"rollcall/internal/buildinfo"
	"rollcall/internal/console"
	"rollcall/internal/exitcode"
)

// NoRedis is the exit code of a command that cannot read or write Redis, or the API.
const NoRedis = 4

// Process is what a command may ask its process for. Tests give another.
type Process struct {
	Args           []string // without the name of the command
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Hostname       func() (string, error)
}

// App is one call of a command: what all its subcommands share.
type App struct {
	Stdin          io.Reader
	Stdout, Stderr *console.Writer
	Now            func() time.Time
	JSON           bool // the flag --json

	process Process
	name    string // of the command
	redis   string // the flag --redis

	api, tokenFile string // the flags of these names
	command        string // with its subcommands, for messages
}

// NewApp returns the App of one call of the command name.
func NewApp(name string, p Process) *App {
	plain := p.Getenv("NO_COLOR") != ""
	return &App{
		Stdin: p.Stdin, Stdout: console.NewWriter(p.Stdout, "standard output", plain),
		Stderr: console.NewWriter(p.Stderr, "standard error", plain), Now: time.Now, process: p, name: name,
	}
}

// Main runs a command in this process, and returns its exit code.
func Main(name string, p Process, build func(*App) *cobra.Command) int {
	// Our errors report failed connections as well.
	redis.SetLogger(&logging.VoidLogger{})
	// A reader that closes the pipe is an error of a write, not the end of the
	// process between two rows.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	a := NewApp(name, p)
	root := build(a)
	withCodes(root)
	root.SetArgs(p.Args)
	root.SetIn(a.Stdin)
	root.SetOut(a.Stdout)
	root.SetErr(a.Stderr)
	return a.exitCode(root.ExecuteContext(ctx))
}

// Root completes the root command: its version and the flags that all commands
// below it take. jsonUsage describes --json.
func (a *App) Root(root *cobra.Command, jsonUsage string) *cobra.Command {
	root.SilenceUsage, root.SilenceErrors = true, true
	HelpWhenBare(root)
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	root.Version = buildinfo.Read().String()
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.Flags().Bool("version", false, "print the version")
	flags := root.PersistentFlags()
	flags.SortFlags = false
	flags.StringVar(&a.redis, "redis", "", "`URL` of Redis; see "+root.Name()+" --help")
	flags.StringVar(&a.api, "api", "", "`URL` of a worker's HTTP API, instead of Redis")
	flags.StringVar(&a.tokenFile, "token-file", "", "`FILE` with the token for --api")
	flags.BoolVar(&a.JSON, "json", false, jsonUsage)
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		a.command = cmd.CommandPath()
		if by := cmd.Flags().Lookup("by"); by != nil && by.Changed && a.UsesAPI() {
			return BadInput("--by: changes by the HTTP API have the name of the token; leave out --by")
		}
		return nil
	}
	return root
}

// HelpWhenBare makes a command that only has subcommands print its help where
// none is named.
func HelpWhenBare(cmd *cobra.Command) {
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
}

// BadInput is an error of wrong flags, arguments or input.
func BadInput(format string, args ...any) error {
	return &exitcode.Error{Code: exitcode.Usage, Err: fmt.Errorf(format, args...)}
}

// exitCode prints the error that ended the command. An output that failed is
// named by its own error alone, and counts unless something worse did.
func (a *App) exitCode(err error) int {
	code := exitcode.OK
	_, unwritten := errors.AsType[*console.WriteError](err)
	if err != nil && !unwritten {
		exit, ok := errors.AsType[*exitcode.Error](err)
		if !ok { // cobra's own: flags and arguments
			exit = &exitcode.Error{Code: exitcode.Usage, Err: fmt.Errorf("%w; see %s --help", err, a.name)}
		}
		if exit.Err != nil {
			console.Fprintf(a.Stderr, "%s: %v\n", a.name, exit.Err)
		}
		code = exit.Code
	}
	if err := a.Stdout.Err(); err != nil {
		console.Fprintf(a.Stderr, "%s: %v\n", a.name, err)
		code = cmp.Or(code, exitcode.Failed)
	}
	if a.Stderr.Err() != nil {
		code = cmp.Or(code, exitcode.Failed)
	}
	return code
}

// withCodes gives an error of a command that ran the code Failed, unless it has
// one. Errors without a code are then cobra's alone: flags and arguments.
func withCodes(cmd *cobra.Command) {
	if runE := cmd.RunE; runE != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			err := runE(cmd, args)
			if _, coded := errors.AsType[*exitcode.Error](err); err == nil || coded {
				return err
			}
			return &exitcode.Error{Code: exitcode.Failed, Err: err}
		}
	}
	for _, sub := range cmd.Commands() {
		withCodes(sub)
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"rollcall/internal/config"
	"rollcall/internal/logging"
)

// Exit codes, stable: scripts and units rely on them.
const (
	exitOK       = 0
	exitFailed   = 1 // it ran and something went wrong
	exitBadUsage = 2 // wrong flags or a wrong configuration: nothing was started
)

// usageError marks what is the caller's to correct.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// program is what the commands share: where they write and where secrets come
// from.
type program struct {
	getenv         func(string) string
	stdout, stderr io.Writer
	hangups        func() <-chan os.Signal // from its call on, asks for a reload
}

// run is the whole program, for main and for tests.
func run(
	ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer,
	hangups func() <-chan os.Signal,
) int {
	p := &program{getenv: getenv, stdout: stdout, stderr: stderr, hangups: hangups}
	root := p.command()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(stderr, "worker: %v\n", err)
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitBadUsage
	}
	return exitFailed
}

func (p *program) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "worker",
		Short: "Carry out rollcall's tasks",
		Long: `worker takes nickname syncs, group updates and ID changes from Redis and carries
them out at DingTalk and ClassIn, exactly as fast as each API allows.

Exit codes: 0 all is well, 1 something went wrong while it ran, 2 wrong flags
or configuration (nothing was started).`,
		Args:          noArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.AddCommand(p.runCommand(), p.checkCommand(), p.demoCommand(), p.sandboxCommand(), p.healthyCommand())
	return root
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{fmt.Errorf("%q is no command of %s; see %s --help", args[0], cmd.CommandPath(), cmd.CommandPath())}
	}
	return nil
}

func (p *program) runCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the worker until it is told to stop",
		Long: `run takes tasks until SIGINT or SIGTERM. Then nothing new is taken, what waits
goes back to its queue, and running calls finish. SIGHUP reloads limits, quotas
and schedules from the configuration.

Without --config it runs the demo's configuration: a Redis inside the process
that keeps nothing, and both platforms emulated on this machine.`,
		Example: "  worker run --config /etc/rollcall/rollcall.yaml\n  worker run",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return p.runDemo(cmd.Context(), demoOptions{stay: true})
			}
			load := func() (*config.Config, error) { return config.Load(file, p.getenv) }
			cfg, err := load()
			if err != nil {
				return &usageError{err}
			}
			var level slog.LevelVar
			level.Set(logging.Level(cfg.Log.Level))
			w, err := newWorker(cmd.Context(), cfg, p.logger(cfg.Log, &level), &level)
			if err != nil {
				return err
			}
			return w.run(cmd.Context(), runtime{hangup: p.hangups(), load: load})
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration `file` (YAML)")
	return cmd
}

func (p *program) logger(cfg config.Log, level *slog.LevelVar) *slog.Logger {
	return logging.Config{Format: cfg.Format, Level: level, ShowPersonalData: cfg.ShowPersonalData}.Logger(p.stderr)
}

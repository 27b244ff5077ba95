package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"rollcall/internal/buildinfo"
	"rollcall/internal/config"
	"rollcall/internal/console"
	"rollcall/internal/exitcode"
	"rollcall/internal/logging"
)

// program is the environment that the commands share: their outputs, and the source of
// secrets.
type program struct {
	getenv         func(string) string
	stdout, stderr *console.Writer
	log            io.Writer               // the standard error, for loggers
	hangups        func() <-chan os.Signal // from its call on, receives requests for a reload
}

func newProgram(getenv func(string) string, stdout, stderr io.Writer, hangups func() <-chan os.Signal) *program {
	return &program{
		getenv: getenv, stdout: console.NewWriter(stdout, "standard output", false),
		stderr: console.NewWriter(stderr, "standard error", false), log: stderr, hangups: hangups,
	}
}

// run is the whole program, as main and tests call it.
func run(
	ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer,
	hangups func() <-chan os.Signal,
) int {
	p := newProgram(getenv, stdout, stderr, hangups)
	root := p.command()
	root.SetArgs(args)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = p.stdout.Err()
	}
	if err != nil {
		p.printError("worker: ", err)
	}
	return exitcode.Of(err)
}

// printError prints an error on one line, or every problem of a file on its own.
func (p *program) printError(prefix string, err error) {
	wrong, ok := errors.AsType[*config.ProblemsError](err)
	if !ok {
		console.Fprintf(p.stderr, "%s%v\n", prefix, err)
		return
	}
	for _, line := range wrong.Lines() {
		console.Fprintf(p.stderr, "%s%s\n", prefix, line)
		prefix = ""
	}
}

func (p *program) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "worker",
		Short: "Run rollcall's tasks",
		Long: `worker reads tasks for names, groups, IDs and courses from Redis, and
carries them out at DingTalk and ClassIn at the rate that each API allows.

Exit codes:
  0   success
  1   a failure while running, such as a port in use
  64  wrong flags or arguments: nothing was started
  78  invalid configuration: nothing was started`,
		Args:          noArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return exitcode.AsUsage(err) })
	root.Version = buildinfo.Read().String()
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.Flags().Bool("version", false, "print the version")
	root.AddCommand(p.runCommand(), p.checkCommand(), p.demoCommand(), p.sandboxCommand(), p.healthyCommand(),
		p.tokenCommand(), p.webhookCommand(), versionCommand(root))
	return root
}

func versionCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Long:    "version prints the version, the commit, the Go release and the platform on one\nline. worker --version prints the same line.",
		Example: "  worker version",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			console.Fprintf(cmd.OutOrStdout(), "%s %s\n", root.Name(), root.Version)
			return nil
		},
	}
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return exitcode.AsUsage(fmt.Errorf("unknown command %q for %q; see %s --help", args[0], cmd.CommandPath(), cmd.CommandPath()))
	}
	return nil
}

func (p *program) runCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the worker until a signal stops it",
		Long: `run runs tasks until SIGINT or SIGTERM. It then takes no new tasks, returns
waiting tasks to their queues, and finishes running calls. SIGHUP reloads
limits, quotas, schedules, tokens and webhooks from the configuration, and
secrets and certificates from their files.

Without --config it runs the configuration of the demo: a Redis in memory inside
the process, and both platforms emulated on this machine.`,
		Example: "  worker run --config /etc/rollcall/rollcall.yaml\n  worker run",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return p.runDemo(cmd.Context(), demoOptions{stay: true})
			}
			load := func() (*config.Config, error) { return p.load(cmd.Context(), file) }
			cfg, err := load()
			if err != nil {
				return exitcode.AsConfig(err)
			}
			var level slog.LevelVar
			level.Set(logging.Level(cfg.Log.Level))
			log := p.logger(cfg.Log, &level)
			for _, warn := range cfg.Warnings() {
				log.Warn("configuration warning", "subject", warn.Subject, "warning", warn.Text)
			}
			w, err := newWorker(cmd.Context(), cfg, log, &level)
			if err != nil {
				return err
			}
			return w.run(cmd.Context(), runtime{hangup: p.hangups(), load: load})
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration `file` (YAML)")
	return cmd
}

// load reads a configuration and refuses it if a worker cannot be built from it.
func (p *program) load(ctx context.Context, file string) (*config.Config, error) {
	cfg, err := config.Load(file, p.getenv, judgeNights, judgeRobots)
	if err != nil {
		return nil, err
	}
	if err := tryWiring(ctx, cfg); err != nil {
		return nil, &config.ProblemsError{File: file, Problems: []config.Problem{{Text: err.Error()}}}
	}
	return cfg, nil
}

func (p *program) logger(cfg config.Log, level *slog.LevelVar) *slog.Logger {
	return logging.Config{Format: cfg.Format, Level: level, ShowPersonalData: cfg.ShowPersonalData}.Logger(p.log)
}

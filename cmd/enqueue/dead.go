package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"rollcall/internal/deadletter"
	"rollcall/internal/enqueue"
	"rollcall/internal/kinds"
	"rollcall/internal/redisdb"
	"rollcall/tasks"
)

// The exit codes of dead, beside exitOK and exitInput.
const (
	exitLetterStays = 3 // some would only fail again
	exitLetterRedis = 4 // Redis did not answer, or not to the end
)

// deadFlags say which letters are meant, and how they are shown.
type deadFlags struct {
	tenant, kind, class, code, run, since, until string

	personal bool
	all      bool
	by       string
}

func (a *app) deadCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dead",
		Short: "Look at dead letters, have them tried again, or discard them",
		Long: `Look at dead letters, have them tried again, or discard them. A dead letter is a
task that no retry will mend. Workers write it down whole before it leaves its
queue, and it is kept, however many there are, until it is replayed or
discarded, by a person or after dead_letters.keep of the configuration, or until
it closes automatically as newer values were applied.

Names and ids of people are masked unless --show-personal-data is given.`,
		Example: `  enqueue dead list
  enqueue dead list --cause rejected --since 24h
  enqueue dead replay --cause busy --all`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return badInput("nothing is said to be done: say list, show, replay, discard or export; see enqueue --help")
		},
	}
	cmd.AddCommand(a.deadListCommand(), a.deadShowCommand(), a.deadReplayCommand(), a.deadDiscardCommand(), a.deadExportCommand())
	for _, sub := range cmd.Commands() {
		hideTaskFlags(sub, aboutNewTasks()...)
	}
	return cmd
}

// aboutNewTasks are the flags of which --dry-run has a meaning of its own here.
func aboutNewTasks() []string {
	return slices.DeleteFunc(aboutTasks(), func(name string) bool { return name == "dry-run" })
}

// hideTaskFlags refuses what is about the enqueueing of a task: it would be
// taken and not heeded.
func hideTaskFlags(cmd *cobra.Command, names ...string) {
	for _, name := range names {
		cmd.Flags().String(name, "", "")
		if name == "urgent" || name == "dry-run" {
			cmd.Flags().Lookup(name).NoOptDefVal = "true"
		}
		_ = cmd.Flags().MarkHidden(name) // it is there
	}
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		var err error
		cmd.Flags().Visit(func(f *pflag.Flag) {
			if slices.Contains(names, f.Name) {
				err = badInput("--%s is about a new task: %s takes no such flag", f.Name, cmd.CommandPath())
			}
		})
		return err
	}
}

// filterFlags adds the flags that say which letters are meant.
func (f *deadFlags) filterFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.tenant, "tenant", "", "of this tenant: its `NAME`")
	flags.StringVar(&f.kind, "kind", "", "of this `KIND`:\n"+kinds.Choice())
	flags.StringVar(&f.class, "cause", "", "that ended in this `CLASS`: rejected, busy, ...")
	flags.StringVar(&f.code, "code", "", "with this `CODE` of the platform")
	flags.StringVar(&f.run, "run", "", "that came in with this run: its `NAME`")
	flags.StringVar(&f.since, "since", "", "that died at `TIME` or later: RFC 3339, a day,\nor 24h for so long ago")
	flags.StringVar(&f.until, "until", "", "that died at `TIME` or before")
}

func (f *deadFlags) personalFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.personal, "show-personal-data", false, "names and ids of people as they are")
}

// filter reads the flags.
func (f *deadFlags) filter(now time.Time) (deadletter.Filter, error) {
	filter := deadletter.Filter{Tenant: f.tenant, Kind: tasks.Kind(f.kind), Class: f.class, Code: f.code, Run: f.run}
	if f.kind != "" && kinds.TypeOf(filter.Kind) == "" {
		return filter, badInput("--kind %q is none: say %s", f.kind, kinds.Choice())
	}
	if f.tenant != "" && !tasks.ValidTenant(f.tenant) {
		return filter, badInput("--tenant %q is no name of a tenant: 1 to 39 of a-z, 0-9 and -, not beginning with -", f.tenant)
	}
	if f.run != "" && !tasks.ValidRun(f.run) {
		return filter, badInput("--run %.80q is no name of a run: 1 to 64 of A-Z, a-z, 0-9, ., _ and -", f.run)
	}
	if f.class != "" && deadletter.Advice(f.class) == "" {
		return filter, badInput("--cause %q is no class of dead letters: say one of %s", f.class, strings.Join(deadletter.Classes(), ", "))
	}
	var err error
	if filter.Since, err = pastTime("--since", f.since, now, false); err != nil {
		return filter, err
	}
	if filter.Until, err = pastTime("--until", f.until, now, true); err != nil {
		return filter, err
	}
	if !filter.Until.IsZero() && filter.Until.Before(filter.Since) {
		return filter, badInput("--until %s is before --since %s: no letter can be meant", f.until, f.since)
	}
	return filter, nil
}

// pastTime reads RFC 3339, a day in local time, or how long ago. A day ends
// where it is an end.
func pastTime(flag, text string, now time.Time, end bool) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	if day, err := time.ParseInLocation(time.DateOnly, text, now.Location()); err == nil {
		if end {
			day = day.AddDate(0, 0, 1).Add(-time.Microsecond)
		}
		return day, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago > 0 {
		return now.Add(-ago), nil
	}
	return time.Time{}, badInput("%s %q is no time: say 2026-03-01T08:00:00+08:00, 2026-03-01, or 24h for so long ago", flag, text)
}

// withDesk runs do at the desk, and gives what Redis did its exit code.
func (a *app) withDesk(ctx context.Context, do func(context.Context, *deadletter.Desk) error) error {
	options, err := a.redisOptions()
	if err != nil {
		return err
	}
	if options.DialTimeout == 0 {
		options.DialTimeout = dialWithin
	}
	client, err := enqueue.New(enqueue.Config{Redis: options})
	if err != nil {
		return &exitError{exitInput, err}
	}
	defer func() { _ = client.Close() }()
	rdb := redisdb.New(options)
	defer func() { _ = rdb.Close() }()
	err = do(ctx, deadletter.New(rdb, client))
	if err == nil {
		return nil
	}
	if _, ours := errors.AsType[*exitError](err); ours {
		return err
	}
	if _, missing := errors.AsType[*deadletter.MissingError](err); missing {
		return &exitError{exitInput, err}
	}
	if failed := a.stdout.Err(); failed != nil {
		return failed // no fault of Redis
	}
	return &exitError{exitLetterRedis, ofRedis(err)}
}

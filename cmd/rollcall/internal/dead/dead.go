// Package dead is rollcall dead: dead letters are shown, replayed, corrected,
// discarded and exported.
package dead

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"rollcall/internal/cli"
	"rollcall/internal/deadletter"
	"rollcall/internal/enqueue"
	"rollcall/internal/exitcode"
	"rollcall/internal/kinds"
	"rollcall/internal/outcome"
	"rollcall/tasks"
)

// exitDeadLetterStays: some tasks would only fail again.
const exitDeadLetterStays = 3

// deadFlags say which letters are meant, and how they are shown.
type deadFlags struct {
	tenant, kind, class, code, run, since, until string

	personal bool
	all      bool
	dryRun   bool
	yes      bool
	by       string
}

// app is one call of the command.
type app struct{ *cli.App }

// Command looks at dead letters; the commands below it settle them.
func Command(cliApp *cli.App) *cobra.Command {
	a := &app{cliApp}
	cmd := &cobra.Command{
		Use:   "dead",
		Short: "Look at dead letters, have them tried again, or discard them",
		Long: `Look at dead letters, have them tried again, or discard them. A dead letter is a
task that no retry will mend. Workers write it down whole before it leaves its
queue, and it is kept, however many there are, until it is replayed or
discarded, by a person or after dead_letters.keep of the configuration, or until
it closes automatically as newer values were applied.

Names and ids of people are masked unless --show-personal-data is given.`,
		Example: `  rollcall dead list
  rollcall dead list --cause rejected --since 24h
  rollcall dead replay --cause busy --all`,
	}
	cli.HelpWhenBare(cmd)
	cmd.AddCommand(a.deadListCommand(), a.deadShowCommand(), a.deadReplayCommand(), a.deadDiscardCommand(), a.deadExportCommand())
	return cmd
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

// filter reads the flags.
func (f *deadFlags) filter(now time.Time) (deadletter.Filter, error) {
	filter := deadletter.Filter{Tenant: f.tenant, Kind: tasks.Kind(f.kind), Class: f.class, Code: f.code, Run: f.run}
	if f.kind != "" && kinds.TypeOf(filter.Kind) == "" {
		return filter, cli.BadInput("--kind %q is none: say %s", f.kind, kinds.Choice())
	}
	if f.tenant != "" && !tasks.ValidTenant(f.tenant) {
		return filter, cli.BadInput("--tenant %q is no name of a tenant: 1 to 39 of a-z, 0-9 and -, not beginning with -", f.tenant)
	}
	if f.run != "" && !tasks.ValidRun(f.run) {
		return filter, cli.BadInput("--run %.80q is no name of a run: 1 to 64 of A-Z, a-z, 0-9, ., _ and -", f.run)
	}
	if f.class != "" && outcome.Class(f.class).Rule().Advice == "" {
		return filter, cli.BadInput("--cause %q is no class of dead letters: say one of %s", f.class, deadLetterClasses())
	}
	var err error
	if filter.Since, err = pastTime("--since", f.since, now, false); err != nil {
		return filter, err
	}
	if filter.Until, err = pastTime("--until", f.until, now, true); err != nil {
		return filter, err
	}
	if !filter.Until.IsZero() && filter.Until.Before(filter.Since) {
		return filter, cli.BadInput("--until %s is before --since %s: no letter can be meant", f.until, f.since)
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
	return time.Time{}, cli.BadInput("%s %q is no time: say 2026-03-01T08:00:00+08:00, 2026-03-01, or 24h for so long ago", flag, text)
}

// withDesk runs do with the dead letters of a Redis, and gives an error of Redis
// its exit code.
func (a *app) withService(ctx context.Context, do func(context.Context, *deadletter.Service) error) error {
	options, err := a.RedisOptions()
	if err != nil {
		return err
	}
	client, err := enqueue.New(enqueue.Config{Redis: options})
	if err != nil {
		return exitcode.AsUsage(err)
	}
	defer func() { _ = client.Close() }()
	return a.WithRedis(ctx, func(ctx context.Context, rdb redis.UniversalClient) error {
		err := do(ctx, deadletter.New(rdb, client))
		if _, missing := errors.AsType[*deadletter.MissingError](err); missing {
			return exitcode.AsUsage(err)
		}
		return err
	})
}

func deadLetterClasses() string {
	var all []string
	for _, class := range outcome.OfDeadLetters() {
		all = append(all, string(class))
	}
	return strings.Join(all, ", ")
}

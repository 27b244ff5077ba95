// Package dead is rollcall dead: it shows, replays, corrects, discards and exports
// dead letters.
package dead

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/deadletter"
	"rollcall/internal/exitcode"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/outcome"
	"rollcall/internal/remote"
	"rollcall/tasks"
)

// exitDeadLetterStays: some dead letters stay because their tasks would fail again.
const exitDeadLetterStays = 3

// deadFlags select dead letters and control how they are shown.
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

// Command shows dead letters; its subcommands also replay and discard them.
func Command(cliApp *cli.App) *cobra.Command {
	a := &app{cliApp}
	cmd := &cobra.Command{
		Use:   "dead",
		Short: "Show, replay or discard dead letters",
		Long: `Show, replay or discard dead letters. A dead letter is a task that failed and
that no retry can fix. A worker stores the whole task before it leaves its
queue. A dead letter is kept until a person replays or discards it, until it is
older than dead_letters.keep of the configuration, or until it closes
automatically because newer values were applied.

Names and ids of people are masked without --show-personal-data.`,
		Example: `  rollcall dead list
  rollcall dead list --cause rejected --since 24h
  rollcall dead replay --cause busy --all`,
	}
	cli.HelpWhenBare(cmd)
	cmd.AddCommand(a.deadListCommand(), a.deadShowCommand(), a.deadReplayCommand(), a.deadDiscardCommand(), a.deadExportCommand())
	return cmd
}

// filterFlags adds the flags that select dead letters.
func (f *deadFlags) filterFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.tenant, "tenant", "", "only this tenant, by `NAME`")
	flags.StringVar(&f.kind, "kind", "", "only this `KIND`:\n"+kinds.Choice())
	flags.StringVar(&f.class, "cause", "", "only this `CLASS` of failures: rejected, busy, ...")
	flags.StringVar(&f.code, "code", "", "only this `CODE` of the platform")
	flags.StringVar(&f.run, "run", "", "only tasks of this run, by `NAME`")
	flags.StringVar(&f.since, "since", "", "failed at `TIME` or later: RFC 3339, a date, or 24h\nfor 24 hours ago")
	flags.StringVar(&f.until, "until", "", "failed at `TIME` or earlier")
}

// filter reads the flags.
func (f *deadFlags) filter(now time.Time) (deadletter.Filter, error) {
	filter := deadletter.Filter{Tenant: f.tenant, Kind: tasks.Kind(f.kind), Class: f.class, Code: f.code, Run: f.run}
	if f.kind != "" && kinds.TypeOf(filter.Kind) == "" {
		return filter, cli.BadInput("--kind: unknown kind %q: must be %s", f.kind, kinds.Choice())
	}
	if f.tenant != "" && !tasks.ValidTenant(f.tenant) {
		return filter, cli.BadInput("--tenant: invalid name %q: use 1 to 39 of a-z, 0-9 and -, not beginning with -", f.tenant)
	}
	if f.run != "" && !tasks.ValidRun(f.run) {
		return filter, cli.BadInput("--run: invalid name %.80q: use 1 to 64 of A-Z, a-z, 0-9, ., _ and -", f.run)
	}
	if f.class != "" && outcome.Class(f.class).Rule().Advice == "" {
		return filter, cli.BadInput("--cause: unknown class %q: must be one of %s", f.class, deadLetterClasses())
	}
	var err error
	if filter.Since, err = pastTime("--since", f.since, now, false); err != nil {
		return filter, err
	}
	if filter.Until, err = pastTime("--until", f.until, now, true); err != nil {
		return filter, err
	}
	if !filter.Until.IsZero() && filter.Until.Before(filter.Since) {
		return filter, cli.BadInput("--until %s is before --since %s", f.until, f.since)
	}
	return filter, nil
}

// pastTime parses a time in RFC 3339, a date in local time, or a time ago. A date means
// its last moment if end, else its first.
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
	return time.Time{}, cli.BadInput("%s: invalid time %q: use 2026-03-01T08:00:00+08:00, 2026-03-01, or 24h for 24 hours ago", flag, text)
}

// store is where dead letters are: the service in Redis, or a client of the API.
type store interface {
	Causes(ctx context.Context, f deadletter.Filter) ([]deadletter.Cause, error)
	Latest(ctx context.Context, f deadletter.Filter, n int) ([]ledger.DeadLetter, error)
	Each(ctx context.Context, f deadletter.Filter, do func([]ledger.DeadLetter) error) error
	Find(ctx context.Context, id string) (ledger.DeadLetter, error)
	Replay(ctx context.Context, dead []ledger.DeadLetter) []deadletter.Settled
	Discard(ctx context.Context, dead []ledger.DeadLetter) []deadletter.Settled
	Note(ctx context.Context, outcome deadletter.Outcome, counts deadletter.Counts, reason, by string) error
}

// withStore runs do with the dead letters in Redis, or at the API, which masks people
// unless personal.
func (a *app) withStore(ctx context.Context, personal bool, reason string, do func(context.Context, store) error) error {
	if a.UsesAPI() {
		return a.WithAPI(ctx, func(ctx context.Context, client *remote.Client) error {
			return asUsage(do(ctx, client.Dead(personal, reason)))
		})
	}
	return a.withService(ctx, func(ctx context.Context, service *deadletter.Service) error { return do(ctx, service) })
}

// shown reports whether a dead letter is shown as it was read: the API has masked it, or
// nothing is masked.
func (a *app) shown(personal bool) bool { return personal || a.UsesAPI() }

func asUsage(err error) error {
	if _, missing := errors.AsType[*deadletter.MissingError](err); missing {
		return exitcode.AsUsage(err)
	}
	return err
}

// withService runs do with the dead letters in Redis, and gives an error of Redis its
// exit code.
func (a *app) withService(ctx context.Context, do func(context.Context, *deadletter.Service) error) error {
	client, err := a.Producer()
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	return a.WithRedis(ctx, func(ctx context.Context, rdb redis.UniversalClient) error {
		service := deadletter.New(rdb, client)
		service.OnDamage(func(d ledger.Damage) { console.Fprintf(a.Stderr, "skipped %s; see rollcall repair\n", d) })
		return asUsage(do(ctx, service))
	})
}

func deadLetterClasses() string {
	var all []string
	for _, class := range outcome.OfDeadLetters() {
		all = append(all, string(class))
	}
	return strings.Join(all, ", ")
}

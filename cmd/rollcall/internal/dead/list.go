package dead

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/deadletter"
	"rollcall/internal/ledger"
	"rollcall/internal/privacy"
	"rollcall/tasks"
)

const deadReadExits = `Exit codes:
  0   done, even if there are none
  4   cannot read Redis
  64  wrong usage, or no dead letter has the id`

func (a *app) deadListCommand() *cobra.Command {
	var f deadFlags
	var closed bool
	n := 20
	cmd := &cobra.Command{
		Use:   "list [filters]",
		Short: "Show dead letters by cause, and the newest ones",
		Long: `Show the number of dead letters for each cause, what to do about it, and the
newest dead letters. With --json, print an object for each cause, with a field
letters, then one for each dead letter, with a field id.

A dead letter closes automatically when all fields of its task were applied at a
higher revision. A dead letter of a membership edit or of class unverified does
not. --closed shows closed dead letters.

` + deadReadExits,
		Example: `  rollcall dead list
  rollcall dead list --tenant lakeside-dt --kind nickname --since 24h -n 100
  rollcall dead list --json | jq 'select(.letters)'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := f.filter(a.Now())
			if err != nil {
				return err
			}
			if closed && f.run != "" {
				return cli.BadInput("--closed and --run cannot be used together: closed dead letters keep no run; leave out --run")
			}
			if closed {
				if err := a.NeedsRedis("rollcall dead list --closed"); err != nil {
					return err
				}
				return a.withService(cmd.Context(), func(ctx context.Context, service *deadletter.Service) error {
					return a.deadClosed(ctx, service, filter, n, f.personal)
				})
			}
			return a.withStore(cmd.Context(), f.personal, "", func(ctx context.Context, service store) error {
				return a.deadList(ctx, service, filter, n, f.personal)
			})
		},
	}
	f.filterFlags(cmd)
	cli.Limit(cmd, &n, 0, "number of dead letters to show, `N`")
	cmd.Flags().BoolVar(&closed, "closed", false, "show closed dead letters instead; the newest 1,000\nof a lane are kept for 90 days")
	cli.PersonalData(cmd, &f.personal)
	return cmd
}

// causeRecord is a cause as --json prints it. Its names are stable.
type causeRecord struct {
	Class       string    `json:"class"`
	Code        string    `json:"code,omitzero"`
	DeadLetters int64     `json:"letters"` // how many dead letters
	Lanes       []string  `json:"lanes"`   // that have them
	Latest      time.Time `json:"newest"`  // when the latest died
	Todo        string    `json:"todo,omitzero"`
}

func (a *app) deadList(ctx context.Context, service store, filter deadletter.Filter, n int, personal bool) error {
	causes, err := service.Causes(ctx, filter)
	if err != nil {
		return err
	}
	dead, err := service.Latest(ctx, filter, n)
	if err != nil {
		return err
	}
	if err := a.printCauses(causes); err != nil {
		return err
	}
	if len(dead) > 0 && !a.JSON {
		console.Fprintf(a.Stdout, "\nnewest:\n")
	}
	for _, l := range dead {
		r := NewRecord(l, a.shown(personal), false)
		if a.JSON {
			if err := a.PrintJSON(r); err != nil {
				return err
			}
			continue
		}
		console.Fprintf(a.Stdout, "%s  %s  %s\n", cli.Clock(l.Last), l.Lane, deadletter.Named(l.Class, l.Code))
		console.Fprintf(a.Stdout, "  %s  %s\n", r.Target, l.ID)
	}
	return nil
}

// closedRecord is a dead letter that closed automatically, as --json prints it. Its
// names are stable.
type closedRecord struct {
	ledger.ClosedDeadLetter

	Reason string `json:"reason"`
}

// closedReason is the reason for which a dead letter closes automatically.
const closedReason = "all its fields were applied at a higher revision"

func (a *app) deadClosed(ctx context.Context, service *deadletter.Service, filter deadletter.Filter, n int, personal bool) error {
	dead, err := service.Closed(ctx, filter, n)
	if err != nil {
		return err
	}
	if len(dead) == 0 && !a.JSON {
		console.Fprintln(a.Stdout, "no dead letters have closed automatically")
		return nil
	}
	out := console.Columns(a.Stdout)
	if !a.JSON {
		console.Fprintf(a.Stdout, "closed automatically: %s\n", closedReason)
		console.Row(out, "CLOSED", "LANE", "CAUSE", "TARGET", "APPLIED", "TASK")
	}
	for _, l := range dead {
		if !personal {
			l.Target = privacy.Target(tasks.Kind(l.Kind), l.Target)
		}
		if a.JSON {
			if err := a.PrintJSON(closedRecord{l, closedReason}); err != nil {
				return err
			}
			continue
		}
		console.Row(out, cli.Clock(l.Closed), l.Lane, deadletter.Named(l.Class, l.Code), l.Target, cli.Clock(time.UnixMicro(l.Applied)), l.ID)
	}
	return out.Flush()
}

// sum is the number of dead letters of all causes.
func sum(causes []deadletter.Cause) (total int64) {
	for _, c := range causes {
		total += c.DeadLetters
	}
	return total
}

// printCauses prints the total, and each cause with its advice.
func (a *app) printCauses(causes []deadletter.Cause) error {
	if a.JSON {
		for _, c := range causes {
			if err := a.PrintJSON(causeRecord(c)); err != nil {
				return err
			}
		}
		return nil
	}
	total := sum(causes)
	if total == 0 {
		console.Fprintln(a.Stdout, "no dead letters")
		return nil
	}
	console.Fprintln(a.Stdout, console.Count(int(total), "dead letter"))
	out := a.NewPrinter()
	for _, c := range causes {
		console.Fprintf(a.Stdout, "\n%7d  %s\n", c.DeadLetters, deadletter.Named(c.Class, c.Code))
		out.Text(console.Plain, 9, "in "+strings.Join(c.Lanes, ", ")+", newest "+console.Glued(cli.Clock(c.Latest)))
		if c.Todo != "" {
			out.Text(console.Plain, 9, "to do: "+c.Todo)
		}
	}
	return nil
}

func (a *app) deadShowCommand() *cobra.Command {
	var f deadFlags
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show one dead letter in full",
		Long: `Show one dead letter in full, and the state of its task in asynq.

` + deadReadExits,
		Example: `  rollcall dead show 0d0cd8f0-8ac5-4c2c-9f6a-5c4f5a4ad3a1
  rollcall dead show --json --show-personal-data \
      0d0cd8f0-8ac5-4c2c-9f6a-5c4f5a4ad3a1`,
		Args: cli.Exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withService(cmd.Context(), func(ctx context.Context, service *deadletter.Service) error {
				dead, err := service.Find(ctx, args[0])
				if err != nil {
					return err
				}
				if a.JSON {
					return a.PrintJSON(NewRecord(dead, f.personal, true))
				}
				state, err := service.State(ctx, dead)
				if err != nil {
					return err
				}
				return a.deadShow(dead, state, f.personal)
			})
		},
	}
	cli.PersonalData(cmd, &f.personal)
	return cmd
}

func (a *app) deadShow(l ledger.DeadLetter, state string, personal bool) error {
	r := NewRecord(l, personal, true)
	if state == "" {
		state = "no longer in asynq"
	}
	out := console.Columns(a.Stdout)
	console.Row(out, "in asynq", state)
	for _, f := range fields {
		if text := f.of(r); f.title != "" && text != "" {
			console.Row(out, f.title, text)
		}
	}
	return out.Flush()
}

func (a *app) deadExportCommand() *cobra.Command {
	var f deadFlags
	cmd := &cobra.Command{
		Use:   "export [filters]",
		Short: "Write dead letters to standard output, as CSV or JSON",
		Long: `Write dead letters to standard output as CSV, or with --json as one object per
line. They are ordered by lane, then by cause, then newest first.

The CSV is for spreadsheets: UTF-8 with a byte order mark and CRLF line ends. A
cell that would be a formula is prefixed with an apostrophe, which enqueue bulk
removes. Control and bidirectional characters are escaped, as in \u202e. Use
--json for programs: it changes no value.

` + deadReadExits,
		Example: `  rollcall dead export --cause rejected
  rollcall dead export --json --show-personal-data | gzip`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := f.filter(a.Now())
			if err != nil {
				return err
			}
			return a.withService(cmd.Context(), func(ctx context.Context, service *deadletter.Service) error {
				return a.deadExport(ctx, service, filter, f.personal)
			})
		},
	}
	f.filterFlags(cmd)
	cli.PersonalData(cmd, &f.personal)
	return cmd
}

func (a *app) deadExport(ctx context.Context, service *deadletter.Service, filter deadletter.Filter, personal bool) error {
	if a.JSON {
		return service.Each(ctx, filter, func(dead []ledger.DeadLetter) error {
			for _, l := range dead {
				if err := a.PrintJSON(NewRecord(l, personal, true)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	out := a.Stdout.CSV()
	heads, cells := make([]string, len(fields)), make([]string, len(fields))
	for i, f := range fields {
		heads[i] = f.column
	}
	if err := out.Row(heads); err != nil {
		return err
	}
	err := service.Each(ctx, filter, func(dead []ledger.DeadLetter) error {
		for _, l := range dead {
			r := NewRecord(l, personal, true)
			for i, f := range fields {
				cells[i] = f.of(r)
				if f.cell != nil {
					cells[i] = f.cell(r)
				}
			}
			if err := out.Row(cells); err != nil {
				return err
			}
		}
		return out.Flush()
	})
	return cmp.Or(err, out.Flush())
}

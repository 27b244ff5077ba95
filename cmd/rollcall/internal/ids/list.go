package ids

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/ledger"
	"rollcall/internal/privacy"
	"rollcall/internal/registry"
	"rollcall/internal/unverified"
	"rollcall/tasks"
)

func (a *app) listCommand() *cobra.Command {
	var tenant string
	var personal bool
	n := 100
	cmd := &cobra.Command{
		Use:   "list [--tenant T]",
		Short: "Show ID changes with an unknown outcome",
		Long: `Show employees whose ID may or may not have been changed, the oldest case first:
the ID, how often it was sent, and when it was last sent. Nothing else is sent
for them until you look up the ID and run rollcall ids confirm or reject.

Names and ids of people are masked without --show-personal-data.

Exit codes:
  0   done, even if there are none
  4   cannot read Redis
  64  wrong usage, or no worker serves the tenant`,
		Example: `  rollcall ids list --show-personal-data
  rollcall ids list --tenant lakeside-dt --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.WithRedisFor(cmd.Context(), cli.AnswerWithin, func(ctx context.Context, rdb redis.UniversalClient) error {
				return a.listIDs(ctx, rdb, tenant, n, personal)
			})
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&tenant, "tenant", "", "only the organisation of this tenant, by `NAME`")
	cli.Limit(cmd, &n, 1, "number per organisation, at most `N`")
	cli.PersonalData(cmd, &personal)
	return cmd
}

// unknownRecord is an ID change with an unknown outcome, as --json prints it. Its names
// are stable.
type unknownRecord struct {
	Organisation string    `json:"organisation"`
	Tenants      []string  `json:"tenants"` // of the organisation; any of them can be used to settle
	Target       string    `json:"target"`
	Value        string    `json:"value,omitzero"` // the ID that was sent
	Sends        int       `json:"sends,omitzero"` // how often
	Since        time.Time `json:"since,omitzero"` // when it was last sent
	TaskID       string    `json:"task_id,omitzero"`
}

func (a *app) listIDs(ctx context.Context, rdb redis.UniversalClient, tenant string, n int, personal bool) error {
	lanes, err := registry.Read(ctx, rdb, a.Now())
	if err != nil {
		return err
	}
	only := ""
	if tenant != "" {
		lane, err := idLane(lanes, tenant)
		if err != nil {
			return err
		}
		only = lane.Organisation
	}
	tenants := map[string][]string{} // by organisation
	for _, l := range lanes {
		if l.Kind == tasks.KindID && (only == "" || l.Organisation == only) {
			tenants[l.Organisation] = append(tenants[l.Organisation], l.Tenant)
		}
	}
	found := 0
	for _, o := range slices.Sorted(maps.Keys(tenants)) {
		k, err := a.listUnknown(ctx, ledger.New(rdb), o, tenants[o], n, personal)
		found += k
		if err != nil {
			return err
		}
	}
	if found == 0 && !a.JSON {
		console.Fprintln(a.Stdout, "no ID changes with an unknown outcome")
	}
	return nil
}

func (a *app) listUnknown(ctx context.Context, l *ledger.Ledger, organisation string, tenants []string, n int, personal bool) (found int, err error) {
	targets, err := l.UnknownTargets(ctx, organisation, string(tasks.KindID))
	if err != nil {
		return 0, err
	}
	p := a.NewPrinter()
	for i, target := range targets {
		if found == n {
			console.Fprintf(a.Stderr, "and %d more of %s; use -n to show more\n", len(targets)-i, organisation)
			return found, nil
		}
		record, err := l.Look(ctx, target)
		if err != nil {
			return found, err
		}
		state := record.Fields[unverified.Field]
		if state.Unknown == 0 { // settled since the targets were read
			continue
		}
		found++
		d := unknownRecord{Organisation: organisation, Tenants: tenants, Target: target.Key, Since: time.UnixMicro(state.Unknown)}
		if in := state.Intent; in != nil {
			d.Value, d.Sends, d.Since, d.TaskID = in.Value, in.Sends, in.At, in.TaskID
		}
		if !personal {
			d.Target = privacy.Target(tasks.KindID, d.Target)
			d.Value = privacy.Value(tasks.KindID, unverified.Field, d.Value)
		}
		d.Since = d.Since.UTC()
		if a.JSON {
			if err := a.PrintJSON(d); err != nil {
				return found, err
			}
			continue
		}
		d.print(p, personal)
	}
	return found, nil
}

func (d unknownRecord) print(p *cli.Printer, personal bool) {
	value, sent := "an ID that an older worker did not record", "sent "
	if d.Value != "" {
		value, sent = d.Value, "sent "+console.Count(d.Sends, "time")+", last "
	}
	p.Text(console.Bold, 0, d.Organisation+": "+d.Target+" may have "+value)
	sent += p.At(d.Since)
	if d.TaskID != "" {
		sent += "; task " + console.Glued(d.TaskID)
	}
	p.Text(console.Plain, 2, sent)
	user := "USER"
	if personal {
		user = d.Target
	}
	of := " --tenant " + d.Tenants[0] + " --user " + user
	p.Text(console.Plain, 2, "look up the ID in the admin console, then run "+console.Glued("rollcall ids confirm"+of)+" or "+console.Glued("rollcall ids reject"+of))
}

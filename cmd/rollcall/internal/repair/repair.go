// Package repair is rollcall repair: keys in Redis that are damaged are shown, and
// discarded one by one.
package repair

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"rollcall/internal/backlog"
	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/hold"
	"rollcall/internal/ledger"
	"rollcall/internal/pace"
	"rollcall/internal/registry"
)

type app struct{ *cli.App }

type flags struct {
	key, entry, run, reason, by string
	yes                         bool
}

// Command shows damaged keys, and discards one.
func Command(cliApp *cli.App) *cobra.Command {
	a := &app{cliApp}
	var f flags
	cmd := &cobra.Command{
		Use:   "repair [LANE [TARGET]] [flags]",
		Short: "Show damaged keys in Redis, and discard one",
		Long: `Show the keys in Redis that are damaged, because another program wrote them:
of all lanes, of one, of one of its targets, or of a run. Each says what is
lost if it is discarded. With --yes the one that is shown is discarded, which
lanes events records. The lane continues by itself.

Exit codes:
  0   done, also if nothing is damaged
  4   Redis cannot be read or written
  64  bad usage, an unknown lane, or several damaged keys with --yes`,
		Example: `  rollcall repair
  rollcall repair lakeside-dt.nickname chat1/u1
  rollcall repair lakeside-dt.nickname --key 'rollcall:{lakeside}:spent' --yes`,
		Args: cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.WithRedis(cmd.Context(), func(ctx context.Context, rdb redis.UniversalClient) error { return a.repair(ctx, rdb, args, f) })
		},
	}
	cmd.Flags().StringVar(&f.key, "key", "", "only this `KEY`")
	cmd.Flags().StringVar(&f.entry, "entry", "", "only this `ENTRY` of a target")
	cmd.Flags().StringVar(&f.run, "run", "", "the results of this `RUN` instead; needs LANE")
	cmd.Flags().StringVar(&f.reason, "reason", "", "`WHY`, for the audit log")
	cli.Yes(cmd, &f.yes)
	cli.By(cmd, &f.by)
	return cmd
}

// found is a damaged key as --json prints it. Its names are a contract.
type found struct {
	Lane      string `json:"lane"`
	Key       string `json:"key"`
	Entry     string `json:"entry,omitzero"`
	Problem   string `json:"problem"`
	Lost      string `json:"lost"` // if it is discarded
	Discarded bool   `json:"discarded"`

	damage ledger.Damage
}

func (a *app) repair(ctx context.Context, rdb redis.UniversalClient, args []string, f flags) error {
	lanes, err := registry.Read(ctx, rdb, time.Time{})
	if err != nil {
		return err
	}
	if len(args) > 0 {
		lane, ok := registry.OfQueue(args[0], lanes)
		if !ok {
			return cli.BadInput("lane %q not found: rollcall lanes shows the lanes", args[0])
		}
		lanes = []registry.Lane{lane}
	} else if f.run != "" {
		return cli.BadInput("--run needs a LANE")
	}
	record := ledger.New(rdb)
	all, err := find(ctx, record, lanes, args, f)
	switch {
	case err != nil:
		return err
	case f.yes && len(all) > 1:
		return cli.BadInput("%d damaged keys or entries: choose one by --key or --entry", len(all))
	case f.yes && len(all) == 1:
		err = a.discard(ctx, rdb, record, &all[0], f)
	}
	a.print(all)
	return err
}

// find returns what is damaged and selected by the flags, each once: lanes share keys.
func find(ctx context.Context, record *ledger.Ledger, lanes []registry.Lane, args []string, f flags) ([]found, error) {
	var all []found
	seen := map[string]bool{}
	for _, l := range lanes {
		damage, err := damageOf(ctx, record, l, args, f.run)
		if err != nil {
			return nil, err
		}
		for _, d := range damage {
			at := d.Key + " " + d.Entry
			if seen[at] || f.key != "" && f.key != d.Key || f.entry != "" && f.entry != d.Entry {
				continue
			}
			seen[at] = true
			all = append(all, found{Lane: name(l), Key: d.Name(), Entry: d.Entry, Problem: d.What, Lost: lost(d), damage: d})
		}
	}
	return all, nil
}

func (a *app) discard(ctx context.Context, rdb redis.UniversalClient, record *ledger.Ledger, one *found, f flags) error {
	var err error
	if one.Discarded, err = record.Discard(ctx, one.damage); err != nil {
		return err
	}
	if !one.Discarded {
		return fmt.Errorf("nothing discarded: %s changed since it was read; run rollcall repair again", one.Key)
	}
	return hold.Note(ctx, rdb, "key.discarded", hold.Scope{Level: hold.Lane, Name: one.Lane}, "damaged",
		strings.TrimSuffix(one.Key+" "+one.Entry+": lost: "+one.Lost+": "+f.reason, ": "), a.Person(f.by))
}

func (a *app) print(all []found) {
	if a.JSON {
		for _, one := range all {
			_ = a.PrintJSON(one)
		}
		return
	}
	p := a.NewPrinter()
	for _, one := range all {
		p.Text(console.Red, 0, fmt.Sprintf("%s: %s", one.Lane, ledger.Damage{Key: one.Key, What: one.Problem}))
		if one.Discarded {
			p.Text(console.Plain, 2, "discarded; lost: "+one.Lost)
		} else {
			p.Text(console.Plain, 2, "lost if it is discarded with --yes: "+one.Lost)
		}
	}
	if len(all) == 0 {
		p.Text(console.Plain, 0, "no damaged keys")
	}
}

func name(l registry.Lane) string { return registry.Queue(l.Tenant, l.Kind, false) }

func damageOf(ctx context.Context, record *ledger.Ledger, l registry.Lane, args []string, run string) ([]ledger.Damage, error) {
	switch {
	case run != "":
		return record.WrongTypes(ctx, ledger.RunKeys(l.Organisation, string(l.Kind), ledger.RunName{Tenant: l.Tenant, Run: run}))
	case len(args) == 2:
		return record.Inspect(ctx, ledger.Target{Organisation: l.Organisation, API: string(l.Kind), Key: args[1]})
	}
	keys := append(ledger.LaneKeys(l.Organisation, string(l.Kind), name(l)),
		ledger.KeyType{Key: pace.LaneKey(l.Organisation, name(l)), Type: "hash"},
		ledger.KeyType{Key: pace.MonthKey(l.Organisation), Type: "hash"},
	)
	if l.Address != "" {
		keys = append(keys, ledger.KeyType{Key: pace.AddressKey(l.Address), Type: "hash"})
	}
	for _, urgent := range []bool{true, false} {
		for _, k := range []ledger.KeyType{
			{Key: "pending", Type: "list"},
			{Key: "active", Type: "list"},
			{Key: "lease", Type: "zset"},
			{Key: "scheduled", Type: "zset"},
			{Key: "retry", Type: "zset"},
			{Key: "archived", Type: "zset"},
			{Key: "completed", Type: "zset"},
		} {
			keys = append(keys, ledger.KeyType{Key: backlog.Key(registry.Queue(l.Tenant, l.Kind, urgent), k.Key), Type: k.Type})
		}
	}
	return record.WrongTypes(ctx, keys)
}

// losses says what is lost with a key, by a part of its name.
var losses = []struct{ part, text string }{
	{":pending", "the order of the pending tasks; each that the ledger knows gets a dead letter of class vanished"},
	{":active", "nothing that was not lost already: tasks that run end, others get a dead letter of class vanished"},
	{":lease", "nothing: running tasks renew their leases"},
	{":scheduled", "the times of scheduled tasks; each that the ledger knows gets a dead letter of class vanished"},
	{":retry", "the times of retries; each task that the ledger knows gets a dead letter of class vanished"},
	{":archived", "the list of the archived tasks in the web UI; dead letters stay"},
	{":completed", "the list of the completed tasks in the web UI"},
	{"}:lane:", "what the lane has learned of its rate; it waits for one window"},
	{"}:spent", "the month's count of calls, which begins at 0: compare it with the platform's"},
	{"}:pace", "the pace of the address, which starts from zero"},
	{":dead:", "dead letters, or their index: all of the lane's that it held"},
	{"}:tasks", "the records of open tasks: those that vanish later get no dead letter"},
	{"}:doubts", "the list of the IDs with an unknown outcome; their targets keep it"},
	{"}:late:", "which values are sent again because a late request may have overwritten them; the next change of a target is sent"},
	{"}:runs", "the list of the runs"},
	{"}:run:", "the results of these rows"},
	{"}:changed", "when an ID was changed last: taken IDs are tried again later"},
	{"}:effects:", "the history of the target"},
	{"}:edits:", "the order of the target's open membership edits"},
	{"}:target:", "what is known of the target: what was applied, a lock, an unknown outcome; the next change is sent even if it is equal"},
}

func lost(d ledger.Damage) string {
	if d.Entry != "" {
		return "this entry; the next change of the target is sent even if it is equal"
	}
	for _, l := range losses {
		if strings.Contains(d.Key, l.part) {
			return l.text
		}
	}
	return "what it holds"
}

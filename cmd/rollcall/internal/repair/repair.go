// Package repair is rollcall repair: what is damaged in Redis is shown, and repaired.
package repair

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"rollcall/internal/audit"
	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/damage"
	"rollcall/internal/ledger"
	"rollcall/internal/night"
	"rollcall/internal/registry"
	"rollcall/internal/run"
	"rollcall/internal/schedule"
)

type flags struct {
	key, entry, run, reason, by string
	yes, all                    bool
}

// Command shows what is damaged, and repairs it.
func Command(a *cli.App) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "repair [LANE [TARGET]] [flags]",
		Short: "Show damaged keys in Redis, and repair them",
		Long: `Show the keys in Redis that are damaged, because another program wrote them:
of all lanes with their open tasks, all runs and schedules, of one lane with all
its targets, of one of its targets, or of a run. Each says what is lost if it is
repaired. With --yes the one that is shown is repaired, which lanes events
records; with --all, all are. Lanes and runs continue by themselves.

Exit codes:
  0   done, also if nothing is damaged
  4   Redis cannot be read or written
  64  bad usage, an unknown lane, or several damaged keys with --yes alone`,
		Example: `  rollcall repair
  rollcall repair lakeside-dt.nickname chat1/u1
  rollcall repair lakeside-dt.nickname --key 'rollcall:{lakeside}:spent' --yes`,
		Args: cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.WithRedis(cmd.Context(), func(ctx context.Context, rdb redis.UniversalClient) error { return repair(ctx, a, rdb, args, f) })
		},
	}
	cmd.Flags().StringVar(&f.key, "key", "", "only this `KEY`")
	cmd.Flags().StringVar(&f.entry, "entry", "", "only this `ENTRY` of a key")
	cmd.Flags().StringVar(&f.run, "run", "", "this `RUN` with all its rows; with LANE its results there")
	cmd.Flags().BoolVar(&f.all, "all", false, "with --yes: repair all that is shown")
	cmd.Flags().StringVar(&f.reason, "reason", "", "`WHY`, for the audit log")
	cli.Yes(cmd, &f.yes)
	cli.By(cmd, &f.by)
	return cmd
}

// found is something damaged as --json prints it. Its names are a contract.
type found struct {
	Lane      string `json:"lane,omitzero"`  // absent: of all lanes
	Key       string `json:"key"`            // in Redis
	Entry     string `json:"entry,omitzero"` // of the key
	Problem   string `json:"problem"`        // what is damaged
	Lost      string `json:"lost"`           // if it is repaired
	Discarded bool   `json:"discarded"`      // it was repaired

	damage ledger.Damage
}

func repair(ctx context.Context, a *cli.App, rdb redis.UniversalClient, args []string, f flags) error {
	lanes, err := registry.Read(ctx, rdb, time.Time{})
	if err != nil && !damage.WrongType(err) { // else the list of lanes is what is damaged
		return err
	}
	if len(args) > 0 {
		lane, ok := registry.OfQueue(args[0], lanes)
		if !ok || lane.Organisation == "" {
			return cli.BadInput("lane %q not found: rollcall lanes shows the lanes", args[0])
		}
		lanes = []registry.Lane{lane}
	}
	record := ledger.New(rdb)
	s := &store{rdb: rdb, record: record, runs: run.New(run.Config{Redis: rdb, Ledger: record}), lanes: lanes}
	all, err := s.find(ctx, args, f)
	switch {
	case err != nil:
		return err
	case f.yes && len(all) > 1 && !f.all:
		return cli.BadInput("%d damaged keys or entries: choose one by --key or --entry, or repair --all", len(all))
	case f.yes:
		for i := range all {
			if err = s.discard(ctx, &all[i], f, a.Person(f.by)); err != nil {
				break
			}
		}
	}
	printFound(a, all)
	return err
}

// store is what is looked at and repaired.
type store struct {
	rdb    redis.UniversalClient
	record *ledger.Ledger
	runs   *run.Service
	lanes  []registry.Lane
}

// find returns what is damaged and selected by the flags, each once: lanes share keys.
func (s *store) find(ctx context.Context, args []string, f flags) ([]found, error) {
	var all []found
	seen := map[string]bool{}
	add := func(lane string, damaged []ledger.Damage) {
		for _, d := range damaged {
			at := d.Key + " " + d.Entry
			if seen[at] || f.key != "" && f.key != d.Key || f.entry != "" && f.entry != d.Entry {
				continue
			}
			seen[at] = true
			all = append(all, found{Lane: lane, Key: d.Name(), Entry: d.Entry, Problem: d.What, Lost: damage.Lost(d), damage: d})
		}
	}
	if len(args) == 0 {
		shared, err := s.shared(ctx, f)
		if err != nil {
			return nil, err
		}
		add("", shared)
		if f.run != "" {
			return all, nil
		}
	}
	for _, l := range s.lanes {
		damaged, err := s.damageOf(ctx, l, args, f)
		if err != nil {
			return nil, err
		}
		add(registry.Queue(l.Tenant, l.Kind, false), damaged)
	}
	return all, nil
}

// shared returns what is damaged in the keys that all lanes share, and of runs: with the
// rows of those that have not ended, or of one.
func (s *store) shared(ctx context.Context, f flags) ([]ledger.Damage, error) {
	if f.run != "" {
		return s.runs.Inspect(ctx, f.run)
	}
	all, err := damage.Shared(ctx, s.rdb)
	if err != nil {
		return nil, err
	}
	ofRuns, err := s.runs.InspectShared(ctx)
	if err != nil {
		return nil, err
	}
	ofSchedules, err := s.schedules(ctx)
	if err != nil {
		return nil, err
	}
	all = slices.Concat(all, ofRuns, ofSchedules)
	listed, err := s.runs.List(ctx, run.Filter{N: mostRuns})
	if _, damaged := errors.AsType[*ledger.DamagedError](err); err != nil && !damaged {
		return nil, err
	}
	for _, r := range listed {
		if r.State.Ended() {
			continue
		}
		ofRun, err := s.runs.Inspect(ctx, r.ID)
		if err != nil {
			return nil, err
		}
		all = append(all, ofRun...)
	}
	results, err := s.results(ctx, listed)
	return append(all, results...), err
}

// schedules returns what is damaged in the keys of schedules and their nights.
func (s *store) schedules(ctx context.Context) ([]ledger.Damage, error) {
	names, err := schedule.NewStore(s.rdb).Names(ctx)
	if _, damaged := errors.AsType[*schedule.DamagedError](err); err != nil && !damaged {
		return nil, err
	}
	keys := map[string]string{}              // the types of all
	for _, name := range append(names, "") { // "": the keys of all
		maps.Copy(keys, schedule.Keys(name))
		maps.Copy(keys, night.Keys(name))
	}
	var types []ledger.KeyType
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		types = append(types, ledger.KeyType{Key: key, Type: keys[key]})
	}
	return s.record.WrongTypes(ctx, types)
}

// results returns what is damaged in the results of runs. One round trip for each run.
func (s *store) results(ctx context.Context, listed []run.Run) ([]ledger.Damage, error) {
	var all []ledger.Damage
	for _, r := range listed {
		var keys []ledger.KeyType
		for _, l := range s.lanes {
			keys = append(keys, ledger.RunKeys(l.Organisation, string(l.Kind), ledger.RunName{Tenant: l.Tenant, Run: r.ID}, max(r.Rows, 1))...)
		}
		found, err := s.record.WrongTypes(ctx, keys)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// mostRuns bounds how many runs are looked at.
const mostRuns = 1000

func (s *store) damageOf(ctx context.Context, l registry.Lane, args []string, f flags) ([]ledger.Damage, error) {
	switch {
	case f.run != "":
		return s.record.WrongTypes(ctx, ledger.RunKeys(l.Organisation, string(l.Kind), ledger.RunName{Tenant: l.Tenant, Run: f.run}, 0))
	case len(args) == 2:
		return s.record.Inspect(ctx, ledger.Target{Organisation: l.Organisation, API: string(l.Kind), Key: args[1]})
	}
	if f.key != "" {
		found, err := damage.OfKey(ctx, s.record, l, f.key)
		if err != nil || len(found) > 0 {
			return found, err
		}
	}
	return damage.Find(ctx, s.rdb, s.record, l, len(args) == 1)
}

func (s *store) repair(ctx context.Context, d ledger.Damage) (bool, error) {
	if run.Repairs(d) {
		return s.runs.Repair(ctx, d)
	}
	return damage.Repair(ctx, s.rdb, s.record, s.lanes, d)
}

// discard repairs one damage. One that has changed since it was read is left: a worker may
// have written it.
func (s *store) discard(ctx context.Context, one *found, f flags, by string) error {
	var err error
	if one.Discarded, err = s.repair(ctx, one.damage); err != nil {
		return err
	}
	if !one.Discarded {
		if f.all {
			return nil
		}
		return fmt.Errorf("nothing repaired: %s changed since it was read; run rollcall repair again", one.Key)
	}
	return audit.Write(ctx, s.rdb, audit.Event{
		Event: "key.discarded", Level: audit.Lane, Name: cmp.Or(one.Lane, "all lanes"), Class: "damaged", By: by,
		Reason: strings.TrimSuffix(strings.TrimSpace(one.Key+" "+one.Entry)+": lost: "+one.Lost+": "+f.reason, ": "),
	})
}

func printFound(a *cli.App, all []found) {
	if a.JSON {
		for _, one := range all {
			_ = a.PrintJSON(one)
		}
		return
	}
	p := a.NewPrinter()
	for _, one := range all {
		p.Text(console.Red, 0, fmt.Sprintf("%s: %s", cmp.Or(one.Lane, "all lanes"), ledger.Damage{Key: one.Key, What: one.Problem}))
		if one.Discarded {
			p.Text(console.Plain, 2, "repaired; lost: "+one.Lost)
		} else {
			p.Text(console.Plain, 2, "lost if it is repaired with --yes: "+one.Lost)
		}
	}
	if len(all) == 0 {
		p.Text(console.Plain, 0, "no damaged keys")
	}
}

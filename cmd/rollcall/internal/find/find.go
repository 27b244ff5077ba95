// Package find is rollcall find: it searches the targets that rollcall has a record of, by
// id and by applied value.
//
// It must not know what a value means: rollcall explain shows what is known of one target.
package find

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/privacy"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

type flags struct {
	organisation string
	kind         string
	n            int
	index        bool
	personal     bool
}

// Command searches targets.
func Command(a *cli.App) *cobra.Command {
	f := flags{n: 20}
	cmd := &cobra.Command{ //nolint:gosec // no password, but how to give one
		Use:   "find WORD | --index",
		Short: "Find targets by id or by applied value",
		Long: `Find the targets whose id, or whose applied value, contains a word, in any case:
members, chats, employees, courses and students of all lanes. rollcall explain
shows what is known of one.

Targets that an earlier version recorded, and that no task confirmed since, are
found after rollcall find --index. It lists all keys once, which the Redis user
of workers may not do (SCAN): use --redis with an administrator's URL.

Names and ids of people are masked without --show-personal-data.

Exit codes:
  0   done, even if nothing was found
  4   cannot read Redis
  64  wrong usage, no lane matches, or the Redis user may not use SCAN`,
		Example: `  rollcall find u001 --show-personal-data
  rollcall find --organisation lakeside --kind nickname Lee
  rollcall find --index --redis redis://admin:PASSWORD@redis.internal:6379/0`,
		Args: func(cmd *cobra.Command, args []string) error {
			if f.index {
				return cobra.NoArgs(cmd, args)
			}
			return cli.Exactly("WORD")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.WithRedis(cmd.Context(), func(ctx context.Context, rdb redis.UniversalClient) error {
				lanes, err := Lanes(ctx, rdb, f.organisation, tasks.Kind(f.kind))
				if err != nil {
					return err
				}
				apis := registry.APIs(lanes)
				if f.index {
					return index(ctx, a, ledger.New(rdb), apis)
				}
				return find(ctx, a, ledger.New(rdb), apis, args[0], f)
			})
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&f.organisation, "organisation", "", "only this organisation, by `NAME`")
	cmd.Flags().StringVar(&f.kind, "kind", "", "only targets of this `KIND`:\n"+kinds.Choice())
	cmd.Flags().BoolVar(&f.index, "index", false, "make targets of an earlier version findable")
	cli.Limit(cmd, &f.n, 1, "number of targets to show, `N`")
	cli.PersonalData(cmd, &f.personal)
	return cmd
}

// Lanes returns the lanes that were ever served and are selected; "" selects all.
func Lanes(ctx context.Context, rdb redis.UniversalClient, organisation string, kind tasks.Kind) ([]registry.Lane, error) {
	if kind != "" && !slices.Contains(kinds.Names(), kind) {
		return nil, cli.BadInput("--kind %.40q: must be one of %v", kind, kinds.Names())
	}
	lanes, err := registry.Read(ctx, rdb, time.Time{})
	if err != nil {
		return nil, err
	}
	lanes = slices.DeleteFunc(lanes, func(l registry.Lane) bool {
		return organisation != "" && organisation != l.Organisation || kind != "" && kind != l.Kind
	})
	if len(lanes) == 0 {
		return nil, cli.BadInput("no lane of organisation %.80q and kind %.40q was ever served: rollcall lanes shows the lanes", organisation, kind)
	}
	return lanes, nil
}

// record is a target as --json prints it. Its names are stable.
type record struct {
	Organisation string            `json:"organisation"`
	Lane         string            `json:"lane"` // one that changes the target
	Target       string            `json:"target"`
	Values       map[string]string `json:"values,omitempty"` // that were applied, by field
	Confirmed    time.Time         `json:"confirmed,omitzero"`
}

func newRecord(l registry.Lane, f ledger.Found, personal bool) record {
	r := record{Organisation: l.Organisation, Lane: registry.Queue(l.Tenant, l.Kind, false), Target: f.Target.Key, Confirmed: f.Confirmed}
	if !personal {
		r.Target = privacy.Target(l.Kind, r.Target)
	}
	for name, s := range f.Fields {
		if s.Applied == 0 || s.Value == "" {
			continue
		}
		if r.Values == nil {
			r.Values = map[string]string{}
		}
		if r.Values[name] = s.Value; !personal {
			r.Values[name] = privacy.Value(l.Kind, name, s.Value)
		}
	}
	return r
}

// value are the applied values in one cell.
func (r record) value() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(r.Values)) {
		if len(r.Values) == 1 {
			return r.Values[name]
		}
		parts = append(parts, name+": "+r.Values[name])
	}
	return strings.Join(parts, "; ")
}

func find(ctx context.Context, a *cli.App, book *ledger.Ledger, apis []registry.Lane, word string, f flags) error {
	found, more, err := search(ctx, book, apis, word, f)
	if err != nil {
		return err
	}
	if a.JSON {
		return cli.PrintAll(a, found)
	}
	p := a.NewPrinter()
	if len(found) == 0 {
		p.Text(console.Plain, 0, "no target found; if an earlier version recorded it: rollcall find --index")
		return nil
	}
	t := console.Table{Width: p.Width, Columns: []console.Column{
		{Head: "LANE", Most: 28}, {Head: "TARGET"}, {Head: "VALUE"}, {Head: "CONFIRMED", Most: 20},
	}}
	for _, r := range found {
		confirmed := "never"
		if !r.Confirmed.IsZero() {
			confirmed = r.Confirmed.Local().Format("2006-01-02 15:04 MST")
		}
		t.Add(r.Lane, r.Target, r.value(), confirmed)
	}
	t.Print(p.Out)
	if more {
		p.Text(console.Plain, 0, "and more; use -n to show more")
	}
	next := "next: add --show-personal-data, then rollcall explain LANE TARGET"
	if f.personal {
		next = "next: rollcall explain " + found[0].Lane + " " + found[0].Target + " --show-personal-data"
	}
	p.Text(console.Plain, 0, next)
	return nil
}

// search returns the first targets, each once, and whether there are more.
func search(ctx context.Context, book *ledger.Ledger, apis []registry.Lane, word string, f flags) (found []record, more bool, err error) {
	for _, l := range apis {
		seen := map[string]bool{}
		err := Walk(ctx, book, l, word, func(one ledger.Found) error {
			if seen[one.Target.Key] {
				return nil
			}
			if len(found) == f.n {
				more = true
				return errEnough
			}
			seen[one.Target.Key] = true
			found = append(found, newRecord(l, one, f.personal))
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			return nil, false, err
		}
		if more {
			break
		}
	}
	return found, more, nil
}

var errEnough = errors.New("enough targets found")

// Walk calls do with all targets of an organisation's API that have a word; one may come
// twice. It ends with the first error of do.
func Walk(ctx context.Context, book *ledger.Ledger, l registry.Lane, word string, do func(ledger.Found) error) error {
	const page = 500
	for cursor, first := "", true; first || cursor != ""; first = false {
		found, next, err := book.Find(ctx, l.Organisation, string(l.Kind), word, cursor, page)
		if err != nil {
			return err
		}
		for _, one := range found {
			if err := do(one); err != nil {
				return err
			}
		}
		cursor = next
	}
	return nil
}

// index adds the targets of an earlier version.
func index(ctx context.Context, a *cli.App, book *ledger.Ledger, apis []registry.Lane) error {
	for _, l := range apis {
		n := 0
		for cursor, first := uint64(0), true; first || cursor != 0; first = false {
			added, next, err := book.IndexTargets(ctx, l.Organisation, string(l.Kind), cursor)
			if redis.HasErrorPrefix(err, "NOPERM") {
				return cli.BadInput("this Redis user may not list keys (SCAN): repeat the command with --redis and an administrator's user; nothing was changed: %w", err)
			}
			if err != nil {
				return err
			}
			n, cursor = n+added, next
		}
		if a.JSON {
			if err := a.PrintJSON(struct {
				Organisation string `json:"organisation"`
				Kind         string `json:"kind"`
				Added        int    `json:"added"`
			}{l.Organisation, string(l.Kind), n}); err != nil {
				return err
			}
			continue
		}
		console.Fprintf(a.Stdout, "%s of %s: %s added\n", l.Kind, l.Organisation, console.Count(n, "target"))
	}
	return nil
}

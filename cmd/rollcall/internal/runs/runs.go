// Package runs is rollcall runs: it shows the results of the rows of a run.
package runs

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/ledger"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

const runsExits = `Exit codes:
  0   done, even if there are none
  4   cannot read Redis
  64  wrong usage, or no run has the name`

// app is one call of the command.
type app struct{ *cli.App }

// Command shows the runs and the results of their rows.
func Command(cliApp *cli.App) *cobra.Command {
	a := &app{cliApp}
	cmd := &cobra.Command{
		Use:   "runs",
		Short: "Show the results of the rows of a file or a schedule",
		Long: `Show the results of the rows of a run: of a file, of one tick of a schedule, or
of tasks that a service enqueued under one name. They are kept for 90 days.`,
		Example: `  rollcall runs list
  rollcall runs show 20260301-191532-3f9a01`,
	}
	cli.HelpWhenBare(cmd)
	cmd.AddCommand(a.runsListCommand(), a.runsShowCommand())
	return cmd
}

// results maps the result codes of the ledger to names, in the order of the columns.
// The names are stable.
func results() []struct {
	code byte
	name string
} {
	return []struct {
		code byte
		name string
	}{
		{ledger.RowStored, "open"},
		{ledger.RowDead, "dead"},
		{ledger.RowApplied, "applied"},
		{ledger.RowUnchanged, "unchanged"},
		{ledger.RowSuperseded, "superseded"},
		{ledger.RowSettled, "settled"},
		{ledger.RowCancelled, "cancelled"},
	}
}

// share is the part of a run that belongs to one lane.
type share struct {
	lane  registry.Lane
	began time.Time
	rows  ledger.Results
}

// counts are the results of a run or of a share, as --json prints them. The names are
// stable: names are added, never changed.
type counts struct {
	Run     string         `json:"run"`
	Lane    string         `json:"lane,omitzero"` // of a share
	Lanes   []string       `json:"lanes,omitempty"`
	Began   time.Time      `json:"began"`
	Rows    int            `json:"rows"`
	Results map[string]int `json:"results"`
	Open    []int          `json:"open_rows,omitempty"`
	Dead    []int          `json:"dead_rows,omitempty"`
}

func (t *counts) add(s share) {
	counts := s.rows.Counts()
	for _, r := range results() {
		n := counts[r.code]
		t.Results[r.name] += n
		t.Rows += n
	}
	if t.Began.IsZero() || s.began.Before(t.Began) {
		t.Began = s.began
	}
}

func newCounts(run string) *counts { return &counts{Run: run, Results: map[string]int{}} }

// servedLanes returns all lanes that were ever served, because a run is kept longer
// than a lane without a worker is listed.
func servedLanes(ctx context.Context, rdb redis.UniversalClient, tenant string) ([]registry.Lane, error) {
	lanes, err := registry.Read(ctx, rdb, time.Time{})
	return slices.DeleteFunc(lanes, func(l registry.Lane) bool { return tenant != "" && l.Tenant != tenant }), err
}

// shares reads the parts of a run.
func shares(ctx context.Context, book *ledger.Ledger, lanes []registry.Lane, run string) ([]share, error) {
	var all []share
	for _, l := range lanes {
		name := ledger.RunName{Tenant: l.Tenant, Run: run}
		began, found, err := book.RunBegan(ctx, l.Organisation, string(l.Kind), name)
		if err != nil {
			return nil, err
		}
		if !found {
			continue
		}
		rows, err := book.ReadRun(ctx, l.Organisation, string(l.Kind), name)
		if err != nil {
			return nil, err
		}
		all = append(all, share{lane: l, began: began, rows: rows})
	}
	return all, nil
}

func (a *app) runsListCommand() *cobra.Command {
	var tenant string
	n := 20
	cmd := &cobra.Command{
		Use:   "list [--tenant T]",
		Short: "Show the newest runs",
		Long: `Show the newest runs: the time at which the first task was stored, the number of
rows, and the number of rows for each result. A run with rows of several tenants
or kinds has one line. With --json, print an object for each run.

` + runsExits,
		Example: `  rollcall runs list
  rollcall runs list --tenant lakeside-dt -n 5`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if n < 1 {
				return cli.BadInput("-n %d: must be 1 or more", n)
			}
			return a.WithRedis(cmd.Context(), func(ctx context.Context, rdb redis.UniversalClient) error {
				return a.listRuns(ctx, rdb, tenant, n)
			})
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&tenant, "tenant", "", "only this tenant, by `NAME`")
	cli.Limit(cmd, &n, "number of runs to show, `N`")
	return cmd
}

func (a *app) listRuns(ctx context.Context, rdb redis.UniversalClient, tenant string, n int) error {
	lanes, err := servedLanes(ctx, rdb, tenant)
	if err != nil {
		return err
	}
	book, began := ledger.New(rdb), map[string]time.Time{}
	for _, l := range lanes {
		runs, err := book.Runs(ctx, l.Organisation, string(l.Kind), n)
		if err != nil {
			return err
		}
		for _, r := range runs {
			if at, known := began[r.Run]; r.Tenant == l.Tenant && (!known || r.Began.Before(at)) {
				began[r.Run] = r.Began
			}
		}
	}
	names := make([]string, 0, len(began))
	for name := range began {
		names = append(names, name)
	}
	slices.SortFunc(names, func(x, y string) int { return cmp.Or(began[y].Compare(began[x]), cmp.Compare(x, y)) })
	var all []*counts
	for _, name := range names[:min(n, len(names))] {
		parts, err := shares(ctx, book, lanes, name)
		if err != nil {
			return err
		}
		t := newCounts(name)
		for _, s := range parts {
			t.add(s)
			t.Lanes = append(t.Lanes, registry.Queue(s.lane.Tenant, s.lane.Kind, false))
		}
		all = append(all, t)
	}
	if len(all) == 0 && !a.JSON {
		fmt.Fprintln(a.Stdout, "no runs")
		return nil
	}
	return a.printCounts("RUN", all, func(t *counts) string { return t.Run })
}

// printCounts prints a table, or one object for each counts.
func (a *app) printCounts(of string, all []*counts, name func(*counts) string) error {
	if a.JSON {
		for _, t := range all {
			if err := a.PrintJSON(t); err != nil {
				return err
			}
		}
		return nil
	}
	out := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
	head := []string{of, "BEGAN", "ROWS"}
	for _, r := range results() {
		head = append(head, strings.ToUpper(r.name))
	}
	fmt.Fprintln(out, strings.Join(head, "\t"))
	for _, t := range all {
		row := []string{console.Line(name(t)), cli.Clock(t.Began), strconv.Itoa(t.Rows)}
		for _, r := range results() {
			row = append(row, strconv.Itoa(t.Results[r.name]))
		}
		fmt.Fprintln(out, strings.Join(row, "\t"))
	}
	return out.Flush()
}

func (a *app) runsShowCommand() *cobra.Command {
	var tenant string
	var rows bool
	cmd := &cobra.Command{
		Use:   "show [--tenant T] [--rows] RUN",
		Short: "Show the results of one run, by lane",
		Long: `Show the results of one run, by lane: open (waiting or running), dead (has or
had a dead letter), applied, unchanged (the target already had the value),
superseded (the target has a newer change), settled (already applied when it was
delivered again), cancelled (with its run). With --json, print an object for
each lane.

The number of a row in a file is its line. rollcall dead list --run RUN shows
why rows are dead.

` + runsExits,
		Example: `  rollcall runs show 20260301-191532-3f9a01
  rollcall runs show --rows nightly.20260301T191500Z`,
		Args: cli.Exactly("RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !tasks.ValidRun(args[0]) {
				return cli.BadInput("invalid run %.80q: use 1 to 64 of A-Z, a-z, 0-9, ., _ and -", args[0])
			}
			return a.WithRedis(cmd.Context(), func(ctx context.Context, rdb redis.UniversalClient) error {
				return a.showRun(ctx, rdb, args[0], tenant, rows)
			})
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&tenant, "tenant", "", "only this tenant, by `NAME`")
	cmd.Flags().BoolVar(&rows, "rows", false, "also show the numbers of open and dead rows")
	return cmd
}

func (a *app) showRun(ctx context.Context, rdb redis.UniversalClient, run, tenant string, rows bool) error {
	lanes, err := servedLanes(ctx, rdb, tenant)
	if err != nil {
		return err
	}
	parts, err := shares(ctx, ledger.New(rdb), lanes, run)
	if err != nil {
		return err
	}
	if len(parts) == 0 {
		return cli.BadInput("run %q not found (runs are kept for 90 days); rollcall runs list shows all runs", run)
	}
	var all []*counts
	for _, s := range parts {
		t := newCounts(run)
		t.Lane = registry.Queue(s.lane.Tenant, s.lane.Kind, false)
		if t.add(s); rows {
			t.Open, t.Dead = s.rows.Rows(ledger.RowStored), s.rows.Rows(ledger.RowDead)
		}
		all = append(all, t)
	}
	if err := a.printCounts("LANE", all, func(t *counts) string { return t.Lane }); err != nil || a.JSON {
		return err
	}
	for _, t := range all {
		if len(t.Open) > 0 {
			fmt.Fprintf(a.Stdout, "\n%s, open: rows %s\n", t.Lane, ranges(t.Open))
		}
		if len(t.Dead) > 0 {
			fmt.Fprintf(a.Stdout, "\n%s, dead: rows %s\n", t.Lane, ranges(t.Dead))
		}
	}
	return nil
}

// ranges formats sorted numbers as in "2-7, 9".
func ranges(numbers []int) string {
	var parts []string
	for i := 0; i < len(numbers); {
		end := i
		for end+1 < len(numbers) && numbers[end+1] == numbers[end]+1 {
			end++
		}
		part := strconv.Itoa(numbers[i])
		if end > i {
			part += "-" + strconv.Itoa(numbers[end])
		}
		parts, i = append(parts, part), end+1
	}
	return strings.Join(parts, ", ")
}

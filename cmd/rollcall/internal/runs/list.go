package runs

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"rollcall/cmd/rollcall/internal/session"
	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/run"
)

func (a *app) listCommand() *cobra.Command {
	var tenant, name string
	var state []string
	n := 20
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show the newest runs",
		Long: `Show the newest runs, also of tasks that were enqueued directly, whose state is
"direct". With --json, print an object for each run.

` + exits,
		Example: `  rollcall run list
  rollcall run list --state held
  rollcall run list --tenant lakeside-dt -n 5 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f := run.Filter{Tenant: tenant, Name: name, N: n}
			for _, s := range state {
				if s != stateDirect && !slices.Contains(run.States(), run.State(s)) {
					return cli.BadInput("--state %.40q: must be one of %s or %s", s, cli.Listed(stateNames()), stateDirect)
				}
				f.States = append(f.States, run.State(s))
			}
			return session.With(cmd.Context(), a.App, func(ctx context.Context, s *session.Session) error { return list(ctx, s, f) })
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&tenant, "tenant", "", "only this tenant, by `NAME`")
	cmd.Flags().StringVar(&name, "name", "", "only runs with this `NAME`")
	cmd.Flags().StringSliceVar(&state, "state", nil, "only runs in this `STATE`; may be repeated")
	cli.Limit(cmd, &n, 1, "number of runs to show, `N`")
	return cmd
}

func stateNames() []string {
	var names []string
	for _, s := range run.States() {
		names = append(names, string(s))
	}
	return names
}

// entry is a run of the list: one in Redis, or tasks that were enqueued directly.
type entry struct {
	began  time.Time
	record any // run.Run or run.Direct
}

func list(ctx context.Context, s *session.Session, f run.Filter) error {
	var all []entry
	made, err := s.Runs.List(ctx, f)
	if err != nil {
		return err
	}
	for _, r := range made {
		all = append(all, entry{r.Created, r})
	}
	if len(f.States) == 0 || slices.Contains(f.States, stateDirect) {
		direct, err := s.Runs.ListDirect(ctx, f)
		if err != nil {
			return err
		}
		for _, d := range direct {
			all = append(all, entry{d.Began, d})
		}
	}
	slices.SortStableFunc(all, func(x, y entry) int { return y.began.Compare(x.began) })
	all = all[:min(len(all), f.N)]
	if s.JSON {
		for _, e := range all {
			if err := s.PrintJSON(e.record); err != nil {
				return err
			}
		}
		return nil
	}
	if len(all) == 0 {
		console.Fprintln(s.Stdout, "no runs")
		return nil
	}
	t := console.Table{Width: s.NewPrinter().Width, Columns: []console.Column{
		{Head: "RUN", Most: 24},
		{Head: "NAME"},
		{Head: "STATE", Most: 9},
		{Head: "ROWS", Most: 7, Right: true},
		{Head: "DONE", Most: 7, Right: true},
		{Head: "FAILED", Most: 7, Right: true},
		{Head: "CREATED", Most: 16},
	}}
	names := map[string]string{} // by id
	for _, e := range all {
		if r, ok := e.record.(run.Run); ok {
			names[r.ID] = r.Name
		}
	}
	for _, e := range all {
		t.Add(e.cells(names)...)
	}
	t.Print(s.Stdout)
	return nil
}

// cells are the row of a run. How many rows of a run that has not ended are done is in run
// show: to count them costs a round trip or more for each run. names are those of the listed
// runs, by id.
func (e entry) cells(names map[string]string) []string {
	began := e.began.Local().Format("2006-01-02 15:04")
	if d, ok := e.record.(run.Direct); ok {
		done := d.Rows - d.Results["open"]
		return []string{d.Run, "", stateDirect, strconv.Itoa(d.Rows), strconv.Itoa(done), strconv.Itoa(d.Results["dead"]), began}
	}
	r, _ := e.record.(run.Run)
	done, failed := "", ""
	if r.Outcomes != nil {
		sum := 0
		for o, n := range r.Outcomes {
			if o.Final() {
				sum += n
			}
		}
		done, failed = strconv.Itoa(sum), strconv.Itoa(r.Outcomes[run.OutcomeFailed])
	}
	name := cmp.Or(r.Name, "-")
	if r.UndoOf != "" && r.Name == "" {
		name = "undo " + cmp.Or(names[r.UndoOf], r.UndoOf[:min(len(r.UndoOf), 6)]) // enough to name a run
	}
	return []string{r.ID, name, string(r.State), strconv.Itoa(r.Rows), cmp.Or(done, "-"), cmp.Or(failed, "-"), began}
}

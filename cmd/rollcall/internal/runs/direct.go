package runs

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/cli"
	"rollcall/internal/console"
	"rollcall/internal/ledger"
	"rollcall/internal/registry"
	"rollcall/internal/run"
	"rollcall/tasks"
)

// stateDirect is shown for tasks that were enqueued directly under the name of a run:
// the ledger keeps the result of each, and nothing else of the run.
const stateDirect = "direct"

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
	}
}

// share is the part of such a run that belongs to one lane.
type share struct {
	lane  registry.Lane
	began time.Time
	rows  ledger.Results
}

// counts are the results of such a run or of a share, as --json prints them. The names
// are stable: names are added, never changed.
type counts struct {
	Run     string         `json:"run"`                 // its name
	Lane    string         `json:"lane,omitzero"`       // of a share
	Lanes   []string       `json:"lanes,omitempty"`     // if it has several
	Began   time.Time      `json:"began"`               // when its first task was stored
	Rows    int            `json:"rows"`                // how many
	Results map[string]int `json:"results"`             // rows by result: open, dead, applied, unchanged, superseded, settled
	Open    []int          `json:"open_rows,omitempty"` // numbers, with --rows
	Dead    []int          `json:"dead_rows,omitempty"` // numbers, with --rows
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

// servedLanes returns all lanes that were ever served, because results are kept longer
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

// knownDirectly reports whether tasks were enqueued directly under a name.
func knownDirectly(ctx context.Context, rdb redis.UniversalClient, name string) (bool, error) {
	if !tasks.ValidRun(name) || ledger.IsRunID(name) {
		return false, nil
	}
	lanes, err := servedLanes(ctx, rdb, "")
	if err != nil {
		return false, err
	}
	book := ledger.New(rdb)
	for _, l := range lanes {
		_, found, err := book.RunBegan(ctx, l.Organisation, string(l.Kind), ledger.RunName{Tenant: l.Tenant, Run: name})
		if err != nil || found {
			return found, err
		}
	}
	return false, nil
}

// listDirect returns the newest names under which tasks were enqueued directly.
func listDirect(ctx context.Context, rdb redis.UniversalClient, f run.Filter) ([]*counts, error) {
	lanes, err := servedLanes(ctx, rdb, f.Tenant)
	if err != nil {
		return nil, err
	}
	book, began := ledger.New(rdb), map[string]time.Time{}
	for _, l := range lanes {
		newest, err := book.Runs(ctx, l.Organisation, string(l.Kind), f.N)
		if err != nil {
			return nil, err
		}
		for _, r := range newest {
			if r.Tenant != l.Tenant || ledger.IsRunID(r.Run) || f.Name != "" && r.Run != f.Name {
				continue
			}
			if at, known := began[r.Run]; !known || r.Began.Before(at) {
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
	for _, name := range names[:min(f.N, len(names))] {
		parts, err := shares(ctx, book, lanes, name)
		if err != nil {
			return nil, err
		}
		t := newCounts(name)
		for _, s := range parts {
			t.add(s)
			t.Lanes = append(t.Lanes, registry.Queue(s.lane.Tenant, s.lane.Kind, false))
		}
		all = append(all, t)
	}
	return all, nil
}

// showDirect prints the results of tasks that were enqueued directly, by lane.
func (a *app) showDirect(ctx context.Context, rdb redis.UniversalClient, name, tenant string, rows bool) error {
	lanes, err := servedLanes(ctx, rdb, tenant)
	if err != nil {
		return err
	}
	parts, err := shares(ctx, ledger.New(rdb), lanes, name)
	if err != nil {
		return err
	}
	if len(parts) == 0 {
		return cli.BadInput("run %q has no rows of tenant %q", name, tenant)
	}
	var all []*counts
	for _, s := range parts {
		t := newCounts(name)
		t.Lane = registry.Queue(s.lane.Tenant, s.lane.Kind, false)
		if t.add(s); rows {
			t.Open, t.Dead = s.rows.Rows(ledger.RowStored), s.rows.Rows(ledger.RowDead)
		}
		all = append(all, t)
	}
	if a.JSON {
		for _, t := range all {
			if err := a.PrintJSON(t); err != nil {
				return err
			}
		}
		return nil
	}
	return a.printCounts(all)
}

// printCounts prints a table of lanes, and the numbers of open and dead rows.
func (a *app) printCounts(all []*counts) error {
	out := console.Columns(a.Stdout)
	head := []string{"LANE", "BEGAN", "ROWS"}
	for _, r := range results() {
		head = append(head, strings.ToUpper(r.name))
	}
	console.Row(out, head...)
	for _, t := range all {
		row := []string{console.Line(t.Lane), cli.Clock(t.Began), strconv.Itoa(t.Rows)}
		for _, r := range results() {
			row = append(row, strconv.Itoa(t.Results[r.name]))
		}
		console.Row(out, row...)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	for _, t := range all {
		if len(t.Open) > 0 {
			console.Fprintf(a.Stdout, "\n%s, open: rows %s\n", t.Lane, ranges(t.Open))
		}
		if len(t.Dead) > 0 {
			console.Fprintf(a.Stdout, "\n%s, dead: rows %s\n", t.Lane, ranges(t.Dead))
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

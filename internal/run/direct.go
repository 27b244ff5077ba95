package run

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"rollcall/internal/ledger"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

// Direct are tasks that were enqueued directly under the name of a run: the ledger keeps
// the result of each, and nothing else of the run. The names of its JSON are stable: names
// are added, never changed.
type Direct struct {
	Run     string         `json:"run"`                 // its name
	Lane    string         `json:"lane,omitzero"`       // of a part
	Lanes   []string       `json:"lanes,omitempty"`     // if it has several
	Began   time.Time      `json:"began"`               // when its first task was stored
	Rows    int            `json:"rows"`                // how many
	Results map[string]int `json:"results"`             // rows by result: open, dead, applied, unchanged, superseded, settled
	Open    []int          `json:"open_rows,omitempty"` // numbers, with --rows
	Dead    []int          `json:"dead_rows,omitempty"` // numbers, with --rows
}

// DirectResults are the names of the results, in the order of the columns.
func DirectResults() []string {
	return []string{"open", "dead", "applied", "unchanged", "superseded", "settled"}
}

// directResults counts results of the ledger by their names.
func directResults(rows ledger.Results) map[string]int {
	n := rows.Counts()
	return map[string]int{
		"open": n[ledger.RowStored], "dead": n[ledger.RowDead], "applied": n[ledger.RowApplied],
		"unchanged": n[ledger.RowUnchanged], "superseded": n[ledger.RowSuperseded], "settled": n[ledger.RowSettled],
	}
}

// add adds the results of a part.
func (d *Direct) add(began time.Time, results map[string]int) {
	for result, n := range results {
		d.Results[result] += n
		d.Rows += n
	}
	if d.Began.IsZero() || began.Before(d.Began) {
		d.Began = began
	}
}

// everServed returns all lanes that were ever served, because results are kept longer than a
// lane without a worker is listed.
func (s *Service) everServed(ctx context.Context, tenant string) ([]registry.Lane, error) {
	lanes, err := registry.Read(ctx, s.rdb, time.Time{})
	return slices.DeleteFunc(lanes, func(l registry.Lane) bool { return tenant != "" && l.Tenant != tenant }), err
}

// DirectParts returns the results of tasks that were enqueued directly under a name, by
// lane. Without a tenant: of all.
func (s *Service) DirectParts(ctx context.Context, name, tenant string) ([]Direct, error) {
	if !tasks.ValidRun(name) || ledger.IsRunID(name) {
		return nil, nil
	}
	lanes, err := s.everServed(ctx, tenant)
	if err != nil {
		return nil, err
	}
	return s.directParts(ctx, name, lanes)
}

func (s *Service) directParts(ctx context.Context, name string, lanes []registry.Lane) ([]Direct, error) {
	var all []Direct
	for _, l := range lanes {
		of := ledger.RunName{Tenant: l.Tenant, Run: name}
		began, found, err := s.ledger.RunBegan(ctx, l.Organisation, string(l.Kind), of)
		if err != nil {
			return nil, err
		}
		if !found {
			continue
		}
		rows, err := s.ledger.ReadRun(ctx, l.Organisation, string(l.Kind), of)
		if err != nil {
			return nil, err
		}
		d := Direct{
			Run: name, Lane: registry.Queue(l.Tenant, l.Kind, false), Results: map[string]int{},
			Open: rows.Rows(ledger.RowStored), Dead: rows.Rows(ledger.RowDead),
		}
		d.add(began, directResults(rows))
		all = append(all, d)
	}
	return all, nil
}

// ListDirect returns the newest names under which tasks were enqueued directly, newest
// first, of the tenants that seen accepts. Filter.States and Filter.Before are ignored.
func (s *Service) ListDirect(ctx context.Context, f Filter, seen func(tenant string) bool) ([]Direct, error) {
	lanes, err := s.everServed(ctx, f.Tenant)
	if err != nil {
		return nil, err
	}
	lanes = slices.DeleteFunc(lanes, func(l registry.Lane) bool { return seen != nil && !seen(l.Tenant) })
	began, most := map[string]time.Time{}, cmp.Or(f.N, defaultList)
	for _, l := range lanes {
		newest, err := s.ledger.Runs(ctx, l.Organisation, string(l.Kind), most)
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
	names := slices.SortedFunc(maps.Keys(began), func(x, y string) int { return cmp.Or(began[y].Compare(began[x]), cmp.Compare(x, y)) })
	var all []Direct
	for _, name := range names[:min(most, len(names))] {
		parts, err := s.directParts(ctx, name, lanes)
		if err != nil {
			return nil, err
		}
		d := Direct{Run: name, Results: directResults(nil)}
		for _, p := range parts {
			d.add(p.Began, p.Results)
			d.Lanes = append(d.Lanes, p.Lane)
		}
		all = append(all, d)
	}
	return all, nil
}

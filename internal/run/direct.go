package run

import (
	"cmp"
	"context"
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

// directResult maps the result codes of the ledger to names.
func directResult(code byte) string {
	return map[byte]string{
		ledger.RowStored: "open", ledger.RowDead: "dead", ledger.RowApplied: "applied",
		ledger.RowUnchanged: "unchanged", ledger.RowSuperseded: "superseded", ledger.RowSettled: "settled",
	}[code]
}

func newDirect(name string) Direct {
	d := Direct{Run: name, Results: map[string]int{}}
	for _, result := range DirectResults() {
		d.Results[result] = 0
	}
	return d
}

func (d *Direct) add(began time.Time, rows ledger.Results) {
	for code, n := range rows.Counts() {
		if result := directResult(code); result != "" {
			d.Results[result] += n
			d.Rows += n
		}
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
		d := newDirect(name)
		d.Lane = registry.Queue(l.Tenant, l.Kind, false)
		d.add(began, rows)
		d.Open, d.Dead = rows.Rows(ledger.RowStored), rows.Rows(ledger.RowDead)
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
	names := make([]string, 0, len(began))
	for name := range began {
		names = append(names, name)
	}
	slices.SortFunc(names, func(x, y string) int { return cmp.Or(began[y].Compare(began[x]), cmp.Compare(x, y)) })
	var all []Direct
	for _, name := range names[:min(most, len(names))] {
		parts, err := s.directParts(ctx, name, lanes)
		if err != nil {
			return nil, err
		}
		all = append(all, joined(name, parts))
	}
	return all, nil
}

// joined adds the parts of one name.
func joined(name string, parts []Direct) Direct {
	d := newDirect(name)
	for _, p := range parts {
		for result, n := range p.Results {
			d.Results[result] += n
		}
		if d.Rows += p.Rows; d.Began.IsZero() || p.Began.Before(d.Began) {
			d.Began = p.Began
		}
		d.Lanes = append(d.Lanes, p.Lane)
	}
	return d
}

package night

import (
	"cmp"
	"context"
	"slices"
	"time"

	"rollcall/internal/registry"
	"rollcall/internal/run"
	"rollcall/tasks"
)

// choice is what the month can pay for.
type choice struct {
	rows    []bool // by row: it is sent
	edits   []run.Row
	of      []edit      // by edit: whose
	left    []candidate // the next night sends them
	refresh []oldName   // names that are confirmed after the night
	// unpaid is how many edits the month cannot pay for.
	unpaid int
}

// choose selects the rows that the months of their organisations can pay for: changed
// names first, then new ones, then members; of equal ones those that have waited longest.
func (s *Service) choose(ctx context.Context, a *attempt) (*choice, error) {
	c := a.found
	chosen := &choice{rows: make([]bool, len(c.classes))}
	edits, of := a.gone.edits()
	var budgets map[string]run.Budget
	var err error
	if len(c.calls)+len(edits)+len(c.old) > 0 {
		if budgets, err = s.runs.Budgets(ctx); err != nil {
			return nil, err
		}
	}
	left := map[string]int64{}
	for organisation, b := range budgets {
		left[organisation] = b.Left
	}
	pays := func(organisation, lane string) bool {
		b := budgets[organisation]
		if !b.Bounded || !b.Metered[lane] {
			return true
		}
		left[organisation]--
		return left[organisation] >= 0
	}
	for _, k := range c.ordered(a.marks) {
		if !pays(k.target.Organisation, k.lane) {
			chosen.left = append(chosen.left, k)
			continue
		}
		chosen.rows[k.row] = true
	}
	for i, e := range edits {
		tenant, kind := e.Request.Task.Lane()
		if !pays(c.organisation(tenant), registry.Queue(tenant, kind, false)) {
			chosen.unpaid++
			continue
		}
		chosen.edits, chosen.of = append(chosen.edits, e), append(chosen.of, of[i])
	}
	chosen.refresh, err = s.chooseRefresh(ctx, a, budgets, left)
	return chosen, err
}

// ordered returns the candidates in the order in which they are paid for.
func (c *compared) ordered(m *marks) []candidate {
	all := slices.Clone(c.calls)
	since := func(k candidate) time.Time {
		if at, waits := m.carried[nameOf(k.target)]; waits {
			return at
		}
		return m.now
	}
	slices.SortStableFunc(all, func(a, b candidate) int {
		if a.changes != b.changes {
			if a.changes {
				return -1
			}
			return 1
		}
		if len(m.carried) == 0 {
			return 0
		}
		return since(a).Compare(since(b))
	})
	return all
}

// organisation returns that of a tenant with nicknames.
func (c *compared) organisation(tenant string) string {
	return cmp.Or(c.lanes[registry.Queue(tenant, tasks.KindGroup, false)], c.lanes[registry.Queue(tenant, tasks.KindNickname, false)])
}

// upload adds the rows of a night to its run, and returns how many they are.
func (s *Service) upload(ctx context.Context, id string, a *attempt, next *openNight) (int, error) {
	chosen, in := a.chosen, 0
	var batch []run.Row
	add := func(rows ...run.Row) error {
		batch = append(batch, rows...)
		for len(batch) >= pageRows {
			var err error
			if in, err = s.runs.Add(ctx, id, in, batch[:pageRows]); err != nil {
				return err
			}
			batch = append(batch[:0], batch[pageRows:]...)
		}
		return nil
	}
	for page, err := range a.read.rows.pages(func(row int) bool { return a.found.classes[row] == classShow || chosen.rows[row] }) {
		if err == nil {
			err = add(page...)
		}
		if err != nil {
			return in, err
		}
	}
	next.Edits = map[int]edit{}
	for i, e := range chosen.edits {
		next.Edits[in+len(batch)+1] = chosen.of[i]
		if err := add(e); err != nil {
			return in, err
		}
	}
	if len(batch) == 0 {
		return in, nil
	}
	return s.runs.Add(ctx, id, in, batch)
}

// commit notes what follows from a night whose run was applied.
func (s *Service) commit(ctx context.Context, a *attempt, next base) error {
	if gone := a.gone; gone.counted {
		mark := changes{set: map[string]any{}, remove: gone.returned}
		for member, since := range gone.noted {
			mark.set[member] = since
		}
		if err := s.mark(ctx, a.Name, keyAbsent, mark); err != nil {
			return err
		}
		if err := s.saveSeen(ctx, a.Name, a.found.members, gone.kept); err != nil {
			return err
		}
	}
	if err := s.mark(ctx, a.Name, keyCarried, a.carriedOver()); err != nil {
		return err
	}
	if err := s.accept(ctx, a.Name, next); err != nil {
		return err
	}
	if err := s.refreshNames(ctx, a); err != nil {
		return err
	}
	return s.renew(ctx, a)
}

// carriedOver notes since when changes wait for a month that can pay for them. One that
// waited and is sent now keeps that until it is found applied: its run may be replaced.
func (a *attempt) carriedOver() changes {
	m := a.marks
	mark := changes{set: map[string]any{}}
	waits := map[string]bool{}
	for _, k := range a.chosen.left {
		name := nameOf(k.target)
		waits[name] = true
		if _, already := m.carried[name]; !already {
			mark.set[name] = m.now
		}
	}
	if len(m.carried) > 0 {
		for _, k := range a.found.calls {
			waits[nameOf(k.target)] = true
		}
	}
	for name := range m.carried {
		if !waits[name] {
			mark.remove = append(mark.remove, name)
		}
	}
	return mark
}

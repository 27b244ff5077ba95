package run

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/ledger"
)

// amend passes all rows of a plan that are neither excluded nor impossible by change, which
// returns whether it changed one, stores the blocks that changed, and returns the totals of all.
func (s *Service) amend(ctx context.Context, h *head, token string, change func(number int, rec *planRecord) bool) (*totals, error) {
	t := newTotals()
	for numbers := range slices.Chunk(span(0, blocksOf(h.rows())), blocksTogether) {
		blocks, err := s.blocks(ctx, h.id, numbers, true)
		if err != nil {
			return nil, err
		}
		u := update{when: map[string]string{fieldPlanner: token}, blocks: map[string][]byte{}}
		for _, b := range blocks {
			changed := false
			for _, q := range b.rows {
				if d := q.plan.decision(); d != RowExcluded && d != RowImpossible {
					changed = change(q.number, q.plan) || changed
				}
			}
			packed, err := t.count(b)
			if err != nil {
				return nil, err
			}
			if changed {
				u.blocks[planKey(h.id, b.number)] = packed
			}
		}
		if len(u.blocks) > 0 {
			if err := s.write(ctx, h.id, u); err != nil {
				return nil, err
			}
		}
	}
	return t, nil
}

// conclude makes the plan of what a pass found the run's own.
func (s *Service) conclude(ctx context.Context, id, token string, t *totals, newest map[string]int64) (Run, error) {
	plan := Plan{Digest: t.sum(), Counts: t.counts, Undoable: t.undoable, Suspicious: t.suspicious, Lanes: t.sorted()}
	if err := s.price(ctx, id, &plan); err != nil {
		return Run{}, err
	}
	found := t.objections(plan.Costs)
	h, err := s.change(ctx, id, func(h *head) (update, error) {
		if h.fields[fieldPlanner] != token {
			return update{}, errChanged
		}
		u, err := h.move(eventPlan, "", "")
		if err != nil {
			return update{}, err
		}
		var settings Settings
		h.read(fieldSettings, &settings)
		plan.Guards = allowed(h.given(found), settings.Allowed)
		plan.At, plan.Until = h.now, h.now.Add(settings.validFor())
		u.when[fieldPlanner], u.when[fieldSettings] = token, h.fields[fieldSettings]
		u.set[fieldPlan], u.set[fieldDigest] = text(plan), plan.Digest
		if newest != nil {
			u.set[fieldNewest] = text(newest)
		}
		return u, nil
	})
	if err != nil {
		return Run{}, raced(id, err)
	}
	return h.view(), nil
}

// given returns the guards of a plan together with those of the maker of the run.
func (h *head) given(found []Guard) []Guard {
	var d storedDraft
	h.read(fieldDraft, &d)
	var all []Guard
	for _, g := range found {
		if !slices.Contains(d.Judged, g.Name) {
			all = append(all, g)
		}
	}
	return append(all, d.Guards...)
}

// excluded reads the rows that people left out.
func (s *Service) excluded(ctx context.Context, id string) (map[int]bool, error) {
	stored, err := s.rdb.Get(ctx, excludedKey(id)).Bytes()
	if errors.Is(err, redis.Nil) {
		return map[int]bool{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the rows that are left out of run %s: %w", id, ofKey(err, excludedKey(id), "string"))
	}
	var numbers []int
	if json.Unmarshal(stored, &numbers) != nil {
		return nil, fmt.Errorf("read the rows that are left out of run %s: %w", id, &ledger.DamagedError{Damage: ledger.Damage{
			Key: excludedKey(id), Entry: "value", Value: string(stored), What: "is not a list of rows",
		}})
	}
	all := make(map[int]bool, len(numbers))
	for _, n := range numbers {
		all[n] = true
	}
	return all, nil
}

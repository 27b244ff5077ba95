package run

import (
	"context"
	"errors"
	"iter"
	"slices"

	"rollcall/internal/ledger"
)

// Rows returns the rows of the plan, in order.
func (s *Service) Rows(ctx context.Context, id string) iter.Seq2[Planned, error] {
	return s.RowsAfter(ctx, id, 0)
}

// RowsAfter returns the rows of the plan whose numbers are higher than after, in order. It
// costs what the rows from there on cost.
func (s *Service) RowsAfter(ctx context.Context, id string, after int) iter.Seq2[Planned, error] {
	return func(yield func(Planned, error) bool) {
		h, err := s.load(ctx, id)
		if err == nil && h.fields[fieldPlan] == "" {
			err = &StateError{ID: id, State: h.state(), Reason: "it has no plan yet", Event: "read the plan of"}
		}
		if err != nil {
			yield(Planned{}, err)
			return
		}
		for q, err := range s.walk(ctx, h, after, nil) {
			if err != nil {
				yield(Planned{}, err)
				return
			}
			if !yield(planned(q, *q.plan), nil) {
				return
			}
		}
	}
}

// walk reads the rows of a planned run after a row, without blocks that skip names; nil: all.
// It goes on after a damaged block. A reader that stops early costs little: it reads 1 block
// first, then 2, 4, 8 and 16.
func (s *Service) walk(ctx context.Context, h *head, after int, skip func(block int) bool) iter.Seq2[request, error] {
	return func(yield func(request, error) bool) {
		numbers := span(max(after, 0)/blockRows, blocksOf(h.rows()))
		if skip != nil {
			numbers = slices.DeleteFunc(numbers, skip)
		}
		for together := 1; len(numbers) > 0; together = min(2*together, blocksTogether) {
			next := numbers[:min(together, len(numbers))]
			numbers = numbers[len(next):]
			blocks, err := s.blocks(ctx, h.id, next, true)
			if err != nil {
				if _, damaged := errors.AsType[*ledger.DamagedError](err); !yield(request{}, err) || !damaged {
					return
				}
				continue
			}
			for _, b := range blocks {
				for _, q := range b.rows {
					if q.number > after && !yield(q, nil) {
						return
					}
				}
			}
		}
	}
}

package run

import (
	"context"
)

// Budget is what the month of an organisation still has for runs.
type Budget struct {
	// Bounded says that the month has a quota. Left is zero otherwise.
	Bounded bool
	// Left are the metered calls that a new run can make: without the reserve for urgent
	// tasks and without what runs that were applied have still to send.
	Left int64
	// Metered are the lanes whose calls count, by "<tenant>.<kind>".
	Metered map[string]bool
}

// Budgets returns the budget of each organisation with a served lane. It costs what the
// price of a plan costs.
func (s *Service) Budgets(ctx context.Context) (map[string]Budget, error) {
	states, err := s.paces(ctx, func(string) bool { return true })
	if err != nil {
		return nil, err
	}
	others, err := s.others(ctx, "")
	if err != nil {
		return nil, err
	}
	all := map[string]Budget{}
	for _, state := range states {
		b, known := all[state.Organisation]
		if !known {
			b.Metered = map[string]bool{}
		}
		if state.Metered {
			b.Metered[state.Lane] = true
			left, bounded := state.MonthLeft()
			if bounded {
				b.Bounded, b.Left = true, max(0, left-int64(state.Quota.Reserve)-others[state.Organisation].open)
			}
		}
		all[state.Organisation] = b
	}
	return all, nil
}

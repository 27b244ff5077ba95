package run

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"rollcall/internal/pace"
	"rollcall/internal/registry"
)

// price adds to a plan what its calls cost and how long they take.
func (s *Service) price(ctx context.Context, id string, plan *Plan) error {
	if len(plan.Lanes) == 0 {
		return nil
	}
	states, err := s.paces(ctx, func(organisation string) bool {
		return slices.ContainsFunc(plan.Lanes, func(p Lane) bool { return p.Organisation == organisation })
	})
	if err != nil {
		return err
	}
	others, err := s.others(ctx, id)
	if err != nil {
		return err
	}
	spends := map[string]spending{}
	for _, state := range states {
		calls := 0
		for i := range plan.Lanes {
			l := &plan.Lanes[i]
			if l.Organisation != state.Organisation || laneName(*l) != state.Lane {
				continue
			}
			if calls, l.Rate = l.Calls, state.Allowed; l.Rate > 0 {
				plan.Seconds = max(plan.Seconds, ceil(float64(l.Calls)/l.Rate))
			}
		}
		if state.Metered {
			sp := spends[state.Organisation]
			sp.Status = state
			sp.calls += calls
			sp.today += state.Day
			spends[state.Organisation] = sp
		}
	}
	now := s.now()
	for organisation, sp := range spends {
		plan.Costs = append(plan.Costs, sp.cost(others[organisation], now))
	}
	slices.SortFunc(plan.Costs, func(a, b Cost) int { return cmp.Compare(a.Organisation, b.Organisation) })
	return nil
}

// paces reads the paces of all lanes of some organisations.
func (s *Service) paces(ctx context.Context, of func(organisation string) bool) ([]pace.Status, error) {
	served, err := registry.Read(ctx, s.rdb, s.now())
	if err != nil {
		return nil, err
	}
	var refs []pace.Ref
	for _, l := range served {
		if of(l.Organisation) {
			refs = append(refs, pace.Ref{Organisation: l.Organisation, Lane: registry.Queue(l.Tenant, l.Kind, false)})
		}
	}
	return pace.Read(ctx, s.rdb, refs)
}

// spending is what an organisation spends of its month.
type spending struct {
	pace.Status // of one of its metered lanes: the month is that of all

	calls int   // of the plan
	today int64 // of all metered lanes
}

// runsOf is what other runs of an organisation do to its month.
type runsOf struct {
	spent int64 // metered calls of this month
	today int64 // those of them that may be today's
	open  int64 // calls that are still to come
}

func (sp spending) cost(others runsOf, now time.Time) Cost {
	c := Cost{Organisation: sp.Organisation, Calls: sp.calls, Month: sp.Month.Name, Spent: sp.Month.Spent}
	if c.Left, c.Bounded = sp.MonthLeft(); !c.Bounded {
		return c
	}
	c.Quota, c.Reserve = sp.Quota.Calls, sp.Quota.Reserve
	// Of today's calls, those of runs are in both numbers.
	today := max(0, sp.today-others.today)
	usual := perDay(sp.Month.Spent-others.spent, today, now.In(sp.Month.Ends.Location()))
	c.RunsOut = runsOut(c.Left-int64(c.Reserve)-others.open-int64(c.Calls), usual, now, sp.Month.Ends)
	return c
}

// perDay is the usual use of a day, without that of runs: of the whole days of the month
// so far, or of today on its first.
func perDay(spent, today int64, now time.Time) float64 {
	if days := now.Day() - 1; days > 0 {
		return max(0, float64(spent-today)/float64(days))
	}
	return max(0, float64(spent))
}

// runsOut returns the day on which calls that are left are spent at the usual use of a
// day, or the zero time if the month ends before.
func runsOut(left int64, usual float64, now, ends time.Time) time.Time {
	if left <= 0 {
		return now
	}
	if usual <= 0 {
		return time.Time{}
	}
	if at := now.Add(time.Duration(float64(left) / usual * 24 * float64(time.Hour))); at.Before(ends) {
		return at
	}
	return time.Time{}
}

// others sums up, by organisation, the calls of the other runs that were applied this
// month or are not done.
func (s *Service) others(ctx context.Context, id string) (map[string]runsOf, error) {
	all := map[string]runsOf{}
	now := s.now().In(pace.Shanghai)
	month, today := now.Format("2006-01"), time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, pace.Shanghai)
	runs, err := s.List(ctx, Filter{States: []State{StateCanary, StateApplying, StatePaused, StateDone, StateCancelled}, N: 1000})
	if err != nil {
		return nil, err
	}
	for _, r := range runs {
		if r.ID == id || r.Plan == nil || r.Applied.IsZero() {
			continue
		}
		for _, l := range r.Plan.Lanes {
			o := all[l.Organisation]
			fed := int64(r.fed[laneName(l)])
			if r.Applied.In(pace.Shanghai).Format("2006-01") == month {
				o.spent += fed
				if !r.State.Ended() || !r.Ended.Before(today) {
					o.today += fed
				}
			}
			if !r.State.Ended() {
				o.open += int64(l.Calls) - fed
			}
			all[l.Organisation] = o
		}
	}
	return all, nil
}

// ceil is a rate times seconds, as a whole number.
func ceil(f float64) int { return int(math.Ceil(f)) }

package run

import (
	"context"
	"iter"
	"slices"

	"rollcall/internal/ledger"
	"rollcall/internal/outcome"
)

// result is a row with its outcome and what is stored of it.
type result struct {
	Result

	request request
	detail  ledger.RowDetail
}

// rowResults returns the rows of a run after a row, with their outcomes and details. only are
// the outcomes that are wanted; nil: all.
func (s *Service) rowResults(ctx context.Context, h *head, after int, only []Outcome) iter.Seq2[result, error] {
	return func(yield func(result, error) bool) {
		p, err := s.follow(ctx, h)
		if err != nil {
			yield(result{}, err)
			return
		}
		rows := s.walk(ctx, h, after, p.without(only))
		paged(ctx, rows, func(ctx context.Context, page []request) ([]result, error) { return s.details(ctx, p, page, only) })(yield)
	}
}

// leastPage is how many rows are turned at first, and twice as many each time up to MaxAdd.
const leastPage = 32

// paged turns what a sequence yields into something else, many at a time: one round trip
// serves a page. A reader that stops early has few turned.
func paged[In, Out any](ctx context.Context, all iter.Seq2[In, error], turn func(context.Context, []In) ([]Out, error)) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) {
		var none Out
		var page []In
		most := leastPage
		flush := func() bool {
			results, err := turn(ctx, page)
			if err != nil {
				yield(none, err)
				return false
			}
			page, most = page[:0], min(2*most, MaxAdd)
			for _, r := range results {
				if !yield(r, nil) {
					return false
				}
			}
			return true
		}
		for in, err := range all {
			if err != nil {
				yield(none, err)
				return
			}
			if page = append(page, in); len(page) == most && !flush() {
				return
			}
		}
		if len(page) > 0 {
			flush()
		}
	}
}

// details returns the results of those of some rows that have a wanted outcome; nil: of all.
// One round trip for each lane.
func (s *Service) details(ctx context.Context, p *progress, page []request, only []Outcome) ([]result, error) {
	type lane struct {
		organisation, api string
		run               ledger.RunName
	}
	asked := map[lane][]int{}
	of := func(q request) lane {
		return lane{q.lane.Organisation, string(q.lane.Kind), ledger.RunName{Tenant: q.lane.Tenant, Run: p.head.id}}
	}
	all := make([]result, 0, len(page))
	for _, q := range page {
		o := p.became(q)
		if len(only) > 0 && !slices.Contains(only, o) {
			continue
		}
		all = append(all, result{Result: Result{Planned: planned(q, *q.plan), Outcome: o, Message: q.plan.Why}, request: q})
		if b := p.of(q); b == ledger.RowApplied || b == ledger.RowDead || b == ledger.RowSettled {
			asked[of(q)] = append(asked[of(q)], q.number)
		}
	}
	found := map[lane]map[int]ledger.RowDetail{}
	for l, rows := range asked {
		details, err := s.ledger.RunDetails(ctx, l.organisation, l.api, l.run, rows)
		if err != nil {
			return nil, err
		}
		found[l] = details
	}
	for i := range all {
		r := &all[i]
		if d, ok := found[of(r.request)][r.Number]; ok {
			r.addDetail(d)
		}
		if r.Outcome == OutcomeFailed {
			r.Advice = outcome.Class(r.Class).Rule().Advice
		}
	}
	return all, nil
}

// addDetail adds what the ledger kept of a row.
func (r *result) addDetail(d ledger.RowDetail) {
	r.detail, r.At, r.RequestID = d, d.At, d.RequestID
	if r.Class, r.Code = d.Class, d.Code; d.Message != "" {
		r.Message = d.Message
	}
	for i := range r.Values {
		v := &r.Values[i]
		if f, known := fieldOf(d, v.Field, len(r.Values)); known && f.Known {
			v.Old, v.Known, v.Stated = f.Old, true, false
		}
	}
}

// fieldOf returns the detail of a field. A task of one field has it under "".
func fieldOf(d ledger.RowDetail, name string, fields int) (ledger.FieldDetail, bool) {
	if f, ok := d.Fields[name]; ok {
		return f, true
	}
	f, ok := d.Fields[""]
	return f, ok && fields == 1
}

// Results returns all rows with their outcomes, in order. Rows of a run that was not
// applied have the outcome of their decision, or Waiting.
func (s *Service) Results(ctx context.Context, id string) iter.Seq2[Result, error] {
	return s.ResultsAfter(ctx, id, 0)
}

// ResultsAfter returns the results of the rows whose numbers are higher than after, and that
// have one of some outcomes; none: all. It costs what the rows from there on cost, and one
// read of the outcomes of all rows. Rows that failed, or that are open, applied or superseded,
// are found without reading the others.
func (s *Service) ResultsAfter(ctx context.Context, id string, after int, only ...Outcome) iter.Seq2[Result, error] {
	return func(yield func(Result, error) bool) {
		h, err := s.load(ctx, id)
		if err == nil && h.fields[fieldPlan] == "" {
			err = &StateError{ID: id, State: h.state(), Reason: "it has no plan yet", Event: "read the results of"}
		}
		if err != nil {
			yield(Result{}, err)
			return
		}
		for r, err := range s.rowResults(ctx, h, after, only) {
			if !yield(r.Result, err) || err != nil {
				return
			}
		}
	}
}

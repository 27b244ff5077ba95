package run

import (
	"context"
	"slices"

	"rollcall/internal/ledger"
)

// progress is how far the rows of a run are.
type progress struct {
	head    *head
	ready   readiness
	results map[string]ledger.Results // by lane
}

// follow reads how far the rows of a run are. One round trip for each lane.
func (s *Service) follow(ctx context.Context, h *head) (*progress, error) {
	p := &progress{head: h}
	h.read(fieldPrepared, &p.ready)
	r := h.view()
	if r.Plan == nil || r.Applied.IsZero() {
		return p, nil
	}
	var err error
	p.results, err = s.readResults(ctx, r)
	return p, err
}

// readResults reads the results of the rows of a planned run, by lane. One round trip for each
// lane.
func (s *Service) readResults(ctx context.Context, r Run) (map[string]ledger.Results, error) {
	all := map[string]ledger.Results{}
	for _, l := range r.Plan.Lanes {
		results, err := s.ledger.ReadRun(ctx, l.Organisation, string(l.Kind), ledger.RunName{Tenant: l.Tenant, Run: r.ID})
		if err != nil {
			return nil, err
		}
		all[laneName(l)] = results
	}
	return all, nil
}

// of returns the result of a row in the ledger, or 0.
func (p *progress) of(q request) byte {
	results := p.results[q.laneName()]
	if q.number >= len(results) {
		return 0
	}
	return results[q.number]
}

// byResult are the outcomes of rows by their results in the ledger.
var byResult = map[byte]Outcome{
	ledger.RowStored: OutcomeOpen, ledger.RowApplied: OutcomeApplied, ledger.RowSettled: OutcomeApplied, ledger.RowUnchanged: OutcomeUnchanged,
	ledger.RowSuperseded: OutcomeSuperseded, ledger.RowDead: OutcomeFailed, ledger.RowCancelled: OutcomeCancelled,
}

// became returns what became of a row, by its decision, its result in the ledger, and the
// state of the run.
func (p *progress) became(q request) Outcome {
	result := p.of(q)
	switch q.plan.decision() {
	case RowConflict:
		return OutcomeConflict
	case RowImpossible:
		return OutcomeImpossible
	case RowExcluded:
		return OutcomeExcluded
	case RowUnchanged:
		if p.ready.Blocks > (q.number-1)/blockRows { // it was compared again after the run was applied
			return OutcomeUnchanged
		}
		result = 0
	}
	if o, known := byResult[result]; known {
		return o
	}
	if slices.Contains([]State{StateCancelled, StateRejected, StateExpired}, p.head.state()) {
		return OutcomeCancelled
	}
	return OutcomeWaiting
}

// Get returns a run, with its rows counted by outcome. It reads no rows.
func (s *Service) Get(ctx context.Context, id string) (Run, error) {
	h, err := s.load(ctx, id)
	if err != nil {
		return Run{}, err
	}
	r := h.view()
	if r.Plan == nil || r.Outcomes != nil || r.Applied.IsZero() {
		return r, nil
	}
	p, err := s.follow(ctx, h)
	if err != nil {
		return r, err
	}
	r.Outcomes = p.outcomes(r)
	return r, nil
}

// outcomes counts the rows of an applied run.
func (p *progress) outcomes(r Run) map[Outcome]int {
	counts := p.ready.Counts
	if counts == nil {
		counts = r.Plan.Counts
	}
	all := map[Outcome]int{
		OutcomeConflict: counts[RowConflict], OutcomeImpossible: counts[RowImpossible], OutcomeExcluded: counts[RowExcluded],
		OutcomeUnchanged: p.ready.Equal,
	}
	raised := p.ready.Equal
	for _, results := range p.results {
		n := results.Counts()
		for result, o := range byResult {
			if o != OutcomeUnchanged {
				all[o] += n[result]
			}
		}
		// Unchanged rows of the plan have this result too, but for those without a record.
		all[OutcomeUnchanged] += max(0, n[ledger.RowUnchanged]-raised)
		raised = max(0, raised-n[ledger.RowUnchanged])
	}
	rest := r.Rows
	for _, n := range all {
		rest -= n
	}
	if r.State == StateCancelled {
		all[OutcomeCancelled] += max(0, rest)
	} else {
		all[OutcomeWaiting] = max(0, rest)
	}
	for o, n := range all {
		if n == 0 {
			delete(all, o)
		}
	}
	return all
}

// without returns which blocks have no row with some outcomes, as far as the results in the
// ledger say so. nil: none is known to have no such row.
func (p *progress) without(only []Outcome) func(block int) bool {
	if len(only) == 0 {
		return nil
	}
	for _, o := range only {
		if !slices.Contains([]Outcome{OutcomeApplied, OutcomeSuperseded, OutcomeFailed, OutcomeOpen}, o) {
			return nil // rows may have it without a result
		}
	}
	has := map[int]bool{}
	for _, results := range p.results {
		for number, result := range results {
			if slices.Contains(only, byResult[result]) {
				has[(number-1)/blockRows] = true
			}
		}
	}
	return func(block int) bool { return !has[block] }
}

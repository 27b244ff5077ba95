package run

import (
	"context"
	"fmt"
	"iter"
	"time"
)

// Verify compares the run that an undo takes back with what the undo did, by row. Both have
// their rows in the same order.
func (s *Service) Verify(ctx context.Context, undo string) iter.Seq2[Verified, error] {
	return s.VerifyAfter(ctx, undo, 0, 0)
}

// VerifyAfter returns that of the rows whose numbers are higher than after, where the row
// undoAfter of the undo is of none of them, nor one before it: Number and the highest UndoRow
// of what was read.
func (s *Service) VerifyAfter(ctx context.Context, undo string, after, undoAfter int) iter.Seq2[Verified, error] {
	return func(yield func(Verified, error) bool) {
		r, err := s.loadUndo(ctx, undo)
		if err != nil {
			yield(Verified{}, err)
			return
		}
		u, err := s.undoer(ctx, r.UndoOf)
		if err != nil {
			yield(Verified{}, err)
			return
		}
		next, stop := iter.Pull2(s.ResultsAfter(ctx, undo, undoAfter))
		defer stop()
		v := verifier{undoer: u, next: next}
		v.taken, v.err, v.more = next()
		paged(ctx, s.rowResults(ctx, u.head, after, nil), v.page)(yield)
	}
}

// loadUndo reads a run that takes another one back.
func (s *Service) loadUndo(ctx context.Context, id string) (Run, error) {
	h, err := s.load(ctx, id)
	if err != nil {
		return Run{}, err
	}
	r := h.view()
	if r.UndoOf == "" {
		return r, fmt.Errorf("run %s takes no other run back: give the run that does", id)
	}
	return r, nil
}

// verifier compares rows with those of an undo, which it reads at the same time.
type verifier struct {
	undoer // of the run that is taken back

	next func() (Result, error, bool)

	taken Result // the next row of the undo
	err   error
	more  bool
}

// page compares some rows. Only of those that the undo left out the targets are read.
func (v *verifier) page(ctx context.Context, page []result) ([]Verified, error) {
	all := make([]Verified, len(page))
	var left []result
	var at []int
	for i, r := range page {
		if v.err != nil {
			return nil, v.err
		}
		all[i] = Verified{Number: r.Number, Line: r.Line, Row: r.Row}
		if v.more && v.taken.Of == r.Number {
			all[i].judge(v.taken)
			v.taken, v.err, v.more = v.next()
			continue
		}
		at, left = append(at, i), append(left, r)
	}
	undone, err := v.undoer.page(ctx, left)
	for n, u := range undone {
		all[at[n]].leftOut(u)
	}
	return all, err
}

// judge fills in what the undo did.
func (v *Verified) judge(r Result) {
	v.UndoRow, v.RequestID, v.At, v.Values, v.Why = r.Number, r.RequestID, r.At, r.Values, r.Message
	switch r.Outcome {
	case OutcomeApplied, OutcomeUnchanged:
		v.Verdict = VerdictRestored
	case OutcomeConflict, OutcomeSuperseded, OutcomeExcluded:
		if v.Verdict = VerdictSkipped; v.Why == "" {
			v.Why = map[Outcome]string{OutcomeSuperseded: whyChangedAfter, OutcomeExcluded: whyLeftOut}[r.Outcome]
		}
	case OutcomeWaiting, OutcomeOpen:
		v.Verdict = VerdictOpen
	default:
		if v.Verdict = VerdictImpossible; v.Why == "" {
			v.Why = string(r.Outcome)
		}
	}
}

// leftOut fills in why the undo has no row for it.
func (v *Verified) leftOut(u Undone) {
	v.Values, v.Why, v.Verdict = u.Values, u.WhyNot, VerdictImpossible
	switch {
	case u.Outcome != OutcomeApplied:
		v.Verdict = VerdictNothing
	case u.WhyNot == "":
		v.Why = whyNotThen
	case u.WhyNot == whyChangedAfter:
		v.Verdict = VerdictSkipped
	}
	v.At = time.Time{}
}

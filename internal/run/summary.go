package run

import "context"

// Undoing is what an undo of a run would take back.
type Undoing struct {
	Can  int            // rows that can be taken back
	Left map[string]int // applied rows that cannot, by the reason
}

// Undoing counts the rows that an undo would take back. It reads all rows of the run.
func (s *Service) Undoing(ctx context.Context, id string) (Undoing, error) {
	u := Undoing{Left: map[string]int{}}
	for row, err := range s.Undoable(ctx, id) {
		switch {
		case err != nil:
			return u, err
		case row.WhyNot == "":
			u.Can++
		case row.Outcome == OutcomeApplied:
			u.Left[row.WhyNot]++
		}
	}
	return u, nil
}

// Restored is what an undo has taken back.
type Restored struct {
	Counts map[Verdict]int
	// Others are the first rows that were not restored although the run had changed them.
	Others []Verified
}

// mostOthers bounds Restored.Others.
const mostOthers = 10

// Restored compares an undo with the run that it takes back. It reads all rows of both.
func (s *Service) Restored(ctx context.Context, undo string) (Restored, error) {
	r := Restored{Counts: map[Verdict]int{}}
	for row, err := range s.Verify(ctx, undo) {
		if err != nil {
			return r, err
		}
		if r.Counts[row.Verdict]++; row.Verdict != VerdictRestored && row.Verdict != VerdictNothing && len(r.Others) < mostOthers {
			r.Others = append(r.Others, row)
		}
	}
	return r, nil
}

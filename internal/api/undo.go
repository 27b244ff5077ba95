package api

import (
	"context"
	"time"

	"rollcall/internal/access"
	"rollcall/internal/privacy"
	"rollcall/internal/problem"
	"rollcall/internal/run"
)

// Undoing is what an undo of a run would take back now.
type Undoing struct {
	Can  int            `doc:"Rows that can be taken back"                       json:"can"`
	Left map[string]int `doc:"Applied rows that cannot be taken back, by reason" json:"left,omitempty"`
}

// Restored compares an undo with the run that it takes back.
type Restored struct {
	Counts map[run.Verdict]int `doc:"Rows by verdict: restored, skipped, impossible, open, nothing" json:"counts"`
	Others []OtherRow          `doc:"The first ten rows that were not restored"                     json:"others" nullable:"false"`
}

// OtherRow is a row that an undo did not restore.
type OtherRow struct {
	Row     int         `doc:"Number in the run that was undone" json:"row"`
	Line    int         `doc:"Line of the file"                  json:"line,omitzero"`
	Verdict run.Verdict `enum:"skipped,impossible,open"          json:"verdict"`
	Why     string      `json:"why,omitzero"`
	At      time.Time   `json:"at,omitzero"`
}

type (
	undoingOutput  struct{ Body Undoing }
	restoredOutput struct{ Body Restored }
)

func (a *API) previewUndo(ctx context.Context, c caller, in *resumeInput) (*undoingOutput, error) {
	if _, err := a.visible(ctx, c, in.ID, access.Read); err != nil {
		return nil, err
	}
	u, err := a.runs.Undoing(ctx, in.ID)
	return &undoingOutput{Body: Undoing(u)}, err
}

func (a *API) compareUndo(ctx context.Context, c caller, in *resumeInput) (*restoredOutput, error) {
	r, err := a.visible(ctx, c, in.ID, access.Read)
	if err != nil {
		return nil, err
	}
	if r.UndoOf == "" {
		return nil, problem.New(problem.State, "run "+r.ID+" takes no other run back: give the run that does")
	}
	of, err := a.runs.Restored(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out, m := &restoredOutput{Body: Restored{Counts: of.Counts}}, c.masker()
	for _, row := range of.Others {
		v := OtherRow{Row: row.Number, Line: row.Line, Verdict: row.Verdict, Why: row.Why, At: row.At}
		if !m.Shown {
			v.Why = privacy.Redact(v.Why, wordsOf(row.Values))
		}
		out.Body.Others = append(out.Body.Others, v)
	}
	return out, nil
}

// wordsOf are the values of a row, which may be names.
func wordsOf(values []run.Value) (words []string) {
	for _, v := range values {
		words = append(words, v.Old, v.New)
	}
	return words
}

package api

import (
	"context"

	"rollcall/internal/access"
	"rollcall/internal/privacy"
	"rollcall/internal/problem"
	"rollcall/internal/run"
	"rollcall/internal/wire"
)

type (
	undoingOutput  struct{ Body wire.Undoing }
	restoredOutput struct{ Body wire.Restored }
)

func (a *API) previewUndo(ctx context.Context, c caller, in *RunPath) (*undoingOutput, error) {
	if _, err := a.visible(ctx, c, in.ID, access.Read); err != nil {
		return nil, err
	}
	u, err := a.runs.Undoing(ctx, in.ID)
	return &undoingOutput{Body: wire.Undoing(u)}, err
}

func (a *API) compareUndo(ctx context.Context, c caller, in *RunPath) (*restoredOutput, error) {
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
	out, m := &restoredOutput{Body: wire.Restored{Counts: of.Counts}}, c.masker()
	for _, row := range of.Others {
		v := wire.OtherRow{Row: row.Number, Line: row.Line, Verdict: row.Verdict, Why: row.Why, At: row.At}
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

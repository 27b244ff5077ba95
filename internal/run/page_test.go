package run_test

import (
	"context"
	"fmt"
	"testing"

	"rollcall/internal/redistest"
	"rollcall/internal/run"
)

func TestRowsAndResultsAreReadFromARowOn(t *testing.T) {
	t.Parallel()
	const rows = 600 // in three blocks
	r := newRig(t, redistest.One(t), 1)
	names := make([]string, rows)
	for i := range names {
		names[i] = fmt.Sprint("n", i+1)
	}
	made := r.upload(run.Draft{}, nicknames(names...))
	if _, err := r.service.Plan(t.Context(), made.ID, nil); err != nil {
		t.Fatal(err)
	}
	for _, after := range []int{-1, 0, 1, 255, 256, 257, 512, 599, 600, 10_000} {
		first := max(after, 0) + 1
		next := first
		for row, err := range r.service.RowsAfter(t.Context(), made.ID, after) {
			if err != nil || row.Number != next || row.Values[0].New != fmt.Sprint("n", next) {
				t.Fatalf("after %d: row %d, want %d, %v: %v", after, row.Number, next, row.Values, err)
			}
			next++
		}
		if next != max(rows+1, first) {
			t.Errorf("after %d: rows up to %d", after, next-1)
		}
		next = first
		for row, err := range r.service.ResultsAfter(t.Context(), made.ID, after) {
			if err != nil || row.Number != next || row.Outcome != run.OutcomeWaiting {
				t.Fatalf("after %d: result %d, want %d: %v", after, row.Number, next, err)
			}
			next++
		}
		if next != max(rows+1, first) {
			t.Errorf("after %d: results up to %d", after, next-1)
		}
	}
}

func TestAWaitForAChangeEndsWithItOrWithTheContext(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 1)
	made := r.upload(run.Draft{}, nicknames("n1"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.service.WaitWhile(ctx, made.ID, run.StateUploading); err == nil {
		t.Error("no error after the context had ended")
	}
	changed := make(chan run.Run)
	go func() {
		got, err := r.service.WaitWhile(context.Background(), made.ID, run.StateUploading)
		if err != nil {
			t.Error(err)
		}
		changed <- got
	}()
	if _, err := r.service.Plan(t.Context(), made.ID, nil); err != nil {
		t.Fatal(err)
	}
	if got := <-changed; got.State != run.StatePlanned {
		t.Errorf("%+v", got)
	}
}

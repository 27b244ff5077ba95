package run_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/redistest"
	"rollcall/internal/run"
)

// many returns n names that differ by their prefix.
func many(n int, prefix string) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s%d", prefix, i+1)
	}
	return names
}

func TestARunIsPlannedAppliedAndUndone(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s, 60)
		r.worker()

		first := r.apply(run.Draft{Name: "names", Author: "ann"}, nicknames(many(60, "old")...))
		done := r.await(first.ID, run.StateDone)
		if diff := cmp.Diff(map[run.Outcome]int{run.OutcomeApplied: 60}, done.Outcomes); diff != "" {
			t.Fatalf("outcomes of the first run (-want +got):\n%s", diff)
		}

		names := many(60, "new")
		copy(names, many(10, "old")) // ten stay as they are
		second := r.plan(free(), nicknames(names...))
		if diff := cmp.Diff(map[run.Decision]int{run.RowChange: 50, run.RowUnchanged: 10}, second.Plan.Counts); diff != "" {
			t.Fatalf("plan of the second run (-want +got):\n%s", diff)
		}
		if second.Plan.Undoable != 50 {
			t.Errorf("%d rows of the second run could be undone, want 50", second.Plan.Undoable)
		}
		calls := r.box.Arrived()
		r.must(r.service.Apply(t.Context(), second.ID, second.Plan.Digest, "ann"))
		done = r.await(second.ID, run.StateDone)
		if diff := cmp.Diff(map[run.Outcome]int{run.OutcomeApplied: 50, run.OutcomeUnchanged: 10}, done.Outcomes); diff != "" {
			t.Fatalf("outcomes of the second run (-want +got):\n%s", diff)
		}
		if made := r.box.Arrived() - calls; made != 50 {
			t.Errorf("the second run made %d calls, want 50", made)
		}

		undo := r.must(r.service.Undo(t.Context(), second.ID, free()))
		if undo.Rows != 50 || undo.UndoOf != second.ID {
			t.Fatalf("the undo has %d rows of run %s, want 50 of %s", undo.Rows, undo.UndoOf, second.ID)
		}
		undo = r.must(r.service.Plan(t.Context(), undo.ID, nil))
		r.must(r.service.Apply(t.Context(), undo.ID, undo.Plan.Digest, "ann"))
		r.await(undo.ID, run.StateDone)
		for member, name := range r.names() {
			if want := "old" + member[1:]; name != want {
				t.Errorf("%s is %s after the undo, want %s", member, name, want)
			}
		}
		verdicts := map[run.Verdict]int{}
		for v, err := range r.service.Verify(t.Context(), undo.ID) {
			if err != nil {
				t.Fatal(err)
			}
			verdicts[v.Verdict]++
			if v.Verdict == run.VerdictRestored && v.RequestID == "" {
				t.Errorf("row %d was restored without a request id", v.Number)
			}
		}
		if diff := cmp.Diff(map[run.Verdict]int{run.VerdictRestored: 50, run.VerdictNothing: 10}, verdicts); diff != "" {
			t.Errorf("verification (-want +got):\n%s", diff)
		}
	})
}

func TestTheSameFileAgainMakesNoCall(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 30)
	r.worker()
	r.await(r.apply(free(), nicknames(many(30, "a")...)).ID, run.StateDone)
	calls := r.box.Arrived()
	again := r.apply(free(), nicknames(many(30, "a")...))
	done := r.await(again.ID, run.StateDone)
	if diff := cmp.Diff(map[run.Outcome]int{run.OutcomeUnchanged: 30}, done.Outcomes); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	if made := r.box.Arrived() - calls; made != 0 {
		t.Errorf("the same file again made %d calls", made)
	}
}

// TestWhatATrustedFileStatesIsKnownAfterwards also shows that the file is not believed where
// something else is known.
func TestWhatATrustedFileStatesIsKnownAfterwards(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 5)
	r.worker()
	r.await(r.apply(free(), nicknames("known")).ID, run.StateDone)
	rows := nicknames("b", "b", "c", "d", "e")
	for i := range rows {
		rows[i].Previous = []string{"b", "b", "old", "", "e"}[i]
	}
	trusting := free()
	trusting.Settings.TrustPrevious = true
	calls := r.box.Arrived()
	done := r.await(r.apply(trusting, rows).ID, run.StateDone)
	if diff := cmp.Diff(map[run.Outcome]int{run.OutcomeApplied: 3, run.OutcomeUnchanged: 2}, done.Outcomes); diff != "" {
		t.Fatalf("outcomes of the run that trusts (-want +got):\n%s", diff)
	}
	if made := r.box.Arrived() - calls; made != 3 {
		t.Errorf("it made %d calls, want 3", made)
	}
	again := r.plan(free(), nicknames("b", "b", "c", "d", "e"))
	if diff := cmp.Diff(map[run.Decision]int{run.RowUnchanged: 5}, again.Plan.Counts); diff != "" {
		t.Errorf("plan of the same names without their old values (-want +got):\n%s", diff)
	}
}

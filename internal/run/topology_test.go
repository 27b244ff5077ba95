package run_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/redistest"
	"rollcall/internal/run"
)

// The keys of a run, of its targets, of its queue and the lists of runs have slots of
// their own.
func TestRunsWorkOnEveryTopology(t *testing.T) {
	t.Parallel()
	redistest.EachTopology(t, func(t *testing.T, d *redistest.Deployment) {
		r := newRigOn(t, d.Client, d.Options(), 30)
		r.worker()
		r.await(r.apply(free(), nicknames(many(30, "old")...)).ID, run.StateDone)
		p := r.plan(free(), nicknames(many(30, "new")...))
		p = r.must(r.service.Exclude(t.Context(), p.ID, p.Plan.Digest, []int{30}))
		r.must(r.service.Apply(t.Context(), p.ID, p.Plan.Digest, "ann"))
		done := r.await(p.ID, run.StateDone)
		if diff := cmp.Diff(map[run.Outcome]int{run.OutcomeApplied: 29, run.OutcomeExcluded: 1}, done.Outcomes); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
		undo := r.must(r.service.Undo(t.Context(), p.ID, free()))
		undo = r.must(r.service.Plan(t.Context(), undo.ID, nil))
		r.must(r.service.Apply(t.Context(), undo.ID, undo.Plan.Digest, "ann"))
		r.await(undo.ID, run.StateDone)
		for member, name := range r.names() {
			if want := "old" + member[1:]; name != want {
				t.Errorf("%s is %s after the undo, want %s", member, name, want)
			}
		}
	})
}

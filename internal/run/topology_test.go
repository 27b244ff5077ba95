package run_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/pace"
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

// A failover loses what was not replicated: rows, tasks, results. In the end every row has
// an outcome, and the platform has the name of each that was applied.
func TestARunSurvivesAFailover(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes servers that agree, and minutes: make test-long")
	}
	for name, start := range map[string]func(*testing.T) *redistest.Deployment{"sentinel": redistest.Sentinel, "cluster": redistest.Cluster} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := start(t)
			r := newRigOn(t, d.Client, d.Options(), 200)
			r.limits = []pace.Limit{{Calls: 50, Per: time.Second}}
			r.worker()
			p := r.apply(free(), nicknames(many(200, "n")...))
			r.until(p.ID, func(got run.Run) bool { return got.Outcomes[run.OutcomeApplied] > 50 })
			d.Settle(t)
			d.FailOver(t, "asynq:{"+nicknameQueue+"}:pending")
			end := time.Now().Add(2 * patience)
			for {
				got, err := r.service.Get(t.Context(), p.ID)
				if err == nil && got.State == run.StateDone {
					break
				}
				if time.Now().After(end) {
					t.Fatalf("the run is %s: %s, %v, %v\n%s", got.State, got.Progress, got.Outcomes, err, r.log)
				}
				<-time.After(200 * time.Millisecond)
			}
			names := r.names()
			for result, err := range r.service.Results(t.Context(), p.ID) {
				if err != nil {
					t.Fatal(err)
				}
				if !result.Outcome.Final() {
					t.Errorf("row %d is %s", result.Number, result.Outcome)
				}
				user := fmt.Sprintf("u%d", result.Number)
				if want := fmt.Sprintf("n%d", result.Number); result.Outcome == run.OutcomeApplied && names[user] != want {
					t.Errorf("row %d is applied, but %s is %q", result.Number, user, names[user])
				}
			}
		})
	}
}

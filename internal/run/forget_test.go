package run_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/redistest"
	"rollcall/internal/run"
	"rollcall/tasks"
)

// ofUser matches rows about a member.
func ofUser(id string) func(tasks.Task) bool {
	return func(task tasks.Task) bool {
		n, ok := task.(tasks.NicknameSync)
		return ok && n.UserID == id
	}
}

func TestForgettingAPersonLeavesNothingOfThemInRuns(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s, 5)
		r.worker()
		r.done(r.plan(free(), nicknames("Ann", "Bobby", "Cat")))
		p := r.done(r.plan(free(), append(nicknames("Ann2", "Bobby2", "Cat2"), nickname(9, "Nosuch"))))
		waiting := r.plan(free(), nicknames("Ann3", "Bobby3"))
		for _, user := range []string{"u2", "u9"} {
			if _, err := r.service.Forget(t.Context(), ofUser(user)); err != nil {
				t.Fatal(err)
			}
		}
		for result, err := range r.service.Results(t.Context(), p.ID) {
			if err != nil {
				t.Fatal(err)
			}
			if n := result.Number; (n == 2 || n == 4) && (result.Request.Task != nil || result.RequestID != "" || len(result.Values) > 0) {
				t.Errorf("row %d still has %+v", n, result)
			} else if n == 1 && (result.Outcome != run.OutcomeApplied || result.Values[0].Old != "Ann") {
				t.Errorf("row 1 is %+v", result)
			}
		}
		if got := r.must(r.service.Get(t.Context(), p.ID)); got.Outcomes[run.OutcomeApplied] != 3 {
			t.Errorf("the run counts %v", got.Outcomes)
		}
		// No key of the runs holds the names in plain text; the blocks are compressed.
		for _, key := range r.rdb.Keys(t.Context(), "rollcall:*details:*").Val() {
			for _, entry := range r.rdb.LRange(t.Context(), key, 0, -1).Val() {
				if strings.Contains(entry, "Bobby") || strings.Contains(entry, "Nosuch") {
					t.Errorf("%s holds %q", key, entry)
				}
			}
		}
		if _, err := r.service.Apply(t.Context(), waiting.ID, waiting.Plan.Digest, "ann"); !is[*run.DigestError](err) {
			t.Errorf("the plan with a removed row was applied: %v", err)
		}
		waiting = r.must(r.service.Plan(t.Context(), waiting.ID, nil))
		if diff := cmp.Diff([]run.Decision{run.RowChange, run.RowImpossible}, r.decisions(waiting.ID)); diff != "" {
			t.Errorf("decisions (-want +got):\n%s", diff)
		}
	})
}

func TestARunThatSendsIsNotForgotten(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 5)
	p := r.apply(free(), nicknames("Ann", "Bob"))
	got, err := r.service.Forget(t.Context(), ofUser("u2"))
	if diff := cmp.Diff(run.Forgotten{Busy: []string{p.ID}}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	r.must(r.service.Cancel(t.Context(), p.ID, "ann", ""))
	got, err = r.service.Forget(t.Context(), ofUser("u2"))
	if diff := cmp.Diff(run.Forgotten{Runs: 1, Rows: 1}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

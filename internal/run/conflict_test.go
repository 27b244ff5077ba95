package run_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/run"
	"rollcall/tasks"
)

// enqueue stores a change of a member's name outside of any run.
func (r *rig) enqueue(member int, name string) {
	r.t.Helper()
	if _, err := r.producer().Enqueue(r.t.Context(), nickname(member, name).Request.Task, tasks.Options{}); err != nil {
		r.t.Fatal(err)
	}
}

func TestARowWhoseTargetWasChangedSinceThePlanIsAConflict(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s, 6)
		r.applied("A", "B", "C", "D", "E", "F")
		p := r.plan(free(), nicknames("A2", "B", "C2", "D", "E2", "F2"))
		r.applied("A9", "B9", "C", "D") // A and B have other values now, C and D the same ones
		r.enqueue(5, "E9")              // and for E another change waits
		r.must(r.service.Apply(t.Context(), p.ID, p.Plan.Digest, "ann"))
		r.worker()
		r.await(p.ID, run.StateDone)
		want := []run.Outcome{
			run.OutcomeConflict, run.OutcomeConflict, run.OutcomeApplied, run.OutcomeUnchanged, run.OutcomeConflict, run.OutcomeApplied,
		}
		if diff := cmp.Diff(want, r.outcomes(p.ID)); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
	})
}

// The first send of the other change may be carried out after its second one, so the value
// is not certain, neither to the plan nor afterwards.
func TestARowWhoseTargetHasAnUncertainValueSinceThePlanIsAConflict(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 3)
	ctx, p := t.Context(), r.plan(free(), nicknames("A", "B"))
	other := nickname(1, "A9").Request.Task
	target, fields := kinds.Change(other, organisation)
	result, err := r.producer().Enqueue(ctx, other, tasks.Options{})
	if err != nil {
		t.Fatal(err)
	}
	lease, _, err := r.ledger.Begin(ctx, ledger.Delivery{TaskID: result.TaskID, Target: target, Revision: result.Revision, Fields: fields})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(lease.Check(ctx), lease.Settle(ctx, "request", true, nil)); err != nil {
		t.Fatal(err)
	}
	if err := asynq.NewInspectorFromRedisClient(r.rdb).DeleteTask(nicknameQueue, result.TaskID); err != nil {
		t.Fatal(err)
	}
	r.must(r.service.Apply(ctx, p.ID, p.Plan.Digest, "ann"))
	if err := r.feeder().Prepare(ctx, p.ID); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]run.Decision{run.RowConflict, run.RowNew}, r.decisions(p.ID)); diff != "" {
		t.Errorf("decisions (-want +got):\n%s", diff)
	}
}

func TestALaterChangeWinsOverAnAppliedRun(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 3)
	r.applied("A", "B", "C")
	p := r.apply(free(), nicknames("A2", "B", "C2"))
	stop := r.worker()
	r.await(p.ID, run.StateDone)
	stop()
	// An old change of u2 that waited all the time must not win over its unchanged row.
	q := r.apply(free(), nicknames("A3", "B3"))
	r.enqueue(1, "A9")
	r.worker()
	r.await(q.ID, run.StateDone)
	r.until(q.ID, func(run.Run) bool { return r.names()["u1"] == "A9" && r.names()["u2"] == "B3" })
	if got := r.outcomes(q.ID)[0]; got != run.OutcomeConflict && got != run.OutcomeSuperseded {
		t.Errorf("the row with a later change is %s", got)
	}
}

func TestAnUnchangedRowWinsOverAnOlderChangeThatWaits(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 3)
	r.applied("A", "B")
	old := r.apply(free(), nicknames("A1", "B1")) // applied, and not fed yet
	p := r.apply(free(), nicknames("A", "B2"))
	for row, err := range r.service.Rows(t.Context(), p.ID) {
		if want := "replaces a change that waits in run " + old.ID; err != nil || row.Number == 1 && (row.Decision != run.RowChange || row.Why != want) {
			t.Errorf("row %d is %s (%s), %v", row.Number, row.Decision, row.Why, err)
		}
	}
	feeder := r.feeder()
	// The newer run is compared first.
	r.turn(feeder, p.ID)
	r.worker()
	r.await(p.ID, run.StateDone)
	r.await(old.ID, run.StateDone)
	if diff := cmp.Diff(map[string]string{"u2": "B2"}, r.names()); diff != "" {
		t.Errorf("names on the platform (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]run.Outcome{run.OutcomeUnchanged, run.OutcomeApplied}, r.outcomes(p.ID)); diff != "" {
		t.Errorf("outcomes of the newer run (-want +got):\n%s", diff)
	}
}

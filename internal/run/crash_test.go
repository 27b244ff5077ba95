package run_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"rollcall/internal/pace"
	"rollcall/internal/redistest"
	"rollcall/internal/run"
)

func TestALostTaskOfARunIsMadeAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 3)
	p := r.apply(free(), nicknames("A", "B", "C"))
	inspector := asynq.NewInspectorFromRedisClient(r.rdb)
	if err := inspector.DeleteTask(run.Queue, p.ID); err != nil {
		t.Fatal(err)
	}
	if err := r.feeder().Revive(t.Context()); err != nil {
		t.Fatal(err)
	}
	if info, err := inspector.GetTaskInfo(run.Queue, p.ID); err != nil || info.State != asynq.TaskStatePending {
		t.Errorf("the task is %v, %v", info, err)
	}
	// Somebody archives it in the web UI.
	if err := inspector.ArchiveTask(run.Queue, p.ID); err != nil {
		t.Fatal(err)
	}
	r.worker()
	r.await(p.ID, run.StateDone)
	// The feeder removes it a moment after the state.
	for end := time.Now().Add(patience); r.rdb.SCard(t.Context(), "rollcall:runs:applied").Val() != 0; {
		if time.Now().After(end) {
			t.Fatal("the run still counts as applied after the end")
		}
		<-time.After(20 * time.Millisecond)
	}
}

func TestAnotherWorkerContinuesARun(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s, 250)
		r.limits = []pace.Limit{{Calls: 200, Per: 1e9}}
		p := r.apply(free(), nicknames(many(250, "n")...))
		for _, least := range []int{50, 150} {
			stop := r.worker()
			r.until(p.ID, func(got run.Run) bool { return got.Outcomes[run.OutcomeApplied] >= least })
			stop()
		}
		r.worker()
		done := r.await(p.ID, run.StateDone)
		if diff := cmp.Diff(map[run.Outcome]int{run.OutcomeApplied: 250}, done.Outcomes); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
		if n := len(r.box.Effects()); n != 250 {
			t.Errorf("%d effects, want 250", n)
		}
	})
}

// A failover of Redis may lose the last writes: tasks, and the notes that they were stored.
func TestRowsThatRedisLostAreFedAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 3)
	draft := free()
	draft.Settings.Canary = -1
	p := r.apply(draft, nicknames("A", "B", "C"))
	r.turn(r.feeder(), p.ID)
	ctx := t.Context()
	for _, id := range []string{p.ID + ":2", p.ID + ":3"} {
		r.rdb.LRem(ctx, "asynq:{"+nicknameQueue+"}:pending", 1, id)
		r.rdb.Del(ctx, "asynq:{"+nicknameQueue+"}:t:"+id)
		r.rdb.HDel(ctx, "rollcall:{lakeside/nickname}:tasks", id)
	}
	results := "rollcall:{lakeside/nickname}:run:" + tenant + "/" + p.ID
	r.rdb.Set(ctx, results, r.rdb.GetRange(ctx, results, 0, 1).Val(), 0) // rows 0 and 1
	r.worker()
	done := r.await(p.ID, run.StateDone)
	if diff := cmp.Diff(map[run.Outcome]int{run.OutcomeApplied: 3}, done.Outcomes); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	if done.Fed != 3 {
		t.Errorf("%d rows count as fed", done.Fed)
	}
}

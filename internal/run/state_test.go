package run_test

import (
	"context"
	"errors"
	"testing"

	"rollcall/internal/redistest"
	"rollcall/internal/run"
)

// TestEveryEventInEveryState does everything to a run in every state. An empty cell is
// refused with a *StateError and changes nothing.
func TestEveryEventInEveryState(t *testing.T) {
	t.Parallel()
	events := []struct {
		name string
		do   func(ctx context.Context, s *run.Service, r run.Run) (run.Run, error)
		next map[run.State]run.State
	}{
		{"plan", func(ctx context.Context, s *run.Service, r run.Run) (run.Run, error) { return s.Plan(ctx, r.ID, nil) }, map[run.State]run.State{
			run.StateUploading: run.StatePlanned, run.StatePlanned: run.StatePlanned, run.StateHeld: run.StatePlanned,
		}},
		{"exclude", func(ctx context.Context, s *run.Service, r run.Run) (run.Run, error) {
			return s.Exclude(ctx, r.ID, r.Plan.Digest, []int{1})
		}, map[run.State]run.State{
			run.StateUploading: run.StatePlanned, run.StatePlanned: run.StatePlanned, run.StateHeld: run.StatePlanned,
		}},
		{"apply", func(ctx context.Context, s *run.Service, r run.Run) (run.Run, error) {
			return s.Apply(ctx, r.ID, r.Plan.Digest, "bob")
		}, map[run.State]run.State{
			run.StatePlanned: run.StateCanary,
			// It was applied already.
			run.StateCanary: run.StateCanary, run.StateApplying: run.StateApplying, run.StatePaused: run.StatePaused, run.StateDone: run.StateDone,
		}},
		{"approve", func(ctx context.Context, s *run.Service, r run.Run) (run.Run, error) {
			return s.Approve(ctx, r.ID, r.Plan.Digest, "bob")
		}, map[run.State]run.State{
			run.StateHeld:   run.StateCanary,
			run.StateCanary: run.StateCanary, run.StateApplying: run.StateApplying, run.StatePaused: run.StatePaused, run.StateDone: run.StateDone,
		}},
		{"reject", func(ctx context.Context, s *run.Service, r run.Run) (run.Run, error) {
			return s.Reject(ctx, r.ID, "bob", "no")
		}, map[run.State]run.State{
			run.StatePlanned: run.StateRejected, run.StateHeld: run.StateRejected, run.StateRejected: run.StateRejected,
		}},
		{"pause", func(ctx context.Context, s *run.Service, r run.Run) (run.Run, error) {
			return s.Pause(ctx, r.ID, "bob", "lunch")
		}, map[run.State]run.State{
			run.StateCanary: run.StatePaused, run.StateApplying: run.StatePaused, run.StatePaused: run.StatePaused,
		}},
		{"resume", func(ctx context.Context, s *run.Service, r run.Run) (run.Run, error) {
			return s.Resume(ctx, r.ID, "bob")
		}, map[run.State]run.State{
			run.StatePaused: run.StateCanary, run.StateCanary: run.StateCanary, run.StateApplying: run.StateApplying,
		}},
		{"cancel", func(ctx context.Context, s *run.Service, r run.Run) (run.Run, error) {
			return s.Cancel(ctx, r.ID, "bob", "wrong file")
		}, map[run.State]run.State{
			run.StateUploading: run.StateCancelled, run.StatePlanned: run.StateCancelled, run.StateHeld: run.StateCancelled,
			run.StateCanary: run.StateCancelled, run.StateApplying: run.StateCancelled, run.StatePaused: run.StateCancelled,
			run.StateCancelled: run.StateCancelled,
		}},
		{"seal", func(ctx context.Context, s *run.Service, r run.Run) (run.Run, error) {
			return s.Seal(ctx, r.ID, r.Rows)
		}, stay(run.States()...)},
	}
	r := newRig(t, redistest.One(t), 3)
	made := r.plan(free(), nicknames("Ann", "Bob", "Cat"))
	key := "rollcall:{run:" + made.ID + "}:run"
	planned := r.rdb.HGetAll(t.Context(), key).Val()
	for _, state := range run.States() {
		for _, e := range events {
			planned["state"] = string(state)
			r.rdb.Del(t.Context(), key)
			if err := r.rdb.HSet(t.Context(), key, planned).Err(); err != nil {
				t.Fatal(err)
			}
			got, err := e.do(t.Context(), r.service, made)
			want := e.next[state]
			refused, ok := errors.AsType[*run.StateError](err)
			switch {
			case want == "" && (!ok || refused.State != state):
				t.Errorf("%s in state %s: %v, %v, want a StateError", e.name, state, got.State, err)
			case want != "" && (err != nil || got.State != want):
				t.Errorf("%s in state %s: %v, %v, want %s", e.name, state, got.State, err, want)
			}
			if want == "" {
				want = state
			}
			if now := r.must(r.service.Get(t.Context(), made.ID)); now.State != want {
				t.Errorf("%s in state %s left it %s, want %s", e.name, state, now.State, want)
			}
		}
	}
}

func stay(states ...run.State) map[run.State]run.State {
	all := map[run.State]run.State{}
	for _, s := range states {
		all[s] = s
	}
	return all
}

package run_test

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/run"
)

// at is a hook that does something just before one command.
type at struct {
	left int
	do   func()
}

func (a *at) pass() {
	if a.left--; a.left == -1 {
		a.do()
	}
}

func (*at) DialHook(next redis.DialHook) redis.DialHook { return next }

func (a *at) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		a.pass()
		return next(ctx, cmd)
	}
}

func (a *at) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		a.pass()
		return next(ctx, cmds)
	}
}

// stride is the distance between the commands before which something happens.
func stride() int {
	if testing.Short() {
		return 3
	}
	return 1
}

// interrupted makes turns of a run, and does something before command n of them. It
// returns false if there are not so many.
func (r *rig) interrupted(id string, n int, do func()) bool {
	r.t.Helper()
	rdb := r.client(r.t)
	hook := &at{left: n, do: do}
	rdb.AddHook(hook)
	feeder := run.NewFeeder(run.FeederConfig{Service: run.New(run.Config{Redis: rdb, Ledger: ledger.New(rdb)}), Producer: r.producer()})
	for range 3 { // prepares, canary, rest
		_, _, _ = feeder.Turn(r.t.Context(), id) // refused, if it was interrupted
	}
	return hook.left < 0
}

func TestAStepOfAPersonAtAnyMomentOfATurnHolds(t *testing.T) {
	t.Parallel()
	for name, step := range map[string]struct {
		do   func(r *rig, id string) error
		want run.State
	}{
		"pause":  {func(r *rig, id string) error { _, err := r.service.Pause(r.t.Context(), id, "", "x"); return err }, run.StatePaused},
		"cancel": {func(r *rig, id string) error { _, err := r.service.Cancel(r.t.Context(), id, "", "x"); return err }, run.StateCancelled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, redistest.One(t), 3)
			for n, more := 0, true; more && n < 60; n += stride() {
				draft := free()
				draft.Settings.Canary = -1
				p := r.apply(draft, nicknames("A", "B", "C"))
				more = r.interrupted(p.ID, n, func() {
					if err := step.do(r, p.ID); err != nil {
						t.Errorf("before command %d: %v", n, err)
					}
				})
				if got := r.must(r.service.Get(t.Context(), p.ID)); more && got.State != step.want {
					t.Errorf("after a %s before command %d the run is %s", name, n, got.State)
				}
			}
		})
	}
}

// A worker that stood still must not write over what another one has done since.
func TestAnotherWorkersTurnAtAnyMomentOfATurnHolds(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 3)
	for n, more := 0, true; more && n < 60; n += stride() {
		r.rdb.Del(t.Context(), "asynq:{"+nicknameQueue+"}:pending")
		p := r.apply(free(), nicknames("A", "B", "C"))
		more = r.interrupted(p.ID, n, func() {
			other := r.feeder()
			for range 3 {
				r.turn(other, p.ID)
			}
		})
		got := r.must(r.service.Get(t.Context(), p.ID))
		if got.Fed != 3 || got.Outcomes[run.OutcomeOpen] != 3 {
			t.Errorf("after a turn before command %d: %d rows were fed, %v", n, got.Fed, got.Outcomes)
		}
		if pending := r.rdb.LLen(t.Context(), "asynq:{"+nicknameQueue+"}:pending").Val(); pending != 3 {
			t.Errorf("after a turn before command %d: %d tasks", n, pending)
		}
	}
}

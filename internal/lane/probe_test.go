package lane_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"rollcall/internal/hold"
	"rollcall/internal/lane"
	"rollcall/internal/lanetest"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
	"rollcall/providers"
	"rollcall/tasks"
)

// platform answers with an error until the test clears it. All workers of a test share
// it.
type platform struct {
	mu    sync.Mutex
	err   error
	calls int
}

func (p *platform) answers(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

func (p *platform) called() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

// do runs a task that sends one request.
func (p *platform) do(ctx context.Context, slot func(context.Context) error, payload string) error {
	if err := send(ctx, slot, payload); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	return p.err
}

func refuses(scope providers.Scope, code string) error {
	return &providers.Error{
		Platform: "dingtalk", API: "updategroupnick", Kind: providers.Misconfigured, Scope: scope, Code: code,
		HTTPStatus: 403, Fix: "ask for it", RequestID: "different each time",
	}
}

// workers starts two workers whose lanes of nicknames and groups call p.
func workers(t *testing.T, s *redistest.Server, p *platform) []*rig {
	t.Helper()
	both := []*rig{newRig(t, s), newRig(t, s)}
	for _, r := range both {
		for _, kind := range []tasks.Kind{tasks.KindNickname, tasks.KindGroup} {
			r.Add(lane.Config{Kind: kind, Limits: fast}, p.do)
		}
		r.Start()
	}
	return both
}

// settle waits until both workers apply a hold and no task is active.
func settle(t *testing.T, both []*rig, lane int, queues ...string) {
	t.Helper()
	for _, r := range both {
		r.Held(lane)
		r.looks()
	}
	for _, queue := range queues {
		both[0].quiet(queue)
	}
}

func uncounted(t *testing.T, r *rig, queue string, ids []string) {
	t.Helper()
	for _, id := range ids {
		info, err := r.Inspector.GetTaskInfo(queue, id)
		if err != nil || info.Retried != 0 || info.State == asynq.TaskStateArchived {
			t.Errorf("task %s: %v, %+v", id, err, info)
		}
	}
}

func TestTheStartChangeAndEndOfAHoldAreReportedByOneWorker(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		both := []*rig{newRig(t, s), newRig(t, s)}
		p, together, noSlot := &platform{}, make(chan struct{}), func(context.Context) error { return nil }
		var n atomic.Int64
		started := make(chan struct{}, 100)
		p.answers(refuses(providers.ScopeLane, "no permission"))
		for _, r := range both {
			r.Add(lane.Config{Limits: []pace.Limit{{Calls: 4, Per: time.Second}}}, func(ctx context.Context, slot func(context.Context) error, payload string) error {
				if n.Add(1) > 6 {
					return p.do(ctx, slot, payload)
				}
				started <- struct{}{}
				<-together
				return p.do(ctx, noSlot, payload)
			})
			r.Start()
		}
		var ids []string
		for range 6 { // three each
			ids = append(ids, both[0].Put(nicknames, ""))
		}
		for range ids {
			lanetest.Await(t, started, "both workers to be full")
		}
		close(together) // all are refused
		settle(t, both, 0, nicknames)
		if h := both[0].stored(laneOfNicknames); h.Class != hold.Refused || h.Probe != hold.ByTask {
			t.Errorf("on hold as %+v", h)
		}
		p.answers(refuses(providers.ScopeLane, "app disabled"))
		both[1].probeNow(laneOfNicknames)
		lanetest.Eventually(t, func() error {
			if h := both[0].stored(laneOfNicknames); h.Reason != "dingtalk updategroupnick: app disabled · to do: ask for it" {
				return fmt.Errorf("on hold because of %q", h.Reason)
			}
			return nil
		})
		p.answers(nil)
		both[0].probeNow(laneOfNicknames)
		for _, id := range ids {
			if info := both[0].Ends(nicknames, id, asynq.TaskStateCompleted); info.Retried != 0 {
				t.Errorf("%d attempts were counted", info.Retried)
			}
		}
		reportedOnce(t, both, "hold.entered lane dt.nickname refused", "hold.changed lane dt.nickname refused", "hold.left lane dt.nickname refused")
	})
}

func TestAMissingPermissionHoldsOnlyItsLane(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		p := &platform{err: refuses(providers.ScopeLane, "60011")}
		probe := func(context.Context) error { t.Error("a token was requested"); return nil }
		r.Add(lane.Config{Limits: fast, Probe: probe}, p.do)
		r.Add(lane.Config{Kind: tasks.KindGroup, Limits: fast, Probe: probe}, send)
		r.Start()
		id := r.Put(nicknames, "")
		if h := r.Held(0); h.Scope != laneOfNicknames || h.Class != hold.Refused || h.Probe != hold.ByTask {
			t.Errorf("on hold as %+v", h)
		}
		r.Ends(groups, r.Put(groups, ""), asynq.TaskStateCompleted)
		p.answers(nil)
		r.probeNow(laneOfNicknames)
		if info := r.Ends(nicknames, id, asynq.TaskStateCompleted); info.Retried != 0 {
			t.Errorf("it lost %d attempts", info.Retried)
		}
		r.Free(0)
	})
}

// Two workers have ten pending tasks, and one of them reaches the platform.
func TestATenantIsProbedByOneTaskWhichLosesNoAttempt(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		p := &platform{err: refuses(providers.ScopeTenant, "app disabled")}
		both := workers(t, s, p)
		ids := []string{both[0].Put(nicknames, "")}
		settle(t, both, 0, nicknames)
		for range 9 {
			ids = append(ids, both[0].Put(nicknames, ""))
		}
		group := both[0].Put(groups, "")
		lanetest.Eventually(t, func() error {
			if n := len(both[0].pending(nicknames)); n != len(ids) {
				return fmt.Errorf("%d tasks are pending", n)
			}
			return nil
		})
		first, called := both[0].stored(tenantDT), p.called()
		if called > 2 || first.Tries != 0 { // the other worker may have sent one before it read the hold
			t.Fatalf("%d calls and %d probes before one was due", called, first.Tries)
		}
		for try := 1; try <= 2; try++ {
			if try == 1 { // later probes run when they are due
				both[1].probeNow(tenantDT)
			} else {
				both[0].overdue(tenantDT)
			}
			lanetest.Eventually(t, func() error {
				if n := p.called(); n == called {
					return errors.New("no probe was made")
				}
				return nil
			})
			settle(t, both, 0, nicknames, groups)
			called++
			h := both[0].stored(tenantDT)
			if n := p.called(); n != called || h.Tries != try {
				t.Errorf("%d calls after %d probes, want %d", n, h.Tries, called)
			}
			if wait := time.Until(h.Next); wait < h.Wait(try)-time.Minute || wait > h.Wait(try) {
				t.Errorf("after probe %d the next is in %s, want %s", try, wait, h.Wait(try))
			}
		}
		uncounted(t, both[0], nicknames, ids)
		p.answers(nil)
		both[0].probeNow(tenantDT)
		for _, id := range ids {
			both[0].Ends(nicknames, id, asynq.TaskStateCompleted)
		}
		both[0].Ends(groups, group, asynq.TaskStateCompleted)
		reportedOnce(t, both, "hold.entered tenant dt refused", "hold.left tenant dt refused")
	})
}

// overdue advances the clock until the next probe of a hold is due.
func (r *rig) overdue(scope hold.Scope) {
	r.T.Helper()
	// ProbeNow would reset the waits.
	field := string(scope.Level) + ":" + scope.Name + "/auto"
	var stored map[string]any
	raw, err := r.Redis.HGet(r.T.Context(), hold.Key, field).Bytes()
	if err == nil {
		err = json.Unmarshal(raw, &stored)
	}
	if err != nil {
		r.T.Fatal(err)
	}
	stored["next"] = time.Now().UTC().Format(time.RFC3339Nano)
	raw, err = json.Marshal(stored)
	if err == nil {
		err = r.Redis.HSet(r.T.Context(), hold.Key, field, raw).Err()
	}
	if err != nil {
		r.T.Fatal(err)
	}
}

// A probe tests one hold. It does not pass another.
func TestALaneWithASecondHoldIsNotProbed(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		p := &platform{err: refuses(providers.ScopeTenant, "app disabled")}
		r := newRig(t, s)
		for _, kind := range []tasks.Kind{tasks.KindNickname, tasks.KindGroup} {
			r.Add(lane.Config{Kind: kind, Limits: fast}, p.do)
		}
		r.Start()
		id := r.Put(nicknames, "")
		r.Held(0)
		r.Ends(nicknames, id, asynq.TaskStatePending)
		r.hold(hold.Hold{Scope: laneOfNicknames})
		r.looks()
		p.answers(nil)
		r.probeNow(tenantDT)
		r.looks()
		if n := p.called(); n != 1 {
			t.Errorf("%d calls, want 1: a person has put the lane on hold", n)
		}
		// The tenant's other lane can probe.
		r.Ends(groups, r.Put(groups, ""), asynq.TaskStateCompleted)
		r.Free(1)
		if h := r.Held(0); h.Class != hold.Operator || len(r.pending(nicknames)) != 1 {
			t.Errorf("on hold as %+v with %d tasks", h, len(r.pending(nicknames)))
		}
		r.release(laneOfNicknames)
		r.Ends(nicknames, id, asynq.TaskStateCompleted)
	})
}

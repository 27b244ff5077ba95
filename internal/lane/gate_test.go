package lane_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"rollcall/internal/backlog"
	"rollcall/internal/hold"
	"rollcall/internal/lane"
	"rollcall/internal/lanetest"
	"rollcall/internal/outcome"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
	"rollcall/providers"
)

var (
	laneOfNicknames = hold.Scope{Level: hold.Lane, Name: nicknames}
	tenantDT        = hold.Scope{Level: hold.Tenant, Name: "dt"}
)

func nothing(context.Context, func(context.Context) error, string) error { return nil }

// send waits for one slot.
func send(ctx context.Context, slot func(context.Context) error, _ string) error {
	if err := slot(ctx); err != nil {
		return &providers.Error{Kind: providers.Unsent, Err: err}
	}
	return nil
}

// pending lists the pending tasks of a queue, the next one first.
func (r *rig) pending(queue string) []string {
	r.T.Helper()
	ids, err := r.Redis.LRange(r.T.Context(), backlog.Key(queue, "pending"), 0, -1).Result()
	if err != nil {
		r.T.Fatal(err)
	}
	slices.Reverse(ids)
	return ids
}

// quiet waits until no task of the queue is active.
func (r *rig) quiet(queue string) {
	r.T.Helper()
	lanetest.Eventually(r.T, func() error {
		if n := r.Redis.LLen(r.T.Context(), backlog.Key(queue, "active")).Val(); n != 0 {
			return fmt.Errorf("%d tasks are active", n)
		}
		return nil
	})
}

func TestALaneOnHoldTakesNothingAndItsTasksKeepTheirOrder(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		r.Add(lane.Config{Limits: fast}, send)
		r.hold(hold.Hold{Scope: laneOfNicknames})
		r.Start()
		var ids []string
		for i := range 20 {
			ids = append(ids, r.Put(nicknames, strconv.Itoa(i)))
		}
		r.Put(urgent, "")
		r.looks()
		if h, held := r.Set.Lanes()[0].Hold(); !held || h.Class != hold.Operator || h.By != "somebody" {
			t.Errorf("Hold() = %+v, %t", h, held)
		}
		if held, ok := errors.AsType[*lane.HeldError](r.Set.Lanes()[0].Slot(t.Context())); !ok || held.Reason != "said so" {
			t.Error("a lane on hold grants slots")
		}
		if diff := cmp.Diff(ids, r.pending(nicknames)); diff != "" {
			t.Errorf("pending tasks (-want +got):\n%s", diff)
		}
		if n := r.wire.asked(nicknames, urgent); n != 0 || len(r.pending(urgent)) != 1 {
			t.Errorf("Redis was asked %d times for a task, and %d urgent ones wait", n, len(r.pending(urgent)))
		}
		r.release(laneOfNicknames)
		for range 21 {
			if got := r.Attempt(); got.Verdict.Action != outcome.Done {
				t.Errorf("%+v", got.Verdict)
			}
		}
		if diff := cmp.Diff(ids, r.wire.order(ids)); diff != "" {
			t.Errorf("the order in which they were taken (-want +got):\n%s", diff)
		}
	})
}

// The waiting task has sent nothing, so it loses no attempt.
func TestATaskThatWaitsForItsSlotReturnsUncountedWhenAHoldBegins(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		waiting := make(chan struct{}, 100)
		var released atomic.Bool
		r.Add(lane.Config{}, func(ctx context.Context, slot func(context.Context) error, payload string) error {
			waiting <- struct{}{}
			for !released.Load() { // however many slots there are
				if err := send(ctx, slot, payload); err != nil {
					return err
				}
			}
			return nil
		})
		r.Start()
		var ids []string
		for range 3 {
			ids = append(ids, r.Put(nicknames, ""))
		}
		for range ids {
			lanetest.Await(t, waiting, "the lane to be full")
		}
		r.hold(hold.Hold{Scope: tenantDT})
		for range ids {
			if got := r.Attempt().Verdict; got.Class != outcome.Held || got.Counted || got.Action != outcome.Retry {
				t.Errorf("a task that waited: %+v", got)
			}
		}
		for _, id := range ids { // it waits with the others
			if info := r.Ends(nicknames, id, asynq.TaskStatePending); info.Retried != 0 {
				t.Errorf("it lost %d attempts", info.Retried)
			}
		}
		released.Store(true)
		r.release(tenantDT)
		for _, id := range ids {
			r.Ends(nicknames, id, asynq.TaskStateCompleted)
		}
	})
}

func TestAnotherWorkerAppliesAndEndsAHold(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		one, other := newRig(t, s), newRig(t, s)
		for _, r := range []*rig{one, other} {
			r.Add(lane.Config{Limits: fast}, send)
			r.Start()
		}
		one.hold(hold.Hold{Scope: laneOfNicknames})
		one.Held(0)
		other.Held(0)
		var ids []string
		for range 50 {
			ids = append(ids, one.Put(nicknames, ""))
		}
		one.looks()
		other.looks()
		if diff := cmp.Diff(ids, one.pending(nicknames)); diff != "" {
			t.Errorf("pending tasks (-want +got):\n%s", diff)
		}
		other.release(laneOfNicknames)
		for _, id := range ids {
			one.Ends(nicknames, id, asynq.TaskStateCompleted)
		}
		one.Free(0)
		other.Free(0)
	})
}

// asynq's pause is the button of asynqmon. It stops one queue. A hold stops a lane.
func TestTheWebUIsPauseAndAHoldAreIndependent(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		r.Add(lane.Config{Limits: fast}, send)
		id := r.Put(nicknames, "")
		pause, unpause := r.Inspector.PauseQueue, r.Inspector.UnpauseQueue
		still := func(when string) {
			t.Helper()
			if diff := cmp.Diff([]string{id}, r.pending(nicknames)); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", when, diff)
			}
		}
		if err := pause(nicknames); err != nil {
			t.Fatal(err)
		}
		r.hold(hold.Hold{Scope: laneOfNicknames})
		r.Start()
		if err := unpause(nicknames); err != nil {
			t.Fatal(err)
		}
		r.looks()
		still("on hold, after the button")
		if err := pause(nicknames); err != nil {
			t.Fatal(err)
		}
		r.release(laneOfNicknames)
		r.Free(0)
		lanetest.Eventually(t, func() error {
			if r.wire.asked(nicknames) == 0 {
				return errors.New("the lane does not continue")
			}
			return nil
		})
		still("paused by the button, after the release")
		if err := unpause(nicknames); err != nil {
			t.Fatal(err)
		}
		r.Ends(nicknames, id, asynq.TaskStateCompleted)
	})
}

func TestAHoldOfBulkTasksLetsUrgentOnesThrough(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		r.Add(lane.Config{Limits: fast}, send)
		r.hold(hold.Hold{Scope: tenantDT, Bulk: true})
		r.Start()
		bulk := r.Put(nicknames, "")
		for range 10 {
			r.Ends(urgent, r.Put(urgent, ""), asynq.TaskStateCompleted)
		}
		if h, held := r.Set.Lanes()[0].Hold(); !held || !h.Bulk {
			t.Errorf("Hold() = %+v, %t", h, held)
		}
		if n := r.wire.asked(nicknames); n != 0 || !slices.Equal(r.pending(nicknames), []string{bulk}) {
			t.Errorf("Redis was asked %d times for a bulk task; waiting are %v", n, r.pending(nicknames))
		}
		r.release(tenantDT)
		r.Ends(nicknames, bulk, asynq.TaskStateCompleted)
	})
}

func TestAnIdleLaneAsksForNothingAndStartsWhenATaskComes(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		r.Add(lane.Config{}, nothing)
		r.Start()
		for range 3 {
			r.looks()
		}
		if n := r.wire.asked(nicknames, urgent); n != 0 {
			t.Errorf("an idle lane asked %d times for a task", n)
		}
		for _, queue := range []string{nicknames, urgent} {
			before := r.wire.asked(nicknames, urgent)
			r.Ends(queue, r.Put(queue, ""), asynq.TaskStateCompleted)
			r.looks()
			// Redis may not know the script yet. A task of one queue makes the server
			// ask for the other queue at most once. A poll may still have counted the
			// task.
			if n := r.wire.asked(nicknames, urgent) - before; n > 4 {
				t.Errorf("%d dequeues for one task", n)
			}
		}
	})
}

// Two sends leave per second, and fifty tasks are ahead of it.
func TestAnUrgentTaskIsSentNextHoweverManyBulkTasksWait(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		sent, ends := make(chan string, 100), make(chan struct{})
		r.Add(lane.Config{Limits: []pace.Limit{{Calls: 2, Per: pace.Horizon}}}, func(ctx context.Context, slot func(context.Context) error, payload string) error {
			err := send(ctx, slot, payload)
			if err == nil {
				sent <- payload
				<-ends
			}
			return err
		})
		defer close(ends)
		for range 50 {
			r.Put(nicknames, "bulk")
		}
		r.Start()
		lanetest.Await(t, sent, "the first send")
		r.Put(urgent, "urgent")
		for n := 0; lanetest.Await(t, sent, "a send") != "urgent"; n++ {
			// One slot is booked at any moment, and one more bulk task may be sent
			// before the urgent task is found.
			if n == 2 {
				t.Fatal("three bulk tasks were sent before it")
			}
		}
	})
}

package lane_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"

	"rollcall/internal/backlog"
	"rollcall/internal/lane"
	"rollcall/internal/lanetest"
	"rollcall/internal/redistest"
)

func TestPendingTasksAreDequeuedSeveralPerRoundTrip(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		const n = 200
		r := newRig(t, s)
		r.Add(lane.Config{Limits: fast}, nothing)
		var ids []string
		for i := range n {
			ids = append(ids, r.Put(nicknames, strconv.Itoa(i)))
		}
		r.Start()
		for range n {
			r.Attempt()
		}
		r.wire.mu.Lock()
		trips := r.wire.trips
		r.wire.mu.Unlock()
		if trips > n/2 {
			t.Errorf("%d round trips for %d tasks", trips, n)
		}
		if taken := r.wire.order(ids); len(taken) != n {
			t.Errorf("%d tasks were taken, of %d", len(taken), n)
		}
	})
}

// A lane with a slow limit has room for few tasks, and takes no more than that in one
// round trip.
func TestADequeueTakesNoMoreTasksThanTheLaneHasRoomFor(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		r.Add(lane.Config{Limits: slow}, send)
		for i := range 30 {
			r.Put(nicknames, strconv.Itoa(i))
		}
		r.Start()
		r.Attempt()
		if n := r.Redis.LLen(t.Context(), backlog.Key(nicknames, "active")).Val(); n > 8 {
			t.Errorf("%d tasks of a slow lane are active", n)
		}
	})
}

// Tasks that were dequeued together and not started return to their queue with the
// rest.
func TestAStopLosesNoTaskThatWasDequeuedInABatch(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		const n = 300 // more than the lane has room for
		r := newRig(t, s)
		begun, free := make(chan struct{}, n), make(chan struct{})
		r.Add(lane.Config{Limits: fast}, func(context.Context, func(context.Context) error, string) error {
			begun <- struct{}{}
			<-free
			return nil
		})
		var ids []string
		for i := range n {
			ids = append(ids, r.Put(nicknames, strconv.Itoa(i)))
		}
		r.Start()
		lanetest.Await(t, begun, "a task")
		stopped := make(chan struct{})
		go func() { defer close(stopped); r.Stop() }()
		lanetest.Eventually(t, func() error {
			if err := r.Set.Lanes()[0].Slot(t.Context()); !errors.Is(err, lane.ErrStopping) {
				return fmt.Errorf("the lane still grants slots: %w", err)
			}
			return nil
		})
		close(free)
		lanetest.Await(t, stopped, "the stop")
		if n := r.Redis.LLen(t.Context(), backlog.Key(nicknames, "active")).Val(); n != 0 {
			t.Errorf("%d tasks are left with a worker that has stopped", n)
		}
		counts := map[string]int{}
		for _, id := range ids {
			counts[r.State(id)]++
		}
		if counts["completed"]+counts["pending"]+counts["retry"] != n || counts["completed"] == n {
			t.Errorf("after the stop: %v", fmt.Sprint(counts))
		}
	})
}

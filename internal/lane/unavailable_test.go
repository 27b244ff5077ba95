package lane_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"rollcall/internal/lane"
	"rollcall/internal/lanetest"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
	"rollcall/providers"
)

// Every send to the platform needs an answer of Redis first.
func TestNoTaskIsTakenOrSentWhileRedisIsUnavailable(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		var log sends
		first := make(chan struct{}, 100)
		r.Add(lane.Config{Limits: []pace.Limit{{Calls: 5, Per: time.Second}}}, func(ctx context.Context, slot func(context.Context) error, payload string) error {
			err := send(ctx, slot, payload)
			if err == nil {
				log.note()
				first <- struct{}{}
			}
			return err
		})
		for range 20 {
			r.Put(nicknames, "")
		}
		r.Start()
		lanetest.Await(t, first, "a send")
		s.Stop(t)
		lanetest.Eventually(t, func() error {
			if len(r.Log.Lines("redis unavailable")) == 0 {
				return errors.New("the outage is not logged yet")
			}
			return nil
		})
		// Tasks that waited for a slot get none. Tasks that had a slot have used it.
		lanetest.Eventually(t, func() error {
			if err := r.Set.Lanes()[0].Slot(t.Context()); err == nil {
				return errors.New("a slot was granted without Redis")
			}
			return nil
		})
		sent, asked := len(log.all()), r.wire.asked(nicknames, urgent)
		for range 2 {
			if err := r.Set.Lanes()[0].Slot(t.Context()); err == nil {
				t.Error("a slot was granted without Redis")
			}
		}
		if n := r.wire.asked(nicknames, urgent); len(log.all()) != sent || n > asked+2 {
			t.Errorf("%d sends and %d dequeues while Redis was unavailable", len(log.all())-sent, n-asked)
		}
		s.Start(t)
		lanetest.Eventually(t, func() error {
			if len(r.Log.Lines("redis available again")) == 0 {
				return errors.New("the end of the outage is not logged yet")
			}
			return r.Redis.Ping(t.Context()).Err() // connections recover one by one
		})
		r.Ends(nicknames, newRig(t, s).Put(nicknames, ""), asynq.TaskStateCompleted)
	})
}

// The platform still counts the calls of the last window.
func TestNothingIsSentForAWindowAfterRedisLostItsData(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		limits := []pace.Limit{{Calls: 20, Per: time.Second}}
		at := make(chan time.Time, 100)
		r.Add(lane.Config{Limits: limits}, func(ctx context.Context, slot func(context.Context) error, _ string) error {
			if err := slot(ctx); err != nil {
				return &providers.Error{Kind: providers.Unsent, Err: err}
			}
			at <- time.Now()
			return nil
		})
		r.Start()
		for range 5 {
			r.Put(nicknames, "")
		}
		for range 5 {
			lanetest.Await(t, at, "a send")
			r.Attempt()
		}
		r.quiet(nicknames)
		if err := r.Redis.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		flushed := time.Now()
		for range 10 {
			r.Put(nicknames, "")
		}
		first := lanetest.Await(t, at, "a send")
		for range 9 {
			lanetest.Await(t, at, "a send")
		}
		if waited := first.Sub(flushed); waited < limits[0].Per+pace.Horizon {
			t.Errorf("the first send left %s after the loss, want at least %s", waited, limits[0].Per+pace.Horizon)
		}
		r.leaves.even(t, limits[0].Interval(), 1)
	})
}

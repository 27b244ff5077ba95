package lane_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"rollcall/internal/hold"
	"rollcall/internal/lane"
	"rollcall/internal/lanetest"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
)

func TestARedisThatLostItsDataHasLimitsQuotaAndHoldsAgain(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		one, other := newRig(t, s), newRig(t, s)
		ref := pace.Ref{Organisation: "lakeside", Lane: "dt.nickname"}
		quota := pace.Quota{Calls: 1000, Reserve: 10}
		for _, r := range []*rig{one, other} {
			r.Add(lane.Config{Limits: fast, Metered: true, Quota: quota}, nothing)
			r.Start()
		}
		held := hold.Hold{Scope: hold.Scope{Level: hold.Tenant, Name: "dt"}, Class: hold.Operator, Reason: "the term ends", By: "ann"}
		if _, _, err := hold.NewStore(one.Redis).Put(t.Context(), held); err != nil {
			t.Fatal(err)
		}
		one.Held(0)
		other.Held(0)
		if err := one.Redis.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		one.Logs("redis lost its data")
		other.Logs("redis lost its data")
		lanetest.Eventually(t, func() error {
			holds := hold.NewStore(one.Redis)
			if err := holds.Refresh(t.Context()); err != nil {
				return err
			}
			all, err := pace.Read(t.Context(), one.Redis, []pace.Ref{ref})
			if err != nil {
				return err
			}
			if holds := holds.All(); len(holds) != 1 || holds[0].Reason != held.Reason {
				return fmt.Errorf("holds %v", holds)
			}
			if len(all[0].Limits) != 1 || all[0].Month.Quota.Calls != quota.Calls {
				return fmt.Errorf("limits %v, quota %v", all[0].Limits, all[0].Month.Quota)
			}
			return nil
		})
		if h, on := one.Set.Lanes()[0].Hold(); !on || h.Reason != held.Reason {
			t.Errorf("the lane's hold: %v, %t", h, on)
		}
		select {
		case <-one.Set.Back():
		case <-time.After(lanetest.Patience):
			t.Error("the worker is not asked to publish its lanes again")
		}
	})
}

func TestNoTaskIsTakenWhileRedisRejectsWritesAndOneLineIsLogged(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	r := newRig(t, s)
	for _, tenant := range []string{"dt", "other", "third"} {
		r.Add(lane.Config{Tenant: tenant, Limits: fast}, nothing)
	}
	r.Start()
	r.SweepOn()
	id := r.Put(nicknames, "")
	r.Ends(nicknames, id, asynq.TaskStateCompleted)
	id = r.Put(nicknames, "") // may be taken before the fault
	r.Do("config", "set", "maxmemory", "1")
	r.Logs("redis unavailable")
	if err := r.Set.Ready(); err == nil || err.Error() != "Redis is out of memory" {
		t.Errorf("it is ready: %v", err)
	}
	// Wait two rounds of every loop: of asynq's servers, of the poller and of the
	// sweep.
	<-time.After(2 * 5 * time.Second)
	r.Do("config", "set", "maxmemory", "0")
	r.Logs("redis available again")
	r.Ends(nicknames, id, asynq.TaskStateCompleted)
	if err := r.Set.Ready(); err != nil {
		t.Errorf("it is not ready: %v", err)
	}
	if lines := r.Log.Lines("level=WARN"); len(lines) != 1 {
		t.Errorf("the warnings are %q", lines)
	}
}

// A done task cannot be removed from its queue while Redis rejects writes. asynq
// retries that, and the task does not run twice.
func TestACompletionThatRedisRejectedIsWrittenLater(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	r := newRig(t, s)
	var runs atomic.Int64
	r.Add(lane.Config{Limits: fast}, func(context.Context, func(context.Context) error, string) error {
		runs.Add(1)
		return s.Client(t).Do(t.Context(), "replicaof", "127.0.0.1", "1").Err()
	})
	r.Start()
	r.SweepOn()
	id := r.Put(nicknames, "")
	r.Attempt()
	r.Logs("redis unavailable")
	r.Do("replicaof", "no", "one")
	r.Ends(nicknames, id, asynq.TaskStateCompleted)
	if n := runs.Load(); n != 1 {
		t.Errorf("the task ran %d times", n)
	}
}

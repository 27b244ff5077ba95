package lane_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"rollcall/internal/backlog"
	"rollcall/internal/hold"
	"rollcall/internal/lane"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
)

func (r *rig) do(command ...any) {
	r.t.Helper()
	if err := r.rdb.Do(r.t.Context(), command...).Err(); err != nil {
		r.t.Fatal(err)
	}
}

// says waits until the log contains a line with these words.
func (r *rig) logs(words string) {
	r.t.Helper()
	eventually(r.t, func() error {
		if len(r.log.Lines(words)) == 0 {
			return fmt.Errorf("no line with %q", words)
		}
		return nil
	})
}

func TestARedisThatLostItsDataHasLimitsQuotaAndHoldsAgain(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		one, other := newRig(t, s), newRig(t, s)
		ref := pace.Ref{Organisation: "lakeside", Lane: "dt.nickname"}
		quota := pace.Quota{Calls: 1000, Reserve: 10}
		for _, r := range []*rig{one, other} {
			r.add(lane.Config{Limits: fast, Metered: true, Quota: quota}, nothing)
			r.start()
		}
		held := hold.Hold{Scope: hold.Scope{Level: hold.Tenant, Name: "dt"}, Class: hold.Operator, Reason: "the term ends", By: "ann"}
		if _, _, err := hold.NewStore(one.rdb).Put(t.Context(), held); err != nil {
			t.Fatal(err)
		}
		one.held(0)
		other.held(0)
		if err := one.rdb.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		one.logs("redis lost its data")
		other.logs("redis lost its data")
		eventually(t, func() error {
			holds := hold.NewStore(one.rdb)
			if err := holds.Refresh(t.Context()); err != nil {
				return err
			}
			all, err := pace.Read(t.Context(), one.rdb, []pace.Ref{ref})
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
		if h, on := one.set.Lanes()[0].Hold(); !on || h.Reason != held.Reason {
			t.Errorf("the lane's hold: %v, %t", h, on)
		}
		select {
		case <-one.set.Back():
		case <-time.After(patience):
			t.Error("the worker is not asked to publish its lanes again")
		}
	})
}

func TestNoTaskIsTakenWhileRedisRejectsWritesAndOneLineIsLogged(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	r := newRig(t, s)
	for _, tenant := range []string{"dt", "other", "third"} {
		r.add(lane.Config{Tenant: tenant, Limits: fast}, nothing)
	}
	r.start()
	r.sweep()
	id := r.put(nicknames, "")
	r.ends(nicknames, id, asynq.TaskStateCompleted)
	id = r.put(nicknames, "") // may be taken before the fault
	r.do("config", "set", "maxmemory", "1")
	r.logs("redis unavailable")
	if err := r.set.Ready(); err == nil || err.Error() != "Redis is out of memory" {
		t.Errorf("it is ready: %v", err)
	}
	// Wait two rounds of every loop: of asynq's servers, of the poller and of the
	// sweep.
	<-time.After(2 * 5 * time.Second)
	r.do("config", "set", "maxmemory", "0")
	r.logs("redis available again")
	r.ends(nicknames, id, asynq.TaskStateCompleted)
	if err := r.set.Ready(); err != nil {
		t.Errorf("it is not ready: %v", err)
	}
	if lines := r.log.Lines("level=WARN"); len(lines) != 1 {
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
	r.add(lane.Config{Limits: fast}, func(context.Context, func(context.Context) error, string) error {
		runs.Add(1)
		return s.Client(t).Do(t.Context(), "replicaof", "127.0.0.1", "1").Err()
	})
	r.start()
	r.sweep()
	id := r.put(nicknames, "")
	r.attempt()
	r.logs("redis unavailable")
	r.do("replicaof", "no", "one")
	r.ends(nicknames, id, asynq.TaskStateCompleted)
	if n := runs.Load(); n != 1 {
		t.Errorf("the task ran %d times", n)
	}
}

func TestIDsOfDeletedTasksAreRemovedFromEveryList(t *testing.T) {
	if testing.Short() {
		t.Skip("waits half a minute for asynq: make test-long")
	}
	t.Parallel()
	s := redistest.Real(t)
	r := newRig(t, s)
	r.add(lane.Config{Limits: fast}, nothing)
	for _, state := range []string{"pending", "scheduled", "retry", "archived", "completed", "active"} {
		key := backlog.Key(nicknames, state)
		if state == "pending" || state == "active" {
			r.do("lpush", key, "deleted-"+state)
		} else {
			r.do("zadd", key, 4e9, "deleted-"+state)
		}
	}
	r.put(nicknames, "")
	if _, err := r.inspector.GetQueueInfo(nicknames); err == nil {
		t.Fatal("asynqmon can show the queue, so the test proves nothing")
	}
	r.start()
	r.sweep()
	eventually(t, func() error {
		_, err := r.inspector.GetQueueInfo(nicknames)
		if err == nil && r.rdb.LLen(t.Context(), backlog.Key(nicknames, "active")).Val() > 0 {
			err = errors.New("an id without a task is still active")
		}
		return err
	})
	r.logs("ids without a task removed from a queue")
}

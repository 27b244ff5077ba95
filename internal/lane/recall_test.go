package lane_test

import (
	"fmt"
	"testing"

	"rollcall/internal/lane"
	"rollcall/internal/lanetest"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
)

// Redis restarts and has lost what the worker settled just before.
func TestRecentResultsAreWrittenAgainAfterRedisRestarts(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	r := newRig(t, s)
	r.Add(lane.Config{Limits: fast}, nothing)
	r.Start()
	r.looks() // records the server's run id

	change := ledger.Change{
		Target: ledger.Target{Organisation: "lakeside", API: "nickname", Key: "chat/ann"},
		Fields: []ledger.Field{{Name: "nickname", Value: "ann", Mode: ledger.Value}}, TaskID: "t1",
	}
	rev := r.Ledger.Revise(t.Context(), change)[0].Revision
	lease, _, err := r.Ledger.Begin(t.Context(), ledger.Delivery{TaskID: "t1", Target: change.Target, Revision: rev, Fields: change.Fields})
	if err != nil {
		t.Fatal(err)
	}
	if err := lease.Settle(t.Context(), "req", false, nil); err != nil {
		t.Fatal(err)
	}
	key := r.Redis.Keys(t.Context(), "*}:target:chat/ann").Val()[0]
	if err := r.Redis.Del(t.Context(), key).Err(); err != nil {
		t.Fatal(err)
	}
	s.Stop(t)
	s.Start(t)
	lanetest.Eventually(t, func() error {
		if value := r.Redis.HGet(t.Context(), key, "v:nickname").Val(); value != "ann" {
			return fmt.Errorf("Redis has %q", value)
		}
		return nil
	})
	if _, decisions, err := r.Ledger.Begin(t.Context(), ledger.Delivery{TaskID: "t1", Target: change.Target, Revision: rev, Fields: change.Fields}); err != nil || decisions[0] != ledger.Settled {
		t.Errorf("standings %v, %v", decisions, err)
	}
}

package lane_test

import (
	"fmt"
	"testing"

	"rollcall/internal/lane"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
)

// Redis restarts and has lost what the worker settled just before.
func TestRecentResultsAreWrittenAgainAfterRedisRestarts(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	r := newRig(t, s)
	r.add(lane.Config{Limits: fast}, nothing)
	r.start()
	r.looks() // records the server's run id

	change := ledger.Change{
		Target: ledger.Target{Organisation: "lakeside", API: "nickname", Key: "chat/ann"},
		Fields: []ledger.Field{{Name: "nickname", Value: "ann", Mode: ledger.Value}}, TaskID: "t1",
	}
	rev := r.ledger.Revise(t.Context(), change)[0].Revision
	lease, _, err := r.ledger.Begin(t.Context(), ledger.Delivery{TaskID: "t1", Target: change.Target, Revision: rev, Fields: change.Fields})
	if err != nil {
		t.Fatal(err)
	}
	if err := lease.Settle(t.Context(), "req", false, nil); err != nil {
		t.Fatal(err)
	}
	key := r.rdb.Keys(t.Context(), "*}:target:chat/ann").Val()[0]
	if err := r.rdb.Del(t.Context(), key).Err(); err != nil {
		t.Fatal(err)
	}
	s.Stop(t)
	s.Start(t)
	eventually(t, func() error {
		if value := r.rdb.HGet(t.Context(), key, "v:nickname").Val(); value != "ann" {
			return fmt.Errorf("Redis has %q", value)
		}
		return nil
	})
	if _, decisions, err := r.ledger.Begin(t.Context(), ledger.Delivery{TaskID: "t1", Target: change.Target, Revision: rev, Fields: change.Fields}); err != nil || decisions[0] != ledger.Settled {
		t.Errorf("standings %v, %v", decisions, err)
	}
}

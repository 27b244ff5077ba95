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

	wish := ledger.Wish{
		Target: ledger.Target{Organisation: "lakeside", API: "nickname", Key: "chat/ann"},
		Fields: []ledger.Field{{Name: "nickname", Value: "ann", Mode: ledger.Value}}, TaskID: "t1",
	}
	rev := r.ledger.Revise(t.Context(), wish)[0].Revision
	mark, _, err := r.ledger.Begin(t.Context(), ledger.Delivery{TaskID: "t1", Target: wish.Target, Revision: rev, Fields: wish.Fields})
	if err != nil {
		t.Fatal(err)
	}
	if err := mark.Settle(t.Context(), "req", false, nil); err != nil {
		t.Fatal(err)
	}
	key := r.rdb.Keys(t.Context(), "*}:target:chat/ann").Val()[0]
	if err := r.rdb.Del(t.Context(), key).Err(); err != nil {
		t.Fatal(err)
	}
	s.Away(t)
	s.Back(t)
	eventually(t, func() error {
		if value := r.rdb.HGet(t.Context(), key, "v:nickname").Val(); value != "ann" {
			return fmt.Errorf("Redis has %q", value)
		}
		return nil
	})
	if _, standings, err := r.ledger.Begin(t.Context(), ledger.Delivery{TaskID: "t1", Target: wish.Target, Revision: rev, Fields: wish.Fields}); err != nil || standings[0] != ledger.Settled {
		t.Errorf("standings %v, %v", standings, err)
	}
}

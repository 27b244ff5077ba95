package deadletter_test

import (
	"testing"
	"time"

	"rollcall/internal/audit"
	"rollcall/internal/redistest"
)

func TestExpiredDeadLettersAreDiscardedWithAnEvent(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		o := open(t, s)
		o.adds(
			record(t, "dt", "a", 0, "rejected", "1"), record(t, "dt", "b", 1, "rejected", "2"), record(t, "ci", "c", 2, "rejected", "1"),
			record(t, "dt", "d", 3, "rejected", "1"),
		)
		n, err := o.service.Expire(t.Context(), died.Add(2*time.Second), "too old", "worker")
		if n != 3 || err != nil {
			t.Fatalf("%d went, %v; want 3", n, err)
		}
		o.wantLeft("d")
		o.wantState("a", "") // otherwise it would get a dead letter again
		o.wantState("d", "archived")
		events, err := o.rdb.XRange(t.Context(), audit.Stream, "-", "+").Result()
		if err != nil || len(events) != 2 {
			t.Fatalf("%d events, %v; want one per lane", len(events), err)
		}
		for _, e := range events {
			want := map[string]string{"dt.nickname": "2 dead letters: too old", "ci.nickname": "1 dead letter: too old"}[e.Values["name"].(string)]
			if e.Values["event"] != "dead.discarded" || e.Values["by"] != "worker" || e.Values["reason"] != want {
				t.Errorf("event: %v", e.Values)
			}
		}
		if n, err := o.service.Expire(t.Context(), died.Add(2*time.Second), "too old", "worker"); n != 0 || err != nil {
			t.Errorf("again: %d went, %v", n, err)
		}
	})
}

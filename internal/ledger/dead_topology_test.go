package ledger_test

import (
	"fmt"
	"testing"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
)

// Lanes lie on different nodes; all keys of one lane's dead letters on one, which the
// scripts rely on, and what the replica has received survives the master.
func TestDeadLettersAreKeptOnEveryTopologyAndThroughAFailover(t *testing.T) {
	t.Parallel()
	redistest.EachTopology(t, func(t *testing.T, d *redistest.Deployment) {
		l := on(t, d)
		for i := range 12 {
			one := deadLetter("t", i, "rejected", "1")
			one.Lane = fmt.Sprintf("dt%d.nickname", i)
			addAll(t, l, one)
			one.Class = "busy"
			if fresh, err := l.AddDeadLetter(t.Context(), one); fresh || err != nil {
				t.Fatalf("the second death in %s: fresh %t, %v", one.Lane, fresh, err)
			}
			wantIDs(t, ids(t, l, ledger.DeadLetterFilter{Lane: one.Lane, ByCause: true, Class: "busy", Code: "1"}, 10), "t")
		}
		lanes, err := l.DeadLetterLanes(t.Context())
		if err != nil || len(lanes) != 12 {
			t.Fatalf("%d lanes, %v", len(lanes), err)
		}
		counts, err := l.DeadCauses(t.Context(), lanes...)
		if err != nil || len(counts) != 12 {
			t.Fatalf("counts of %d lanes, %v", len(counts), err)
		}
		if n, err := l.RemoveDeadLetters(t.Context(), "dt0.nickname", "t"); n != 1 || err != nil {
			t.Errorf("%d were removed, %v", n, err)
		}
		if d.Name == "single" {
			return
		}
		d.Settle(t)
		d.FailOver(t, "rollcall:{dt1.nickname}:dead:letters")
		awaitMaster(t, l)
		for i := range 12 {
			want := []string{"t"}
			if i == 0 {
				want = nil
			}
			wantIDs(t, ids(t, l, ledger.DeadLetterFilter{Lane: fmt.Sprintf("dt%d.nickname", i)}, 10), want...)
		}
	})
}

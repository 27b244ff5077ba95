package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
)

func TestATrendCountsTheDeadLettersOfOneCauseByPeriod(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		if _, found, err := l.DeadTrend(t.Context(), yard, "rejected", "40035", died); found || err != nil {
			t.Fatalf("without dead letters: %t, %v", found, err)
		}
		newest := deadLetter("d", 3600, "rejected", "40035")
		addAll(t, l, deadLetter("a", 0, "rejected", "40035"), deadLetter("b", 10, "rejected", "40035"), deadLetter("c", 11, "rejected", "40035"), newest,
			deadLetter("other", 11, "rejected", ""), deadLetter("none", 12, "busy", "40035"))
		trend, found, err := l.DeadTrend(t.Context(), yard, "rejected", "40035",
			died.Add(time.Second), died.Add(11*time.Second), died.Add(time.Hour), died.Add(2*time.Hour))
		want := ledger.DeadTrend{First: died, Last: died.Add(time.Hour), Newest: newest, Periods: []int64{1, 1, 1}}
		if diff := cmp.Diff(want, trend); diff != "" || !found || err != nil {
			t.Errorf("found %t, %v (-want +got):\n%s", found, err, diff)
		}
	})
}

func TestTheCausesOfManyLanesAreReadAsThoseOfFew(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		var damaged []string
		l.OnDamage(func(d ledger.Damage) { damaged = append(damaged, d.Key) })
		want := map[string][]ledger.CauseCount{}
		var lanes []string
		for i := range 450 { // three scripts
			lane := fmt.Sprintf("t%d.nickname", i)
			lanes = append(lanes, lane)
			if i%7 == 0 {
				for n := range 1 + i%3 {
					d := deadLetter(fmt.Sprint(i, "-", n), n, "rejected", "")
					d.Lane = lane
					addAll(t, l, d)
				}
				want[lane] = []ledger.CauseCount{{Class: "rejected", DeadLetters: int64(1 + i%3)}}
			} else {
				want[lane] = nil
			}
		}
		if err := rdb.Set(t.Context(), "rollcall:{t1.nickname}:dead:causes", "x", 0).Err(); err != nil {
			t.Fatal(err)
		}
		delete(want, "t1.nickname")
		got, err := l.DeadCauses(t.Context(), lanes...)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		if diff := cmp.Diff([]string{"rollcall:{t1.nickname}:dead:causes"}, damaged); diff != "" {
			t.Errorf("damage (-want +got):\n%s", diff)
		}
	})
}

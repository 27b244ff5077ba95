package ledger_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
)

func raises(t *testing.T, l *ledger.Ledger, rows ...ledger.Raise) []bool {
	t.Helper()
	raised, err := l.Raise(t.Context(), rows)
	if err != nil {
		t.Fatal(err)
	}
	return raised
}

func TestAnUnchangedRowRaisesItsTarget(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		apply(t, l, ann, revise(t, l, ann), nick("A"))
		pending := storedTask(ann, revise(t, l, ann), nick("B"))
		if err := l.Stored(t.Context(), pending); err != nil {
			t.Fatal(err)
		}
		if err := rdb.Expire(t.Context(), annKey, time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
		run := ledger.RunName{Tenant: "dt", Run: ledger.NewRunID()}
		row := ledger.Raise{
			Target: ann, Fields: nick("A"), Revision: runRevision(t, l), Row: ledger.Row{Tenant: run.Tenant, Run: run.Run, Row: 5000},
		}
		for range 2 { // the reply to the first may be lost
			if got := raises(t, l, row); !got[0] {
				t.Error("it was not raised")
			}
		}
		wantDecision(t, l, ann, pending.Revision, nick("B"), ledger.Superseded)
		record, err := l.Look(t.Context(), ann)
		if err != nil || record.Fields["nickname"].Applied != row.Revision || record.Fields["nickname"].Value != "A" {
			t.Errorf("%+v, %v", record, err)
		}
		if left := rdb.PTTL(t.Context(), annKey).Val(); left < 399*24*time.Hour {
			t.Errorf("its record is kept for %s", left)
		}
		results, err := l.ReadRun(t.Context(), "lakeside", "nickname", run)
		if err != nil || len(results) != 5001 || results[5000] != ledger.RowUnchanged {
			t.Errorf("%d rows, %v", len(results), err)
		}
		if _, found, err := l.RunBegan(t.Context(), "lakeside", "nickname", run); !found || err != nil {
			t.Errorf("the run is listed: %t, %v", found, err)
		}
		if left := rdb.PTTL(t.Context(), "rollcall:{lakeside/nickname}:run:dt/"+run.Run+":1").Val(); left < 89*24*time.Hour {
			t.Errorf("its results are kept for %s", left)
		}
		// What others enqueue later wins.
		later := revise(t, l, ann)
		if got := raises(t, l, row); !got[0] {
			t.Error("a revision that no task has prevents a raise")
		}
		if err := l.Stored(t.Context(), storedTask(ann, later, nick("C"))); err != nil {
			t.Fatal(err)
		}
		if got := raises(t, l, row); got[0] {
			t.Error("it was raised in spite of a later change")
		}
		apply(t, l, ann, later, nick("C"))
	})
}

func TestARowIsNotRaisedUnlessBeginWouldFindItUnchanged(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		const name = "rollcall:{lakeside/nickname}:target:"
		cases := []struct {
			what  string
			holds map[string]any // besides a value that was applied at 1000
			field ledger.Field
			want  bool
		}{
			{"equal", nil, nick("A")[0], true},
			{"a substitute was applied", map[string]any{"v:nickname": "instead", "w:nickname": "A"}, nick("A")[0], true},
			{"an equal ID", map[string]any{"v:id": "A", "r:id": "1000"}, ledger.Field{Name: "id", Value: "A", Mode: ledger.Once}, true},
			{"an older change waits", map[string]any{"n:nickname": "1001"}, nick("A")[0], true},
			{"another value", nil, nick("B")[0], false},
			{"never applied", map[string]any{"r:nickname": "0"}, nick("A")[0], false},
			{"an unknown outcome", map[string]any{"d:nickname": "1000 answered"}, nick("A")[0], false},
			{"it may have been overwritten", map[string]any{"q:nickname": "5"}, nick("A")[0], false},
			{"a later change waits", map[string]any{"n:nickname": "4000000000000000"}, nick("A")[0], false},
			{"a later change was applied", map[string]any{"r:nickname": "4000000000000000"}, nick("A")[0], false},
			{"an attempt holds the lease", map[string]any{"own": "another", "until": "1"}, nick("A")[0], false},
			{"an effect", nil, ledger.Field{Name: "nickname", Value: "A", Mode: ledger.Effect}, false},
			{"an edit", nil, ledger.Field{Name: "nickname", Value: "A", Mode: ledger.Edit}, false},
			{"a damaged entry", map[string]any{"r:nickname": "inf"}, nick("A")[0], false},
		}
		rev := runRevision(t, l)
		var rows []ledger.Raise
		var want, got []string
		for _, c := range cases {
			target := ledger.Target{Organisation: "lakeside", API: "nickname", Key: c.what}
			if err := rdb.HSet(t.Context(), name+c.what, "r:nickname", "1000", "v:nickname", "A").Err(); err != nil {
				t.Fatal(err)
			}
			if len(c.holds) > 0 {
				if err := rdb.HSet(t.Context(), name+c.what, c.holds).Err(); err != nil {
					t.Fatal(err)
				}
			}
			if c.want {
				want = append(want, c.what)
			}
			rows = append(rows, ledger.Raise{Target: target, Fields: []ledger.Field{c.field}, Revision: rev})
		}
		rows = append(rows, ledger.Raise{Target: bob, Fields: nick("A"), Revision: rev}) // of which nothing is known
		for i, raised := range raises(t, l, rows...) {
			if raised {
				got = append(got, rows[i].Target.Key)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("raised (-want +got):\n%s", diff)
		}
		if n := rdb.Exists(t.Context(), name+"chat1/bob").Val(); n != 0 {
			t.Error("a record of an unknown target was made")
		}
		future := rows[0]
		future.Revision += 25 * time.Hour.Microseconds()
		if raises(t, l, future)[0] {
			t.Error("a revision from the future was raised")
		}
		both := rows[0]
		both.Fields = append(both.Fields, ledger.Field{Name: "other", Value: "A"})
		if raises(t, l, both)[0] {
			t.Error("it was raised though one of two fields has another value")
		}
	})
}

func TestADamagedTargetPreventsNoOtherRaise(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		var found []string
		l.OnDamage(func(d ledger.Damage) { found = append(found, d.Key) })
		apply(t, l, bob, revise(t, l, bob), nick("A"))
		if err := rdb.LPush(t.Context(), annKey, "a list").Err(); err != nil {
			t.Fatal(err)
		}
		rev := runRevision(t, l)
		row := func(target ledger.Target) ledger.Raise {
			return ledger.Raise{Target: target, Fields: nick("A"), Revision: rev}
		}
		if got := raises(t, l, row(ann), row(bob)); got[0] || !got[1] {
			t.Errorf("raised: %v, want the second alone", got)
		}
		if diff := cmp.Diff([]string{annKey}, found); diff != "" {
			t.Errorf("reported damage (-want +got):\n%s", diff)
		}
	})
}

package ledger_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
)

func TestATargetHoldsAValueIfNothingElseCanBeTheCase(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		const name = "rollcall:{lakeside/nickname}:target:"
		answered := ledger.Held{Holds: true, Evidence: ledger.EvidenceAnswered, Since: time.Unix(5000, 0)}
		cases := []struct {
			what  string
			holds map[string]any // besides a value that was applied at 1000, and answered
			field ledger.Field
			want  ledger.Held
		}{
			{"equal", nil, nick("A")[0], answered},
			{"the latest change was applied", map[string]any{"n:nickname": "1000"}, nick("A")[0], answered},
			{"after a doubt", map[string]any{"e:nickname": "doubt"}, nick("A")[0], ledger.Held{Holds: true, Evidence: ledger.EvidenceDoubt, Since: time.Unix(5000, 0)}},
			{"stated", map[string]any{"e:nickname": "stated", "at": "0"}, nick("A")[0], ledger.Held{Holds: true, Evidence: ledger.EvidenceStated}},
			{"evidence of a newer version", map[string]any{"e:nickname": "read"}, nick("A")[0], answered},
			{"tried later", map[string]any{"tried": "6000"}, nick("A")[0], ledger.Held{Holds: true, Evidence: ledger.EvidenceAnswered, Since: time.Unix(6000, 0)}},
			{"without a time", map[string]any{"at": "0"}, nick("A")[0], ledger.Held{Holds: true, Evidence: ledger.EvidenceNone}},
			{"another value", nil, nick("B")[0], ledger.Held{}},
			{"a substitute was applied", map[string]any{"v:nickname": "instead", "w:nickname": "A"}, nick("A")[0], ledger.Held{}},
			{"never applied", map[string]any{"r:nickname": "0"}, nick("A")[0], ledger.Held{}},
			{"an unknown outcome", map[string]any{"d:nickname": "1000 answered"}, nick("A")[0], ledger.Held{}},
			{"it may have been overwritten", map[string]any{"q:nickname": "5"}, nick("A")[0], ledger.Held{}},
			{"a later change is known", map[string]any{"n:nickname": "1001"}, nick("A")[0], ledger.Held{}},
			{"an attempt holds the lease", map[string]any{"own": "another", "until": "1"}, nick("A")[0], ledger.Held{}},
			{"an ID", map[string]any{"v:id": "A", "r:id": "1000"}, ledger.Field{Name: "id", Value: "A", Mode: ledger.Once}, ledger.Held{}},
			{"a damaged entry", map[string]any{"r:nickname": "inf"}, nick("A")[0], ledger.Held{}},
			{"a damaged last revision", map[string]any{"rev": "x"}, nick("A")[0], ledger.Held{}},
		}
		var wanted []ledger.Wanted
		want := map[string]ledger.Held{}
		for _, c := range cases {
			if err := rdb.HSet(t.Context(), name+c.what, "r:nickname", "1000", "v:nickname", "A", "at", "5000").Err(); err != nil {
				t.Fatal(err)
			}
			if len(c.holds) > 0 {
				if err := rdb.HSet(t.Context(), name+c.what, c.holds).Err(); err != nil {
					t.Fatal(err)
				}
			}
			wanted = append(wanted, ledger.Wanted{Target: ledger.Target{Organisation: "lakeside", API: "nickname", Key: c.what}, Field: c.field})
			want[c.what] = c.want
		}
		if err := rdb.Set(t.Context(), name+"text", "no hash", 0).Err(); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"text", "unknown"} {
			wanted = append(wanted, ledger.Wanted{Target: ledger.Target{Organisation: "lakeside", API: "nickname", Key: key}, Field: nick("A")[0]})
			want[key] = ledger.Held{}
		}
		held, err := l.Holding(t.Context(), wanted)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]ledger.Held{}
		for i, h := range held {
			got[wanted[i].Target.Key] = h
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		targets := make([]ledger.Target, len(wanted))
		for i, w := range wanted {
			targets[i] = w.Target
		}
		records, err := l.Survey(t.Context(), targets)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range records {
			how, since := r.Evidence("nickname")
			if h := held[i]; h.Holds && (how != h.Evidence || !since.Equal(h.Since)) {
				t.Errorf("%s: the record shows %d since %s, want %d since %s", r.Target.Key, how, since, h.Evidence, h.Since)
			}
		}
	})
}

func TestMoreTargetsThanAScriptLooksAtAreCompared(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		var wanted []ledger.Wanted
		for i := range 700 {
			target := ledger.Target{Organisation: []string{"lakeside", "riverside"}[i%2], API: "nickname", Key: strconv.Itoa(i)}
			if i%7 == 0 {
				apply(t, l, target, revise(t, l, target), nick(fmt.Sprint("N", i)))
			}
			wanted = append(wanted, ledger.Wanted{Target: target, Field: nick(fmt.Sprint("N", i))[0]})
		}
		held, err := l.Holding(t.Context(), wanted)
		if err != nil {
			t.Fatal(err)
		}
		for i, h := range held {
			if h.Holds != (i%7 == 0) {
				t.Errorf("target %d holds its value: %t", i, h.Holds)
			}
		}
	})
}

func TestAStatedValueIsRecordedWhereNothingIsKnown(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		const name = "rollcall:{lakeside/nickname}:target:"
		holds := map[string]map[string]any{
			"a waiting change":   {"n:nickname": "1000"},
			"an applied value":   {"r:nickname": "1000", "v:nickname": "B"},
			"an unknown outcome": {"d:nickname": "1000"},
			"a lease":            {"own": "another", "until": "1"},
		}
		revision := runRevision(t, l)
		rows := []ledger.Raise{{Target: ann, Fields: nick("A"), Revision: revision}}
		for key, entries := range holds {
			if err := rdb.HSet(t.Context(), name+key, entries).Err(); err != nil {
				t.Fatal(err)
			}
			rows = append(rows, ledger.Raise{Target: ledger.Target{Organisation: "lakeside", API: "nickname", Key: key}, Fields: nick("A"), Revision: revision})
		}
		for range 2 { // the reply to the first may be lost
			if err := l.NoteStated(t.Context(), rows); err != nil {
				t.Fatal(err)
			}
		}
		held, err := l.Holding(t.Context(), []ledger.Wanted{{Target: ann, Field: nick("A")[0]}})
		if want := (ledger.Held{Holds: true, Evidence: ledger.EvidenceStated}); err != nil || held[0] != want {
			t.Errorf("ann's name is %+v, %v; want %+v", held[0], err, want)
		}
		if left := rdb.PTTL(t.Context(), annKey).Val(); left < 399*24*time.Hour {
			t.Errorf("its record is kept for %s", left)
		}
		for key, entries := range holds {
			if n := rdb.HLen(t.Context(), name+key).Val(); int(n) != len(entries) {
				t.Errorf("%s: %v", key, rdb.HGetAll(t.Context(), name+key).Val())
			}
		}
		wantDecision(t, l, ann, revise(t, l, ann), nick("A"), ledger.Unchanged)
		apply(t, l, ann, revise(t, l, ann), nick("B"))
		if record, err := l.Look(t.Context(), ann); err != nil || record.Fields["nickname"].Evidence != "" {
			t.Errorf("after an answered call: %+v, %v", record, err)
		}
	})
}

package deadletter_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rollcall/internal/deadletter"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
)

func TestLaneCausesAreCountedShownAndReadByPage(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		o := open(t, s)
		o.adds(record(t, "dt", "a", 0, "busy", "503"), record(t, "dt", "b", 3600, "busy", "503"), record(t, "dt", "c", 7200, "busy", ""), record(t, "ci", "d", 0, "busy", "503"))
		all, err := o.service.LaneCauses(t.Context(), deadletter.Filter{})
		want := []deadletter.LaneCause{
			{Lane: "dt.nickname", Class: "busy", Code: "503", DeadLetters: 2},
			{Lane: "ci.nickname", Class: "busy", Code: "503", DeadLetters: 1},
			{Lane: "dt.nickname", Class: "busy", DeadLetters: 1},
		}
		if diff := cmp.Diff(want, all); diff != "" || err != nil {
			t.Fatalf("%v (-want +got):\n%s", err, diff)
		}
		trend, found, err := o.service.Trend(t.Context(), all[0], died.Add(90*time.Minute))
		hours := make([]int64, 24)
		hours[22], hours[23] = 1, 1
		if diff := cmp.Diff(hours, trend.Periods); diff != "" || !found || err != nil || trend.Newest.ID != "b" || !trend.First.Equal(died) || !trend.Last.Equal(died.Add(time.Hour)) {
			t.Errorf("%+v, %t, %v (-want +got):\n%s", trend, found, err, diff)
		}
		if _, found, err := o.service.Trend(t.Context(), deadletter.LaneCause{Lane: "dt.nickname", Class: "rejected"}, died); found || err != nil {
			t.Errorf("a cause without dead letters: %t, %v", found, err)
		}
		page, next, err := o.service.Page(t.Context(), all[0], "", 1)
		if len(page) != 1 || page[0].ID != "b" || next == "" || err != nil {
			t.Fatalf("first page: %+v, %q, %v", page, next, err)
		}
		if page, _, err = o.service.Page(t.Context(), all[0], next, 1); len(page) != 1 || page[0].ID != "a" || err != nil {
			t.Errorf("second page: %+v, %v", page, err)
		}
		for until, want := range map[time.Time]int64{{}: 2, died: 1, died.Add(-time.Second): 0} {
			if n, err := o.service.CountOf(t.Context(), all[0], until); n != want || err != nil {
				t.Errorf("until %s: %d, %v; want %d", until, n, err, want)
			}
		}
	})
}

// Without ByCause an empty code selects every code: a user who confirms one must not settle three.
func TestAFilterByCauseSelectsNoOtherCode(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		o := open(t, s)
		o.adds(record(t, "dt", "a", 0, "busy", "503"), record(t, "dt", "b", 1, "busy", "503"), record(t, "dt", "c", 2, "busy", ""))
		for name, c := range map[string]struct {
			filter deadletter.Filter
			want   []string
		}{
			"any code":     {deadletter.Filter{Class: "busy"}, []string{"a", "b", "c"}},
			"without one":  {deadletter.Filter{Class: "busy", ByCause: true}, []string{"c"}},
			"with one":     {deadletter.Filter{Class: "busy", Code: "503", ByCause: true}, []string{"a", "b"}},
			"another code": {deadletter.Filter{Class: "busy", Code: "5", ByCause: true}, nil},
		} {
			if diff := cmp.Diff(c.want, o.left(c.filter), cmpopts.SortSlices(func(a, b string) bool { return a < b })); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	})
}

func TestWhatPeopleSeeOfADeadLetterIsMaskedAndHasAdvice(t *testing.T) {
	t.Parallel()
	d := record(t, "dt", "u12345678", 0, "rejected", "40035")
	d.Key, d.Message, d.RequestID, d.Cause = "row of 王小明", "no user u12345678 in the chat", "req u12345678", "rejected: u12345678"
	got := deadletter.Shown(d, false)
	want := d
	want.Payload, want.Key, want.Target = nil, "r…(10)", "c1/u…8(9)"
	want.Message, want.RequestID, want.Cause = "no user u…8(9) in the chat", "req u…8(9)", "rejected: u…8(9)"
	want.Todo = deadletter.Advice(ledger.DeadLetter{Class: "rejected"})
	if diff := cmp.Diff(want, got); diff != "" || want.Todo == "" {
		t.Errorf("masked (-want +got):\n%s", diff)
	}
	want = d
	want.Payload, want.Todo = nil, "call them"
	d.Todo = "call them"
	if diff := cmp.Diff(want, deadletter.Shown(d, true)); diff != "" {
		t.Errorf("in clear (-want +got):\n%s", diff)
	}
}

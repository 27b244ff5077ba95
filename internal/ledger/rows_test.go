package ledger_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
)

// fedRun is a run that is kept in Redis, in one test.
type fedRun struct {
	t    *testing.T
	l    *ledger.Ledger
	name ledger.RunName
}

func newRun(t *testing.T, l *ledger.Ledger) fedRun {
	return fedRun{t, l, ledger.RunName{Tenant: "dt", Run: ledger.NewRunID()}}
}

func (r fedRun) row(n int) ledger.Row {
	return ledger.Row{Tenant: r.name.Tenant, Run: r.name.Run, Row: n}
}

// begins begins the task of a row at a new revision.
func (r fedRun) begins(n int, target ledger.Target, fields ...ledger.Field) *ledger.Lease {
	r.t.Helper()
	d := delivery(target, revise(r.t, r.l, target), fields)
	d.Row = r.row(n)
	lease, _, err := r.l.Begin(r.t.Context(), d)
	if err != nil || lease == nil {
		r.t.Fatalf("row %d: %v, %v", n, lease, err)
	}
	gate(r.t, lease)
	return lease
}

// applies carries out the task of a row.
func (r fedRun) applies(n int, requestID string, target ledger.Target, fields ...ledger.Field) {
	r.t.Helper()
	if err := r.begins(n, target, fields...).Settle(r.t.Context(), requestID, false, nil); err != nil {
		r.t.Fatal(err)
	}
}

func (r fedRun) details(api string, rows ...int) map[int]ledger.RowDetail {
	r.t.Helper()
	details, err := r.l.RunDetails(r.t.Context(), "lakeside", api, r.name, rows)
	if err != nil {
		r.t.Fatal(err)
	}
	return details
}

var exceptTime = cmpopts.IgnoreFields(ledger.RowDetail{}, "At")

func TestASettledRowKeepsWhatItReplaced(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		run := newRun(t, l)
		upper := strings.ToUpper(uuid.NewString())
		lower, long := uuid.NewString(), strings.Repeat("长", 21900) // of 65,700 bytes
		run.applies(1, "15rki0k7z9k0a", ann, nick("三年二班 张三")...)
		run.applies(2, lower, ann, nick("李四")...)
		run.applies(255, upper, ann, nick(long)...)
		run.applies(256, "", ann, nick("A")...)
		old := func(value string, known bool) map[string]ledger.FieldDetail {
			return map[string]ledger.FieldDetail{"": {Old: value, Known: known}}
		}
		want := map[int]ledger.RowDetail{
			1:   {RequestID: "15rki0k7z9k0a", Fields: old("", false)},
			2:   {RequestID: lower, Fields: old("三年二班 张三", true)},
			255: {RequestID: upper, Fields: old("李四", true)},
			256: {Fields: old("", false)}, // the old value is too long to be kept
		}
		got := run.details("nickname", 0, 1, 2, 255, 256, 999_999)
		if diff := cmp.Diff(want, got, exceptTime); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if age := time.Since(got[1].At); age < -time.Minute || age > time.Minute {
			t.Errorf("it was settled %s ago", age)
		}
		if diff := cmp.Diff(map[int]ledger.RowDetail{2: want[2]}, run.details("nickname", 2), exceptTime); diff != "" {
			t.Errorf("one row (-want +got):\n%s", diff)
		}
		key := fmt.Sprintf("rollcall:{lakeside/nickname}:details:dt/%s:0", run.name.Run)
		if left := rdb.PTTL(t.Context(), key).Val(); left < 89*24*time.Hour || left > 90*24*time.Hour {
			t.Errorf("the details are kept for %s", left)
		}
	})
}

func TestARowOfSeveralFieldsKeepsEachByItsName(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		run := newRun(t, l)
		name, icon := ledger.Field{Name: "name", Value: "A"}, ledger.Field{Name: "icon", Value: "@1"}
		run.applies(0, "r0", chat, name)
		run.applies(1, "r1", chat, ledger.Field{Name: "name", Value: "B"}, icon)
		// An attribute that has its value is not sent.
		run.applies(2, "r2", chat, ledger.Field{Name: "name", Value: "C"}, icon)
		want := map[int]ledger.RowDetail{
			1: {RequestID: "r1", Fields: map[string]ledger.FieldDetail{"name": {Old: "A", Known: true}, "icon": {}}},
			2: {RequestID: "r2", Fields: map[string]ledger.FieldDetail{"name": {Old: "B", Known: true}}},
		}
		if diff := cmp.Diff(want, run.details("group", 1, 2), exceptTime); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestARowKeepsTheSubstituteThatThePlatformTook(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		run := newRun(t, l)
		person := ledger.Target{Organisation: "lakeside", API: "id", Key: "ann"}
		d := delivery(person, revise(t, l, person), id("zhangsan"))
		d.Row = run.row(0)
		lease, _, err := l.Begin(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		lease.Intend("zhangsan01")
		gate(t, lease)
		if err := lease.Settle(t.Context(), "r", false, map[string]string{"id": "zhangsan01"}); err != nil {
			t.Fatal(err)
		}
		want := map[int]ledger.RowDetail{0: {RequestID: "r", Fields: map[string]ledger.FieldDetail{"": {Substitute: "zhangsan01"}}}}
		if diff := cmp.Diff(want, run.details("id", 0), exceptTime); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// The platform may have held another value than the applied one.
func TestAnOldValueIsNotKnownIfAnotherRequestMayHaveReplacedIt(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		run := newRun(t, l)
		isKnown := func(row int) bool {
			t.Helper()
			detail, there := run.details("nickname", row)[row]
			if !there {
				t.Fatalf("row %d has no detail", row)
			}
			return detail.Fields[""].Known
		}
		for i, c := range []struct {
			prompt   bool
			attempts int
		}{{false, 1}, {true, 1}, {false, 2}, {true, 2}} {
			target := ledger.Target{Organisation: "lakeside", API: "nickname", Key: fmt.Sprint("chat3/", i)}
			apply(t, l, target, revise(t, l, target), nick("A"))
			// B had an unclear answer, and so had the first send of C if there are two.
			release(t, run.begins(0, target, nick("B")...), ledger.Answered)
			d := delivery(target, revise(t, l, target), nick("C"))
			d.Row, d.Prompt = run.row(10+i), c.prompt
			for last := range c.attempts {
				lease, _, err := l.Begin(t.Context(), d)
				if err != nil {
					t.Fatal(err)
				}
				if !c.prompt {
					gate(t, lease)
				}
				if last < c.attempts-1 {
					release(t, lease, ledger.Answered)
				} else {
					settle(t, lease, false)
				}
			}
			if isKnown(10 + i) {
				t.Errorf("%+v: the value before an unknown outcome is known", c)
			}
			run.applies(20+i, "r", target, nick("D")...)
			if isKnown(20+i) != (c.attempts == 1) { // after two sends the first may still be carried out
				t.Errorf("%+v: the value that was settled after an unknown outcome is known: %t", c, isKnown(20+i))
			}
		}
		// Its own first attempt changes nothing about what was there before.
		apply(t, l, ann, revise(t, l, ann), nick("A"))
		d := delivery(ann, revise(t, l, ann), nick("B"))
		d.Row = run.row(30)
		for last := range 2 {
			lease, _, err := l.Begin(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			gate(t, lease)
			if last == 0 {
				release(t, lease, ledger.Unanswered)
			} else {
				settle(t, lease, false)
			}
		}
		if !isKnown(30) {
			t.Error("the value before two sends of one task is not known")
		}
		run.applies(31, "r", ann, nick("C")...)
		if isKnown(31) {
			t.Error("a value that a late request may have overwritten is known")
		}
	})
}

func TestARowThatIsSettledTwiceKeepsTheFirstOldValue(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		run := newRun(t, l)
		apply(t, l, ann, revise(t, l, ann), nick("A"))
		d := delivery(ann, revise(t, l, ann), nick("B"))
		d.Row = run.row(3)
		settleRow := func() {
			t.Helper()
			lease, _, err := l.Begin(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			gate(t, lease)
			for range 2 { // the first reply may be lost
				settle(t, lease, false)
			}
		}
		settleRow()
		// Redis lost the end of the task, and has kept that it was sent.
		if err := s.Client(t).HSet(t.Context(), annKey, "d:nickname", d.Revision).Err(); err != nil {
			t.Fatal(err)
		}
		settleRow()
		want := map[int]ledger.RowDetail{3: {RequestID: "req", Fields: map[string]ledger.FieldDetail{"": {Old: "A", Known: true}}}}
		if diff := cmp.Diff(want, run.details("nickname", 3), exceptTime); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestARowOfADeadLetterKeepsItsCause(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		run := newRun(t, l)
		dead := ledger.DeadLetter{
			ID: "t1", Lane: "dt.nickname", Organisation: "lakeside", Tenant: "dt", Kind: "nickname", Target: ann.Key,
			Run: run.name.Run, Row: 7, Class: "rejected", Code: "34025", Message: strings.Repeat("名字 ", 100), RequestID: "r",
			Last: time.Unix(1_790_000_000, 0),
		}
		for range 2 {
			if err := l.CloseDead(t.Context(), dead); err != nil {
				t.Fatal(err)
			}
		}
		want := ledger.RowDetail{
			At: dead.Last, RequestID: "r", Class: "rejected", Code: "34025", Message: strings.Repeat("名字 ", 22) + "名字",
		}
		if diff := cmp.Diff(map[int]ledger.RowDetail{7: want}, run.details("nickname", 7)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if results, err := l.ReadRun(t.Context(), "lakeside", "nickname", run.name); err != nil || results[7] != ledger.RowDead {
			t.Errorf("%q, %v", results, err)
		}
		run.applies(7, "again", ann, nick("A")...) // it was replayed
		if got := run.details("nickname", 7)[7]; got.Class != "" || got.RequestID != "again" {
			t.Errorf("after a replay: %+v", got)
		}
	})
}

func TestRowsOfOtherRunsHaveNoDetails(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		run := fedRun{t, l, ledger.RunName{Tenant: "dt", Run: "night"}}
		run.applies(1, "r", ann, nick("A")...)
		if got := run.details("nickname", 1); len(got) != 0 {
			t.Errorf("%+v", got)
		}
		if keys := rdb.Keys(t.Context(), "*details*").Val(); len(keys) != 0 {
			t.Errorf("%v", keys)
		}
		for name, want := range map[string]bool{ledger.NewRunID(): true, "": false, "night": false, "20260301-191532-3f9a01": false, "r234567abcdefghi": false} {
			if got := ledger.IsRunID(name); got != want {
				t.Errorf("IsRunID(%q) = %t", name, got)
			}
		}
	})
}

func TestADamagedListOfDetailsCostsTheDetailsAlone(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		run := newRun(t, l)
		var found int
		l.OnDamage(func(ledger.Damage) { found++ })
		key := func(n int) string {
			return fmt.Sprintf("rollcall:{lakeside/nickname}:details:dt/%s:%d", run.name.Run, n)
		}
		if err := rdb.Set(t.Context(), key(0), "a string", 0).Err(); err != nil {
			t.Fatal(err)
		}
		run.applies(0, "r", ann, nick("A")...)
		if err := rdb.RPush(t.Context(), key(1), "", "A", "A\x00\xff", "Z\x00\x00\x00\x00\x00\x00").Err(); err != nil {
			t.Fatal(err)
		}
		run.applies(256, "r", ann, nick("B")...)
		if got := run.details("nickname", 0, 256); len(got) != 1 || got[256].Fields[""].Old != "A" {
			t.Errorf("%+v", got)
		}
		if found != 5 {
			t.Errorf("%d damages were reported, want 5", found)
		}
		results, err := l.ReadRun(t.Context(), "lakeside", "nickname", run.name)
		if err != nil || results[0] != ledger.RowApplied || results[256] != ledger.RowApplied {
			t.Errorf("%q, %v", results, err)
		}
	})
}

func TestACancelledTaskEndsWithoutACall(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		for row, c := range map[int]struct {
			before, after byte
		}{1: {ledger.RowStored, ledger.RowCancelled}, 2: {ledger.RowDead, ledger.RowDead}, 3: {ledger.RowApplied, ledger.RowApplied}} {
			target := ledger.Target{Organisation: "lakeside", API: "nickname", Key: fmt.Sprint("chat1/", row)}
			o := noted(t, l, target, fmt.Sprint("task", row), row, nick("A"))
			switch c.before {
			case ledger.RowDead:
				if err := l.Close(t.Context(), target, o.Change.TaskID, o.Row); err != nil {
					t.Fatal(err)
				}
			case ledger.RowApplied:
				lease, _, err := l.Begin(t.Context(), ledger.Delivery{TaskID: o.Change.TaskID, Target: target, Revision: o.Revision, Fields: nick("A"), Row: o.Row})
				if err != nil {
					t.Fatal(err)
				}
				gate(t, lease)
				settle(t, lease, false)
			}
			for range 2 {
				if err := l.Cancel(t.Context(), target, o.Change.TaskID, o.Row); err != nil {
					t.Fatal(err)
				}
			}
			if _, open, err := l.OpenTask(t.Context(), "lakeside", "nickname", o.Change.TaskID); open || err != nil {
				t.Errorf("row %d has a record: %t, %v", row, open, err)
			}
			results, err := l.ReadRun(t.Context(), "lakeside", "nickname", ledger.RunName{Tenant: "dt", Run: "night"})
			if err != nil || results[row] != c.after {
				t.Errorf("row %d is %q, %v; want %q", row, results, err, c.after)
			}
		}
		// An attempt that was running has died since.
		target := ledger.Target{Organisation: "lakeside", API: "nickname", Key: "chat1/1"}
		if err := l.Close(t.Context(), target, "task1", ledger.Row{Tenant: "dt", Run: "night", Row: 1}); err != nil {
			t.Fatal(err)
		}
		results, err := l.ReadRun(t.Context(), "lakeside", "nickname", ledger.RunName{Tenant: "dt", Run: "night"})
		if err != nil || results[1] != ledger.RowDead {
			t.Errorf("%q, %v", results, err)
		}
		// A cancelled edit lets the next one go first.
		one, two := edit(t, l, "one"), edit(t, l, "two")
		note(t, l, "one", one)
		if err := l.Cancel(t.Context(), chat, "one", ledger.Row{}); err != nil {
			t.Fatal(err)
		}
		lease, _, err := arrive(t, l, "two", two)
		if err != nil {
			t.Fatal(err)
		}
		release(t, lease, ledger.Untouched)
	})
}

func TestANoteOfATaskThatEndedInBetweenChangesNothing(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		run := newRun(t, l)
		o := storedTask(ann, revise(t, l, ann), nick("A"))
		o.Row, o.Again = run.row(4), true
		store := func() (open bool, result byte) {
			t.Helper()
			if err := l.Stored(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			_, open, err := l.OpenTask(t.Context(), "lakeside", "nickname", o.Change.TaskID)
			if err != nil {
				t.Fatal(err)
			}
			results, err := l.RowResults(t.Context(), []ledger.Target{ann, ann}, []ledger.Row{o.Row, run.row(5)})
			if err != nil || results[1] != 0 {
				t.Fatalf("%q, %v", results, err)
			}
			return open, results[0]
		}
		for range 2 {
			if open, result := store(); !open || result != ledger.RowStored {
				t.Errorf("noted: %t, %q", open, result)
			}
		}
		if err := l.Close(t.Context(), ann, o.Change.TaskID, o.Row); err != nil {
			t.Fatal(err)
		}
		if open, result := store(); open || result != ledger.RowDead {
			t.Errorf("noted again after its end: %t, %q", open, result)
		}
	})
}

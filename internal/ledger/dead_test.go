package ledger_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"rollcall/internal/ledger"
	"rollcall/internal/outcome"
	"rollcall/internal/redistest"
)

const yard = "dt.nickname"

// died is the time of the first dead letter; each other is a second later.
var died = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

func deadLetter(id string, second int, class, code string) ledger.DeadLetter {
	at := died.Add(time.Duration(second) * time.Second)
	return ledger.DeadLetter{
		ID: id, Lane: yard, Tenant: "dt", Kind: "nickname", Organisation: "lakeside", Type: "nickname:sync",
		Payload: []byte(`{"v":1}`), Class: class, Code: code, Cause: class + ": " + code, First: at, Last: at,
	}
}

func addAll(t *testing.T, l *ledger.Ledger, dead ...ledger.DeadLetter) {
	t.Helper()
	for _, one := range dead {
		if fresh, err := l.AddDeadLetter(t.Context(), one); err != nil || !fresh {
			t.Fatalf("AddDeadLetter(%s) = %t, %v", one.ID, fresh, err)
		}
	}
}

// ids reads dead letters by pages of n.
func ids(t *testing.T, l *ledger.Ledger, q ledger.DeadLetterFilter, n int) []string {
	t.Helper()
	var all []string
	var from ledger.Cursor
	for {
		dead, next, err := l.DeadPage(t.Context(), q, from, n)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range dead {
			all = append(all, one.ID)
		}
		if next == "" {
			return all
		}
		from = next
	}
}

func wantIDs(t *testing.T, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
}

func TestADeadLetterIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		whole := deadLetter("id with spaces and a |", 0, "rejected", `a "code" | of {sorts}`)
		whole.Urgent, whole.Key, whole.Target, whole.Revision = true, "k", "c1/张三", 1772323200000001
		whole.Message, whole.RequestID, whole.Todo = "mes\nsage", "r1", "do it"
		whole.Payload = []byte("\xff\x00 no JSON")
		whole.Attempts = map[string]int{"busy": 11, "rejected": 1}
		addAll(t, l, whole)
		got, found, err := l.DeadLetter(t.Context(), yard, whole.ID)
		if err != nil || !found {
			t.Fatalf("found %t, %v", found, err)
		}
		if diff := cmp.Diff(whole, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		page, _, err := l.DeadPage(t.Context(), ledger.DeadLetterFilter{Lane: yard, ByCause: true, Class: "rejected", Code: whole.Code}, "", 10)
		if err != nil || len(page) != 1 {
			t.Fatalf("%d dead letters of its cause, %v", len(page), err)
		}
		if diff := cmp.Diff(whole, page[0]); diff != "" {
			t.Errorf("on a page (-want +got):\n%s", diff)
		}
		odd := deadLetter("\xff", 1, "rejected", "\xfe")
		addAll(t, l, odd)
		if got, found, err := l.DeadLetter(t.Context(), yard, "\xff"); err != nil || !found || got.ID != "\xff" {
			t.Errorf("a dead letter whose id is not text: %q, %t, %v", got.ID, found, err)
		}
	})
}

func TestADeadLetterKeepsTheBeginningAndTheHashOfWhatIsTooLong(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		huge := deadLetter("huge", 0, "malformed", "")
		huge.Payload = bytes.Repeat([]byte("payload "), 1<<20)
		huge.Message = strings.Repeat("钉", 1<<20)
		huge.Type, huge.Cause, huge.Key, huge.Target = huge.Message, huge.Message, huge.Message, huge.Message
		addAll(t, l, huge)
		got, _, err := l.DeadLetter(t.Context(), yard, "huge")
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(huge.Payload)
		if got.PayloadBytes != len(huge.Payload) || got.PayloadSHA256 != hex.EncodeToString(sum[:]) || !bytes.Equal(got.Payload, huge.Payload[:ledger.MaxKept]) {
			t.Errorf("payload of %d bytes, reported %d, %s", len(got.Payload), got.PayloadBytes, got.PayloadSHA256)
		}
		text := sha256.Sum256([]byte(huge.Message))
		for name, value := range map[string]string{"message": got.Message, "type": got.Type, "cause": got.Cause, "key": got.Key, "target": got.Target} {
			if len(value) > ledger.MaxKept+200 || !utf8.ValidString(value) || !strings.Contains(value, hex.EncodeToString(text[:])) || !strings.Contains(value, "3145728 bytes") {
				t.Errorf("%s of %d bytes ends in %q", name, len(value), value[max(0, len(value)-100):])
			}
		}
		again := got
		again.Last = again.Last.Add(time.Second)
		if _, err := l.AddDeadLetter(t.Context(), again); err != nil {
			t.Fatal(err)
		}
		if second, _, err := l.DeadLetter(t.Context(), yard, "huge"); err != nil || !cmp.Equal(second, again) {
			t.Errorf("written again: %v, %s", err, cmp.Diff(again, second))
		}
	})
}

func TestDeadLettersAreListedNewestFirstByTimeAndByCause(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		addAll(t, l, deadLetter("a", 0, "rejected", "1"), deadLetter("b", 1, "busy", ""), deadLetter("c", 2, "rejected", "1"), deadLetter("d", 2, "rejected", "2"))
		all := ledger.DeadLetterFilter{Lane: yard}
		for n := 1; n <= 5; n++ {
			wantIDs(t, ids(t, l, all, n), "d", "c", "b", "a")
		}
		of := all
		of.ByCause, of.Class, of.Code = true, "rejected", "1"
		wantIDs(t, ids(t, l, of, 1), "c", "a")
		some := all
		some.Since, some.Until = died.Add(time.Second), died.Add(time.Second)
		wantIDs(t, ids(t, l, some, 10), "b")
		some.Until = died.Add(2 * time.Second)
		wantIDs(t, ids(t, l, some, 10), "d", "c", "b")
		if n, err := l.DeadCount(t.Context(), some); err != nil || n != 3 {
			t.Errorf("%d are counted, %v", n, err)
		}
		counts, err := l.DeadCauses(t.Context(), yard, "ci.course")
		want := map[string][]ledger.CauseCount{yard: {{"rejected", "1", 2}, {"busy", "", 1}, {"rejected", "2", 1}}, "ci.course": nil}
		if diff := cmp.Diff(want, counts); diff != "" || err != nil {
			t.Errorf("counts: %v (-want +got):\n%s", err, diff)
		}
		lanes, err := l.DeadLetterLanes(t.Context())
		wantIDs(t, lanes, yard)
		if err != nil {
			t.Error(err)
		}
	})
}

// A task that runs again may die of something else, and the sweep may come upon
// a task that has its dead letter.
func TestATaskHasOneDeadLetterHoweverOftenItFails(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		addAll(t, l, deadLetter("a", 0, "busy", "-1"))
		again := deadLetter("a", 5, "rejected", "7")
		if fresh, err := l.AddDeadLetter(t.Context(), again); fresh || err != nil {
			t.Errorf("the second death: fresh %t, %v", fresh, err)
		}
		for _, late := range []ledger.DeadLetter{deadLetter("a", 9, "archived", ""), again} {
			if fresh, err := l.AddDeadLetterOnce(t.Context(), late); fresh || err != nil {
				t.Errorf("BuryNew of a task that has a dead letter: fresh %t, %v", fresh, err)
			}
		}
		got, _, err := l.DeadLetter(t.Context(), yard, "a")
		again.First = died
		if diff := cmp.Diff(again, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		wantIDs(t, ids(t, l, ledger.DeadLetterFilter{Lane: yard}, 10), "a")
		wantIDs(t, ids(t, l, ledger.DeadLetterFilter{Lane: yard, ByCause: true, Class: "busy", Code: "-1"}, 10))
		counts, err := l.DeadCauses(t.Context(), yard)
		if diff := cmp.Diff([]ledger.CauseCount{{"rejected", "7", 1}}, counts[yard]); diff != "" || err != nil {
			t.Errorf("counts: %v (-want +got):\n%s", err, diff)
		}
	})
}

func TestRemovingTheLastDeadLetterLeavesOnlyTheNameOfItsLane(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		addAll(t, l, deadLetter("a", 0, "busy", ""), deadLetter("b", 0, "rejected", "1"))
		if n, err := l.RemoveDeadLetters(t.Context(), yard, "a", "b", "other"); n != 2 || err != nil {
			t.Errorf("%d were removed, %v", n, err)
		}
		if n, err := l.RemoveDeadLetters(t.Context(), yard, "a"); n != 0 || err != nil {
			t.Errorf("%d were removed the second time, %v", n, err)
		}
		keys, err := rdb.Keys(t.Context(), "*").Result()
		wantIDs(t, keys, "rollcall:dead:lanes")
		if err != nil {
			t.Error(err)
		}
	})
}

// Dead letters that are removed or added between two pages move no others.
func TestAPageBeginsAtTheEndOfThePageBefore(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		for i := range 10 {
			addAll(t, l, deadLetter(fmt.Sprint("t", i), 0, "busy", "")) // all at the same moment
		}
		var got []string
		var from ledger.Cursor
		for {
			page, next, err := l.DeadPage(t.Context(), ledger.DeadLetterFilter{Lane: yard}, from, 3)
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range page {
				got = append(got, one.ID)
				if _, err := l.RemoveDeadLetters(t.Context(), yard, one.ID); err != nil {
					t.Fatal(err)
				}
			}
			addAll(t, l, deadLetter(fmt.Sprint("new", len(got)), 1+len(got), "busy", ""))
			if next == "" {
				break
			}
			from = next
		}
		wantIDs(t, got, "t9", "t8", "t7", "t6", "t5", "t4", "t3", "t2", "t1", "t0")
	})
}

func TestADeadLetterOfANewerVersionIsShownAsItIsStored(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		addAll(t, l, deadLetter("a", 0, "busy", ""))
		if err := rdb.HSet(t.Context(), "rollcall:{dt.nickname}:dead:letters", "a", "of 2031").Err(); err != nil {
			t.Fatal(err)
		}
		got, found, err := l.DeadLetter(t.Context(), yard, "a")
		if err != nil || !found || got.ID != "a" || got.Lane != yard || got.Class != string(outcome.Unreadable) || string(got.Payload) != "of 2031" {
			t.Errorf("%+v, %t, %v", got, found, err)
		}
	})
}

func TestADamagedMemberOfAnIndexIsSkippedAndReported(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		var reported []string
		l.OnDamage(func(d ledger.Damage) { reported = append(reported, d.String()) })
		addAll(t, l, deadLetter("a", 0, "rejected", "1"), deadLetter("b", 1, "rejected", "1"), deadLetter("c", 2, "rejected", "1"))
		for _, index := range []string{"times", "causes:rejected|1"} {
			for _, member := range []string{"", "~", "short", "0000000000000000", "9999999999999999nobody"} {
				if err := rdb.ZAdd(t.Context(), "rollcall:{"+yard+"}:dead:"+index, redis.Z{Member: member}).Err(); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, n := range []int{1, 2, 3, 100} {
			wantIDs(t, ids(t, l, ledger.DeadLetterFilter{Lane: yard}, n), "c", "b", "a")
			wantIDs(t, ids(t, l, ledger.DeadLetterFilter{Lane: yard, ByCause: true, Class: "rejected", Code: "1"}, n), "c", "b", "a")
		}
		if n := len(reported); n != 4*2*5 || !strings.Contains(strings.Join(reported, " "), `"rollcall:{dt.nickname}:dead:times": member "short"`) {
			t.Errorf("%d reported:\n%s", n, strings.Join(reported, "\n"))
		}
	})
}

func TestAttemptsAreReadByClassWithTheFirst(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		for i, class := range []string{"busy", "busy", "partial"} {
			if _, _, err := l.CountAttempt(t.Context(), "a", class, died.Add(time.Duration(i)*time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		counts, first, err := l.Attempts(t.Context(), "a")
		if diff := cmp.Diff(map[string]int{"busy": 2, "partial": 1}, counts); diff != "" || err != nil || !first.Equal(died) {
			t.Errorf("first at %v, %v (-want +got):\n%s", first, err, diff)
		}
		if counts, first, err := l.Attempts(t.Context(), "other"); len(counts) != 0 || !first.IsZero() || err != nil {
			t.Errorf("of a task that never failed: %v, %v, %v", counts, first, err)
		}
	})
}

// The indexes and counts hold against a map, in any order of additions and
// removals.
func TestTheIndexesOfDeadLettersAgreeWithAModel(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	l := ledger.New(s.Client(t))
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		lane := fmt.Sprintf("dt%d.nickname", run)
		model := map[string]ledger.DeadLetter{}
		rt.Repeat(map[string]func(*rapid.T){
			"": func(rt *rapid.T) { holds(t, rt, l, lane, model) },
			"add": func(rt *rapid.T) {
				one := deadLetter(rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(rt, "id"), rapid.IntRange(0, 3).Draw(rt, "at"),
					rapid.SampledFrom([]string{"busy", "rejected"}).Draw(rt, "class"), rapid.SampledFrom([]string{"", "1"}).Draw(rt, "code"))
				one.Lane = lane
				before, there := model[one.ID]
				only := rapid.Bool().Draw(rt, "new alone")
				add := l.AddDeadLetter
				if only {
					add = l.AddDeadLetterOnce
				}
				if fresh, err := add(t.Context(), one); err != nil || fresh == there {
					rt.Fatalf("fresh %t, %v", fresh, err)
				}
				if there && only {
					return
				}
				if there && before.First.Before(one.First) {
					one.First = before.First
				}
				model[one.ID] = one
			},
			"remove": func(rt *rapid.T) {
				id := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(rt, "id")
				if _, err := l.RemoveDeadLetters(t.Context(), lane, id); err != nil {
					rt.Fatal(err)
				}
				delete(model, id)
			},
		})
	})
}

func holds(t *testing.T, rt *rapid.T, l *ledger.Ledger, lane string, model map[string]ledger.DeadLetter) {
	t.Helper()
	var want []ledger.DeadLetter
	counts := map[string]int64{}
	for _, one := range model {
		want = append(want, one)
		counts[one.Class+"|"+one.Code]++
	}
	slices.SortFunc(want, func(x, y ledger.DeadLetter) int {
		if c := y.Last.Compare(x.Last); c != 0 {
			return c
		}
		return strings.Compare(y.ID, x.ID)
	})
	got, _, err := l.DeadPage(t.Context(), ledger.DeadLetterFilter{Lane: lane}, "", 100)
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
		rt.Fatalf("%v (-want +got):\n%s", err, diff)
	}
	causes, err := l.DeadCauses(t.Context(), lane)
	if err != nil || len(causes[lane]) != len(counts) {
		rt.Fatalf("causes %v, %v; want %v", causes[lane], err, counts)
	}
	for _, c := range causes[lane] {
		n, err := l.DeadCount(t.Context(), ledger.DeadLetterFilter{Lane: lane, ByCause: true, Class: c.Class, Code: c.Code})
		if err != nil || n != c.DeadLetters || n != counts[c.Class+"|"+c.Code] {
			rt.Fatalf("%+v: %d are indexed, %d are there, %v", c, n, counts[c.Class+"|"+c.Code], err)
		}
	}
}

// The rows of a run say what to do also when their dead letters were discarded.
func TestWhatToDoAboutACauseIsKeptAfterItsDeadLettersAreGone(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		first, second, third := deadLetter("a", 0, "rejected", "40003|x"), deadLetter("b", 1, "rejected", "34001"), deadLetter("c", 2, "busy", "")
		first.Todo, second.Todo = "correct the id", "ask"
		addAll(t, l, first, second, third)
		second.Todo = "correct the roster"
		if _, err := l.AddDeadLetter(t.Context(), second); err != nil {
			t.Fatal(err)
		}
		if n, err := l.RemoveDeadLetters(t.Context(), yard, "a", "b", "c"); n != 3 || err != nil {
			t.Fatal(n, err)
		}
		got, err := l.Todos(t.Context(), yard)
		want := []ledger.Todo{{Class: "rejected", Code: "34001", Todo: "correct the roster"}, {Class: "rejected", Code: "40003|x", Todo: "correct the id"}}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		if got, err := l.Todos(t.Context(), "other.nickname"); len(got) != 0 || err != nil {
			t.Errorf("of another lane: %v, %v", got, err)
		}
	})
}

func TestClosedDeadLettersAreForgotten(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		for i, target := range []string{"c1/ann", "c1/bob", "c2/ann"} {
			dead := deadLetter(target, i, "rejected", "1")
			dead.Target = target
			addAll(t, l, dead)
			if closed, err := l.CloseDeadLetter(t.Context(), dead, 7, died); !closed || err != nil {
				t.Fatal(closed, err)
			}
		}
		ofAnn := func(c ledger.ClosedDeadLetter) bool { return strings.HasSuffix(c.Target, "/ann") }
		for _, want := range []int{2, 0} {
			if n, err := l.ForgetClosed(t.Context(), yard, ofAnn); n != want || err != nil {
				t.Errorf("%d were removed, %v; want %d", n, err, want)
			}
		}
		left, err := l.ClosedDeadLetters(t.Context(), 10, yard)
		if err != nil || len(left) != 1 || left[0].Target != "c1/bob" {
			t.Errorf("left are %+v, %v", left, err)
		}
	})
}

package ledger_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
)

func TestARunHasTheResultOfEachRow(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l, name := ledger.New(s.Client(t)), ledger.RunName{Tenant: "dt", Run: "night"}
		carry := func(o ledger.Open) {
			t.Helper()
			lease, _, err := l.Begin(t.Context(), ledger.Delivery{
				TaskID: o.Change.TaskID, Target: o.Change.Target, Revision: o.Revision, Fields: o.Change.Fields, Row: o.Row,
			})
			if err != nil {
				t.Fatal(err)
			}
			if lease != nil {
				gate(t, lease)
				settle(t, lease, false)
			}
		}
		target := func(user string) ledger.Target {
			return ledger.Target{Organisation: "lakeside", API: "nickname", Key: "chat1/" + user}
		}
		applied := noted(t, l, target("a"), "applied", 2, nick("A"))
		carry(applied)
		carry(applied) // delivered again, it stays what it was
		carry(noted(t, l, target("a"), "unchanged", 3, nick("A")))
		superseded := noted(t, l, target("b"), "superseded", 4, nick("A"))
		noted(t, l, target("b"), "open", 5, nick("B"))
		carry(superseded)
		dead := noted(t, l, target("c"), "dead", 7, nick("A"))
		if err := l.Close(t.Context(), dead.Change.Target, dead.Change.TaskID, dead.Row); err != nil {
			t.Fatal(err)
		}
		results, err := l.ReadRun(t.Context(), "lakeside", "nickname", name)
		if err != nil || string(results) != "\x00\x00ausw\x00d" {
			t.Fatalf("%q, %v", results, err)
		}
		if diff := cmp.Diff(map[byte]int{'a': 1, 'u': 1, 's': 1, 'w': 1, 'd': 1}, results.Counts()); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]int{7}, results.Rows(ledger.RowDead)); diff != "" {
			t.Errorf("the dead (-want +got):\n%s", diff)
		}
		// Stored again it is open again, and no longer dead once it is applied.
		dead.Change.TaskID = "dead~1"
		if err := l.Stored(t.Context(), dead); err != nil {
			t.Fatal(err)
		}
		if results, err = l.ReadRun(t.Context(), "lakeside", "nickname", name); err != nil || results[7] != ledger.RowStored {
			t.Errorf("%q, %v", results, err)
		}
		carry(dead)
		if results, err = l.ReadRun(t.Context(), "lakeside", "nickname", name); err != nil || results[7] != ledger.RowApplied {
			t.Errorf("%q, %v", results, err)
		}
	})
}

func TestRunsAreListedTheNewestFirstAndForNinetyDays(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		for i, run := range []string{"first", "second", "third"} {
			o := storedTask(ann, int64(i+1), nick("A"))
			o.Row = ledger.Row{Tenant: "dt", Run: run}
			if err := l.Stored(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			// Two runs a millisecond apart have an order.
			at := strconv.FormatInt(time.Now().UnixMilli()+int64(i), 10)
			if err := rdb.Do(t.Context(), "ZADD", "rollcall:{lakeside/nickname}:runs", at, "dt/"+run).Err(); err != nil {
				t.Fatal(err)
			}
		}
		runs, err := l.Runs(t.Context(), "lakeside", "nickname", 2)
		if err != nil || len(runs) != 2 || runs[0].Run != "third" || runs[1].Run != "second" || runs[0].Tenant != "dt" {
			t.Fatalf("%+v, %v", runs, err)
		}
		if age := time.Since(runs[0].Began); age < -time.Minute || age > time.Minute {
			t.Errorf("it began %s ago", age)
		}
		key := "rollcall:{lakeside/nickname}:run:dt/third"
		if left := rdb.TTL(t.Context(), key).Val(); left < 89*24*time.Hour || left > 90*24*time.Hour {
			t.Errorf("its results are kept for %s", left)
		}
		if n := rdb.StrLen(t.Context(), key).Val(); n != 1 {
			t.Errorf("a row takes %d bytes", n)
		}
		if _, found, err := l.RunBegan(t.Context(), "lakeside", "nickname", ledger.RunName{Tenant: "dt", Run: "none"}); found || err != nil {
			t.Errorf("a run that there was not: %v, %v", found, err)
		}
	})
}

// The producer died before its note, which else begins the results of a run.
func TestTheResultsOfARunWhoseProducerDiedExpire(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		target := ledger.Target{Organisation: "lakeside", API: "nickname", Key: "chat1/a"}
		rev := revise(t, l, target)
		carry := func(run string, rev int64, want bool) {
			t.Helper()
			d := delivery(target, rev, nick("A"))
			d.Row = ledger.Row{Tenant: "dt", Run: run, Row: 2}
			lease, _, err := l.Begin(t.Context(), d)
			if err != nil || (lease != nil) != want {
				t.Fatalf("%s began with %v, %v", run, lease, err)
			}
			if lease != nil {
				settle(t, lease, false)
			}
		}
		carry("applied", rev, true)
		carry("settled", rev, false)
		if err := l.Close(t.Context(), target, "t3", ledger.Row{Tenant: "dt", Run: "dead", Row: 2}); err != nil {
			t.Fatal(err)
		}
		for run, want := range map[string]string{"applied": "\x00\x00a", "settled": "\x00\x00t", "dead": "\x00\x00d"} {
			key := "rollcall:{lakeside/nickname}:run:dt/" + run
			if left := rdb.TTL(t.Context(), key).Val(); left < 89*24*time.Hour || left > 90*24*time.Hour {
				t.Errorf("the results of %s are kept for %s", run, left)
			}
			if got := rdb.Get(t.Context(), key).Val(); got != want {
				t.Errorf("%s reads %q, want %q", run, got, want)
			}
		}
	})
}

// A lone row with a high number once took a megabyte for 90 days.
func TestARowCostsAtMostTheBytesOfItsBlock(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		target := ledger.Target{Organisation: "lakeside", API: "nickname", Key: "chat1/a"}
		for i, row := range []int{0, 4095, 4096, ledger.MaxRow - 1} {
			noted(t, l, target, "t"+strconv.Itoa(row), row, nick(strconv.Itoa(i)))
		}
		keys, err := rdb.Keys(t.Context(), "rollcall:*:run:*").Result()
		if err != nil {
			t.Fatal(err)
		}
		var all int64
		for _, key := range keys {
			all += rdb.StrLen(t.Context(), key).Val()
		}
		if len(keys) == 0 || all > 3*4096 {
			t.Errorf("%d bytes in %v", all, keys)
		}
		results, err := l.ReadRun(t.Context(), "lakeside", "nickname", ledger.RunName{Tenant: "dt", Run: "night"})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]int{0, 4095, 4096, ledger.MaxRow - 1}, results.Rows(ledger.RowStored)); diff != "" {
			t.Errorf("open rows, -want +got:\n%s", diff)
		}
	})
}

// Before results had keys of their own, all were in the first.
func TestTheResultsOfAnOlderVersionAreRead(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		const run = "rollcall:{lakeside/nickname}:run:dt/night"
		for row, dead := range map[int64]string{1: "a", 5000: "a", 5001: "w", 5002: "d"} {
			if err := rdb.SetRange(t.Context(), run, row, dead).Err(); err != nil {
				t.Fatal(err)
			}
		}
		for row, dead := range map[int64]string{5000: "w", 5001: "u", 5002: "a"} { // of a newer one
			if err := rdb.SetRange(t.Context(), run+":1", row-4096, dead).Err(); err != nil {
				t.Fatal(err)
			}
		}
		results, err := l.ReadRun(t.Context(), "lakeside", "nickname", ledger.RunName{Tenant: "dt", Run: "night"})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[byte]int{'a': 3, 'u': 1}, results.Counts()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

func TestResultsAreKeptAsLongAsTheLedgerIsTold(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		producer, worker := ledger.New(rdb), ledger.New(rdb)
		worker.KeepRuns(30 * 24 * time.Hour)
		kept := func() int {
			return int(rdb.TTL(t.Context(), "rollcall:{lakeside/nickname}:run:dt/night").Val().Hours() / 24)
		}
		o := noted(t, producer, ann, "task", 1, nick("A"))
		if days := kept(); days != 89 && days != 90 {
			t.Errorf("kept for %d days by a producer", days)
		}
		if err := worker.Close(t.Context(), ann, "task", o.Row); err != nil {
			t.Fatal(err)
		}
		if days := kept(); days != 29 && days != 30 {
			t.Errorf("kept for %d days by a worker", days)
		}
	})
}

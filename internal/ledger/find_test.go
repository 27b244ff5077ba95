package ledger_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
)

// finds walks all pages, and returns the keys of the targets that were found, sorted.
func finds(t *testing.T, l *ledger.Ledger, api, word string) []string {
	t.Helper()
	var keys []string
	for cursor, page := "", 0; page == 0 || cursor != ""; page++ {
		found, next, err := l.Find(t.Context(), "lakeside", api, word, cursor, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			keys = append(keys, f.Target.Key)
		}
		cursor = next
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

func TestATargetIsFoundByItsKeyAndItsValue(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		apply(t, l, ann, revise(t, l, ann), nick("三年二班 王小明"))
		if err := l.Stored(t.Context(), storedTask(bob, revise(t, l, bob), nick("Bob"))); err != nil {
			t.Fatal(err) // and nothing was ever applied
		}
		for i := range 2500 { // more than two steps
			target := ledger.Target{Organisation: "lakeside", API: "nickname", Key: fmt.Sprint("chat9/u", i)}
			if err := rdb.HSet(t.Context(), "rollcall:{lakeside/nickname}:target:"+target.Key, "r:nickname", 5, "v:nickname", fmt.Sprint("Name", i)).Err(); err != nil {
				t.Fatal(err)
			}
			if err := rdb.Do(t.Context(), "ZADD", "rollcall:{lakeside/nickname}:targets", 5, target.Key).Err(); err != nil {
				t.Fatal(err)
			}
		}
		for word, want := range map[string][]string{
			"小明": {"chat1/ann"}, "ANN": {"chat1/ann"}, "chat1/": {"chat1/ann", "chat1/bob"}, "name1234": {"chat9/u1234"}, "unknown": nil,
		} {
			if diff := cmp.Diff(want, finds(t, l, "nickname", word)); diff != "" {
				t.Errorf("%q (-want +got):\n%s", word, diff)
			}
		}
		if n := len(finds(t, l, "nickname", "")); n != 2502 {
			t.Errorf("%d targets", n)
		}
		if n := len(finds(t, l, "group", "")); n != 0 {
			t.Errorf("%d chats", n)
		}
		page, next, err := l.Find(t.Context(), "lakeside", "nickname", "chat9", "", 1)
		if err != nil || len(page) == 0 || len(page) > 2400 || next == "" {
			t.Errorf("a page of %d, next %q, %v", len(page), next, err)
		}
		if _, _, err := l.Find(t.Context(), "lakeside", "nickname", "", "x", 1); err == nil {
			t.Error("a cursor of somebody else was taken")
		}
	})
}

func TestTheTimeOfTheLastConfirmationIsKept(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		confirmed := func() time.Time {
			t.Helper()
			found, _, err := l.Find(t.Context(), "lakeside", "nickname", "", "", 10)
			if err != nil || len(found) != 1 {
				t.Fatalf("%+v, %v", found, err)
			}
			return found[0].Confirmed
		}
		ago := func() {
			t.Helper()
			if err := rdb.Do(t.Context(), "ZADD", "rollcall:{lakeside/nickname}:targets", "1000", ann.Key).Err(); err != nil {
				t.Fatal(err)
			}
		}
		want := func(what string) {
			t.Helper()
			if age := time.Since(confirmed()); age < -time.Minute || age > time.Minute {
				t.Errorf("%s: confirmed %s ago", what, age)
			}
			ago()
		}
		if err := l.Stored(t.Context(), storedTask(ann, revise(t, l, ann), nick("A"))); err != nil {
			t.Fatal(err)
		}
		if at := confirmed(); !at.IsZero() {
			t.Errorf("a stored change was confirmed at %s", at)
		}
		apply(t, l, ann, revise(t, l, ann), nick("A"))
		want("applied")
		wantDecision(t, l, ann, revise(t, l, ann), nick("A"), ledger.Unchanged)
		want("unchanged")
		raises(t, l, ledger.Raise{Target: ann, Fields: nick("A"), Revision: runRevision(t, l)})
		want("raised")
		// Its record has expired.
		if err := rdb.Del(t.Context(), annKey).Err(); err != nil {
			t.Fatal(err)
		}
		if got := finds(t, l, "nickname", ""); got != nil || rdb.Exists(t.Context(), "rollcall:{lakeside/nickname}:targets").Val() != 0 {
			t.Errorf("found %v", got)
		}
	})
}

func TestTargetsOfAnEarlierVersionAreIndexed(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		for _, target := range []ledger.Target{ann, bob, chat, {Organisation: "lake*", API: "nickname", Key: "c/u"}} {
			apply(t, l, target, revise(t, l, target), nick("A"))
			if err := rdb.Del(t.Context(), "rollcall:{"+target.Organisation+"/"+target.API+"}:targets").Err(); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 2 {
			added := 0
			for cursor, step := uint64(0), 0; step == 0 || cursor != 0; step++ {
				n, next, err := l.IndexTargets(t.Context(), "lakeside", "nickname", cursor)
				if err != nil {
					t.Fatal(err)
				}
				added, cursor = added+n, next
			}
			if want := 2 - 2*i; added != want {
				t.Errorf("%d were added, want %d", added, want)
			}
		}
		if diff := cmp.Diff([]string{"chat1/ann", "chat1/bob"}, finds(t, l, "nickname", "")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		found, _, err := l.Find(t.Context(), "lakeside", "nickname", "ann", "", 1)
		if age := time.Since(found[0].Confirmed); err != nil || age > time.Minute {
			t.Errorf("confirmed %s ago, %v", age, err)
		}
		if n, _, err := l.IndexTargets(t.Context(), "lake*", "nickname", 0); n != 1 || err != nil {
			t.Errorf("%d were added to another organisation, %v", n, err)
		}
	})
}

func TestADamagedIndexCostsItselfAlone(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		if err := rdb.Set(t.Context(), "rollcall:{lakeside/nickname}:targets", "a string", 0).Err(); err != nil {
			t.Fatal(err)
		}
		o := noted(t, l, ann, "task", 1, nick("A"))
		apply(t, l, ann, o.Revision, nick("A"))
		wantDecision(t, l, ann, revise(t, l, ann), nick("A"), ledger.Unchanged)
		if got := raises(t, l, ledger.Raise{Target: ann, Fields: nick("A"), Revision: runRevision(t, l)}); !got[0] {
			t.Error("not raised")
		}
		if _, _, err := l.Find(t.Context(), "lakeside", "nickname", "", "", 1); err == nil {
			t.Error("it was found")
		}
		damage, err := l.WrongTypes(t.Context(), ledger.LaneKeys("lakeside", "nickname", "dt.nickname"))
		if err != nil || len(damage) != 1 {
			t.Errorf("%v, %v", damage, err)
		}
	})
}

func TestForgettingATargetRemovesWhatIsRecordedOfIt(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		rev := revise(t, l, ann)
		apply(t, l, ann, rev, nick("A"))
		for _, want := range []bool{true, false} {
			if got, err := l.Forget(t.Context(), ann); got != want || err != nil {
				t.Errorf("forgotten: %t, %v; want %t", got, err, want)
			}
		}
		for _, key := range rdb.Keys(t.Context(), "*").Val() {
			if slices.Contains([]string{"rollcall:{lakeside/nickname}:ended:" + taskID(rev)}, key) {
				continue // for a minute
			}
			t.Errorf("%s is left", key)
		}
		wantDecision(t, l, ann, revise(t, l, ann), nick("A"), ledger.Send)
	})
}

func TestAForgottenTargetKeepsItsLockWithoutTheValue(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		person := ledger.Target{Organisation: "lakeside", API: "id", Key: "ann"}
		lease := begin(t, l, person, revise(t, l, person), id("zhangsan"))
		lease.Intend("zhangsan")
		gate(t, lease)
		settle(t, lease, false)
		if got, err := l.Forget(t.Context(), person); !got || err != nil {
			t.Fatalf("forgotten: %t, %v", got, err)
		}
		const key = "rollcall:{lakeside/id}:target:ann"
		fields := rdb.HKeys(t.Context(), key).Val()
		slices.Sort(fields)
		if diff := cmp.Diff([]string{"l:id", "rev"}, fields); diff != "" {
			t.Errorf("kept (-want +got):\n%s", diff)
		}
		_, _, err := l.Begin(t.Context(), delivery(person, revise(t, l, person), id("lisi")))
		if _, locked := errors.AsType[*ledger.LockedError](err); !locked {
			t.Errorf("another ID: %v, want a *LockedError", err)
		}
		// The lock has ended.
		if err := rdb.HSet(t.Context(), key, "l:id", "5 applied").Err(); err != nil {
			t.Fatal(err)
		}
		if got, err := l.Forget(t.Context(), person); !got || err != nil || rdb.Exists(t.Context(), key).Val() != 0 {
			t.Errorf("forgotten: %t, %v", got, err)
		}
	})
}

func TestATargetWithSomethingUnderwayIsNotForgotten(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		refused := func(target ledger.Target, want error) {
			t.Helper()
			if got, err := l.Forget(t.Context(), target); got || !errors.Is(err, want) {
				t.Errorf("forgotten: %t, %v; want %v", got, err, want)
			}
		}
		o := noted(t, l, ann, "task", 1, nick("A"))
		refused(ann, ledger.ErrWaits)
		if err := l.Close(t.Context(), ann, "task", o.Row); err != nil {
			t.Fatal(err)
		}
		lease := begin(t, l, ann, o.Revision, nick("A"))
		refused(ann, ledger.ErrUnderway)
		gate(t, lease)
		release(t, lease, ledger.Unanswered)
		refused(ann, ledger.ErrUnknownOutcome)
		apply(t, l, ann, revise(t, l, ann), nick("A"))
		if got, err := l.Forget(t.Context(), ann); !got || err != nil {
			t.Errorf("settled: forgotten: %t, %v", got, err)
		}
		note(t, l, "one", edit(t, l, "one"))
		refused(chat, ledger.ErrWaits)
		dead := noted(t, l, bob, "dead", 2, nick("B"))
		if err := l.Close(t.Context(), bob, "dead", dead.Row); err != nil {
			t.Fatal(err)
		}
		if got, err := l.Forget(t.Context(), bob); !got || err != nil {
			t.Errorf("a dead change: forgotten: %t, %v", got, err)
		}
	})
}

func TestAStepOfASearchKnowsValuesRevisionsAndTasksInOneCommand(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		rev := revise(t, l, ann)
		apply(t, l, ann, rev, nick("三年二班 王小明"))
		next := noted(t, l, ann, "waits", 1, nick("王大明"))
		const key = "rollcall:{lakeside/nickname}:target:chat9/damaged"
		if err := errors.Join(rdb.Set(t.Context(), key, "x", 0).Err(),
			rdb.Do(t.Context(), "ZADD", "rollcall:{lakeside/nickname}:targets", 0, "chat9/damaged", 0, "chat9/expired").Err()); err != nil {
			t.Fatal(err)
		}
		found, cursor, err := l.FindStep(t.Context(), "lakeside", "nickname", "小明", "")
		if err != nil || len(found) != 1 || cursor != "" {
			t.Fatalf("%+v, %q, %v", found, cursor, err)
		}
		want := map[string]ledger.State{"nickname": {Applied: rev, Value: "三年二班 王小明", Latest: next.Revision, TaskID: "waits"}}
		if diff := cmp.Diff(want, found[0].Fields); diff != "" || found[0].Target != ann || found[0].Confirmed.IsZero() {
			t.Errorf("%v, confirmed %s (-want +got):\n%s", found[0].Target, found[0].Confirmed, diff)
		}
		found, _, err = l.FindStep(t.Context(), "lakeside", "nickname", "chat9", "")
		if err != nil || len(found) != 1 || len(found[0].Damaged) != 1 {
			t.Errorf("a damaged and an expired target: %+v, %v", found, err)
		}
		if n := rdb.ZCard(t.Context(), "rollcall:{lakeside/nickname}:targets").Val(); n != 2 {
			t.Errorf("%d targets in the index, want 2: the expired one is removed", n)
		}
		for _, cursor := range []string{"x", "-1", "1;2"} {
			if _, _, err := l.FindStep(t.Context(), "lakeside", "nickname", "", cursor); err == nil {
				t.Errorf("cursor %q was taken", cursor)
			}
		}
	})
}

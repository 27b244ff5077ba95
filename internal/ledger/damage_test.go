package ledger_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
)

const annKey = "rollcall:{lakeside/nickname}:target:chat1/ann"

var bob = ledger.Target{Organisation: "lakeside", API: "nickname", Key: "chat1/bob"}

func change(target ledger.Target, value string) ledger.Change {
	return ledger.Change{Target: target, Fields: nick(value), TaskID: "task of " + target.Key + " " + value}
}

func tryBegin(t *testing.T, l *ledger.Ledger, target ledger.Target, revision int64, value string) error {
	t.Helper()
	lease, _, err := l.Begin(t.Context(), ledger.Delivery{TaskID: "task", Target: target, Revision: revision, Fields: nick(value)})
	if lease != nil {
		if err := lease.Release(t.Context(), ledger.Untouched); err != nil {
			t.Fatal(err)
		}
	}
	return err
}

func TestARevisionFromTheFutureIsRefusedUnlessItsTargetHasIt(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		now := revise(t, l, ann)
		const hour, day = int64(time.Hour / time.Microsecond), 24 * int64(time.Hour/time.Microsecond)
		if err := tryBegin(t, l, bob, now+day-hour, "a clock that runs 23 h ahead"); err != nil {
			t.Errorf("within a day: %v", err)
		}
		for _, rev := range []int64{now + day + hour, 1<<53 - 1} {
			err := tryBegin(t, l, ann, rev, "future")
			if e, ok := errors.AsType[*ledger.FutureError](err); !ok || e.Revision != rev {
				t.Errorf("revision %d: %v, want a *ledger.FutureError", rev, err)
			}
		}
		// After a step of the clock, ahead and back, the target's own revisions are ahead.
		if err := rdb.HSet(t.Context(), annKey, "rev", now+365*day).Err(); err != nil {
			t.Fatal(err)
		}
		next := revise(t, l, ann)
		if next != now+365*day+1 {
			t.Errorf("revision %d, want one above the last", next)
		}
		apply(t, l, ann, next, nick("after the step"))
		apply(t, l, ann, revise(t, l, ann), nick("and later"))
	})
}

func TestADamagedEntryOfATargetIsReportedAndHoldsThatTargetAlone(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		for _, entry := range []string{"rev", "n:nickname", "r:nickname"} {
			for _, value := range []string{"inf", "-inf", "nan", "1e300", "abc", "9007199254740992", "-5", "0x10", "", "1.5", "99999999999999999999"} {
				rev := revise(t, l, ann)
				apply(t, l, ann, rev, nick("before "+entry+value))
				before := rdb.HGetAll(t.Context(), annKey).Val()
				if err := rdb.HSet(t.Context(), annKey, entry, value).Err(); err != nil {
					t.Fatal(err)
				}
				revised := l.Revise(t.Context(), change(bob, "1"), change(ann, "1"), change(bob, "2"))
				if revised[0].Err != nil || revised[2].Err != nil {
					t.Errorf("%s=%q: the other target: %v, %v", entry, value, revised[0].Err, revised[2].Err)
				}
				wantDamaged(t, entry+"="+value, revised[1].Err, strconv.Quote(entry))
				if entry != "rev" {
					wantDamaged(t, entry+"="+value, tryBegin(t, l, ann, rev+1, "next"), strconv.Quote(entry))
				}
				r, err := l.Look(t.Context(), ann)
				if err != nil || len(r.Damaged) != 1 || !strings.Contains(r.Damaged[0].What, strconv.Quote(entry)) {
					t.Errorf("%s=%q: the record reports %v, %v", entry, value, r.Damaged, err)
				}
				rdb.Del(t.Context(), annKey)
				if err := rdb.HSet(t.Context(), annKey, before).Err(); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, entry := range []string{"until", "d:nickname", "q:nickname"} {
			if err := rdb.HSet(t.Context(), annKey, entry, "inf").Err(); err != nil {
				t.Fatal(err)
			}
			wantDamaged(t, entry, tryBegin(t, l, ann, revise(t, l, ann), "next"), strconv.Quote(entry))
			rdb.HDel(t.Context(), annKey, entry)
		}
		apply(t, l, ann, revise(t, l, ann), nick("repaired"))
	})
}

func wantDamaged(t *testing.T, what string, err error, entry string) {
	t.Helper()
	e, ok := errors.AsType[*ledger.DamagedError](err)
	if !ok || e.Key != annKey || !strings.Contains(err.Error(), "rollcall:{lakeside/nickname}:target:") || strings.Contains(err.Error(), "ann") || !strings.Contains(err.Error(), entry) || !strings.Contains(err.Error(), "rollcall repair") {
		t.Errorf("%s: %v, want a *ledger.DamagedError that names %s and %s", what, err, annKey, entry)
	}
}

// A revision that was applied and is still a number does not supersede honest changes for
// years.
func TestNewRevisionsBeginAboveTheAppliedOne(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		const far = int64(1) << 52
		if err := rdb.HSet(t.Context(), annKey, "r:nickname", far, "n:nickname", far+7, "rev", 5).Err(); err != nil {
			t.Fatal(err)
		}
		rev := l.Revise(t.Context(), change(ann, "new"))[0].Revision
		if rev != far+8 {
			t.Fatalf("revision %d, want %d", rev, far+8)
		}
		apply(t, l, ann, rev, nick("new"))
	})
}

func TestAKeyOfAnotherTypeHoldsItsTargetAlone(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		rev := revise(t, l, bob)
		if err := rdb.Set(t.Context(), annKey, "oops", 0).Err(); err != nil {
			t.Fatal(err)
		}
		revised := l.Revise(t.Context(), change(bob, "1"), change(ann, "1"), change(bob, "2"))
		if revised[0].Err != nil || revised[2].Err != nil {
			t.Errorf("the other target: %v, %v", revised[0].Err, revised[2].Err)
		}
		wantDamaged(t, "revise", revised[1].Err, "is a string, not a hash")
		wantDamaged(t, "begin", tryBegin(t, l, ann, rev, "x"), "is a string, not a hash")
		r, err := l.Look(t.Context(), ann)
		if err != nil || len(r.Damaged) != 1 || r.Damaged[0].Key != annKey {
			t.Errorf("the record reports %v, %v", r.Damaged, err)
		}
		err = l.Stored(t.Context(), storedTask(bob, revised[0].Revision, nick("1")), storedTask(ann, 7, nick("1")), storedTask(bob, revised[2].Revision, nick("2")))
		wantDamaged(t, "stored", err, "is a string, not a hash")
		if r, err := l.Look(t.Context(), bob); err != nil || r.Fields["nickname"].Latest != revised[2].Revision {
			t.Errorf("the other target's latest change is %d, want %d (%v)", r.Fields["nickname"].Latest, revised[2].Revision, err)
		}
	})
}

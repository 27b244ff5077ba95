package ledger_test

import (
	"testing"
	"time"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
)

const floorKey = "rollcall:{lakeside/nickname}:floor"

func runRevision(t *testing.T, l *ledger.Ledger) int64 {
	t.Helper()
	rev, err := l.RunRevision(t.Context(), "lakeside", "nickname")
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

func TestALaterRevisionIsAboveThatOfARun(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		before := revise(t, l, bob)
		run := runRevision(t, l)
		if run < before {
			t.Errorf("the run has revision %d, an earlier change %d", run, before)
		}
		if keys := rdb.Keys(t.Context(), "*target:chat1/ann*").Val(); len(keys) > 0 {
			t.Errorf("a target was created: %v", keys)
		}
		// Redis' clock was two hours ahead when the run began, and was set back.
		ahead := run + 2*time.Hour.Microseconds()
		if err := rdb.Set(t.Context(), floorKey, ahead, 0).Err(); err != nil {
			t.Fatal(err)
		}
		if rev := revise(t, l, ann); rev != ahead+1 {
			t.Errorf("a later change of a new target has revision %d, want %d", rev, ahead+1)
		}
		if rev := revise(t, l, bob); rev != ahead+1 {
			t.Errorf("a later change of a known target has revision %d, want %d", rev, ahead+1)
		}
		if rev := runRevision(t, l); rev != ahead+1 {
			t.Errorf("the next run has revision %d, want %d", rev, ahead+1)
		}
		if other := revise(t, l, ledger.Target{Organisation: "lakeside", API: "group", Key: "chat1"}); other >= ahead {
			t.Errorf("another API has revision %d", other)
		}
		if left := rdb.PTTL(t.Context(), floorKey).Val(); left <= 24*time.Hour || left > 48*time.Hour {
			t.Errorf("the floor is kept for %s", left)
		}
	})
}

func TestAFloorThatNoClockCanHaveHandedOutIsIgnored(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := ledger.New(rdb)
		now := runRevision(t, l)
		day := 24 * time.Hour.Microseconds()
		for _, floor := range []any{now + 2*day, "9007199254740991", "inf", "1e300", "abc", "-5", "", "1.5", nil} {
			err := rdb.Set(t.Context(), floorKey, floor, 0).Err()
			if floor == nil {
				rdb.Del(t.Context(), floorKey)
				err = rdb.LPush(t.Context(), floorKey, "a list").Err()
			}
			if err != nil {
				t.Fatal(err)
			}
			if rev := revise(t, l, ann); rev > now+day {
				t.Errorf("floor %v: a change has revision %d, now is %d", floor, rev, now)
			}
			if rev := runRevision(t, l); rev > now+day {
				t.Errorf("floor %v: a run has revision %d, now is %d", floor, rev, now)
			}
		}
	})
}

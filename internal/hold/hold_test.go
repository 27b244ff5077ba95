package hold_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/hold"
	"rollcall/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

var (
	began = time.Date(2026, 3, 1, 3, 12, 0, 0, time.UTC)
	lane  = hold.Scope{Level: hold.Lane, Name: "dt.nickname"}
	// likeness ignores the unexported fields, which differ between a hold that was put
	// and one that was read.
	likeness = cmpopts.IgnoreUnexported(hold.Hold{})
)

func refused(scope hold.Scope) hold.Hold {
	return hold.Hold{
		Scope: scope, Class: hold.Refused, Reason: "40014: the app secret is wrong", Since: began, By: "worker-1", Probe: hold.ByToken,
	}
}

func operator(scope hold.Scope) hold.Hold {
	return hold.Hold{Scope: scope, Class: hold.Operator, Reason: "the school is being renamed", Since: began, By: "ann@desk"}
}

func put(t *testing.T, b *hold.Store, h hold.Hold, want hold.Change) hold.Hold {
	t.Helper()
	stored, change, err := b.Put(t.Context(), h)
	if err != nil || change != want {
		t.Fatalf("put %s: %s, %v; want %s", h.Scope, change, err, want)
	}
	return stored
}

// reread returns what another process reads.
func reread(t *testing.T, rdb redis.UniversalClient) []hold.Hold {
	t.Helper()
	b := hold.NewStore(rdb)
	if err := b.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b.All()
}

func TestExactlyOneOfManyCallersOfPutGetsEntered(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		var entered, same atomic.Int64
		var workers sync.WaitGroup
		for range 20 {
			workers.Go(func() {
				switch _, change, err := hold.NewStore(rdb).Put(t.Context(), refused(lane)); {
				case err != nil:
					t.Error(err)
				case change == hold.Entered:
					entered.Add(1)
				case change == hold.Same:
					same.Add(1)
				}
			})
		}
		workers.Wait()
		if entered.Load() != 1 || same.Load() != 19 {
			t.Errorf("%d callers got Entered and %d Same, want 1 and 19", entered.Load(), same.Load())
		}
	})
}

func TestAHoldNeedsAScopeAClassAndAReason(t *testing.T) {
	t.Parallel()
	b := hold.NewStore(redistest.Mini(t).Client(t))
	for what, spoil := range map[string]func(*hold.Hold){
		"level": func(h *hold.Hold) { h.Level = "" }, "name": func(h *hold.Hold) { h.Name = "" },
		"class": func(h *hold.Hold) { h.Class = "" }, "reason": func(h *hold.Hold) { h.Reason = "" },
	} {
		h := refused(lane)
		spoil(&h)
		if _, _, err := b.Put(t.Context(), h); err == nil {
			t.Errorf("a hold without a %s was put", what)
		}
	}
}

// A platform's text may be in any encoding, but the lane must still be held.

func TestAReasonWithInvalidUTF8IsAccepted(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		h := refused(lane)
		h.Reason = "40014: \xb2\xbb\xba\xcf\xb7\xa8"
		put(t, hold.NewStore(s.Client(t)), h, hold.Entered)
		if all := reread(t, s.Client(t)); len(all) != 1 || !strings.HasPrefix(all[0].Reason, "40014: \ufffd") {
			t.Errorf("read are %+v", all)
		}
	})
}

func TestAHoldThatContinuesKeepsItsStartAndItsProbes(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		b := hold.NewStore(rdb)
		first := put(t, b, refused(lane), hold.Entered)
		claimed, mine, err := b.Claim(t.Context(), first, first.Next, "worker-1")
		if err != nil || !mine {
			t.Fatalf("claim: %t, %v", mine, err)
		}

		again := refused(lane)
		again.Since, again.By = began.Add(time.Hour), "worker-2"
		if diff := cmp.Diff(claimed, put(t, hold.NewStore(rdb), again, hold.Same), likeness); diff != "" {
			t.Errorf("put once more, -before +after:\n%s", diff)
		}

		again.Until = began.Add(2 * time.Hour)
		want := claimed
		want.Until, want.By = again.Until, again.By
		if diff := cmp.Diff(want, put(t, b, again, hold.Same), likeness); diff != "" {
			t.Errorf("with another end, -want +got:\n%s", diff)
		}

		again.Reason = "88: no permission"
		want.Reason = again.Reason
		if diff := cmp.Diff(want, put(t, b, again, hold.Changed), likeness); diff != "" {
			t.Errorf("with another reason, -want +got:\n%s", diff)
		}
		if diff := cmp.Diff([]hold.Hold{want}, reread(t, rdb), likeness); diff != "" {
			t.Errorf("read by another, -want +got:\n%s", diff)
		}
	})
}

func TestAHoldOfAnotherClassKeepsNothingOfTheOneBefore(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*hold.Hold){
		"another class": func(h *hold.Hold) { h.Class = hold.Failing },
		"another probe": func(h *hold.Hold) { h.Probe, h.Reason = hold.ByTask, "88: no permission" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redistest.Each(t, func(t *testing.T, s *redistest.Server) {
				b := hold.NewStore(s.Client(t))
				before := refused(lane)
				before.Until, before.Bulk = began.Add(24*time.Hour), true
				before = put(t, b, before, hold.Entered)
				if _, mine, err := b.Claim(t.Context(), before, before.Next, "worker-1"); err != nil || !mine {
					t.Fatalf("claim: %t, %v", mine, err)
				}
				after := refused(lane)
				after.Since = began.Add(time.Hour)
				change(&after)
				want := after
				want.Next = want.Since.Add(want.Wait(0))
				if diff := cmp.Diff(want, put(t, b, after, hold.Changed), likeness); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			})
		})
	}
}

func TestAPersonsHoldWithAnotherEndIsChanged(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		b := hold.NewStore(s.Client(t))
		put(t, b, operator(lane), hold.Entered)
		put(t, b, operator(lane), hold.Same)
		longer := operator(lane)
		longer.Until = began.Add(time.Hour)
		put(t, b, longer, hold.Changed)
		longer.Bulk = true
		put(t, b, longer, hold.Changed)
	})
}

func TestAnExpiredHoldDoesNotContinue(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		b := hold.NewStore(s.Client(t))
		spent := hold.Hold{Scope: lane, Class: hold.Quota, Reason: "the day's calls are spent", Since: began, Until: began.Add(time.Hour), By: "worker-1"}
		put(t, b, spent, hold.Entered)
		spent.Since, spent.Until = began.Add(time.Hour), began.Add(25*time.Hour)
		if diff := cmp.Diff(spent, put(t, b, spent, hold.Entered), likeness); diff != "" {
			t.Errorf("the next day, -want +got:\n%s", diff)
		}
	})
}

func TestAHoldThatWasChangedSinceItWasReadIsNotLifted(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		mine, other := hold.NewStore(rdb), hold.NewStore(rdb)
		known := put(t, mine, refused(lane), hold.Entered)
		changed := refused(lane)
		changed.Reason = "88: no permission"
		put(t, other, changed, hold.Changed)
		if ended, err := mine.End(t.Context(), known, "worker-1"); ended || err != nil {
			t.Errorf("ended by a caller that read another reason: %t, %v", ended, err)
		}
		if all := reread(t, rdb); len(all) != 1 || all[0].Reason != changed.Reason {
			t.Errorf("left is %+v", all)
		}
		now := other.Of(lane)[0]
		for _, want := range []bool{true, false} {
			if ended, err := other.End(t.Context(), now, "worker-2"); ended != want || err != nil {
				t.Errorf("ended: %t, %v; want %t", ended, err, want)
			}
		}
		if all := reread(t, rdb); len(all) != 0 {
			t.Errorf("left is %+v", all)
		}
	})
}

func TestAPersonsHoldAndAWorkersHoldCoexist(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		b := hold.NewStore(rdb)
		person := operator(lane)
		person.Bulk = true
		put(t, b, person, hold.Entered)
		put(t, b, refused(lane), hold.Entered)
		put(t, b, refused(hold.Scope{Level: hold.Tenant, Name: "ci"}), hold.Entered)
		classes := func() (all []hold.Class) {
			if err := b.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, h := range b.Of(hold.Scope{Level: hold.Tenant, Name: "dt"}, lane) {
				all = append(all, h.Class)
			}
			return all
		}
		if diff := cmp.Diff([]hold.Class{hold.Refused, hold.Operator}, classes()); diff != "" {
			t.Errorf("order by scope, -want +got:\n%s", diff)
		}
		if ended, err := b.End(t.Context(), b.Of(lane)[1], "ann"); !ended || err != nil {
			t.Fatalf("end the hold of a person: %t, %v", ended, err)
		}
		if diff := cmp.Diff([]hold.Class{hold.Refused}, classes()); diff != "" {
			t.Errorf("without the person's, -want +got:\n%s", diff)
		}
	})
}

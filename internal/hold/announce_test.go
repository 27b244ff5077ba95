package hold_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/hold"
	"rollcall/internal/redistest"
)

func TestEachHoldIsAnnouncedOnceByAnyWorker(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		one, two := hold.NewStore(rdb), hold.NewStore(rdb)
		now := time.Now()
		full := errors.New("Redis is full")
		fail := ""
		announced := func(b *hold.Store, now time.Time) (got []string) {
			t.Helper()
			err := b.Announce(t.Context(), now, func(_ context.Context, h hold.Hold) error {
				if h.Name == fail {
					return full
				}
				got = append(got, h.String()+": "+string(h.Class))
				return nil
			})
			if fail == "" && err != nil || fail != "" && !errors.Is(err, full) {
				t.Errorf("returned %v", err)
			}
			return got
		}
		want := func(step string, got []string, want ...string) {
			t.Helper()
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", step, diff)
			}
		}
		put := func(h hold.Hold) hold.Hold {
			t.Helper()
			h, _, err := one.Put(t.Context(), h)
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
		want("at first", announced(one, now))
		lane := hold.Hold{Scope: hold.Scope{Level: hold.Lane, Name: "dt.nickname"}, Class: hold.Operator, Reason: "maintenance", By: "ann"}
		put(lane)
		put(hold.Hold{Scope: hold.Scope{Level: hold.Tenant, Name: "ci"}, Class: hold.Refused, Reason: "no permission", By: "w1"})
		fail = "ci"
		want("two holds, one failed", announced(one, now), "lane dt.nickname: operator")
		fail = ""
		want("another worker announces the other", announced(two, now), "tenant ci: refused")
		lane.Reason = "more maintenance"
		put(lane)
		want("with another reason", announced(one, now))
		want("days later", announced(two, now.Add(30*time.Hour)))
		want("and later", announced(two, now.Add(60*time.Hour)))
		if err := one.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		held := one.Of(lane.Scope)[0]
		if done, err := one.End(t.Context(), held, "ann"); !done || err != nil {
			t.Fatal(done, err)
		}
		lane.Since = now.Add(time.Minute)
		put(lane)
		want("a new hold of the same lane", announced(two, now.Add(time.Minute)), "lane dt.nickname: operator")
		lane.Name, lane.Since = "old.nickname", now.Add(-25*time.Hour)
		put(lane)
		want("a hold that began yesterday, before there was a webhook", announced(two, now.Add(time.Minute)))
	})
}

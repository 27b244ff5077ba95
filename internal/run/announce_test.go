package run_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/redistest"
	"rollcall/internal/run"
)

// announced returns what Announce reports now, sorted: runs of one millisecond have no order.
func announced(r *rig, service *run.Service) []string {
	r.t.Helper()
	var all []string
	err := service.Announce(r.t.Context(), func(_ context.Context, a run.Announcement) error {
		all = append(all, fmt.Sprint(a.Run.ID, " ", a.State, " ", a.At.IsZero()))
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

func TestRunsThatEndAreHeldOrPausedAreAnnouncedOnce(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s, 3)
		want := func(step string, want ...string) {
			t.Helper()
			slices.Sort(want)
			if diff := cmp.Diff(want, announced(r, r.service)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", step, diff)
			}
		}
		want("at first")
		one, two := r.apply(free(), nicknames("A")), r.plan(free(), nicknames("B"))
		want("planned and applied")
		r.must(r.service.Pause(t.Context(), one.ID, "ann", "lunch"))
		want("paused", one.ID+" paused false")
		want("announced once")
		r.must(r.service.Resume(t.Context(), one.ID, "ann"))
		r.must(r.service.Pause(t.Context(), one.ID, "ann", "tea"))
		r.must(r.service.Cancel(t.Context(), one.ID, "ann", ""))
		r.must(r.service.Reject(t.Context(), two.ID, "ann", ""))
		// States that a run has left are announced, too.
		want("paused again, cancelled and rejected", one.ID+" cancelled false", one.ID+" paused false", two.ID+" rejected false")
		want("announced once")
	})
}

func TestAnAnnouncementThatFailsIsRepeatedAndOthersAreNot(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 3)
	one, two := r.plan(free(), nicknames("A")), r.plan(free(), nicknames("B"))
	r.must(r.service.Reject(t.Context(), one.ID, "ann", ""))
	r.must(r.service.Reject(t.Context(), two.ID, "ann", ""))
	full := errors.New("Redis is full")
	err := r.service.Announce(t.Context(), func(_ context.Context, a run.Announcement) error {
		if a.Run.ID == two.ID {
			return full
		}
		return nil
	})
	if !errors.Is(err, full) {
		t.Errorf("returned %v", err)
	}
	if diff := cmp.Diff([]string{two.ID + " rejected false"}, announced(r, r.service)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A writer that is killed after it listed a run and before it wrote its state leaves an
// entry without a state. It must stay until no writer can be that late.
func TestAnEntryWithoutAStateStaysAMinute(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 3)
	one := r.plan(free(), nicknames("A"))
	const key = "rollcall:runs:announce"
	r.must(r.service.Reject(t.Context(), one.ID, "ann", ""))
	announced(r, r.service)
	listed := func() int64 {
		n, err := r.rdb.ZCard(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if listed() != 1 {
		t.Error("a fresh entry was removed")
	}
	if err := r.rdb.ZIncrBy(t.Context(), key, -61_000, one.ID).Err(); err != nil {
		t.Fatal(err)
	}
	if announced(r, r.service); listed() != 0 {
		t.Error("an entry of a minute ago is still there")
	}
}

func TestStatesOfTheDayBeforeAreNotAnnounced(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 3)
	one := r.plan(free(), nicknames("A"))
	r.must(r.service.Reject(t.Context(), one.ID, "ann", ""))
	old := strconv.FormatInt(time.Now().Add(-25*time.Hour).UnixMicro(), 10)
	if err := r.rdb.HSet(t.Context(), "rollcall:{run:"+one.ID+"}:run", "announce:rejected", old).Err(); err != nil {
		t.Fatal(err)
	}
	if got := announced(r, r.service); got != nil {
		t.Errorf("announced %v", got)
	}
}

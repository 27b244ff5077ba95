package night_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/night"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
)

// record is the key of the record of a member of chat1.
func record(user string) string {
	return "rollcall:{" + organisation + "/nickname}:target:chat1/" + user
}

// age writes how many days ago a name was confirmed, and how. 0: that is not known.
func (r *rig) age(user string, days int, how string) {
	r.t.Helper()
	at := "0"
	if days > 0 {
		at = strconv.FormatInt(r.rdb.Time(r.t.Context()).Val().AddDate(0, 0, -days).Unix(), 10)
	}
	entries := []any{"at", at}
	if how != "" {
		entries = append(entries, "e:nickname", how)
	}
	if err := r.rdb.HSet(r.t.Context(), record(user), entries...).Err(); err != nil {
		r.t.Fatal(err)
	}
}

// refreshed are the members whose names are to be confirmed, in their order.
func (r *rig) refreshed() []string {
	r.t.Helper()
	all, err := r.rdb.ZRange(r.t.Context(), "rollcall:{"+organisation+"/nickname}:refresh:"+tenant, 0, -1).Result()
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

// calledSince are the members that calls were about, but for the first ones.
func (r *rig) calledSince(first int) []string {
	var all []string
	for _, e := range r.box.Effects()[first:] {
		all = append(all, e.Target.Chat+"/"+e.Target.User)
	}
	return all
}

func TestTheWeakestNamesAreConfirmedWithTheSpareCallsOfTheMonth(t *testing.T) {
	t.Parallel()
	long(t)
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		school := class("chat1", 1, 7)
		r := newRig(t, s, school)
		r.quota, r.resendAfter = pace.Quota{Calls: 1000}, time.Second
		r.work()
		r.whole(1)
		r.age("u1", 40, "")
		r.age("u2", 50, "")
		r.age("u3", 31, "doubt")
		r.age("u4", 35, "stated")
		r.age("u5", 0, "")
		r.age("u6", 2, "")
		r.age("u7", 60, "")
		r.roll.members = rename(school, "u7", "Ada") // changes, so that it is confirmed anyway
		// 993 calls are left, one is for u7, and the 27 nights after this one need 7 each: 803 are
		// spare, and 11 % of them over 28 nights are 3 a night.
		r.night.Refresh = night.Refresh{Percent: 11, After: 30 * 24 * time.Hour}
		got := r.whole(2)
		want := &night.Evidence{Answered: 3, Doubt: 1, Stated: 1, Unknown: 1, Refresh: 3}
		if got.Evidence != nil {
			want.Oldest = got.Evidence.Oldest
		}
		if diff := cmp.Diff(want, got.Evidence); diff != "" {
			t.Errorf("the evidence (-want +got):\n%s", diff)
		}
		if ago := r.rdb.Time(t.Context()).Val().Sub(want.Oldest).Round(24 * time.Hour); ago != 50*24*time.Hour {
			t.Errorf("the oldest name was confirmed %s ago, want 50 days", ago)
		}
		if got.Planned != 1 || got.Unchanged != 6 {
			t.Errorf("the night is %+v", got)
		}
		r.eventually(func() error {
			if all := r.calledSince(7); len(all) < 4 {
				return fmt.Errorf("%v were confirmed", all)
			}
			return nil
		})
		// The change of u7 and these calls do not wait for each other.
		called := slices.DeleteFunc(r.calledSince(7), func(target string) bool { return target == "chat1/u7" })
		if diff := cmp.Diff([]string{"chat1/u5", "chat1/u4", "chat1/u3"}, called); diff != "" {
			t.Errorf("confirmed (-want +got):\n%s", diff)
		}
		r.night.Refresh.Percent = 0
		if got := r.whole(3); got.Evidence.Answered != 7 || got.Evidence.Refresh != 0 || got.Planned != 0 || r.calls() != 11 {
			t.Errorf("the next night is %+v, %+v after %d calls", got, got.Evidence, r.calls())
		}
	})
}

func TestNoNameIsConfirmedWithoutSpareCalls(t *testing.T) {
	t.Parallel()
	long(t)
	for name, row := range map[string]struct {
		quota   pace.Quota
		percent int
		want    int
	}{
		"nothing is configured":          {pace.Quota{Calls: 1000}, 0, 0},
		"the month has no quota":         {pace.Quota{}, 100, 0},
		"the month is spent":             {pace.Quota{Calls: 4}, 100, 0},
		"the rest is a reserve":          {pace.Quota{Calls: 1000, Reserve: 996}, 100, 0},
		"the nights to come need it all": {pace.Quota{Calls: 4 + 27*4}, 100, 0},
		"it suffices for a name a night": {pace.Quota{Calls: 4 + 27*4 + 28}, 100, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, redistest.One(t), class("chat1", 1, 4))
			r.quota = row.quota // no worker of the test confirms
			r.work()
			r.whole(1)
			for i := range 4 {
				r.age(fmt.Sprintf("u%d", i+1), 100+i, "")
			}
			r.night.Refresh.Percent = row.percent
			got := r.whole(2)
			if got.Evidence == nil || got.Evidence.Refresh != row.want || len(r.refreshed()) != row.want {
				t.Errorf("%+v, and %v are to be confirmed, want %d", got.Evidence, r.refreshed(), row.want)
			}
			if row.want == 0 {
				return
			}
			if diff := cmp.Diff([]string{"chat1/u4"}, r.refreshed()); diff != "" {
				t.Errorf("to be confirmed (-want +got):\n%s", diff)
			}
			if err := r.set.SetQuota(t.Context(), organisation, pace.Quota{Calls: 4}); err != nil {
				t.Fatal(err)
			}
			if got := r.whole(3); got.Evidence.Refresh != 0 || len(r.refreshed()) != 0 {
				t.Errorf("once the month is spent: %+v, and %v are to be confirmed", got.Evidence, r.refreshed())
			}
		})
	}
}

func TestAHeldNightConfirmsNoName(t *testing.T) {
	t.Parallel()
	long(t)
	school := class("chat1", 1, 30)
	r := newRig(t, redistest.One(t), school)
	r.quota = pace.Quota{Calls: 5000}
	r.work()
	r.whole(1)
	r.age("u1", 100, "")
	r.night.Refresh.Percent = 100
	r.roll.members = school[:15]
	if got := r.run(2); got.State != night.StateHeld || got.Evidence.Refresh != 0 || len(r.refreshed()) != 0 {
		t.Errorf("%+v, %+v, and %v are to be confirmed", got, got.Evidence, r.refreshed())
	}
}

// carried is of how many changes it is known since when they wait.
func (r *rig) carried() int64 {
	return r.rdb.HLen(r.t.Context(), "rollcall:{night:"+r.night.Name+"}:carried").Val()
}

// Of changes that are equal otherwise, the one that has waited longest is sent first, where
// it stands in the file.
func TestTheMonthPaysForTheOldestChangesFirst(t *testing.T) {
	t.Parallel()
	long(t)
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		school := class("chat1", 1, 6)
		r := newRig(t, s, school)
		r.quota = pace.Quota{Calls: 6}
		r.work()
		r.whole(1)
		r.roll.members = rename(school, "u5", "Ada")
		if got := r.whole(2); got.CarriedOver != 1 || got.Planned != 0 || got.State != night.StateDone {
			t.Fatalf("the first night that the month cannot pay for is %+v", got)
		}
		r.roll.members = rename(r.roll.members, "u1", "Bob")
		if got := r.whole(3); got.CarriedOver != 2 || got.Planned != 0 {
			t.Fatalf("the second night that the month cannot pay for is %+v", got)
		}
		if err := r.set.SetQuota(t.Context(), organisation, pace.Quota{Calls: 7}); err != nil {
			t.Fatal(err)
		}
		if got := r.whole(4); got.CarriedOver != 1 || got.Applied != 1 {
			t.Fatalf("the night with a call is %+v", got)
		}
		if platform := r.platform(); platform["chat1/u5"] != "Ada" || platform["chat1/u1"] != "Student 1" {
			t.Errorf("the names are %v: want that of u5 changed, which waited longer", platform)
		}
		// The run of the night might have been replaced before it sent the row of u5.
		if n := r.carried(); n != 2 {
			t.Errorf("%d changes are known to wait, want 2 until the next night has seen that of u5 applied", n)
		}
		if got := r.whole(5); got.CarriedOver != 1 || r.carried() != 1 {
			t.Errorf("the next night is %+v, and %d changes are known to wait", got, r.carried())
		}
	})
}

package night_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/night"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
)

func TestMembersAreRemovedFromManagedChatsAfterSomeNightsAndRestored(t *testing.T) {
	t.Parallel()
	long(t)
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		school := slices.Concat(class("chat1", 1, 5), class("chat2", 6, 10))
		r := newRig(t, s, school)
		r.night.Absence = night.Absence{Nights: 2, Chats: []string{"chat1"}}
		r.work()
		r.whole(1)

		r.roll.members = without(school, "u1", "u6") // of a managed chat, and of another
		if got := r.whole(2); got.Missing != 2 || got.Removed != 0 || got.Planned != 0 {
			t.Fatalf("the first night without them is %+v", got)
		}
		if got := r.whole(3); got.Removed != 1 || got.Applied != 1 || got.State != night.StateDone {
			t.Fatalf("the second night without them is %+v", got)
		}
		if got := r.whole(4); got.Planned != 0 {
			t.Fatalf("the third night without them is %+v", got)
		}
		platform := r.platform()
		if _, there := platform["chat1/u1"]; there {
			t.Error("u1 is still in the managed chat")
		}
		if _, there := platform["chat2/u6"]; !there {
			t.Error("u6 was removed from a chat that is not managed")
		}

		r.roll.members = school
		if got := r.whole(5); got.Restored != 1 || got.Returned != 1 || got.Applied != 1 {
			t.Fatalf("the night on which they are back is %+v", got)
		}
		if got := r.whole(6); got.Applied != 1 || got.Drift != 0 {
			t.Fatalf("the night after that is %+v", got)
		}
		if diff := cmp.Diff(names(school), r.platform()); diff != "" {
			t.Errorf("names on the platform (-roster +platform):\n%s", diff)
		}
		if got := r.whole(7); got.Planned != 0 {
			t.Errorf("the last night is %+v", got)
		}
	})
}

func TestAbsenceCountsInCompleteReadingsAlone(t *testing.T) {
	t.Parallel()
	long(t)
	school := class("chat1", 1, 5)
	r := newRig(t, redistest.One(t), school)
	r.night.Absence = night.Absence{Nights: 2, Chats: []string{"chat1"}}
	r.work()
	r.whole(1)
	r.roll.members = without(school, "u1")
	r.whole(2)
	r.roll.why = "page 2 is missing"
	held := r.run(3)
	if held.State != night.StateHeld || held.Missing != 0 || held.Removed != 0 {
		t.Fatalf("the incomplete night is %+v", held)
	}
	r.approve(held)
	r.until(3, func(got night.Report) bool { return got.State == night.StateDone })
	r.roll.why = ""
	r.roll.members = school // back on the second complete night: never removed
	if got := r.whole(4); got.Removed != 0 || got.Returned != 1 || got.Planned != 0 {
		t.Errorf("the night on which they are back is %+v", got)
	}
	if n := len(r.platform()); n != 5 {
		t.Errorf("the chat has %d members, want 5", n)
	}
}

func TestAbsenceDoesNotCountWhileARowNamesNoMember(t *testing.T) {
	t.Parallel()
	long(t)
	school := class("chat1", 1, 5)
	r := newRig(t, redistest.One(t), school)
	r.night.Absence = night.Absence{Nights: 1, Chats: []string{"chat1"}}
	r.work()
	r.whole(1)
	r.roll.members = slices.Clone(school)
	r.roll.members[0].user = "" // it may be u1, or not
	if got := r.whole(2); got.Missing != 0 || got.Removed != 0 || got.Impossible != 1 || got.Why == "" {
		t.Errorf("the night with a row that names no member is %+v", got)
	}
	r.roll.members[0] = member{chat: "", user: "u1", name: "Student 1"} // of a chat that is not known
	if got := r.whole(3); got.Missing != 0 || got.Removed != 0 || got.Impossible != 1 {
		t.Errorf("the night with a member of an unknown chat is %+v", got)
	}
	r.roll.members = school[1:]
	if got := r.whole(4); got.Missing != 1 || got.Removed != 1 {
		t.Errorf("the night without the member is %+v", got)
	}
}

func TestTheMonthPaysForChangedNamesFirst(t *testing.T) {
	t.Parallel()
	long(t)
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		school := class("chat1", 1, 12)
		r := newRig(t, s, school)
		r.quota = pace.Quota{Calls: 10}
		r.roll.members = school[:6]
		r.work()
		if got := r.whole(1); got.Applied != 6 || got.CarriedOver != 0 {
			t.Fatalf("the first night is %+v", got)
		}
		r.roll.members = rename(rename(school, "u5", "Ada"), "u6", "Bob") // 6 new, 2 changed, 4 calls left
		got := r.whole(2)
		if got.Applied != 4 || got.CarriedOver != 4 || got.Drift != 4 || got.State != night.StateDone {
			t.Fatalf("the night that the month cannot pay for is %+v", got)
		}
		if f := got.Forecast; f == nil || f.Left != 0 || f.Nights != 0 {
			t.Errorf("the forecast is %+v, want no calls left", f)
		}
		platform := r.platform()
		if platform["chat1/u5"] != "Ada" || platform["chat1/u6"] != "Bob" || platform["chat1/u8"] != "Student 8" || platform["chat1/u9"] != "" {
			t.Errorf("the names are %v: the changed ones come first, then the first new ones", platform)
		}
		if got := r.whole(3); got.Planned != 0 || got.CarriedOver != 4 {
			t.Fatalf("a night without calls is %+v", got)
		}
		r.roll.members = append(slices.Clip(r.roll.members[6:12]), r.roll.members[:6]...) // another order of the file
		if err := r.set.SetQuota(t.Context(), organisation, pace.Quota{Calls: 100}); err != nil {
			t.Fatal(err)
		}
		if got := r.whole(4); got.Applied != 4 || got.CarriedOver != 0 || got.Drift != 0 {
			t.Fatalf("the night after the quota was raised is %+v", got)
		}
		if diff := cmp.Diff(names(r.roll.members), r.platform()); diff != "" {
			t.Errorf("names on the platform (-roster +platform):\n%s", diff)
		}
		if r.calls() != 14 {
			t.Errorf("%d calls were made for 14 changes", r.calls())
		}
	})
}

func TestARefusedValueIsSetAsideForAWeek(t *testing.T) {
	t.Parallel()
	long(t)
	r := newRig(t, redistest.One(t), rename(class("chat1", 1, 5), "u2", "forbidden"))
	r.work()
	got := r.whole(1)
	if got.Applied != 4 || len(got.Failed) != 1 || got.Drift != 1 {
		t.Fatalf("the first night is %+v", got)
	}
	calls := r.calls()
	if got := r.whole(2); got.Planned != 0 || len(got.SetAside) != 1 || got.Drift != 1 || r.calls() != calls {
		t.Errorf("the next night is %+v, after %d calls more", got, r.calls()-calls)
	}
	r.roll.members = rename(r.roll.members, "u2", "allowed")
	if got := r.whole(3); got.Applied != 1 || got.Drift != 0 {
		t.Errorf("the night with another value is %+v", got)
	}
	r.roll.members = rename(r.roll.members, "u3", "forbidden")
	r.whole(4)
	if got := r.whole(12); len(got.Failed) != 1 {
		t.Errorf("after a week the value is not tried again: %+v", got)
	}
}

func TestOthersAreNotifiedAsConfigured(t *testing.T) {
	t.Parallel()
	long(t)
	for notify, want := range map[night.Notify]int{night.NotifyAlways: 2, night.NotifyDecisions: 0, night.NotifyNever: 0} {
		t.Run(string(notify), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, redistest.One(t), class("chat1", 1, 2))
			r.night.Notify = notify
			r.work()
			r.whole(1)
			r.whole(2)
			if n := len(r.notified()); n != want {
				t.Errorf("others were notified %d times, want %d", n, want)
			}
		})
	}
}

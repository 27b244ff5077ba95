package night_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/kinds"
	"rollcall/internal/night"
	"rollcall/internal/redistest"
	"rollcall/internal/run"
	"rollcall/internal/source"
	"rollcall/tasks"
)

func TestAFullFirstNightIsFollowedByNightsThatSendDifferencesAlone(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		school := class("chat1", 1, 30)
		r := newRig(t, s, school)
		r.work()

		got := r.whole(1)
		if got.State != night.StateDone || got.Applied != 30 || got.Unchanged != 0 || got.Drift != 0 {
			t.Fatalf("the first night is %+v", got)
		}
		before := r.applied("u1")
		got = r.whole(2)
		if got.State != night.StateDone || got.Planned != 0 || got.Unchanged != 30 || r.calls() != 30 {
			t.Fatalf("a night without a change is %+v, after %d calls", got, r.calls())
		}
		if made, err := r.runs.Get(t.Context(), got.Run); err != nil || made.Rows != 0 || made.Name != "nightly" {
			t.Errorf("its run is %+v, %v; want one without rows, named after the schedule", made, err)
		}
		if now := r.applied("u1"); now <= before {
			t.Errorf("the applied revision of an unchanged row was %d and is %d: its record was not renewed", before, now)
		}

		r.roll.members = rename(school, "u7", "Grace Hopper")
		got = r.whole(3)
		if got.State != night.StateDone || got.Planned != 1 || got.Applied != 1 || got.Unchanged != 29 || r.calls() != 31 {
			t.Fatalf("a night with one changed row is %+v, after %d calls", got, r.calls())
		}
		if diff := cmp.Diff(names(r.roll.members), r.platform()); diff != "" {
			t.Errorf("names on the platform (-roster +platform):\n%s", diff)
		}
		if sent := r.notified(); len(sent) != 0 {
			t.Errorf("others were notified of %+v, though no one must decide", sent)
		}
	})
}

// applied returns the applied revision of a member's name in chat1.
func (r *rig) applied(user string) int64 {
	r.t.Helper()
	target, _ := kinds.Change(tasks.NicknameSync{Tenant: tenant, ChatID: "chat1", UserID: user}, organisation)
	record, err := r.ledger.Look(r.t.Context(), target)
	if err != nil {
		r.t.Fatal(err)
	}
	return record.Fields["nickname"].Applied
}

func TestATickMakesOneRun(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s, class("chat1", 1, 3)) // without a worker: its run stays where it is
		one, again := r.run(1), r.run(1)
		if one.Run == "" || again.Run != one.Run {
			t.Errorf("the runs of one tick are %q and %q, want one", one.Run, again.Run)
		}
		all, err := r.runs.List(t.Context(), run.Filter{})
		if err != nil || len(all) != 1 {
			t.Errorf("there are %d runs, %v", len(all), err)
		}
	})
}

func TestAnOlderTickDoesNothingAfterANewerOne(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.Mini(t), class("chat1", 1, 3))
	r.roll.err = fault(source.Missing)
	r.at(nightOf(1))
	if _, err := r.nights.Run(t.Context(), r.night, nightOf(1)); err == nil {
		t.Fatal("a missing file is not read again")
	}
	r.roll.err = nil
	newer := r.run(2)
	older, err := r.nights.Run(t.Context(), r.night, nightOf(1))
	if err != nil || older.State != night.StateReplaced || older.Run != "" {
		t.Errorf("the older tick is %+v, %v; want it replaced", older, err)
	}
	if made, err := r.runs.Get(t.Context(), newer.Run); err != nil || made.State.Ended() {
		t.Errorf("the run of the newer tick is %s, %v", made.State, err)
	}
}

func TestANewerNightReplacesUnfinishedRows(t *testing.T) {
	t.Parallel()
	long(t)
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		school := class("chat1", 1, 3)
		r := newRig(t, s, school) // no worker yet: nothing of the first night is sent
		old := r.run(1)
		r.roll.members = rename(school, "u2", "Ada")
		newer := r.run(2)
		if newer.Run == old.Run || newer.Planned != 3 {
			t.Fatalf("the newer night is %+v", newer)
		}
		if got := r.report(1); got.State != night.StateReplaced {
			t.Errorf("the older night is %s, want replaced", got.State)
		}
		r.work()
		if got := r.settled(2); got.Applied != 3 || r.calls() != 3 {
			t.Errorf("the newer night is %+v, after %d calls", got, r.calls())
		}
		if diff := cmp.Diff(names(r.roll.members), r.platform()); diff != "" {
			t.Errorf("names on the platform (-roster +platform):\n%s", diff)
		}
	})
}

// Whether a name that was never sent differs from the platform's is unknown.
func TestDriftOfAHeldNightCountsChangesOfKnownNames(t *testing.T) {
	t.Parallel()
	long(t)
	school := class("chat1", 1, 8)
	r := newRig(t, redistest.Mini(t), school)
	r.roll.members = school[:5]
	r.work()
	r.whole(1)
	r.roll.members = rename(rename(school, "u1", "Ada"), "u2", "Bob") // 2 changed, 3 new
	r.roll.why = "page 2 is missing"
	held := r.run(2)
	if held.State != night.StateHeld || held.Planned != 5 || held.Drift != 2 {
		t.Fatalf("the held night is %+v, want 5 rows planned and a drift of 2", held)
	}
	r.approve(held)
	if got := r.until(2, func(got night.Report) bool { return got.State == night.StateDone }); got.Drift != 0 {
		t.Errorf("the approved night is %+v, want no drift", got)
	}
}

func TestASourceThatCannotBeUsedSendsNothing(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		spoil func(*roll)
		cause source.Cause
	}{
		{"refused", func(r *roll) { r.err = fault(source.Refused) }, source.Refused},
		{"malformed", func(r *roll) { r.err = fault(source.Malformed) }, source.Malformed},
		{"too large", func(r *roll) { r.err = fault(source.TooLarge) }, source.TooLarge},
		{"empty", func(r *roll) { r.members = nil }, source.Empty},
		{"wrong columns", func(r *roll) { r.columns = []string{"class", "who", "name"} }, source.Malformed},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, redistest.Mini(t), class("chat1", 1, 3))
			row.spoil(r.roll)
			got := r.run(1)
			if got.State != night.StateFailed || got.Cause != row.cause || len(got.Decide) != 1 || got.Run != "" {
				t.Errorf("the night is %+v, want failed because of %s", got, row.cause)
			}
			if all, err := r.runs.List(t.Context(), run.Filter{}); err != nil || len(all) != 0 {
				t.Errorf("it made %d runs, %v", len(all), err)
			}
			r.run(2)
			if sent := r.notified(); len(sent) != 1 || r.report(2).Again != 1 {
				t.Errorf("others were notified %d times of the same failure, want once; the second report: %+v", len(sent), r.report(2))
			}
		})
	}
}

func TestASourceThatIsDownIsReadAgainForAQuarterOfAnHour(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.Mini(t), class("chat1", 1, 3))
	r.roll.err = fault(source.Down)
	for _, after := range []time.Duration{0, time.Minute, 14 * time.Minute} {
		r.at(first.Add(after))
		if _, err := r.nights.Run(t.Context(), r.night, first); err == nil {
			t.Errorf("after %s the night does not want another attempt", after)
		}
		if got := r.report(1); got.State != night.StateWaiting {
			t.Errorf("after %s the night is %s", after, got.State)
		}
	}
	r.at(first.Add(16 * time.Minute))
	got, err := r.nights.Run(t.Context(), r.night, first)
	if err != nil || got.State != night.StateFailed || got.Cause != source.Down {
		t.Errorf("after 16 minutes: %+v, %v; want a report", got, err)
	}

	r.roll.err = fault(source.NotReady)
	r.at(nightOf(2))
	if _, err := r.nights.Run(t.Context(), r.night, nightOf(2)); err == nil {
		t.Error("a file that is still written is not read again")
	}
	r.roll.err = nil
	if got := r.run(2); got.State != night.StateSending || got.Planned != 3 {
		t.Errorf("once it is readable, the night is %+v", got)
	}
}

func TestSomethingThatLooksWrongHoldsTheNight(t *testing.T) {
	t.Parallel()
	school := slices.Concat(class("chat1", 1, 40), class("chat2", 41, 80))
	for _, row := range []struct {
		name  string
		spoil func(r *rig)
		guard string
	}{
		{"an incomplete reading", func(r *rig) { r.roll.why, r.roll.members = "page 3 is missing", school[:39] }, night.GuardIncomplete},
		{"an older file", func(r *rig) { r.roll.modified = first.Add(-48 * time.Hour) }, night.GuardOlder},
		{"an earlier content of a source without dates", func(r *rig) {
			r.roll.undated, r.roll.version = true, "2"
			r.whole(2)
			r.roll.version = "1"
		}, night.GuardOlder},
		{"a missing class", func(r *rig) { r.roll.members = school[:40] }, night.GuardShrunk},
		{"half of a small part of the school", func(r *rig) { r.roll.members = slices.Concat(school[:33], school[40:]) }, ""},
		{"a part of one chat", func(r *rig) {
			r.roll.members = slices.Concat(school[:27], school[40:])
			r.night.Limits.MissingShare = 0.9
		}, night.GuardShrunk},
		{"another rule", func(r *rig) {
			r.night.Rule = night.Columns{Tenant: tenant, Map: map[string]string{"nickname": "nickname"}}
			r.roll.members = rename(school, "u1", "Ada")
		}, night.GuardRule},
		{"rows that cannot be used", func(r *rig) {
			r.roll.members = slices.Clone(school)
			for i := range 20 {
				r.roll.members[i].name = ""
			}
		}, night.GuardInvalid},
		{"most names change", func(r *rig) {
			r.roll.members = slices.Clone(school)
			for i := range 60 {
				r.roll.members[i].name += "x"
			}
		}, run.GuardChanges},
		{"equal names, of which one is unchanged", func(r *rig) { r.roll.members = rename(school, "u1", "Student 2") }, run.GuardEqualNames},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if row.guard != night.GuardShrunk && row.guard != run.GuardEqualNames {
				long(t)
			}
			r := newRig(t, redistest.Mini(t), school)
			r.roll.version = "1"
			r.work()
			r.whole(1)
			calls := r.calls()
			row.spoil(r)
			got := r.run(3)
			if row.guard == "" {
				if got.State != night.StateSending {
					t.Errorf("the night is %s: %v", got.State, got.Decide)
				}
				return
			}
			if got.State != night.StateHeld || len(got.Decide) != 1 || !strings.HasPrefix(got.Decide[0], row.guard+": ") {
				t.Fatalf("the night is %s: %v; want it held by %s alone", got.State, got.Decide, row.guard)
			}
			if n := r.calls() - calls; n != 0 {
				t.Errorf("a held night made %d calls", n)
			}
			if sent := r.notified(); len(sent) != 1 || sent[0].State != night.StateHeld {
				t.Errorf("others were notified of %+v", sent)
			}
		})
	}
}

func TestAChangedRuleIsApprovedOnce(t *testing.T) {
	t.Parallel()
	long(t)
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		school := class("chat1", 1, 5)
		r := newRig(t, s, school)
		r.work()
		r.whole(1)
		r.night.Rule = night.Columns{Tenant: tenant, Map: map[string]string{"nickname": "nickname"}}
		r.roll.members = rename(school, "u1", "Ada")
		held := r.run(2)
		if held.State != night.StateHeld {
			t.Fatalf("the night is %+v", held)
		}
		if again := r.run(3); again.Run != held.Run || again.State != night.StateHeld {
			t.Errorf("the same night again has run %s (%s), want that which waits, %s", again.Run, again.State, held.Run)
		}
		r.approve(held)
		if got := r.until(3, func(got night.Report) bool { return got.Final() }); got.State != night.StateDone || got.Applied != 1 {
			t.Errorf("the approved night is %+v", got)
		}
		r.roll.members = rename(r.roll.members, "u2", "Bob")
		if got := r.whole(4); got.State != night.StateDone || got.Applied != 1 {
			t.Errorf("the next night with the approved rule is %+v", got)
		}
		if sent := r.notified(); len(sent) != 1 {
			t.Errorf("others were notified %d times, want once: %+v", len(sent), sent)
		}
	})
}

func TestAHeldNightIsReplacedByADifferentOne(t *testing.T) {
	t.Parallel()
	long(t)
	school := class("chat1", 1, 30)
	r := newRig(t, redistest.Mini(t), school)
	r.work()
	r.whole(1)
	r.roll.members = school[:15]
	held := r.run(2)
	r.roll.members = rename(school, "u1", "Ada")
	if got := r.whole(3); got.State != night.StateDone || got.Applied != 1 {
		t.Errorf("the night after the held one is %+v", got)
	}
	if got := r.report(2); got.State != night.StateReplaced {
		t.Errorf("the held night is %s, want replaced", got.State)
	}
	if made, err := r.runs.Get(t.Context(), held.Run); err != nil || made.State != run.StateRejected {
		t.Errorf("its run is %s, %v", made.State, err)
	}
}

func TestAHeldNightExpires(t *testing.T) {
	t.Parallel()
	long(t)
	s := redistest.Mini(t)
	school := class("chat1", 1, 30)
	r := newRig(t, s, school)
	r.work()
	r.whole(1)
	r.night.Approvable = time.Hour
	r.roll.members = school[:15]
	held := r.run(2)
	s.Mini.SetTime(time.Now().Add(2 * time.Hour))
	made, err := r.runs.Get(t.Context(), held.Run)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.runs.Approve(t.Context(), made.ID, made.Plan.Digest, "ann"); err == nil {
		t.Error("it was approved after two hours, though it can be for one")
	}
}

func TestThirtyReportsAreKept(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.Mini(t), class("chat1", 1, 3))
	r.roll.err = fault(source.Refused)
	for n := 1; n <= 35; n++ {
		r.run(n)
	}
	history, err := r.nights.History(t.Context(), "nightly")
	if err != nil || len(history) != 30 || !history[0].Tick.Equal(nightOf(35)) || !history[29].Tick.Equal(nightOf(6)) {
		t.Errorf("%d reports are kept, %v, want those of nights 35 to 6", len(history), err)
	}
}

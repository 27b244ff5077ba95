package night_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/night"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
)

// year is a school that changes every night.
type year struct {
	r       *rig
	all     []member // everybody whom the platform knows
	roster  []member
	needed  int // changes of the roster that need a call
	reports []night.Report
}

// night carries out a night after the roster changed.
func (y *year) night(n int) night.Report {
	y.r.t.Helper()
	y.r.roll.members = y.roster
	got := y.r.whole(n)
	y.reports = append(y.reports, got)
	return got
}

// change gives a member of the roster another name.
func (y *year) change(user, name string) {
	y.roster = rename(y.roster, user, name)
	y.needed++
}

// join adds somebody of the platform to the roster.
func (y *year) join(users ...string) {
	for _, m := range y.all {
		if slices.Contains(users, m.user) {
			y.roster = append(slices.Clone(y.roster), m)
			y.needed++
		}
	}
}

// TestThirtyNights carries out a month of nights, and compares the platform with the roster
// after each: they differ only where the report says so. Without faults of the platform each
// needed change costs one call.
func TestThirtyNights(t *testing.T) { //nolint:gocyclo // a night after the other
	t.Parallel()
	if testing.Short() {
		t.Skip("takes a minute")
	}
	const classes, size, quota = 8, 30, 325
	var all []member
	for c := range classes {
		all = append(all, class(fmt.Sprintf("chat%d", c+1), c*size+1, (c+1)*size)...)
	}
	joiners := class("chat1", 1001, 1010)
	r := newRig(t, redistest.Mini(t), append(slices.Clone(all), joiners...))
	r.quota = pace.Quota{Calls: quota}
	r.night.Absence = night.Absence{Nights: 3, Chats: []string{"chat2"}}
	r.work()
	y := &year{r: r, all: append(slices.Clone(all), joiners...), roster: all, needed: len(all)}

	lost := map[string]bool{} // who was removed from a chat, and is not back
	for n := 1; n <= 30; n++ {
		var wrong func(*rig) // what is wrong tonight, instead of the roster's own changes
		switch {
		case n == 4: // equal names
			y.change("u5", "Alex Smith")
			y.change("u6", "Alex Smith")
		case n == 5: // they are corrected
			y.roster = rename(rename(y.roster, "u5", "Alex Smith (1)"), "u6", "Alex Smith (2)")
		case n == 6:
			y.join("u1001", "u1002")
		case n == 7: // a leaver in a managed chat, and one in another
			y.roster = without(y.roster, "u31", "u61")
		case n == 9: // the third night without u31
			y.needed++
			y.change("u109", "Renamed 9")
			lost["chat2/u31"] = true
		case n == 12: // a filter keeps every other person
			wrong = func(r *rig) {
				for i := 0; i < len(y.roster); i += 2 {
					r.roll.members = append(r.roll.members, y.roster[i])
				}
			}
		case n == 14: // a class is missing
			wrong = func(r *rig) {
				r.roll.members = slices.DeleteFunc(slices.Clone(y.roster), func(m member) bool { return m.chat == "chat3" })
			}
		case n == 16: // both are back: u31 is added and named, u61 was never removed
			y.roster = append(without(y.roster), all[30], all[60])
			y.needed += 2
			delete(lost, "chat2/u31")
		case n >= 18 && n < 24: // more changes than the month has left, from the 20th on
			for i := range 30 {
				y.change(fmt.Sprintf("u%d", 1+8*i), fmt.Sprintf("Student %d, night %d", 1+8*i, n))
			}
			y.needed -= 30 // counted when they are sent
		case n == 24: // a larger edition
			if err := r.set.SetQuota(t.Context(), organisation, pace.Quota{Calls: 5000}); err != nil {
				t.Fatal(err)
			}
		case n%3 == 0:
			y.change(fmt.Sprintf("u%d", 100+n), fmt.Sprintf("Renamed %d", n))
		}
		calls := r.calls()
		if wrong != nil {
			r.roll.members = nil
			wrong(r)
			got := r.run(n)
			y.reports = append(y.reports, got)
			if got.State != night.StateHeld || r.calls() != calls {
				t.Fatalf("night %d with a wrong roster is %+v", n, got)
			}
			continue
		}
		got := y.night(n)
		if n >= 18 && n < 24 {
			y.needed += got.Applied
		}
		if n == 24 {
			y.needed += got.Applied
		}
		if n == 4 {
			if got.State != night.StateHeld {
				t.Fatalf("night %d with equal names is %+v", n, got)
			}
			y.needed -= 2 // nothing is sent; the correction is
			continue
		}
		if n == 5 {
			y.needed += 2
		}
		if got.State != night.StateDone {
			t.Fatalf("night %d is %+v\n%s", n, got, r.log)
		}
		differ := y.differ(lost)
		if len(differ) > got.Drift || len(differ) < got.Drift && r.repeats() == 0 {
			t.Fatalf("after night %d, %d names differ, and the report says %d: %v\n%+v", n, len(differ), got.Drift, differ, got)
		}
	}
	if diff := cmp.Diff(0, len(y.differ(lost))); diff != "" {
		t.Errorf("names that differ after 30 nights: %v", y.differ(lost))
	}
	if got := r.calls() - r.repeats(); got != y.needed {
		t.Errorf("%d metered calls for %d needed changes, besides %d repeats: want as many\n%s", got, y.needed, r.repeats(), y.summary())
	}
	if n := slices.IndexFunc(y.reports, func(r night.Report) bool { return r.CarriedOver > 0 }); n < 0 {
		t.Error("the month could pay for everything: the quota did not end")
	}
}

// differ returns the members whose name on the platform is not that of the roster.
func (y *year) differ(lost map[string]bool) []string {
	platform, all := y.r.platform(), []string{}
	for where, name := range names(y.roster) {
		if platform[where] != name && !lost[where] {
			all = append(all, fmt.Sprintf("%s is %q, want %q", where, platform[where], name))
		}
	}
	slices.Sort(all)
	return all
}

func (y *year) summary() string {
	var text strings.Builder
	for i, r := range y.reports {
		_, _ = fmt.Fprintf(&text, "%2d %-8s planned %d applied %d carried %d drift %d\n", i+1, r.State, r.Planned, r.Applied, r.CarriedOver, r.Drift)
	}
	return text.String()
}

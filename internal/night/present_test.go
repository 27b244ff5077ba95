package night_test

import (
	"fmt"
	"slices"
	"testing"

	"rollcall/internal/night"
	"rollcall/internal/redistest"
)

// Members who are in several rows count once, and a roster in another order, with more rows
// than a page, misses no one.
func TestMembersAreCountedOnceInAnyOrder(t *testing.T) {
	t.Parallel()
	long(t)
	var school []member
	for c := range 90 {
		school = append(school, class(fmt.Sprintf("chat%d", c), 50*c, 50*c+49)...)
	}
	r := newRig(t, redistest.One(t), school) // without a worker: runs stay where they are
	r.night.Allowed = []string{"allow-equal-names"}
	r.roll.members = append(slices.Clone(school), school[:100]...)
	if got := r.run(1); got.State != night.StateSending || got.Missing != 0 {
		t.Fatalf("the first night is %+v", got)
	}
	r.roll.members = slices.Clone(school)
	slices.Reverse(r.roll.members)
	if got := r.run(2); got.State != night.StateSending || got.Missing != 0 {
		t.Errorf("the same roster in another order is %s, %v, with %d members missing", got.State, got.Decide, got.Missing)
	}
	r.roll.members = without(r.roll.members, "u0", "u4499")
	if got := r.run(3); got.State != night.StateSending || got.Missing != 2 {
		t.Errorf("without two members the night is %s, %v, with %d members missing", got.State, got.Decide, got.Missing)
	}
	r.roll.members = slices.DeleteFunc(slices.Clone(school), func(m member) bool { return m.chat == "chat7" })
	if got := r.run(4); got.State != night.StateHeld || got.Missing != 50 {
		t.Errorf("without a chat the night is %s, %v, with %d members missing", got.State, got.Decide, got.Missing)
	}
}

package access_test

import (
	"testing"

	"rollcall/internal/access"
)

func TestEachRoleMayDoWhatTheRolesBeforeItMay(t *testing.T) {
	t.Parallel()
	for i, role := range access.Roles() {
		for j, needed := range access.Roles() {
			if got := role.Covers(needed); got != (i >= j) {
				t.Errorf("%s may do what %s may: %t", role, needed, got)
			}
		}
	}
	if access.Role("").Covers(access.Operator) || !access.Role("").Covers(access.Viewer) {
		t.Error("no role is not that of a viewer")
	}
	if access.Role("root").Covers(access.Viewer) || access.Administrator.Covers("root") {
		t.Error("a role that does not exist has rights, or can be had")
	}
}

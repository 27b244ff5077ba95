package tasks_test

import (
	"testing"

	"rollcall/tasks"
)

func TestAQueueTellsItsLane(t *testing.T) {
	t.Parallel()
	old := tasks.Lane{Organisation: "lakeside", Tenant: "dt", Kind: "avatar"} // of a kind that there is no more
	served := tasks.Lane{Organisation: "lakeside", Tenant: "dt", Kind: tasks.KindGroup}
	for queue, want := range map[string]tasks.Lane{
		"dt.group": served, "dt.group.urgent": served, "dt.avatar": old, "dt.avatar.urgent": old,
		"dt.id": {Tenant: "dt", Kind: tasks.KindID}, "dt.id.urgent": {Tenant: "dt", Kind: tasks.KindID},
		"ci.avatar": {}, "default": {}, "rollcall.schedule": {}, "dt": {}, ".group": {}, "urgent": {},
	} {
		l, ok := tasks.LaneOfQueue(queue, []tasks.Lane{old, served})
		if ok != (want.Kind != "") || ok && l != want {
			t.Errorf("%s is of %+v, %t", queue, l, ok)
		}
	}
}

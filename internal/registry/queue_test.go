package registry_test

import (
	"testing"

	"rollcall/internal/kinds"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

func TestQueuesAreTakenApartAsTheyWereMade(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds.Names() {
		for _, urgent := range []bool{false, true} {
			gotTenant, gotKind, gotUrgent, ok := registry.ParseQueue(registry.Queue("a-1", kind, urgent))
			if !ok || gotTenant != "a-1" || gotKind != kind || gotUrgent != urgent {
				t.Errorf("%s: %s %s %v %v", kind, gotTenant, gotKind, gotUrgent, ok)
			}
		}
	}
	for _, queue := range []string{"default", "a.b", "a.nickname.urgent.urgent", ".nickname", "A.nickname", "a.nickname.", "urgent", ""} {
		if _, _, _, ok := registry.ParseQueue(queue); ok {
			t.Errorf("%q is taken for a lane's", queue)
		}
	}
}

func TestAQueueNamesItsLane(t *testing.T) {
	t.Parallel()
	old := registry.Lane{Organisation: "lakeside", Tenant: "dt", Kind: "avatar"} // of a kind that there is no more
	served := registry.Lane{Organisation: "lakeside", Tenant: "dt", Kind: tasks.KindGroup}
	for queue, want := range map[string]registry.Lane{
		"dt.group": served, "dt.group.urgent": served, "dt.avatar": old, "dt.avatar.urgent": old,
		"dt.id": {Tenant: "dt", Kind: tasks.KindID}, "dt.id.urgent": {Tenant: "dt", Kind: tasks.KindID},
		"ci.avatar": {}, "default": {}, "rollcall.schedule": {}, "dt": {}, ".group": {}, "urgent": {},
	} {
		l, ok := registry.OfQueue(queue, []registry.Lane{old, served})
		if ok != (want.Kind != "") || ok && l != want {
			t.Errorf("%s is of %+v, %t", queue, l, ok)
		}
	}
}

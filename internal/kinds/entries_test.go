package kinds_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/kinds"
	"rollcall/tasks"
)

// A form that shows the entries of a task and is sent unchanged, or with its values set again,
// gives the same task.
func TestTheEntriesOfATaskAreThoseThatCorrectTakes(t *testing.T) {
	t.Parallel()
	for name, task := range map[string]tasks.Task{
		"nickname": nick("ann", "A, B"),
		"course":   tasks.CourseSync{Tenant: tenant, CourseID: "1", StudentUIDs: []string{"1", "2"}},
		"group": tasks.GroupUpdate{
			Tenant: tenant, ChatID: "c", Name: "3-2", Owner: "u9", OwnerType: "emp", AddUserIDs: []string{"u1", "u2"},
			Options: tasks.GroupOptions{Searchable: new(0), ManagementType: new(1)},
		},
		"id":      tasks.IDChange{Tenant: tenant, UserID: "u1", DingTalkID: "ann01", Alternatives: []string{"ann02", "ann03"}},
		"student": tasks.StudentSync{Tenant: tenant, StudentUID: "7", Name: "王小明"},
	} {
		typename, payload := encoded(t, task)
		set := map[string]string{}
		for _, e := range kinds.Entries(task) {
			set[e.Name] = e.Value
		}
		got, err := kinds.Correct(typename, payload, set)
		if diff := cmp.Diff(task, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
		if len(set) < 2 || set["tenant"] != "" {
			t.Errorf("%s: entries %v", name, set)
		}
	}
	if got := kinds.Entries(nil); got != nil {
		t.Errorf("entries of no task: %v", got)
	}
}

package kinds_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rollcall/internal/kinds"
	"rollcall/tasks"
)

// IDs, courses, students and members are never sent again without a task.
func TestOnlyNicknamesAndGroupsAreRestored(t *testing.T) {
	t.Parallel()
	for _, k := range kinds.All() {
		if want := k.Name == tasks.KindNickname || k.Name == tasks.KindGroup; k.Restores() != want {
			t.Errorf("%s is restored: %t, want %t", k.Name, k.Restores(), want)
		}
	}
}

// restored is the task that sets the values of another task again.
func restored(t testing.TB, task tasks.Task) tasks.Task {
	t.Helper()
	target, fields := kinds.Change(task, "lakeside")
	values := map[string]string{}
	for _, f := range fields {
		values[f.Name] = f.Value
	}
	kind, _ := kinds.Of(task)
	again, err := kind.Restore(tenant, target.Key, values)
	if err != nil {
		t.Fatal(err)
	}
	return again
}

func TestARestoredTaskSetsTheSameValues(t *testing.T) {
	t.Parallel()
	group := tasks.GroupUpdate{
		Tenant: tenant, ChatID: "chat/1", Name: "3=2", Owner: "emp:7", OwnerType: tasks.OwnerEmployee, Icon: "@i",
		Options: tasks.GroupOptions{
			MentionAllAuthority: new(0), ShowHistoryType: new(1), ValidationType: new(0), Searchable: new(1), ChatBannedType: new(0), ManagementType: new(1),
		},
	}
	if diff := cmp.Diff(tasks.Task(group), restored(t, group)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	members := group
	members.AddUserIDs = []string{"u1"}
	if diff := cmp.Diff(tasks.Task(group), restored(t, members)); diff != "" {
		t.Errorf("of an edit (-want +got):\n%s", diff)
	}
	rapid.Check(t, func(rt *rapid.T) {
		id := rapid.StringOfN(rapid.SampledFrom([]rune("a/%2F5")), 1, 6, -1)
		task := tasks.NicknameSync{Tenant: tenant, ChatID: id.Draw(rt, "chat"), UserID: id.Draw(rt, "user"), Nickname: "N"}
		if diff := cmp.Diff(tasks.Task(task), restored(t, task)); diff != "" {
			rt.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

func TestAValueThatIsNoNumberIsRefusedWhereOneIsNeeded(t *testing.T) {
	t.Parallel()
	kind, _ := kinds.Named(tasks.KindGroup)
	if task, err := kind.Restore(tenant, "chat", map[string]string{"options.searchable": "yes"}); err == nil {
		t.Errorf("%+v", task)
	}
}

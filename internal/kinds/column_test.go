package kinds_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/kinds"
	"rollcall/tasks"
)

func kind(t *testing.T, name tasks.Kind) kinds.Kind {
	t.Helper()
	k, ok := kinds.Named(name)
	if !ok {
		t.Fatalf("%s is not declared", name)
	}
	return k
}

func TestAFileFitsAKindByItsColumns(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		kind    tasks.Kind
		columns []string
		want    bool
	}{
		{tasks.KindNickname, []string{"chat_id", "user_id", "nickname"}, true},
		{tasks.KindNickname, []string{"chat_id", "nickname", "previous"}, false},
		{tasks.KindGroup, []string{"chat_id", "owner"}, true},
		{tasks.KindGroup, []string{"chat_id"}, false}, // nothing changes
		{tasks.KindGroup, []string{"name"}, false},
	} {
		has := func(column string) bool { return slices.Contains(row.columns, column) }
		if got := kind(t, row.kind).Fits(has); got != row.want {
			t.Errorf("%v as %s: %v", row.columns, row.kind, got)
		}
	}
}

// What is recorded of a person or a chat is found by these.
func TestATaskNamesItsChatAndPeople(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		task   tasks.Task
		chat   string
		people []string
		key    string // of the target that chat c, or person p, is by itself
	}{
		{tasks.NicknameSync{ChatID: "c", UserID: "p"}, "c", []string{"p"}, ""},
		{tasks.GroupUpdate{ChatID: "c", Owner: "o", AddUserIDs: []string{"a"}, DelExtIDs: []string{"x"}}, "c", []string{"o", "a", "x"}, "c"},
		{tasks.IDChange{UserID: "p"}, "", []string{"p"}, "p"},
		{tasks.StudentSync{StudentUID: "p"}, "", []string{"p"}, "p"},
		{tasks.CourseSync{CourseID: "1"}, "", nil, ""},
	} {
		chat, people, ok := kinds.Involves(row.task)
		k, _ := kinds.Of(row.task)
		if diff := cmp.Diff(row.people, people); !ok || chat != row.chat || diff != "" {
			t.Errorf("%T: chat %q, people (-want +got):\n%s", row.task, chat, diff)
		}
		if key := k.KeyOf("c", "") + k.KeyOf("", "p"); key != row.key {
			t.Errorf("%T: key %q, want %q", row.task, key, row.key)
		}
	}
	if _, _, ok := kinds.Involves(nil); ok {
		t.Error("nothing is taken for a task")
	}
}

func TestAKeyHasTheFormOfItsKind(t *testing.T) {
	t.Parallel()
	const slash = "use chat/user for a nickname, with one slash; write a slash or percent sign in an id as %2F or %25"
	for _, row := range []struct {
		kind tasks.Kind
		key  string
		want string
	}{
		{tasks.KindNickname, "chat1/u1", ""},
		{tasks.KindNickname, "chat1%2F/u1", ""},
		{tasks.KindNickname, "chat1", slash},
		{tasks.KindNickname, "chat1/u/1", slash},
		{tasks.KindGroup, "chat/1", ""}, // an id, with a slash of its own
		{tasks.KindID, "u1", ""},
		{tasks.KindID, "", "it is empty: use the user for an ID"},
		{tasks.KindStudent, "", "it is empty: use the UID for a student"},
		{"unknown", "u1", ""},
		{"unknown", "", "it is empty"},
	} {
		if got := kinds.WrongKey(row.kind, row.key); got != row.want {
			t.Errorf("WrongKey(%s, %q) = %q, want %q", row.kind, row.key, got, row.want)
		}
	}
}

func TestARuleNamesPeopleByTheColumnsOfTheKind(t *testing.T) {
	t.Parallel()
	for name, want := range map[tasks.Kind]tasks.Task{
		tasks.KindNickname: tasks.NicknameSync{Tenant: "t", ChatID: "c", UserID: "p", Nickname: "v"},
		tasks.KindStudent:  tasks.StudentSync{Tenant: "t", StudentUID: "p", Name: "v"},
		tasks.KindID:       tasks.IDChange{Tenant: "t", UserID: "p", DingTalkID: "v", Alternatives: []string{"w"}},
	} {
		if diff := cmp.Diff(want, kind(t, name).Named("t", "c", "p", "v", []string{"w"})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

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
	for _, row := range []struct {
		kind tasks.Kind
		key  string
		want bool
	}{
		{tasks.KindNickname, "chat1/u1", true},
		{tasks.KindNickname, "chat1%2F/u1", true},
		{tasks.KindNickname, "chat1", false},
		{tasks.KindNickname, "chat1/u/1", false},
		{tasks.KindGroup, "chat/1", true}, // an id, with a slash of its own
		{tasks.KindID, "u1", true},
		{tasks.KindID, "", false},
		{"unknown", "u1", true},
	} {
		if got := kinds.IsKey(row.kind, row.key); got != row.want {
			t.Errorf("IsKey(%s, %q) = %v, want %v", row.kind, row.key, got, row.want)
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

package kinds_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/tasks"
)

func nick(user, name string) tasks.NicknameSync {
	return tasks.NicknameSync{Tenant: tenant, ChatID: "chat1", UserID: user, Nickname: name}
}

func TestEveryKindIsDeclared(t *testing.T) {
	t.Parallel()
	for _, name := range kinds.Names() {
		k, ok := kinds.Named(name)
		if !ok || kinds.TypeOf(name) == "" {
			t.Fatalf("%s is not declared", name)
		}
		if got, ok := kinds.OfType(k.Type); !ok || got.Name != name {
			t.Errorf("the type of %s is that of %q", name, got.Name)
		}
	}
	if n := len(kinds.All()); n != len(kinds.Names()) {
		t.Errorf("%d kinds are declared, want %d", n, len(kinds.Names()))
	}
}

// A kind that this build does not know must not leak a name.
func TestOfAnUnknownKindEverythingIsPersonal(t *testing.T) {
	t.Parallel()
	mask := func(string) string { return "*" }
	if got := kinds.MaskKey("avatar", "ann", mask); got != "*" {
		t.Errorf("the key is shown as %q", got)
	}
	if !kinds.Personal("avatar", "name") {
		t.Error("the value is shown")
	}
	if got := kinds.Mask(nil, mask); got != nil {
		t.Errorf("nothing is masked as %v", got)
	}
	task := nick("ann", "Ann")
	if _, ok := kinds.Of(&task); ok {
		t.Error("a pointer is taken for a task")
	}
}

func TestChangesNameTheirTarget(t *testing.T) {
	t.Parallel()
	type change struct {
		Target ledger.Target
		Fields []ledger.Field
	}
	for _, row := range []struct {
		task tasks.Task
		want change
	}{
		{nick("u1", "张三"), change{
			ledger.Target{Organisation: "lakeside", API: "nickname", Key: "chat1/u1"},
			[]ledger.Field{{Name: "nickname", Value: "张三", Mode: ledger.Value}},
		}},
		{tasks.CourseSync{Tenant: "c", CourseID: "7"}, change{
			ledger.Target{Organisation: "lakeside", API: "course", Key: "7"},
			[]ledger.Field{{Name: "names", Mode: ledger.Effect}},
		}},
		{tasks.StudentSync{Tenant: "c", StudentUID: "1445886", Name: "张三"}, change{
			ledger.Target{Organisation: "lakeside", API: "student", Key: "1445886"},
			[]ledger.Field{{Name: "name", Value: "张三", Mode: ledger.Value}},
		}},
		{
			tasks.IDChange{Tenant: tenant, UserID: "u1", DingTalkID: "abcdef", Alternatives: []string{"abcdeg"}},
			change{
				ledger.Target{Organisation: "lakeside", API: "id", Key: "u1"},
				[]ledger.Field{{Name: "id", Value: "abcdef", Mode: ledger.Once}},
			},
		},
		{
			tasks.GroupUpdate{
				Tenant: tenant, ChatID: "chat1", Name: "N", Owner: "u1", OwnerType: "emp", Icon: "@i",
				Options: tasks.GroupOptions{ManagementType: new(1), Searchable: new(0)}, DelExtIDs: []string{"x"},
			},
			change{ledger.Target{Organisation: "lakeside", API: "group", Key: "chat1"}, []ledger.Field{
				{Name: "name", Value: "N", Mode: ledger.Value},
				{Name: "owner", Value: "emp:u1", Mode: ledger.Value},
				{Name: "icon", Value: "@i", Mode: ledger.Value},
				{Name: "options.searchable", Value: "0", Mode: ledger.Value},
				{Name: "options.management_type", Value: "1", Mode: ledger.Value},
				{Name: "members", Mode: ledger.Edit},
			}},
		},
	} {
		target, fields := kinds.Change(row.task, "lakeside")
		if diff := cmp.Diff(row.want, change{target, fields}); diff != "" {
			t.Errorf("%T (-want +got):\n%s", row.task, diff)
		}
	}
}

// Two members never share a target, for any ids.
func TestTargetsOfDifferentMembersDiffer(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.StringOfN(rapid.SampledFrom([]rune("a/%2F5")), 1, 4, -1)
		draw := func(name string) tasks.NicknameSync {
			return tasks.NicknameSync{ChatID: id.Draw(t, name+" chat"), UserID: id.Draw(t, name+" user")}
		}
		a, b := draw("a"), draw("b")
		targetA, _ := kinds.Change(a, "o")
		targetB, _ := kinds.Change(b, "o")
		if (a == b) != (targetA == targetB) {
			t.Fatalf("%+v and %+v: %q and %q", a, b, targetA.Key, targetB.Key)
		}
	})
}

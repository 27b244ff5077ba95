package kinds_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/kinds"
	"rollcall/tasks"
)

func encoded(t *testing.T, task tasks.Task) (typename string, payload []byte) {
	t.Helper()
	typename, payload, err := kinds.Encode(task, 7)
	if err != nil {
		t.Fatal(err)
	}
	return typename, payload
}

func TestATaskIsCorrectedByTheNamesOfItsFields(t *testing.T) {
	t.Parallel()
	group := tasks.GroupUpdate{Tenant: tenant, ChatID: "c", Name: "3-2", DelUserIDs: []string{"u1"}, Options: tasks.GroupOptions{Searchable: new(0)}}
	for name, row := range map[string]struct {
		task tasks.Task
		set  map[string]string
		want tasks.Task
	}{
		"a text":           {nick("ann", "A"), map[string]string{"nickname": "张 = 三"}, nick("ann", "张 = 三")},
		"two":              {nick("ann", "A"), map[string]string{"nickname": "B", "user_id": "bob"}, nick("bob", "B")},
		"left out":         {group, map[string]string{"name": ""}, tasks.GroupUpdate{Tenant: tenant, ChatID: "c", DelUserIDs: []string{"u1"}, Options: group.Options}},
		"a list":           {group, map[string]string{"add_user_ids": "u2,u3", "del_user_ids": ""}, tasks.GroupUpdate{Tenant: tenant, ChatID: "c", Name: "3-2", AddUserIDs: []string{"u2", "u3"}, Options: group.Options}},
		"an option":        {group, map[string]string{"options.searchable": "1"}, tasks.GroupUpdate{Tenant: tenant, ChatID: "c", Name: "3-2", DelUserIDs: []string{"u1"}, Options: tasks.GroupOptions{Searchable: new(1)}}},
		"no option":        {group, map[string]string{"options.searchable": "", "options.management_type": "0"}, tasks.GroupUpdate{Tenant: tenant, ChatID: "c", Name: "3-2", DelUserIDs: []string{"u1"}, Options: tasks.GroupOptions{ManagementType: new(0)}}},
		"digits as a text": {tasks.CourseSync{Tenant: tenant, CourseID: "1"}, map[string]string{"course_id": "22"}, tasks.CourseSync{Tenant: tenant, CourseID: "22"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			typename, payload := encoded(t, row.task)
			got, err := kinds.Correct(typename, payload, row.set)
			if diff := cmp.Diff(row.want, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestAFieldThatThereIsNotCannotBeCorrected(t *testing.T) {
	t.Parallel()
	typename, payload := encoded(t, nick("ann", "A"))
	for _, field := range []string{"nick", "v", "rev", "options.searchable"} {
		_, err := kinds.Correct(typename, payload, map[string]string{field: "1"})
		if _, ok := errors.AsType[*kinds.PayloadError](err); !ok {
			t.Errorf("%s: %v, want a *PayloadError", field, err)
		}
	}
	for _, text := range []string{"", "[]", "{", `{"tenant":1}`, `{} {}`, `null`} {
		if _, err := kinds.Parse(tasks.KindNickname, []byte(text)); err == nil {
			t.Errorf("%s is taken for a task", text)
		}
	}
}

// What people type must not be taken for more than it says.
func FuzzParse(f *testing.F) {
	f.Add(`{"tenant":"t","chat_id":"c","user_id":"u","nickname":"n"}`)
	f.Add(`{"v":1,"rev":9}`)
	f.Fuzz(func(t *testing.T, text string) {
		task, err := kinds.Parse(tasks.KindNickname, []byte(text))
		if err != nil {
			return
		}
		typename, payload, err := kinds.Encode(task, 1)
		if err != nil {
			return // too long, or no UTF-8
		}
		if again, _, err := kinds.Decode(typename, payload); err != nil || again != task {
			t.Errorf("%q became %+v, %v", text, again, err)
		}
	})
}

package roster_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"rollcall/internal/roster"
	"rollcall/tasks"
)

// A row that was written as its cells is read as it was.
func TestCellsAreTheInverseOfReadingARow(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]roster.Row{
		"nickname": {Previous: "李四", Request: tasks.Request{
			Task:    tasks.NicknameSync{Tenant: "dt", ChatID: "c", UserID: "u", Nickname: "张三"},
			Options: tasks.Options{Urgent: true, Key: "k", At: tenAM().Add(time.Hour), Source: "hr", Number: 7},
		}},
		"course":  {Request: tasks.Request{Task: tasks.CourseSync{Tenant: "ci", CourseID: "7"}}},
		"student": {Request: tasks.Request{Task: tasks.StudentSync{Tenant: "ci", StudentUID: "11", Name: "张三"}}},
		"id": {Request: tasks.Request{Task: tasks.IDChange{
			Tenant: "dt", UserID: "u", DingTalkID: "abcdef", Alternatives: []string{"abcdeg", "abcdeh"},
		}}},
		"group": {Request: tasks.Request{Task: tasks.GroupUpdate{
			Tenant: "dt", ChatID: "c", Name: "N", Owner: "u1", OwnerType: "emp", AddUserIDs: []string{"u2", "u3"}, DelExtIDs: []string{"x"},
			Options: tasks.GroupOptions{Searchable: new(0), ManagementType: new(1)},
		}}},
	} {
		cells := roster.Cells(want.Request, want.Previous)
		line, err := json.Marshal(cells)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := read(t, string(line)+"\n", roster.Options{})
		if err != nil || len(rows) != 1 || len(rows[0].Problems) > 0 {
			t.Fatalf("%s: %s is read as %+v: %v", name, line, rows, err)
		}
		got := roster.Row{Previous: rows[0].Previous, Request: rows[0].Request}
		if diff := cmp.Diff(want.Request, got.Request); diff != "" || got.Previous != want.Previous {
			t.Errorf("%s: previous %q (-want +got):\n%s", name, got.Previous, diff)
		}
	}
}

func TestARowWithoutATaskHasNoCells(t *testing.T) {
	t.Parallel()
	if cells := roster.Cells(tasks.Request{}, ""); len(cells) != 0 {
		t.Errorf("%v", cells)
	}
}

func TestColumnsAreInTheOrderOfFiles(t *testing.T) {
	t.Parallel()
	got := roster.Order(slices.Collect(maps.Keys(map[string]int{"nickname": 0, "user_id": 0, "kind": 0, "chat_id": 0, "tenant": 0})))
	if strings.Join(got, " ") != "kind tenant chat_id user_id nickname" {
		t.Error(got)
	}
}

package ledger_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
)

// A worker may be faster than the producer's note that the task was stored. What
// has ended by then, however it did, is not opened.
func TestATaskThatEndedBeforeItsProducerNotedItIsNotOpened(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		settled, dead, open := edit(t, l, "settled"), edit(t, l, "dead"), edit(t, l, "open")
		lease, _, err := arrive(t, l, "settled", settled)
		if err != nil {
			t.Fatal(err)
		}
		settle(t, lease, false)
		if err := l.Close(t.Context(), chat, "dead", ledger.Row{}); err != nil {
			t.Fatal(err)
		}
		note(t, l, "settled", settled)
		note(t, l, "dead", dead)
		note(t, l, "open", open)
		tasks, _, err := l.OpenTasks(t.Context(), chat.Organisation, chat.API, 0, 100)
		if err != nil || len(tasks) != 1 || tasks[0].Change.TaskID != "open" || string(tasks[0].Payload) != `{"v":1}` {
			t.Errorf("open are %+v, %v, want the one that has not ended", tasks, err)
		}
	})
}

// A later change of its name does not make an update of a chat superfluous that also changes
// members: without its record, later edits would not wait for it, and it could vanish
// unnoticed.
func TestOnlyATaskAboutASingleValueNeedsNoRecordAfterALaterChange(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := ledger.New(s.Client(t))
		name := ledger.Field{Name: "name", Mode: ledger.Value, Value: "A"}
		icon := ledger.Field{Name: "icon", Mode: ledger.Value, Value: "B"}
		for _, task := range []struct {
			id     string
			fields []ledger.Field
		}{
			{"first", []ledger.Field{name}},
			{"both", []ledger.Field{name, members[0]}},
			{"two", []ledger.Field{name, icon}},
			{"last", []ledger.Field{name}},
		} {
			revised := l.Revise(t.Context(), ledger.Change{Target: chat, Fields: task.fields, TaskID: task.id})[0]
			open := storedTask(chat, revised.Revision, task.fields)
			open.Change.TaskID = task.id
			if err := errors.Join(revised.Err, l.Stored(t.Context(), open)); err != nil {
				t.Fatal(err)
			}
		}
		tasks, _, err := l.OpenTasks(t.Context(), chat.Organisation, chat.API, 0, 100)
		var ids []string
		for _, task := range tasks {
			ids = append(ids, task.Change.TaskID)
		}
		slices.Sort(ids)
		if diff := cmp.Diff([]string{"both", "last", "two"}, ids); diff != "" || err != nil {
			t.Errorf("open tasks (-want +got): %v\n%s", err, diff)
		}
	})
}

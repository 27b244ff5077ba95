package ledger_test

import (
	"testing"

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

package enqueue_test

import (
	"fmt"
	"testing"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/tasks"
)

func TestRequestsWithoutARowAreNumberedAndNoRowIsOverwritten(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		serve(t, s)
		request := func(i int, o tasks.Options) tasks.Request {
			return tasks.Request{Task: nick(fmt.Sprint("u", i), "A"), Options: o}
		}
		var requests []tasks.Request
		for i := range 150 { // more than a chunk
			requests = append(requests, request(i, tasks.Options{Run: "sync"}))
		}
		for _, r := range open(t, s.Addr).EnqueueAll(t.Context(), requests) {
			if r.Err != nil || r.Outcome != tasks.Stored {
				t.Fatal(r)
			}
		}
		if requests[0].Options.Row != 0 {
			t.Error("the caller's requests were changed")
		}
		other := open(t, s.Addr)
		for i := range 3 { // from another client, one at a time
			if _, err := other.Enqueue(t.Context(), nick(fmt.Sprint("v", i), "A"), tasks.Options{Run: "sync"}); err != nil {
				t.Fatal(err)
			}
		}
		results, err := ledger.New(s.Client(t)).ReadRun(t.Context(), "lakeside", "nickname", ledger.RunName{Tenant: tenant, Run: "sync"})
		if err != nil {
			t.Fatal(err)
		}
		rows := results.Rows(ledger.RowStored)
		if len(rows) != 153 || rows[0] != 1 || rows[152] != 153 {
			t.Errorf("%d rows: %v", len(rows), rows)
		}
	})
}

package enqueue_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/tasks"
)

// manyNames is a batch of several chunks.
func manyNames(n int, key bool) []tasks.Request {
	requests := make([]tasks.Request, n)
	for i := range requests {
		requests[i].Task = nick(fmt.Sprint("u", i), "A")
		if key {
			requests[i].Options.Key = fmt.Sprint("k", i)
		}
	}
	return requests
}

// after lets n requests pass before the faults.
func after(n int, todo ...redistest.Fault) []redistest.Fault {
	return append(make([]redistest.Fault, n), todo...)
}

func TestAConnectionThatIsLostInABatchLosesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	const n = 300
	steps := map[string][]string{
		"revise": {"rollcall:{lakeside/nickname}:floor"}, "store": storing, "note": {"rollcall:{lakeside/nickname}:runs"},
	}
	for step, marks := range steps {
		for name, fault := range map[string]redistest.Fault{
			"after": redistest.LoseReply, "before": redistest.LoseSend, "mute": redistest.Mute, "all": redistest.Seal,
		} {
			if step != "store" && fault == redistest.Seal {
				continue // nothing can be noted then
			}
			t.Run(step+" "+name, func(t *testing.T) {
				t.Parallel()
				redistest.Either(t, func(t *testing.T, s *redistest.Server) {
					todo := after(2, fault)
					if step == "store" {
						todo = after(100, fault)
					}
					client, _ := throughFaults(t, s, marks, todo...)
					results := client.EnqueueAll(t.Context(), manyNames(n, false))
					if fault == redistest.Seal { // no connection is accepted any more
						wantTheTruth(t, s, results)
						return
					}
					for i, r := range results {
						if r.Outcome != tasks.Stored || r.Err != nil || r.Warning != "" || r.Revision == 0 {
							t.Fatalf("row %d: %+v", i, r)
						}
					}
					wantPending(t, s, n)
					if got := len(records(t, s, tasks.KindNickname)); got != n+1 {
						t.Errorf("%d tasks are recorded as open, want %d", got, n+1)
					}
				})
			})
		}
	}
}

// wantTheTruth compares the results with the queue.
func wantTheTruth(t *testing.T, s *redistest.Server, results []tasks.Result) {
	t.Helper()
	there := map[string]bool{}
	for _, id := range s.Client(t).LRange(t.Context(), "asynq:{lakeside-dt.nickname}:pending", 0, -1).Val() {
		if there[id] {
			t.Errorf("task %s is there twice", id)
		}
		there[id] = true
	}
	for i, r := range results {
		switch {
		case r.Outcome == tasks.Stored && !there[r.TaskID]:
			t.Errorf("row %d is not there: %+v", i, r)
		case r.Outcome == tasks.NotStored && there[r.TaskID]:
			t.Errorf("row %d is there: %+v", i, r)
		}
		delete(there, r.TaskID)
	}
	for _, r := range results {
		delete(there, r.TaskID)
	}
	if len(there) > 0 {
		t.Errorf("tasks without a result: %v", there)
	}
}

// The other rows of the pipeline were answered, or are found by the second send.
func TestOneRowOfAPipelineThatMayNotBeStoredIsTheOnlyOne(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		requests := manyNames(40, true)
		client, f := throughFaults(t, s, append([]string{"chat1\",\"user_id\":\"u20\""}, storing...), redistest.Refuse)
		for i, r := range client.EnqueueAll(t.Context(), requests) {
			want := tasks.Stored
			if i == 20 {
				want = tasks.NotStored
			}
			if r.Outcome != want || r.Warning != "" || (r.Revision == 0) != (i == 20) {
				t.Errorf("row %d: %+v", i, r)
			}
		}
		wantPending(t, s, 39)
		f.mu.Lock()
		f.todo = []redistest.Fault{redistest.LoseReply, redistest.LoseReply}
		f.mu.Unlock()
		for i, r := range client.EnqueueAll(t.Context(), requests) {
			switch {
			case i == 20 && r.Outcome == tasks.NotKnown && r.TaskID != "":
			case i != 20 && r.Outcome == tasks.AlreadyThere:
			default:
				t.Errorf("row %d: %+v", i, r)
			}
		}
		wantPending(t, s, 40)
		for i, r := range client.EnqueueAll(t.Context(), requests) {
			if r.Outcome != tasks.AlreadyThere {
				t.Errorf("row %d: %+v", i, r)
			}
		}
		wantPending(t, s, 40)
	})
}

// A row whose answer arrived before the connection was lost is known to be ours, though
// another client may use its key.
func TestAnAnswerBeforeTheConnectionIsLostCounts(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		client, _ := throughFaults(t, s, storing, after(30, redistest.Mute)...)
		results := client.EnqueueAll(t.Context(), manyNames(40, true))
		for i, r := range results {
			if r.Outcome != tasks.Stored || r.Err != nil || (r.Revision == 0) != (i == 30) && i <= 30 {
				t.Errorf("row %d: %+v", i, r)
			}
		}
		wantPending(t, s, 40)
	})
}

func TestABatchIsStoredByARedisThatForgotTheScripts(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		serve(t, s)
		client, rdb := openFor(t, s.Addr, time.Minute), s.Client(t)
		for range 2 {
			for i, r := range client.EnqueueAll(t.Context(), manyNames(100, true)) {
				if r.Err != nil || r.Warning != "" {
					t.Errorf("row %d: %+v", i, r)
				}
			}
			if err := rdb.ScriptFlush(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			if err := rdb.FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			serve(t, s)
		}
	})
}

// The rows of a target keep their order in the pipeline, and so does their queue.
func TestABatchKeepsTheOrderOfATarget(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		serve(t, s)
		var requests []tasks.Request
		for i := range 200 { // more than three chunks
			requests = append(requests, tasks.Request{Task: nick("ann", strconv.Itoa(i))}, tasks.Request{Task: nick(fmt.Sprint("u", i), "A")})
		}
		results := openFor(t, s.Addr, time.Minute).EnqueueAll(t.Context(), requests)
		var last int64
		for i := 0; i < len(results); i += 2 {
			if results[i].Revision <= last {
				t.Errorf("row %d has revision %d after %d", i, results[i].Revision, last)
			}
			last = results[i].Revision
		}
		target := ledger.Target{Organisation: "lakeside", API: "nickname", Key: "chat1/ann"}
		record, err := ledger.New(s.Client(t)).Look(t.Context(), target)
		if err != nil || record.Fields["nickname"].Latest != last || record.Fields["nickname"].TaskID != results[len(results)-2].TaskID {
			t.Errorf("the latest change is %+v, %v", record.Fields["nickname"], err)
		}
	})
}

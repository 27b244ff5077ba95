package enqueue_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/enqueue"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/subprocess"
	"rollcall/tasks"
)

// storing identifies the request that adds a nickname task to its queue.
var storing = []string{"asynq:{lakeside-dt.nickname}:pending"}

// throughFaults returns a client whose requests with the marks meet the faults of todo,
// in order. Its Redis knows all scripts, so each step is one request.
func throughFaults(t *testing.T, s *redistest.Server, marks []string, todo ...redistest.Fault) (*enqueue.Client, *faults) {
	t.Helper()
	serve(t, s)
	if _, err := open(t, s.Addr).Enqueue(t.Context(), nick("warm", "up"), tasks.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Client(t).Del(t.Context(), "asynq:{lakeside-dt.nickname}:pending").Err(); err != nil {
		t.Fatal(err)
	}
	f := &faults{marks: marks, todo: todo}
	p := redistest.NewProxy(t, s.Addr, f.judge, nil)
	t.Cleanup(func() {
		if n := f.left(); n > 0 {
			t.Errorf("%d faults never happened: the test proves nothing", n)
		}
	})
	answer := 20 * time.Second // on a slow machine too no answer counts as lost that is only late
	if slices.Contains(todo, redistest.Mute) {
		answer = 2 * time.Second
	}
	return openFor(t, p.Addr(), answer), f
}

func wantPending(t *testing.T, s *redistest.Server, want int64) {
	t.Helper()
	if n := s.Client(t).LLen(t.Context(), "asynq:{lakeside-dt.nickname}:pending").Val(); n != want {
		t.Errorf("%d tasks pending, want %d", n, want)
	}
}

func TestALostAnswerIsResolvedByASecondSend(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]redistest.Fault{"after": redistest.LoseReply, "before": redistest.LoseSend, "mute": redistest.Mute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redistest.Each(t, func(t *testing.T, s *redistest.Server) {
				client, _ := throughFaults(t, s, storing, broken)
				result, err := client.Enqueue(t.Context(), nick("u1", "A"), tasks.Options{})
				if err != nil {
					t.Fatal(err)
				}
				if result.Outcome != tasks.Stored || result.Revision == 0 {
					t.Errorf("%+v", result)
				}
				wantPending(t, s, 1)
				if got := decision(t, s, nick("u1", "older"), result.Revision-1); got != ledger.Superseded {
					t.Errorf("an earlier change is %s: the stored one was not recorded", got)
				}
			})
		})
	}
}

func TestTwoLostAnswersAreReportedAsNotKnown(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		todo    []redistest.Fault
		pending int64
		again   tasks.Outcome
	}{
		"it was stored":     {[]redistest.Fault{redistest.LoseReply, redistest.LoseReply}, 1, tasks.AlreadyThere},
		"it was not":        {[]redistest.Fault{redistest.LoseSend, redistest.LoseSend}, 0, tasks.Stored},
		"refused at second": {[]redistest.Fault{redistest.LoseReply, redistest.Refuse}, 1, tasks.AlreadyThere},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redistest.Each(t, func(t *testing.T, s *redistest.Server) {
				client, _ := throughFaults(t, s, storing, row.todo...)
				result, err := client.Enqueue(t.Context(), nick("u1", "A"), tasks.Options{Key: "k"})
				fault, ok := errors.AsType[*tasks.StoreError](err)
				if result.Outcome != tasks.NotKnown || !ok || fault.Outcome != tasks.NotKnown || result.TaskID == "" {
					t.Fatalf("%+v: %v", result, err)
				}
				if !strings.Contains(err.Error(), "enqueue it again with the same key") {
					t.Errorf("no advice in %q", err)
				}
				wantPending(t, s, row.pending)

				// The advice is correct.
				again, err := client.Enqueue(t.Context(), nick("u1", "A"), tasks.Options{Key: "k"})
				if err != nil || again.Outcome != row.again || again.TaskID != result.TaskID {
					t.Errorf("again: %+v, %v; want %s", again, err, row.again)
				}
				wantPending(t, s, 1)
			})
		})
	}
}

func TestTheAdviceWithoutAKeyIsDifferent(t *testing.T) {
	t.Parallel()
	s := redistest.One(t)
	client, _ := throughFaults(t, s, storing, redistest.LoseReply, redistest.LoseReply)
	_, err := client.Enqueue(t.Context(), nick("u1", "A"), tasks.Options{})
	if err == nil || !strings.Contains(err.Error(), "at most one call too many") {
		t.Errorf("%v", err)
	}
}

func TestATaskThatRedisRefusedIsNotStored(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		client, f := throughFaults(t, s, storing, redistest.Refuse)
		result, err := client.Enqueue(t.Context(), nick("u1", "A"), tasks.Options{})
		if _, ok := errors.AsType[redis.Error](err); result.Outcome != tasks.NotStored || !ok {
			t.Errorf("%+v: %v", result, err)
		}
		if f.met != 1 {
			t.Errorf("sent %d times, want once: a refusal is an answer", f.met)
		}
		wantPending(t, s, 0)
	})
}

func TestATaskWithoutAConnectionIsNotStored(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		client, _ := throughFaults(t, s, []string{"asynq:queues"}, redistest.ShutDown)
		result, err := client.Enqueue(t.Context(), nick("u1", "A"), tasks.Options{})
		if _, ok := errors.AsType[*tasks.StoreError](err); result.Outcome != tasks.NotStored || !ok {
			t.Errorf("%+v: %v", result, err)
		}
		wantPending(t, s, 0)
	})
}

// A new queue is listed before its first task is sent.
func TestNoTaskIsStoredInAQueueThatCouldNotBeListed(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		client, _ := throughFaults(t, s, []string{"asynq:queues"}, redistest.LoseReply, redistest.LoseReply, redistest.LoseReply)
		result, err := client.Enqueue(t.Context(), nick("u1", "A"), tasks.Options{})
		if result.Outcome != tasks.NotStored || err == nil {
			t.Errorf("%+v: %v", result, err)
		}
		// A second lost answer does no harm.
		result, err = client.Enqueue(t.Context(), nick("u1", "A"), tasks.Options{})
		if result.Outcome != tasks.Stored {
			t.Errorf("%+v: %v", result, err)
		}
		wantPending(t, s, 1)
	})
}

func TestNoConnectionForTheTaskItselfIsNotStored(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		// While the second task takes its revision, all connections but that one are
		// lost. The third task takes a revision on it too, and then has no connection
		// to be sent on.
		client, _ := throughFaults(t, s, []string{"evalsha", "rollcall:", "lakeside", "chat1/u2"}, redistest.Seal)
		if _, err := client.Enqueue(t.Context(), nick("u1", "A"), tasks.Options{}); err != nil {
			t.Fatal(err)
		}
		if result, err := client.Enqueue(t.Context(), nick("u2", "A"), tasks.Options{}); err == nil {
			t.Fatalf("stored on a lost connection: %+v", result)
		}
		result, err := client.Enqueue(t.Context(), nick("u3", "A"), tasks.Options{})
		fault, ok := errors.AsType[*tasks.StoreError](err)
		if !ok || result.Outcome != tasks.NotStored || fault.Step != "store it" {
			t.Errorf("%+v: %v", result, err)
		}
		wantPending(t, s, 1)
	})
}

func TestATaskWhoseRedisBecomesUnavailableIsNotKnown(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		client, _ := throughFaults(t, s, storing, redistest.ShutDown)
		result, err := client.Enqueue(t.Context(), nick("u1", "A"), tasks.Options{})
		if result.Outcome != tasks.NotKnown {
			t.Errorf("%+v: %v", result, err)
		}
	})
}

func TestADeadlineDuringTheAnswerIsStillResolved(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		serve(t, s)
		var once faults
		once.marks, once.todo = storing, []redistest.Fault{redistest.LoseReply}
		p := redistest.NewProxy(t, s.Addr, func(request []byte) redistest.Fault {
			verdict := once.judge(request)
			if verdict != redistest.Pass {
				cancel() // the caller gives up while the answer is in transit
			}
			return verdict
		}, nil)
		result, err := openFor(t, p.Addr(), time.Second).Enqueue(ctx, nick("u1", "A"), tasks.Options{})
		if err != nil || result.Outcome != tasks.Stored {
			t.Errorf("%+v: %v", result, err)
		}
		wantPending(t, s, 1)
	})
}

func TestALostAnswerToTheReservationStoresOnce(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		client, _ := throughFaults(t, s, []string{"rollcall:key:", `"reserved"`, "24"}, nil...)
		lost, f := throughFaults(t, s, []string{"rollcall:key:", `"reserved"`}, redistest.LoseReply)
		for _, c := range []*enqueue.Client{lost, client} {
			if _, err := c.Enqueue(t.Context(), nick("u1", "A"), tasks.Options{Key: "k"}); err != nil {
				t.Fatal(err)
			}
		}
		if f.met < 2 {
			t.Errorf("the reservation was sent %d times", f.met)
		}
		wantPending(t, s, 1)
	})
}

func TestALostNoteIsAWarningNotAnError(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		lose := []redistest.Fault{redistest.LoseSend, redistest.LoseSend, redistest.LoseSend, redistest.LoseSend}
		client, _ := throughFaults(t, s, []string{"evalsha", "rollcall:{lakeside/nickname}:runs"}, lose...)
		result, err := client.Enqueue(t.Context(), nick("u1", "A"), tasks.Options{})
		if err != nil || result.Outcome != tasks.Stored || !strings.Contains(result.Warning, "latest change") {
			t.Errorf("%+v: %v", result, err)
		}
		wantPending(t, s, 1)
	})
}

// With a key, the task under our id may belong to another caller, with an earlier
// revision. A note of ours would make the worker skip it.
func TestATaskThatMayBelongToAnotherCallerIsNotRecorded(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		client, _ := throughFaults(t, s, storing, redistest.Pass, redistest.LoseReply)
		first, err := client.Enqueue(t.Context(), nick("u1", "A"), tasks.Options{})
		if err != nil {
			t.Fatal(err)
		}
		second, err := client.Enqueue(t.Context(), nick("u1", "B"), tasks.Options{Key: "k"})
		if err != nil || second.Outcome != tasks.Stored || second.Revision != 0 {
			t.Fatalf("%+v: %v", second, err)
		}
		if got := decision(t, s, nick("u1", "A"), first.Revision); got != ledger.Send {
			t.Errorf("the first change is %s, want send", got)
		}
	})
}

func TestWithoutRedisNothingIsStoredAndEveryResultReportsIt(t *testing.T) {
	t.Parallel()
	ports, err := subprocess.Ports(t.Context(), 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	client := openFor(t, "127.0.0.1:"+ports[0], time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i, r := range client.EnqueueAll(ctx, []tasks.Request{{Task: nick("u1", "A")}, {Task: nick("u2", "")}}) {
		want := []tasks.Outcome{tasks.NotStored, tasks.Refused}[i]
		if r.Outcome != want {
			t.Errorf("row %d: %s, want %s: %v", i, r.Outcome, want, r.Err)
		}
	}
}

package lane_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"rollcall/internal/handler"
	"rollcall/internal/kinds"
	"rollcall/internal/lane"
	"rollcall/internal/outcome"
	"rollcall/internal/redistest"
	"rollcall/providers"
	"rollcall/tasks"
)

const nicknames, urgent, groups = "dt.nickname", "dt.nickname.urgent", "dt.group"

func TestADoneTaskShowsItsResultAndLeavesNoCounters(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		failures := 1
		r.add(lane.Config{}, func(context.Context, func(context.Context) error, string) error {
			if failures--; failures >= 0 {
				return &providers.Error{Kind: providers.Unknown}
			}
			return nil
		})
		r.start()
		id := r.put(nicknames, "")
		first := r.attempt()
		if first.Verdict.Action != outcome.Retry || first.Verdict.Attempt != 1 || first.Lane != nicknames {
			t.Errorf("first attempt: %+v", first)
		}
		if n := r.rdb.Exists(t.Context(), "rollcall:{"+id+"}:attempts").Val(); n != 1 {
			t.Error("the counters of a task that will be retried are missing")
		}
		r.ends(nicknames, id, asynq.TaskStateRetry)
		_ = r.inspector.RunTask(nicknames, id) // or its retry is already due
		if second := r.attempt(); second.Verdict.Action != outcome.Done || second.Retried != 1 {
			t.Errorf("second attempt: %+v", second)
		}
		info := r.ends(nicknames, id, asynq.TaskStateCompleted)
		if string(info.Result) != `{"outcome":"applied","sends":0}` || info.Retried != 1 {
			t.Errorf("asynq shows the result %s after %d attempts", info.Result, info.Retried)
		}
		if n := r.rdb.Exists(t.Context(), "rollcall:{"+id+"}:attempts").Val(); n != 0 {
			t.Error("the counters of a task that is done are kept")
		}
	})
}

func TestAResultIsWrittenToRedisWithTheTasksCompletion(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		r.add(lane.Config{Limits: fast}, nothing)
		r.start()
		for range 3 {
			info := r.ends(nicknames, r.put(nicknames, ""), asynq.TaskStateCompleted)
			if string(info.Result) != `{"outcome":"applied","sends":0}` {
				t.Errorf("asynq shows the result %s", info.Result)
			}
		}
		r.wire.mu.Lock()
		defer r.wire.mu.Unlock()
		if r.wire.results != 0 {
			t.Errorf("%d of 3 results cost a round trip of their own", r.wire.results)
		}
	})
}

func TestAPanicCountsAsAnAttemptAndTheLaneContinues(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		r.add(lane.Config{}, func(_ context.Context, _ func(context.Context) error, payload string) error {
			if payload == "bad" {
				panic("defect")
			}
			return nil
		})
		r.start()
		bad := r.put(nicknames, "bad")
		if got := r.attempt().Verdict; got.Class != outcome.Panic || !got.Counted || got.Action != outcome.Retry {
			t.Errorf("verdict %+v", got)
		}
		good := r.put(nicknames, "good")
		r.ends(nicknames, good, asynq.TaskStateCompleted)
		if info := r.ends(nicknames, bad, asynq.TaskStateRetry); !strings.Contains(info.LastErr, "report it: panic: defect") {
			t.Errorf("asynq shows %q", info.LastErr)
		}
	})
}

func TestUrgentTasksAreDequeuedFirst(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		r.add(lane.Config{}, nothing)
		var bulk, first []string
		for range 8 {
			bulk = append(bulk, r.put(nicknames, ""))
		}
		for range 3 {
			first = append(first, r.put(urgent, ""))
		}
		r.start()
		for range 11 {
			r.attempt()
		}
		// The order in which Redis returned the tasks: handlers may start in another
		// order.
		if diff := cmp.Diff(first, r.wire.order(slices.Concat(bulk, first))[:3]); diff != "" {
			t.Errorf("the first three that were taken (-want +got):\n%s", diff)
		}
	})
}

func TestALaneThatHangsDoesNotDelayTheOthers(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		stuck, free := make(chan string, 100), make(chan struct{})
		r.add(lane.Config{}, func(_ context.Context, _ func(context.Context) error, payload string) error {
			stuck <- payload
			<-free
			return nil
		})
		r.add(lane.Config{Kind: tasks.KindGroup}, func(context.Context, func(context.Context) error, string) error {
			return nil
		})
		for range 8 {
			r.put(nicknames, "")
		}
		r.start()
		for range 3 {
			await(t, stuck, "the lane to be full")
		}
		var ids []string
		for range 20 {
			ids = append(ids, r.put(groups, ""))
		}
		for _, id := range ids {
			r.ends(groups, id, asynq.TaskStateCompleted)
		}
		close(free)
		for range 28 {
			if got := r.attempt(); got.Verdict.Action != outcome.Done {
				t.Errorf("%+v", got)
			}
		}
	})
}

// A task that waits for a slot has sent nothing: it returns unchanged. A running call
// is waited for.
func TestAStopReturnsWaitingTasksAndFinishesRunningOnes(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		running, finish := make(chan struct{}), make(chan struct{})
		waiting := make(chan struct{}, 10)
		r.add(lane.Config{}, func(ctx context.Context, slot func(context.Context) error, payload string) error {
			if payload == "waits" {
				waiting <- struct{}{}
				for { // however many slots there are
					if err := slot(ctx); err != nil {
						return &providers.Error{Kind: providers.Unsent, Err: err}
					}
				}
			}
			close(running)
			<-finish
			return nil
		})
		r.start()
		runs := r.put(nicknames, "runs")
		await(t, running, "the task that runs")
		waits := r.put(nicknames, "waits")
		await(t, waiting, "the task that waits")
		stopped := make(chan struct{})
		go func() { defer close(stopped); r.stop() }()
		if got := r.attempt().Verdict; got.Class != outcome.Stopping || got.Counted {
			t.Errorf("the task that waits: %+v", got)
		}
		select {
		case <-stopped:
			t.Error("the stop did not wait for the task that runs")
		default:
		}
		close(finish)
		await(t, stopped, "the stop")
		if info := r.ends(nicknames, waits, asynq.TaskStateRetry); info.Retried != 0 || time.Until(info.NextProcessAt) > time.Second {
			t.Errorf("the waiting task lost %d attempts and is retried at %v", info.Retried, info.NextProcessAt)
		}
		r.ends(nicknames, runs, asynq.TaskStateCompleted)
		if err := r.set.Lanes()[0].Slot(t.Context()); !errors.Is(err, lane.ErrStopping) {
			t.Errorf("a slot after the stop: %v", err)
		}
	})
}

// A handler receives everything that is needed to enqueue the task again.
func TestAHandlerReceivesTheTaskWithAllItsProducersOptions(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		got := make(chan handler.Delivery, 1)
		r.set.Add(lane.Config{
			Organisation: "lakeside", Tenant: "dt", Platform: "dingtalk", Kind: tasks.KindNickname, Limits: slow, Timeout: time.Second,
		}, func(_ context.Context, d handler.Delivery) (handler.Report, error) {
			d.Pacer = nil
			got <- d
			return handler.Report{Outcome: handler.Applied}, nil
		})
		headers := map[string]string{kinds.KeyHeader: "mine"}
		if _, err := r.client.Enqueue(asynq.NewTaskWithHeaders("type", []byte("{}"), headers), asynq.Queue(urgent), asynq.TaskID("t1")); err != nil {
			t.Fatal(err)
		}
		r.start()
		want := handler.Delivery{TaskID: "t1", Type: "type", Payload: []byte("{}"), Queue: urgent, Key: "mine"}
		if diff := cmp.Diff(want, <-got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

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
	"rollcall/internal/lanetest"
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
		r.Add(lane.Config{}, func(context.Context, func(context.Context) error, string) error {
			if failures--; failures >= 0 {
				return &providers.Error{Kind: providers.Unknown}
			}
			return nil
		})
		r.Start()
		id := r.Put(nicknames, "")
		first := r.Attempt()
		if first.Verdict.Action != outcome.Retry || first.Verdict.Attempt != 1 || first.Lane != nicknames {
			t.Errorf("first attempt: %+v", first)
		}
		if n := r.Redis.Exists(t.Context(), "rollcall:{"+id+"}:attempts").Val(); n != 1 {
			t.Error("the counters of a task that will be retried are missing")
		}
		r.Ends(nicknames, id, asynq.TaskStateRetry)
		_ = r.Inspector.RunTask(nicknames, id) // or its retry is already due
		if second := r.Attempt(); second.Verdict.Action != outcome.Done || second.Retried != 1 {
			t.Errorf("second attempt: %+v", second)
		}
		info := r.Ends(nicknames, id, asynq.TaskStateCompleted)
		if string(info.Result) != `{"outcome":"applied","sends":0}` || info.Retried != 1 {
			t.Errorf("asynq shows the result %s after %d attempts", info.Result, info.Retried)
		}
		if n := r.Redis.Exists(t.Context(), "rollcall:{"+id+"}:attempts").Val(); n != 0 {
			t.Error("the counters of a task that is done are kept")
		}
	})
}

func TestAResultIsWrittenToRedisWithTheTasksCompletion(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		r.Add(lane.Config{Limits: fast}, nothing)
		r.Start()
		for range 3 {
			info := r.Ends(nicknames, r.Put(nicknames, ""), asynq.TaskStateCompleted)
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

// asynq sends a completion again, and the result must come with it.
func TestAResultIsWrittenEvenIfItsFirstCompletionDidNotReachRedis(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		r.wire.lose = 1
		r.Add(lane.Config{Limits: fast}, nothing)
		r.Start()
		info := r.Ends(nicknames, r.Put(nicknames, ""), asynq.TaskStateCompleted)
		if string(info.Result) != `{"outcome":"applied","sends":0}` {
			t.Errorf("asynq shows the result %q", info.Result)
		}
		r.wire.mu.Lock()
		defer r.wire.mu.Unlock()
		if r.wire.lose != 0 {
			t.Error("no completion was lost")
		}
	})
}

func TestAPanicCountsAsAnAttemptAndTheLaneContinues(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		r.Add(lane.Config{}, func(_ context.Context, _ func(context.Context) error, payload string) error {
			if payload == "bad" {
				panic("defect")
			}
			return nil
		})
		r.Start()
		bad := r.Put(nicknames, "bad")
		if got := r.Attempt().Verdict; got.Class != outcome.Panic || !got.Counted || got.Action != outcome.Retry {
			t.Errorf("verdict %+v", got)
		}
		good := r.Put(nicknames, "good")
		r.Ends(nicknames, good, asynq.TaskStateCompleted)
		if info := r.Ends(nicknames, bad, asynq.TaskStateRetry); !strings.Contains(info.LastErr, "report it: panic: defect") {
			t.Errorf("asynq shows %q", info.LastErr)
		}
	})
}

func TestUrgentTasksAreDequeuedFirst(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		r.Add(lane.Config{}, nothing)
		var bulk, first []string
		for range 8 {
			bulk = append(bulk, r.Put(nicknames, ""))
		}
		for range 3 {
			first = append(first, r.Put(urgent, ""))
		}
		r.Start()
		for range 11 {
			r.Attempt()
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
		r.Add(lane.Config{}, func(_ context.Context, _ func(context.Context) error, payload string) error {
			stuck <- payload
			<-free
			return nil
		})
		r.Add(lane.Config{Kind: tasks.KindGroup}, func(context.Context, func(context.Context) error, string) error {
			return nil
		})
		for range 8 {
			r.Put(nicknames, "")
		}
		r.Start()
		for range 3 {
			lanetest.Await(t, stuck, "the lane to be full")
		}
		var ids []string
		for range 20 {
			ids = append(ids, r.Put(groups, ""))
		}
		for _, id := range ids {
			r.Ends(groups, id, asynq.TaskStateCompleted)
		}
		close(free)
		for range 28 {
			if got := r.Attempt(); got.Verdict.Action != outcome.Done {
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
		r.Add(lane.Config{}, func(ctx context.Context, slot func(context.Context) error, payload string) error {
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
		r.Start()
		runs := r.Put(nicknames, "runs")
		lanetest.Await(t, running, "the task that runs")
		waits := r.Put(nicknames, "waits")
		lanetest.Await(t, waiting, "the task that waits")
		stopped := make(chan struct{})
		go func() { defer close(stopped); r.Stop() }()
		if got := r.Attempt().Verdict; got.Class != outcome.Stopping || got.Counted {
			t.Errorf("the task that waits: %+v", got)
		}
		select {
		case <-stopped:
			t.Error("the stop did not wait for the task that runs")
		default:
		}
		close(finish)
		lanetest.Await(t, stopped, "the stop")
		info, err := r.Inspector.GetTaskInfo(nicknames, waits)
		if err != nil {
			t.Fatal(err)
		}
		// Its retry is due within a second: asynq may have made it pending before it stopped.
		soon := info.State == asynq.TaskStatePending ||
			info.State == asynq.TaskStateRetry && time.Until(info.NextProcessAt) <= time.Second
		if info.Retried != 0 || !soon {
			t.Errorf("the waiting task lost %d attempts, is %v, and is retried at %v", info.Retried, info.State, info.NextProcessAt)
		}
		r.Ends(nicknames, runs, asynq.TaskStateCompleted)
		if err := r.Set.Lanes()[0].Slot(t.Context()); !errors.Is(err, lane.ErrStopping) {
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
		r.Set.Add(lane.Config{
			Organisation: "lakeside", Tenant: "dt", Platform: "dingtalk", Kind: tasks.KindNickname, Limits: slow, Timeout: time.Second,
		}, func(_ context.Context, d handler.Delivery) (handler.Report, error) {
			d.Pacer = nil
			got <- d
			return handler.Report{Outcome: handler.Applied}, nil
		})
		headers := map[string]string{kinds.KeyHeader: "mine"}
		if _, err := r.Client.Enqueue(asynq.NewTaskWithHeaders("type", []byte("{}"), headers), asynq.Queue(urgent), asynq.TaskID("t1")); err != nil {
			t.Fatal(err)
		}
		r.Start()
		want := handler.Delivery{TaskID: "t1", Type: "type", Payload: []byte("{}"), Queue: urgent, Key: "mine"}
		if diff := cmp.Diff(want, <-got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

package lane_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"rollcall/internal/lane"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
	"rollcall/providers"
	"rollcall/tasks"
)

const nicknames, urgent, groups = "dt.nickname", "dt.nickname.urgent", "dt.group"

func TestATaskThatIsDoneShowsItsResultAndLeavesNoCounters(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		failures := 1
		r.add("lakeside", "dt", "dingtalk", tasks.KindNickname, slow, func(context.Context, func(context.Context) error, string) error {
			if failures--; failures >= 0 {
				return &providers.Error{Kind: providers.Unknown}
			}
			return nil
		})
		r.start()
		id := r.put(nicknames, "")
		first := r.attempt()
		if first.Verdict.Action != lane.Retry || first.Verdict.Attempt != 1 || first.Lane != nicknames {
			t.Errorf("first attempt: %+v", first)
		}
		if n := r.rdb.Exists(t.Context(), "rollcall:{"+id+"}:attempts").Val(); n != 1 {
			t.Error("the counters of a task that is to be retried are gone")
		}
		r.ends(nicknames, id, asynq.TaskStateRetry)
		_ = r.inspector.RunTask(nicknames, id) // or its time has come by itself
		if second := r.attempt(); second.Verdict.Action != lane.Done || second.Retried != 1 {
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

func TestAPanicIsAnAttemptAndTheLaneGoesOn(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		r.add("lakeside", "dt", "dingtalk", tasks.KindNickname, slow, func(_ context.Context, _ func(context.Context) error, payload string) error {
			if payload == "bad" {
				panic("defect")
			}
			return nil
		})
		r.start()
		bad := r.put(nicknames, "bad")
		if got := r.attempt().Verdict; got.Class != lane.ClassPanic || !got.Counted || got.Action != lane.Retry {
			t.Errorf("verdict %+v", got)
		}
		good := r.put(nicknames, "good")
		r.ends(nicknames, good, asynq.TaskStateCompleted)
		if info := r.ends(nicknames, bad, asynq.TaskStateRetry); !strings.Contains(info.LastErr, "report it: panic: defect") {
			t.Errorf("asynq shows %q", info.LastErr)
		}
	})
}

// What the limit lets through in a second and two more, so that slow answers do
// not leave slots unused; bounded, as each may need a connection.
func TestHowManyTasksALaneIsAtTogetherFollowsItsLimit(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.Mini(t))
	want := map[string]int{}
	for name, row := range map[string]struct {
		limit    pace.Limit
		together int
	}{
		"slow":    {slow, 4},
		"hourly":  {pace.Limit{Calls: 100, Per: time.Hour}, 4},
		"twenty":  {pace.Limit{Calls: 20, Per: time.Second}, 22},
		"minutes": {pace.Limit{Calls: 600, Per: time.Minute}, 12},
		"fast":    {pace.Limit{Calls: 1000, Per: time.Second}, 64},
	} {
		r.add("lakeside", name, "dingtalk", tasks.KindNickname, row.limit, nil)
		want[name+".nickname"] = row.together
	}
	r.start()
	eventually(t, func() error {
		servers, err := r.inspector.Servers()
		if err != nil {
			return err
		}
		got := map[string]int{}
		for _, s := range servers {
			for queue := range s.Queues {
				got[strings.TrimSuffix(queue, ".urgent")] = s.Concurrency
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return errors.New(diff)
		}
		return nil
	})
}

func TestUrgentTasksAreTakenFirst(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		order, free := make(chan string, 100), make(chan struct{})
		r.add("lakeside", "dt", "dingtalk", tasks.KindNickname, slow, func(_ context.Context, _ func(context.Context) error, payload string) error {
			order <- payload
			<-free
			return nil
		})
		for range 8 {
			r.put(nicknames, "bulk")
		}
		for range 4 {
			r.put(urgent, "urgent")
		}
		r.start()
		for range 4 { // as many as are taken together
			if got := await(t, order, "a task"); got != "urgent" {
				t.Errorf("%s was taken among the first four", got)
			}
		}
		close(free)
		for range 12 {
			r.attempt()
		}
	})
}

func TestALaneThatHangsTakesNothingFromTheOthers(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		stuck, free := make(chan string, 100), make(chan struct{})
		r.add("lakeside", "dt", "dingtalk", tasks.KindNickname, slow, func(_ context.Context, _ func(context.Context) error, payload string) error {
			stuck <- payload
			<-free
			return nil
		})
		r.add("lakeside", "dt", "dingtalk", tasks.KindGroup, slow, func(context.Context, func(context.Context) error, string) error {
			return nil
		})
		for range 8 {
			r.put(nicknames, "")
		}
		r.start()
		for range 4 {
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
			if got := r.attempt(); got.Verdict.Action != lane.Done {
				t.Errorf("%+v", got)
			}
		}
	})
}

// What waits for a slot has sent nothing: it goes back as it came. What is at
// the platform is waited for.
func TestAStopSendsBackWhatWaitsAndFinishesWhatRuns(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		running, finish := make(chan struct{}), make(chan struct{})
		waiting := make(chan struct{}, 10)
		r.add("lakeside", "dt", "dingtalk", tasks.KindNickname, slow, func(ctx context.Context, slot func(context.Context) error, payload string) error {
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
		if got := r.attempt().Verdict; got.Class != lane.ClassStopping || got.Counted {
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
			t.Errorf("the task that waited lost %d attempts and is next tried at %v", info.Retried, info.NextProcessAt)
		}
		r.ends(nicknames, runs, asynq.TaskStateCompleted)
		if err := r.set.Lanes()[0].Slot(t.Context()); !errors.Is(err, lane.ErrStopping) {
			t.Errorf("a slot after the stop: %v", err)
		}
	})
}

// A lane on hold makes no call, and its tasks lose no attempt however often
// they come back.
func TestTasksOfALaneOnHoldGoBackUncounted(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		calls := make(chan string, 100)
		r.add("lakeside", "dt", "dingtalk", tasks.KindNickname, slow, func(_ context.Context, _ func(context.Context) error, payload string) error {
			calls <- payload
			return &providers.Error{Kind: providers.Misconfigured, Scope: providers.ScopeLane}
		})
		r.start()
		r.put(nicknames, "0")
		if got := r.attempt().Verdict; got.Class != lane.ClassRefused || got.Hold <= 0 {
			t.Fatalf("verdict %+v", got)
		}
		for n := range 3 {
			id := r.put(nicknames, strconv.Itoa(n+1))
			got := r.attempt().Verdict
			if got.Class != lane.ClassHeld || got.Counted || got.After < 4*time.Minute {
				t.Errorf("verdict on a task of a lane on hold: %+v", got)
			}
			if info := r.ends(nicknames, id, asynq.TaskStateRetry); info.Retried != 0 {
				t.Errorf("it lost %d attempts", info.Retried)
			}
		}
		if len(calls) != 1 {
			t.Errorf("%d calls, want 1", len(calls))
		}
		_, ok := errors.AsType[*lane.HeldError](r.set.Lanes()[0].Slot(t.Context()))
		if !ok {
			t.Error("a lane on hold gives slots")
		}
	})
}

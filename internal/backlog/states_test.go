package backlog_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"rollcall/internal/backlog"
	"rollcall/internal/redistest"
)

// A task without a state has vanished: asynq stores the state of every task in every
// list.
func TestTheStatesOfManyTasksAreReadAtOnce(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		ctx, rdb := t.Context(), s.Client(t)
		client, inspector := asynq.NewClientFromRedisClient(rdb), asynq.NewInspectorFromRedisClient(rdb)
		for id, options := range map[string][]asynq.Option{
			"waits": nil, "later": {asynq.ProcessIn(time.Hour)}, "dead": {asynq.ProcessIn(time.Hour)}, "deleted": {asynq.ProcessIn(time.Hour)},
			"runs": {asynq.Queue("busy")}, "done": {asynq.Queue("busy"), asynq.Retention(time.Hour)}, "again": {asynq.Queue("busy")},
		} {
			options = append([]asynq.Option{asynq.Queue("q"), asynq.TaskID(id)}, options...)
			if _, err := client.Enqueue(asynq.NewTask(id, nil), options...); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(inspector.ArchiveTask("q", "dead"), inspector.DeleteTask("q", "deleted")); err != nil {
			t.Fatal(err)
		}
		running, release, ended := make(chan struct{}), make(chan struct{}), make(chan string, 2)
		server := asynq.NewServerFromRedisClient(s.Client(t), asynq.Config{
			Concurrency: 3, Queues: map[string]int{"busy": 1}, TaskCheckInterval: 10 * time.Millisecond, LogLevel: asynq.FatalLevel,
		})
		err := server.Start(asynq.HandlerFunc(func(_ context.Context, task *asynq.Task) error {
			switch task.Type() {
			case "runs":
				close(running)
				<-release
			case "again":
				ended <- ""
				return errors.New("again")
			default:
				ended <- ""
			}
			return nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		defer server.Shutdown()
		defer close(release)
		<-running
		<-ended
		<-ended

		asked := []backlog.Task{
			{Queue: "q", ID: "waits"},
			{Queue: "q", ID: "deleted"},
			{Queue: "q", ID: "later"},
			{Queue: "q", ID: "dead"},
			{Queue: "busy", ID: "runs"},
			{Queue: "busy", ID: "done"},
			{Queue: "busy", ID: "again"},
			{Queue: "none", ID: "waits"},
		}
		want := []string{"pending", "", "scheduled", "archived", "active", "completed", "retry", ""}
		tick := time.NewTicker(10 * time.Millisecond) // a task ends shortly after its handler
		defer tick.Stop()
		for tries := 0; ; tries++ {
			states, now, err := backlog.States(ctx, rdb, asked)
			if err != nil {
				t.Fatal(err)
			}
			if off := time.Since(now); off > time.Minute || off < -time.Minute {
				t.Errorf("Redis' clock is %s off", off)
			}
			diff := cmp.Diff(want, states)
			if diff == "" {
				break
			}
			if tries > 1000 {
				t.Fatalf("(-want +got):\n%s", diff)
			}
			<-tick.C
		}
		if states, _, err := backlog.States(ctx, rdb, nil); len(states) != 0 || err != nil {
			t.Errorf("of none: %v, %v", states, err)
		}
		over, cancel := context.WithCancel(ctx)
		cancel()
		if _, _, err := backlog.States(over, rdb, asked); err == nil {
			t.Error("states returned without an answer")
		}
	})
}

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hibiken/asynq"

	"rollcall/internal/redisdb"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

// soon is how far off a retry may be without being brought forward.
const soon = 15 * time.Second

// queues returns the queues of all lanes.
func queues() []string {
	var names []string
	for _, lane := range []struct {
		tenant string
		kind   tasks.Kind
	}{{dingtalk, tasks.KindNickname}, {dingtalk, tasks.KindGroup}, {dingtalk, tasks.KindID}, {classin, tasks.KindCourse}} {
		names = append(names, registry.Queue(lane.tenant, lane.kind, false), registry.Queue(lane.tenant, lane.kind, true))
	}
	return names
}

// operator is an operator's view of asynq.
type operator struct{ inspector *asynq.Inspector }

func openOperator(place redisdb.Config) (operator, error) {
	rdb, err := place.Open()
	if err != nil {
		return operator{}, err
	}
	return operator{asynq.NewInspector(redisdb.ConnOpt(rdb))}, nil
}

// each calls do with every task in one of the states.
func (d operator) each(states []asynq.TaskState, do func(*asynq.TaskInfo)) error {
	list := map[asynq.TaskState]func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
		asynq.TaskStatePending: d.inspector.ListPendingTasks, asynq.TaskStateActive: d.inspector.ListActiveTasks,
		asynq.TaskStateScheduled: d.inspector.ListScheduledTasks, asynq.TaskStateRetry: d.inspector.ListRetryTasks,
		asynq.TaskStateArchived: d.inspector.ListArchivedTasks, asynq.TaskStateCompleted: d.inspector.ListCompletedTasks,
	}
	// One page: asynq removes expired tasks all the time, and a second page would leave out as many
	// as were removed since the first.
	const all = 1 << 20
	for _, name := range queues() {
		for _, state := range states {
			infos, err := list[state](name, asynq.PageSize(all))
			if errors.Is(err, asynq.ErrQueueNotFound) {
				continue // nothing was ever put into it
			}
			if err != nil {
				return fmt.Errorf("list the %s tasks of %s: %w", state, name, err)
			}
			for _, info := range infos {
				do(info)
			}
		}
	}
	return nil
}

// drain waits until all tasks have ended, and runs distant retries at once: the length
// of a backoff is not under test. Until alone has passed it runs only those that no
// fault has caused. runs counts the runs that have not ended.
func (d operator) drain(ctx context.Context, bound, alone time.Duration, runs func(context.Context) int, logf func(string, ...any)) (forward int, err error) {
	began := time.Now()
	deadline := began.Add(bound)
	notified := time.Now()
	for {
		open := 0
		err := d.each([]asynq.TaskState{
			asynq.TaskStatePending, asynq.TaskStateActive, asynq.TaskStateScheduled, asynq.TaskStateRetry,
		}, func(t *asynq.TaskInfo) {
			open++
			far := t.State == asynq.TaskStateRetry && time.Until(t.NextProcessAt) > soon
			if far && (time.Since(began) >= alone || renamedInPart(t)) && d.inspector.RunTask(t.Queue, t.ID) == nil {
				forward++
			}
		})
		switch {
		case ctx.Err() != nil:
			return forward, ctx.Err()
		case err != nil && time.Now().After(deadline):
			return forward, err
		case err == nil && runs(ctx)+open == 0, time.Now().After(deadline):
			return forward, nil // open tasks are a violation, and reported
		}
		if time.Since(notified) >= logEvery {
			notified = time.Now()
			logf("%d tasks are still open", open)
		}
		pause(ctx, 2*time.Second)
	}
}

// renamedInPart reports whether a task waits because its course has a student who
// cannot be renamed. Such a course is tried three times, a minute apart, with or
// without faults.
func renamedInPart(t *asynq.TaskInfo) bool { return strings.HasPrefix(t.LastErr, "partial: ") }

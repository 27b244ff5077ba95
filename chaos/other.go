package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"

	"github.com/go-json-experiment/json"

	"rollcall/tasks"
)

// otherProducer enqueues with the command enqueue of another commit. It takes nickname
// changes with a key alone: the flags of the other kinds are more than it is worth,
// and a change without a key could not be repeated if the command ended early.
type otherProducer struct{ command, redis string }

func takenByOther(requests []tasks.Request) bool {
	for _, r := range requests {
		if _, nickname := r.Task.(tasks.NicknameSync); !nickname || r.Options.Key == "" || !r.Options.At.IsZero() {
			return false
		}
	}
	return true
}

// enqueueAll runs the command once for each request. bulk would make a run of them, whose
// rows are stored later.
func (o *otherProducer) enqueueAll(ctx context.Context, requests []tasks.Request) []tasks.Result {
	results := make([]tasks.Result, len(requests))
	for i, r := range requests {
		results[i] = o.enqueue(ctx, r)
	}
	return results
}

// enqueue returns NotKnown if the command does not print the outcome.
func (o *otherProducer) enqueue(ctx context.Context, r tasks.Request) tasks.Result {
	task, _ := r.Task.(tasks.NicknameSync)
	args := []string{
		"nickname", "--json", "--redis", o.redis, "--key", r.Options.Key,
		"--tenant", task.Tenant, "--chat", task.ChatID, "--user", task.UserID,
	}
	if r.Options.Urgent {
		args = append(args, "--urgent")
	}
	cmd := exec.CommandContext(ctx, o.command, append(args, "--", task.Nickname)...) //nolint:gosec // our own command of another commit
	// It fails if the change is not stored; its line says why.
	out, ended := cmd.Output()
	var line struct {
		Outcome  string `json:"outcome"`
		TaskID   string `json:"task_id"`
		Queue    string `json:"queue"`
		Revision int64  `json:"revision"`
		Error    string `json:"error"`
	}
	if err := json.Unmarshal(out, &line); err != nil {
		return tasks.Result{Outcome: tasks.NotKnown, Err: fmt.Errorf("%s: %w", o.command, errors.Join(ended, err))}
	}
	result := tasks.Result{Outcome: tasks.NotKnown, TaskID: line.TaskID, Queue: line.Queue, Revision: line.Revision}
	if line.Error != "" {
		result.Err = fmt.Errorf("%s: %s", o.command, line.Error)
	}
	for _, outcome := range []tasks.Outcome{tasks.NotStored, tasks.Stored, tasks.AlreadyThere, tasks.Refused} {
		if outcome.String() == line.Outcome {
			result.Outcome = outcome
		}
	}
	return result
}

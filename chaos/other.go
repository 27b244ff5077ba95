package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"

	"github.com/go-json-experiment/json"

	"rollcall/tasks"
)

// otherProducer enqueues with the command enqueue of another commit. It takes nickname
// changes with a key alone: the columns of the other kinds are more than it is worth,
// and a change without a key could not be repeated if the command ended early.
type otherProducer struct{ command, redis string }

// otherRow is a line of a file of nicknames in NDJSON.
type otherRow struct {
	Kind     tasks.Kind `json:"kind"`
	Tenant   string     `json:"tenant"`
	ChatID   string     `json:"chat_id"`
	UserID   string     `json:"user_id"`
	Nickname string     `json:"nickname"`
	Key      string     `json:"key"`
	Urgent   bool       `json:"urgent,omitzero"`
}

func takenByOther(requests []tasks.Request) bool {
	for _, r := range requests {
		if _, nickname := r.Task.(tasks.NicknameSync); !nickname || r.Options.Key == "" || !r.Options.At.IsZero() {
			return false
		}
	}
	return true
}

// enqueueAll returns NotKnown for a request that the command does not report on.
func (o *otherProducer) enqueueAll(ctx context.Context, requests []tasks.Request) []tasks.Result {
	results := make([]tasks.Result, len(requests))
	byKey := map[string]int{}
	var lines bytes.Buffer
	for i, r := range requests {
		task, _ := r.Task.(tasks.NicknameSync)
		byKey[r.Options.Key] = i
		results[i] = tasks.Result{Outcome: tasks.NotKnown, Err: fmt.Errorf("%s did not report on %s", o.command, r.Options.Key)}
		line, err := json.Marshal(otherRow{
			tasks.KindNickname, task.Tenant, task.ChatID, task.UserID, task.Nickname, r.Options.Key, r.Options.Urgent,
		})
		if err != nil {
			results[i] = tasks.Result{Outcome: tasks.Refused, Err: err}
			continue
		}
		lines.Write(append(line, '\n'))
	}
	cmd := exec.CommandContext(ctx, o.command, "bulk", "--json", "--redis", o.redis, "-") //nolint:gosec // our own command of another commit
	cmd.Stdin = &lines
	out, _ := cmd.Output() // it fails if one row does; its lines say which
	scanner := bufio.NewScanner(bytes.NewReader(out))
	for scanner.Scan() {
		var line struct {
			Key      string `json:"key"`
			Outcome  string `json:"outcome"`
			TaskID   string `json:"task_id"`
			Queue    string `json:"queue"`
			Revision int64  `json:"revision"`
			Error    string `json:"error"`
		}
		i, known := 0, false
		if err := json.UnmarshalRead(bytes.NewReader(scanner.Bytes()), &line); err == nil || errors.Is(err, io.EOF) {
			i, known = byKey[line.Key]
		}
		if !known {
			continue // the summary
		}
		results[i] = tasks.Result{TaskID: line.TaskID, Queue: line.Queue, Revision: line.Revision}
		if line.Error != "" {
			results[i].Err = fmt.Errorf("%s: %s", o.command, line.Error)
		}
		for _, outcome := range []tasks.Outcome{tasks.NotStored, tasks.Stored, tasks.AlreadyThere, tasks.NotKnown, tasks.Refused} {
			if outcome.String() == line.Outcome {
				results[i].Outcome = outcome
			}
		}
	}
	return results
}

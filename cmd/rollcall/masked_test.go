package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/cli"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/tasks"
)

// An older worker stored what a platform said. The commands mask it like the payload.
func TestWhatAPlatformSaidIsMaskedInEveryCommand(t *testing.T) {
	t.Parallel()
	url, rdb := served(t)
	const said = "user EMPLOYEE7（三年二班　王芳）is not in chat1, key 2026/employee7"
	typename, payload, err := kinds.Encode(tasks.NicknameSync{Tenant: "lakeside-dt", ChatID: "chat1", UserID: "employee7", Nickname: "三年二班 王芳"}, 1234)
	if err != nil {
		t.Fatal(err)
	}
	// The name of a change that waits is in its payload alone.
	_, waiting, err := kinds.Encode(tasks.NicknameSync{Tenant: "lakeside-dt", ChatID: "chat1", UserID: "employee7", Nickname: "李小梅"}, 1235)
	if err != nil {
		t.Fatal(err)
	}
	failOnce(t, rdb, asynq.NewTaskWithHeaders(typename, waiting, map[string]string{kinds.KeyHeader: "2026/employee7"}), said+", not 李小梅")
	now := time.Now()
	effect, err := json.Marshal(ledger.Event{TaskID: "t1", Revision: 7, RequestID: "r-employee7", Set: map[string]string{"nickname": "王芳"}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = ledger.New(rdb).AddDeadLetter(t.Context(), ledger.DeadLetter{
		ID: "t2", Lane: "lakeside-dt.nickname", Tenant: "lakeside-dt", Kind: "nickname", Organisation: "lakeside", Type: typename, Payload: payload,
		Target: "chat1/employee7", Key: "2026/employee7", Revision: 1234, Class: "rejected", Code: "34001", Message: said, RequestID: "r-Employee7-王芳",
		Cause: said, Todo: "correct the roster", First: now, Last: now,
	})
	err = errors.Join(
		err, rdb.HSet(t.Context(), "rollcall:{lakeside/nickname}:target:chat1/employee7", "n:nickname", 9, "t:nickname", "t1", "r:nickname", 7, "v:nickname", "王芳").Err(),
		rdb.LPush(t.Context(), "rollcall:{lakeside/nickname}:effects:chat1/employee7", fmt.Sprintf("%d %s", now.Unix(), effect)).Err(),
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"explain", "lakeside-dt.nickname", "chat1/employee7"}, {"explain", "--task", "t1"}, {"dead", "list"}, {"dead", "show", "t2"}, {"dead", "export"}, {"dead", "replay", "--dry-run", "t2"},
	} {
		for _, asJSON := range []bool{false, true} {
			for _, personal := range []bool{false, true} {
				all := append([]string{"--redis", url}, args...)
				if asJSON {
					all = append(all, "--json")
				}
				if personal {
					if args[1] == "replay" {
						continue
					}
					all = append(all, "--show-personal-data")
				}
				var out bytes.Buffer
				cli.Main("rollcall", cli.Process{
					Args: all, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Getenv: func(string) string { return "" },
				}, command)
				named := strings.Contains(strings.ToLower(out.String()), "mployee7") || strings.ContainsAny(out.String(), "芳梅")
				if named && !personal {
					t.Errorf("%q names the person:\n%s", all[2:], out.String())
				}
				if !named && personal && args[0] != "dead" {
					t.Errorf("%q hides the person:\n%s", all[2:], out.String())
				}
			}
		}
	}
}

// failOnce has asynq keep a task with the text of its last error.
func failOnce(t *testing.T, rdb redis.UniversalClient, task *asynq.Task, text string) {
	t.Helper()
	const queue = "lakeside-dt.nickname"
	if _, err := asynq.NewClientFromRedisClient(rdb).Enqueue(task, asynq.Queue(queue), asynq.TaskID("t1"), asynq.MaxRetry(100)); err != nil {
		t.Fatal(err)
	}
	server := asynq.NewServerFromRedisClient(rdb, asynq.Config{
		Queues: map[string]int{queue: 1}, TaskCheckInterval: 10 * time.Millisecond, LogLevel: asynq.FatalLevel,
		RetryDelayFunc: func(int, error, *asynq.Task) time.Duration { return time.Hour },
	})
	if err := server.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error { return errors.New(text) })); err != nil {
		t.Fatal(err)
	}
	defer server.Shutdown()
	inspector := asynq.NewInspectorFromRedisClient(rdb)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	patience := time.After(time.Minute)
	for {
		if info, err := inspector.GetTaskInfo(queue, "t1"); err == nil && info.State == asynq.TaskStateRetry {
			return
		}
		select {
		case <-patience:
			t.Fatal("the task was not tried")
		case <-ticker.C:
		}
	}
}

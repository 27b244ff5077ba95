package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/config"
	"rollcall/internal/demo"
	"rollcall/internal/enqueue"
	"rollcall/internal/logtest"
	"rollcall/internal/redisdb"
	"rollcall/internal/redistest"
	"rollcall/internal/sandbox"
	"rollcall/internal/secret"
	"rollcall/tasks"
)

// taskRun is one run of a story. It has its own Redis, platforms, producer and worker,
// and a line from the producer and from the worker to the Redis.
type taskRun struct {
	t         *testing.T
	rdb       redis.UniversalClient
	inspector *asynq.Inspector
	platforms *sandbox.Sandbox
	client    *enqueue.Client
	producer  *line
	worker    *line
	log       *logtest.Buffer
	stored    int // tasks enqueued so far
}

const lostConfig = `
redis: {url: %q}
http: {listen: "off"}
organisations:
  - name: lakeside
    tenants:
      - name: lakeside-dingtalk
        dingtalk: {api: %[2]q, oapi: %[2]q, app_key: dingdemo, app_secret: {env: APP_SECRET}, timeout: 10s}
`

// newTaskRun returns when the worker takes tasks. The scripts seen before are loaded into
// its Redis, so that each step is one command.
func newTaskRun(t *testing.T, known *luaScripts) *taskRun {
	t.Helper()
	server := redistest.Real(t)
	p := &taskRun{t: t, rdb: server.Client(t), log: &logtest.Buffer{}, producer: newLine(t, server, known), worker: newLine(t, server, known)}
	p.inspector = asynq.NewInspectorFromRedisClient(p.rdb)
	for _, body := range known.all() {
		if err := p.rdb.ScriptLoad(t.Context(), body).Err(); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if p.platforms, err = sandbox.New(sandbox.Config{World: demo.World(testStart), Seed: 1}); err != nil {
		t.Fatal(err)
	}
	listening := httptest.NewServer(p.platforms)
	t.Cleanup(func() { p.platforms.Close(); listening.Close() })
	p.work(listening.URL)
	options, err := redisdb.Config{URL: secret.New("redis://" + p.producer.proxy.Addr())}.Options()
	if err == nil {
		p.client, err = enqueue.New(enqueue.Config{Redis: options})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.client.Close() })
	return p
}

// work runs a worker as the command does, until the test ends.
func (p *taskRun) work(platforms string) {
	p.t.Helper()
	cfg, err := config.Parse("lost", fmt.Appendf(nil, lostConfig, "redis://"+p.worker.proxy.Addr(), platforms),
		func(string) string { return demo.AppSecret })
	if err != nil {
		p.t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(p.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w, err := newWorker(p.t.Context(), cfg, log, new(slog.LevelVar))
	if err != nil {
		p.t.Fatal(err)
	}
	running, stop := context.WithCancel(context.Background())
	readied, ended := make(chan ready, 1), make(chan error, 1)
	go func() { ended <- w.run(running, runtime{started: func(r ready) { readied <- r }}) }()
	p.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			p.t.Errorf("the worker: %v", err)
		}
	})
	select {
	case <-readied:
	case <-time.After(patience):
		p.t.Fatalf("the worker is not ready:\n%s", p.log)
	}
}

// enqueue stores tasks, and must succeed.
func (p *taskRun) enqueue(requests ...tasks.Request) []tasks.Result {
	p.t.Helper()
	var results []tasks.Result
	if len(requests) == 1 {
		result, _ := p.client.Enqueue(p.t.Context(), requests[0].Task, requests[0].Options)
		results = append(results, result)
	} else {
		results = p.client.EnqueueAll(p.t.Context(), requests)
	}
	p.stored += len(requests)
	for _, result := range results {
		if result.Outcome != tasks.Stored {
			p.t.Errorf("the producer got %s: %v", result.Outcome, result.Err)
		}
	}
	return results
}

// settle waits until all tasks have ended, and returns the ends of the given ones.
func (p *taskRun) settle(results []tasks.Result) []end {
	p.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for {
		over, left := p.over()
		if len(left) == 0 && over == p.stored {
			break
		}
		select {
		case <-late:
			p.t.Fatalf("%d of %d tasks ended; left: %v\n%s", over, p.stored, left, p.log)
		case <-tick.C:
		}
	}
	ends := make([]end, len(results))
	for i, r := range results {
		ends[i] = p.end(r)
	}
	return ends
}

func (p *taskRun) over() (ended int, left []string) {
	p.t.Helper()
	queues, err := p.inspector.Queues()
	if err != nil {
		p.t.Fatal(err)
	}
	for _, queue := range queues {
		info, err := p.inspector.GetQueueInfo(queue)
		if err != nil {
			p.t.Fatal(err)
		}
		ended += info.Completed + info.Archived
		if n := info.Size - info.Completed - info.Archived; n > 0 {
			left = append(left, fmt.Sprintf("%d in %s (%+v)", n, queue, info))
		}
	}
	return ended + p.closed(), left
}

// closed counts the dead letters that closed automatically. Their tasks are no longer
// archived.
func (p *taskRun) closed() (n int) {
	p.t.Helper()
	keys, err := p.rdb.Keys(p.t.Context(), "rollcall:*:dead:closed").Result()
	for _, key := range keys {
		n += int(p.rdb.LLen(p.t.Context(), key).Val())
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

// end is the end of a task.
type end struct {
	Outcome string `json:"outcome"`
	dead    string // the class of its dead letter
}

func (e end) String() string {
	if e.dead != "" {
		return "dead letter `" + e.dead + "`"
	}
	return "`" + e.Outcome + "`"
}

func (p *taskRun) end(r tasks.Result) end {
	p.t.Helper()
	info, err := p.inspector.GetTaskInfo(r.Queue, r.TaskID)
	if err != nil {
		p.t.Fatalf("task %s: %v", r.TaskID, err)
	}
	var e end
	if info.State == asynq.TaskStateArchived {
		e.dead, _, _ = strings.Cut(info.LastErr, ":")
		return e
	}
	if len(info.Result) == 0 { // empty if the command that writes it was lost
		return end{Outcome: "done"}
	}
	if err := json.Unmarshal(info.Result, &e); err != nil {
		p.t.Fatalf("the result of task %s: %v", r.TaskID, err)
	}
	return e
}

// deadLetters counts the dead letters of all lanes.
func (p *taskRun) deadLetters() int {
	p.t.Helper()
	keys, err := p.rdb.Keys(p.t.Context(), "rollcall:*:dead:letters").Result()
	n := 0
	for _, key := range keys {
		n += int(p.rdb.HLen(p.t.Context(), key).Val())
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

// calls returns the calls to the platforms' APIs so far, without token requests.
func (p *taskRun) calls() []sandbox.Call {
	return slices.DeleteFunc(p.platforms.Calls(), func(c sandbox.Call) bool { return c.API == sandbox.APIToken })
}

func (p *taskRun) school() sandbox.OrganisationState {
	p.t.Helper()
	org, found := p.platforms.State().Organisation(demo.Organisation)
	if !found {
		p.t.Fatal("the sandbox has no organisation of the demo")
	}
	return org
}

package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hibiken/asynq"
	"github.com/rogpeppe/go-internal/testscript"

	"rollcall/internal/demo"
	"rollcall/internal/sandbox"
)

// testStart is the date of the sample school: the year locks of its people begin before
// the test.
var testStart = time.Now()

// patience bounds each wait of a script. No test depends on the duration of a wait.
const patience = 5 * time.Minute

func commands() map[string]func(*testscript.TestScript, bool, []string) {
	with := func(f func(*scene, *testscript.TestScript, []string)) func(*testscript.TestScript, bool, []string) {
		return func(ts *testscript.TestScript, neg bool, args []string) {
			if neg {
				ts.Fatalf("this command cannot be negated")
			}
			f(ts.Value(sceneKey{}).(*scene), ts, args)
		}
	}
	return map[string]func(*testscript.TestScript, bool, []string){
		"faults":    with((*scene).faults),
		"tasks":     with((*scene).tasks),
		"archived":  with((*scene).archived),
		"calls":     with((*scene).calls),
		"effects":   with((*scene).effects),
		"nick":      with((*scene).nick),
		"retried":   with((*scene).retried),
		"put":       with((*scene).put),
		"putraw":    with((*scene).putRaw),
		"redis":     with((*scene).control),
		"schema":    with((*scene).schema),
		"logged":    with((*scene).logged),
		"says":      with((*scene).says),
		"terminate": with(send(syscall.SIGTERM)),
		"hangup":    with(send(syscall.SIGHUP)),
		"overlaps":  with((*scene).overlaps),
		"nicks":     with((*scene).nicks),
		"code":      with((*scene).code),
		"one-line":  with((*scene).oneLine),
		"taken":     with((*scene).taken),
		"page":      with((*scene).page),
	}
}

// await repeats check until it returns nil.
func (s *scene) await(ts *testscript.TestScript, check func() error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			ts.Fatalf("timeout: %v", err)
		case <-tick.C:
		}
	}
}

func number(ts *testscript.TestScript, text string) int {
	n, err := strconv.Atoi(text)
	ts.Check(err)
	return n
}

// faults FILE enables the faults of a scenario; faults none ends them.
func (s *scene) faults(ts *testscript.TestScript, args []string) {
	if args[0] == "none" {
		s.platforms.DisarmAll()
		return
	}
	scenario, err := sandbox.LoadScenario(strings.NewReader(ts.ReadFile(args[0])))
	ts.Check(err)
	_, err = s.platforms.Arm(scenario.Faults...)
	ts.Check(err)
}

// tasks done=N dead=N … waits until asynq has these numbers of tasks in these states.
func (s *scene) tasks(ts *testscript.TestScript, args []string) {
	s.await(ts, func() error {
		counts, err := s.counts()
		if err != nil {
			return err
		}
		for _, arg := range args {
			state, want, _ := strings.Cut(arg, "=")
			if counts[state] != number(ts, want) {
				return fmt.Errorf("want %v, there are %v", args, counts)
			}
		}
		return nil
	})
}

var pageAt = regexp.MustCompile(`page=(http://[^/]+)`)

// page LOG METHOD PATH requests a page of the worker with this log, which must succeed.
func (s *scene) page(ts *testscript.TestScript, args []string) {
	at := pageAt.FindStringSubmatch(ts.ReadFile(args[0]))
	if at == nil {
		ts.Fatalf("%s names no web UI", args[0])
	}
	request, err := http.NewRequestWithContext(s.t.Context(), args[1], at[1]+args[2], nil)
	ts.Check(err)
	response, err := http.DefaultClient.Do(request)
	ts.Check(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	ts.Check(err)
	if response.StatusCode >= http.StatusBadRequest {
		ts.Fatalf("%s %s answered %d: %s", args[1], args[2], response.StatusCode, body)
	}
}

// schema VERSION OLDEST writes the schema record of a newer worker.
func (s *scene) schema(ts *testscript.TestScript, args []string) {
	ts.Check(s.rdb.HSet(s.t.Context(), "rollcall:schema", "version", args[0], "oldest", args[1]).Err())
}

func (s *scene) counts() (map[string]int, error) {
	queues, err := s.inspector.Queues()
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for _, queue := range queues {
		info, err := s.inspector.GetQueueInfo(queue)
		if err != nil {
			return nil, err
		}
		counts["pending"] += info.Pending
		counts["active"] += info.Active
		counts["retry"] += info.Retry
		counts["done"] += info.Completed
		counts["dead"] += info.Archived
	}
	return counts, nil
}

// archived PATTERN… expects for each pattern an archived task whose error matches it.
func (s *scene) archived(ts *testscript.TestScript, args []string) {
	var causes []string
	s.each(ts, func(queue string) ([]*asynq.TaskInfo, error) {
		return s.inspector.ListArchivedTasks(queue, asynq.PageSize(1000))
	},
		func(info *asynq.TaskInfo) { causes = append(causes, info.LastErr) })
	for _, pattern := range args {
		re, err := regexp.Compile(pattern)
		ts.Check(err)
		if !slices.ContainsFunc(causes, re.MatchString) {
			ts.Fatalf("no archived task says %q; they say:\n%s", pattern, strings.Join(causes, "\n"))
		}
	}
}

func (s *scene) each(ts *testscript.TestScript, list func(string) ([]*asynq.TaskInfo, error), f func(*asynq.TaskInfo)) {
	queues, err := s.inspector.Queues()
	ts.Check(err)
	for _, queue := range queues {
		infos, err := list(queue)
		ts.Check(err)
		for _, info := range infos {
			f(info)
		}
	}
}

// retried N expects that every completed or archived task has N failed attempts.
func (s *scene) retried(ts *testscript.TestScript, args []string) {
	want := number(ts, args[0])
	check := func(info *asynq.TaskInfo) {
		if info.Retried != want {
			ts.Fatalf("task %s of type %s spent %d attempts, want %d (%s)", info.ID, info.Type, info.Retried, want, info.LastErr)
		}
	}
	s.each(ts, func(q string) ([]*asynq.TaskInfo, error) {
		return s.inspector.ListCompletedTasks(q, asynq.PageSize(1000))
	}, check)
	s.each(ts, func(q string) ([]*asynq.TaskInfo, error) {
		return s.inspector.ListArchivedTasks(q, asynq.PageSize(1000))
	}, check)
}

// calls API N expects exactly N calls to an API of a platform; "calls API >=N" waits for
// at least N. Calls refused for their rate do not count: on a slow machine, requests
// that were sent evenly may arrive in a burst.
func (s *scene) calls(ts *testscript.TestScript, args []string) {
	count := func() int {
		n := 0
		for _, c := range s.platforms.Calls() {
			if c.API == args[0] && !refusedForRate(c.Code) {
				n++
			}
		}
		return n
	}
	if least, ok := strings.CutPrefix(args[1], ">="); ok {
		s.await(ts, func() error {
			if n := count(); n < number(ts, least) {
				return fmt.Errorf("%d calls to %s, want at least %s", n, args[0], least)
			}
			return nil
		})
		return
	}
	if n, want := count(), number(ts, args[1]); n != want {
		ts.Fatalf("%d calls to %s, want %d:\n%+v", n, args[0], want, s.platforms.Calls())
	}
}

func refusedForRate(code string) bool {
	return strings.Contains(code, "90018") || strings.Contains(code, "QpsLimit") || code == "101003001"
}

// effects N expects exactly N changes at the platforms, none of them twice.
func (s *scene) effects(ts *testscript.TestScript, args []string) {
	seen := map[string]int{}
	for _, e := range s.platforms.Effects() {
		seen[fmt.Sprintf("%s %+v %+v", e.API, e.Target, e.Changes)]++
	}
	for effect, n := range seen {
		if n > 1 {
			ts.Fatalf("%d times: %s", n, effect)
		}
	}
	if want := number(ts, args[0]); len(s.platforms.Effects()) != want {
		ts.Fatalf("%d effects, want %d:\n%+v", len(s.platforms.Effects()), want, s.platforms.Effects())
	}
}

// nick CHAT USER NAME expects the nickname of a member.
func (s *scene) nick(ts *testscript.TestScript, args []string) {
	org, _ := s.platforms.State().Organisation(demo.Organisation)
	if got, ok := org.Nick(args[0], args[1]); !ok || got != args[2] {
		ts.Fatalf("%s in %s is called %q (a member: %t), want %q", args[1], args[0], got, ok, args[2])
	}
}

// nicks FILE expects the nicknames of a file of nickname tasks.
func (s *scene) nicks(ts *testscript.TestScript, args []string) {
	rows, err := csv.NewReader(strings.NewReader(ts.ReadFile(args[0]))).ReadAll()
	ts.Check(err)
	for _, row := range rows[1:] {
		s.nick(ts, row[2:5])
	}
}

// put QUEUE TYPE FILE stores a task as asynq's client does, with any payload.
func (s *scene) put(ts *testscript.TestScript, args []string) {
	_, err := s.client.Enqueue(asynq.NewTask(args[1], []byte(ts.ReadFile(args[2]))),
		asynq.Queue(args[0]), asynq.MaxRetry(100), asynq.Retention(time.Hour))
	ts.Check(err)
}

// putraw QUEUE ID FILE writes bytes where asynq expects a message. No client of asynq
// does so.
func (s *scene) putRaw(ts *testscript.TestScript, args []string) {
	ctx, queue, id := s.t.Context(), args[0], args[1]
	ts.Check(s.rdb.SAdd(ctx, "asynq:queues", queue).Err())
	ts.Check(s.rdb.HSet(ctx, "asynq:{"+queue+"}:t:"+id, "msg", ts.ReadFile(args[2]), "state", "pending").Err())
	ts.Check(s.rdb.LPush(ctx, "asynq:{"+queue+"}:pending", id).Err())
}

// redis stop | start | stop-for D | do COMMAND acts on a server. On a deployment, redis
// settle waits until the replicas have all writes, and redis fail-over KEY kills the
// master of a key.
func (s *scene) control(ts *testscript.TestScript, args []string) {
	switch args[0] {
	case "settle":
		s.redis.deployment.Settle(s.t)
	case "fail-over":
		s.redis.deployment.FailOver(s.t, args[1])
	case "do":
		command := make([]any, len(args)-1)
		for i, arg := range args[1:] {
			command[i] = arg
		}
		ts.Check(s.rdb.Do(s.t.Context(), command...).Err())
	case "stop":
		s.redis.server.Stop(s.t)
	case "start":
		s.redis.server.Start(s.t)
	case "stop-for":
		d, err := time.ParseDuration(args[1])
		ts.Check(err)
		s.redis.server.Stop(s.t)
		select {
		case <-s.t.Context().Done():
		case <-time.After(d):
		}
		s.redis.server.Start(s.t)
	default:
		ts.Fatalf("redis %s?", args[0])
	}
}

// says PATTERN COMMAND ARGS... repeats a command until its output matches the pattern.
func (s *scene) says(ts *testscript.TestScript, args []string) {
	re, err := regexp.Compile(args[0])
	ts.Check(err)
	s.await(ts, func() error {
		if err := ts.Exec(args[1], args[2:]...); err != nil {
			return err
		}
		if out := ts.ReadFile("stdout"); !re.MatchString(out) {
			return fmt.Errorf("%v does not say %q:\n%s", args[1:], args[0], out)
		}
		return nil
	})
}

// logged FILE PATTERN waits until the log file of a background command contains a line
// that matches the pattern.
func (s *scene) logged(ts *testscript.TestScript, args []string) {
	re, err := regexp.Compile(args[1])
	ts.Check(err)
	path := ts.MkAbs(args[0])
	s.await(ts, func() error {
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !re.Match(content) {
			return fmt.Errorf("%s does not say %q:\n%s", args[0], args[1], content)
		}
		return nil
	})
}

// send sends a signal to the last command in the background.
func send(sig os.Signal) func(*scene, *testscript.TestScript, []string) {
	return func(_ *scene, ts *testscript.TestScript, _ []string) {
		running := ts.BackgroundCmds()
		if len(running) == 0 {
			ts.Fatalf("nothing runs in the background")
		}
		ts.Check(running[len(running)-1].Process.Signal(sig))
	}
}

// code N ARGS... runs worker and expects that exit code, which exec cannot check.
func (s *scene) code(ts *testscript.TestScript, args []string) {
	script := fmt.Sprintf(`code=0; worker "$@" || code=$?; [ $code = %s ] || { echo "exit code $code, want %s" >&2; exit 1; }`, args[0], args[0])
	if err := ts.Exec("sh", append([]string{"-c", script, "worker"}, args[1:]...)...); err != nil {
		ts.Fatalf("worker %s: %v", strings.Join(args[1:], " "), err)
	}
}

// one-line stderr PATTERN expects that the last command's error is one line that matches
// the pattern.
func (s *scene) oneLine(ts *testscript.TestScript, args []string) {
	text := strings.TrimSuffix(ts.ReadFile(args[0]), "\n")
	if re := regexp.MustCompile(args[1]); strings.Contains(text, "\n") || !re.MatchString(text) {
		ts.Fatalf("want one line like %q, there is:\n%s", args[1], text)
	}
}

// taken NAME sets a variable to an address that is in use.
func (s *scene) taken(ts *testscript.TestScript, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
	ts.Setenv(args[0], l.Addr().String())
}

// overlaps expects that no two calls to one target overlapped.
func (s *scene) overlaps(ts *testscript.TestScript, _ []string) {
	for _, c := range s.platforms.Calls() {
		if c.Overlapping > 0 && c.API != sandbox.APIToken {
			ts.Fatalf("overlapping calls to one target: %+v", c)
		}
	}
}

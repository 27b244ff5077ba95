package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"net"
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

// testStart dates the sample school: the year locks of its people count from
// before the test.
var testStart = time.Now()

// patience bounds how long a script waits for what must come. Nothing is read
// into how long it took.
const patience = 2 * time.Minute

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
	}
}

// await asks again and again until check is nil.
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
			ts.Fatalf("waited in vain: %v", err)
		case <-tick.C:
		}
	}
}

func number(ts *testscript.TestScript, text string) int {
	n, err := strconv.Atoi(text)
	ts.Check(err)
	return n
}

// faults FILE arms the faults of the scenario in the file; faults none ends them.
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

// tasks done=N dead=N … waits until asynq counts so many tasks in these states.
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

// schema VERSION OLDEST is what a newer worker leaves behind.
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

// archived PATTERN… wants, for each pattern, an archived task whose error
// matches it.
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

// retried N wants every task that is done or dead to have spent N attempts on
// failures.
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

// calls API N wants exactly N calls to an API at the platforms; "calls API >=N"
// waits for at least as many. Calls refused for their rate do not count, with us
// as with the platforms: on a slow machine requests that left evenly arrive in
// a bunch.
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

// effects N wants exactly N changes at the platforms, none of them twice.
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

// nick CHAT USER NAME wants a member to be called so.
func (s *scene) nick(ts *testscript.TestScript, args []string) {
	org, _ := s.platforms.State().Organisation(demo.Organisation)
	if got, ok := org.Nick(args[0], args[1]); !ok || got != args[2] {
		ts.Fatalf("%s in %s is called %q (a member: %t), want %q", args[1], args[0], got, ok, args[2])
	}
}

// nicks FILE wants every member that a file of nickname tasks names to be called
// as it says.
func (s *scene) nicks(ts *testscript.TestScript, args []string) {
	rows, err := csv.NewReader(strings.NewReader(ts.ReadFile(args[0]))).ReadAll()
	ts.Check(err)
	for _, row := range rows[1:] {
		s.nick(ts, row[2:5])
	}
}

// put QUEUE TYPE FILE stores a task as asynq's client does, whatever its payload.
func (s *scene) put(ts *testscript.TestScript, args []string) {
	_, err := s.client.Enqueue(asynq.NewTask(args[1], []byte(ts.ReadFile(args[2]))),
		asynq.Queue(args[0]), asynq.MaxRetry(100), asynq.Retention(time.Hour))
	ts.Check(err)
}

// putraw QUEUE ID FILE writes bytes where asynq expects a message, as no client
// of asynq would.
func (s *scene) putRaw(ts *testscript.TestScript, args []string) {
	ctx, queue, id := s.t.Context(), args[0], args[1]
	ts.Check(s.rdb.SAdd(ctx, "asynq:queues", queue).Err())
	ts.Check(s.rdb.HSet(ctx, "asynq:{"+queue+"}:t:"+id, "msg", ts.ReadFile(args[2]), "state", "pending").Err())
	ts.Check(s.rdb.LPush(ctx, "asynq:{"+queue+"}:pending", id).Err())
}

// redis away | back | gone-for D | do COMMAND, of a server; redis settle | fail-over KEY, of
// a deployment: the replicas have what was written; the master of a key dies.
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
	case "away":
		s.redis.server.Stop(s.t)
	case "back":
		s.redis.server.Start(s.t)
	case "gone-for":
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

// says PATTERN COMMAND ARGS... runs a command again and again until its output is like the
// pattern.
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

// logged FILE PATTERN waits until a file that a background command writes holds
// a line like the pattern.
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

// code N ARGS... runs worker and wants that exit code, which exec cannot tell.
func (s *scene) code(ts *testscript.TestScript, args []string) {
	script := fmt.Sprintf(`code=0; worker "$@" || code=$?; [ $code = %s ] || { echo "exit code $code, want %s" >&2; exit 1; }`, args[0], args[0])
	if err := ts.Exec("sh", append([]string{"-c", script, "worker"}, args[1:]...)...); err != nil {
		ts.Fatalf("worker %s: %v", strings.Join(args[1:], " "), err)
	}
}

// one-line stderr PATTERN wants the last command's error to be one line like
// the pattern.
func (s *scene) oneLine(ts *testscript.TestScript, args []string) {
	text := strings.TrimSuffix(ts.ReadFile(args[0]), "\n")
	if re := regexp.MustCompile(args[1]); strings.Contains(text, "\n") || !re.MatchString(text) {
		ts.Fatalf("want one line like %q, there is:\n%s", args[1], text)
	}
}

// taken NAME puts an address at which somebody listens into a variable.
func (s *scene) taken(ts *testscript.TestScript, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
	ts.Setenv(args[0], l.Addr().String())
}

// overlaps wants that no two calls were at one target together.
func (s *scene) overlaps(ts *testscript.TestScript, _ []string) {
	for _, c := range s.platforms.Calls() {
		if c.Overlapping > 0 && c.API != sandbox.APIToken {
			ts.Fatalf("two calls were at one target together: %+v", c)
		}
	}
}

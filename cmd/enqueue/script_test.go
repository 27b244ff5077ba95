package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/rogpeppe/go-internal/testscript"

	"rollcall/internal/redistest"
)

func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(scriptFile("*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	redistest.Either(t, func(t *testing.T, s *redistest.Server) { runScripts(t, s, files) })
}

// Under -short the other scripts run on one Redis alone.
func TestSomeScriptsOnMiniredis(t *testing.T) {
	t.Parallel()
	if !testing.Short() {
		t.Skip("TestScripts runs all of them")
	}
	runScripts(t, redistest.Mini(t), []string{scriptFile("lanes-hold"), scriptFile("runs"), scriptFile("single")})
}

func scriptFile(name string) string { return filepath.Join("testdata", "script", name+".txtar") }

func runScripts(t *testing.T, s *redistest.Server, files []string) {
	t.Helper()
	path := commandPath(t)
	var next atomic.Int64 // a database for each script; a Redis has 16
	testscript.Run(t, testscript.Params{
		Files:               files,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			url, err := serveAll(s, next.Add(1))
			env.Setenv("ROLLCALL_REDIS_URL", url)
			env.Setenv("PATH", path)
			env.Setenv("TZ", "UTC")
			env.Setenv("USER", "ann")
			// Under the race detector each call would sleep for a second at its end.
			env.Setenv("GORACE", "atexit_sleep_ms=10")
			env.Setenv("NOBODY", nobody(t))
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"pending": pending, "code": code, "seed": seed, "worker": worker, "die": die, "closes": closes, "ends": ends, "events": events,
			"attempt": attempt, "taskid": taskid, "vanish": vanish, "workbook": workbook, "holds": holds,
		},
	})
}

// nobody is the URL of a Redis that is not there.
func nobody(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "redis://" + l.Addr().String()
}

// client is one of the script's own database.
func client(ts *testscript.TestScript) *redis.Client {
	options, err := redis.ParseURL(ts.Getenv("ROLLCALL_REDIS_URL"))
	ts.Check(err)
	return redis.NewClient(options)
}

// pending QUEUE N counts the tasks that wait in a queue.
func pending(ts *testscript.TestScript, neg bool, args []string) {
	rdb := client(ts)
	defer rdb.Close()
	n, err := rdb.LLen(context.Background(), "asynq:{"+args[0]+"}:pending").Result()
	ts.Check(err)
	if got := strconv.FormatInt(n, 10); (got == args[1]) == neg {
		ts.Fatalf("%s tasks are pending in %s, not %s", got, args[0], args[1])
	}
}

// code N ARGS... runs enqueue and wants that exit code, which exec cannot tell.
func code(ts *testscript.TestScript, _ bool, args []string) {
	script := fmt.Sprintf(`code=0; enqueue "$@" || code=$?; [ $code = %s ] || { echo "exit code $code, want %s" >&2; exit 1; }`, args[0], args[0])
	if err := ts.Exec("sh", append([]string{"-c", script, "enqueue"}, args[1:]...)...); err != nil {
		ts.Fatalf("enqueue %s: %v", strings.Join(args[1:], " "), err)
	}
}

// Package commandtest runs the commands enqueue and rollcall in scripts and in
// the shell blocks of documentation, on a Redis on which workers serve lanes.
//
// For tests alone. It must not know what a command does.
package commandtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rogpeppe/go-internal/testscript"

	"rollcall/internal/cli"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
	"rollcall/internal/registry"
	"rollcall/internal/subprocess"
	"rollcall/tasks"
)

// Kit runs the command under test.
type Kit struct {
	name  string
	dir   string // of the binaries
	build func() error
}

// New returns the kit of the command name. In a process that was started under
// that name it calls main, which does not return.
func New(name string, main func()) *Kit {
	if filepath.Base(os.Args[0]) == name {
		main()
	}
	k := &Kit{name: name}
	k.build = sync.OnceValue(k.buildAll)
	return k
}

// Main runs the tests of a package, and returns the exit code.
func (k *Kit) Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "rollcall")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	k.dir = dir
	redistest.Prepare()
	return m.Run()
}

// buildAll builds the commands without the race detector: they start three times
// as fast, and scripts start them hundreds of times. Without -short the command
// under test is the test binary itself, with what the tests were built with.
func (k *Kit) buildAll() error {
	args := []string{"build", "-buildvcs=false", "-ldflags=-s -w", "-o", k.dir + string(os.PathSeparator)}
	for _, name := range []string{"enqueue", "rollcall"} {
		if name != k.name || testing.Short() {
			args = append(args, "rollcall/cmd/"+name)
		}
	}
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil { //nolint:gosec,noctx // our own packages
		return fmt.Errorf("build the commands: %w\n%s", err, out)
	}
	if testing.Short() {
		return nil
	}
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	return os.Symlink(binary, filepath.Join(k.dir, k.name))
}

// Path returns a PATH on which the commands are found.
func (k *Kit) Path(t *testing.T) string {
	t.Helper()
	if err := k.build(); err != nil {
		t.Fatal(err)
	}
	return k.dir + string(os.PathListSeparator) + os.Getenv("PATH") //nolint:forbidigo // for a test
}

// ServeAll makes a database of s ready for a script: tenants are served, and the
// calls of one count against the organisation's month.
func ServeAll(s *redistest.Server, db int64) (url string, err error) {
	ctx := context.Background()
	rdb := redis.NewClient(&redis.Options{Addr: s.Addr, DB: int(db)})
	defer func() { _ = rdb.Close() }()
	lane := func(tenant string, kind tasks.Kind) registry.Lane {
		return registry.Lane{Organisation: "lakeside", Tenant: tenant, Kind: kind}
	}
	lanes := []registry.Lane{
		lane("lakeside-dt", tasks.KindNickname), lane("lakeside-dt", tasks.KindGroup), lane("lakeside-dt", tasks.KindID),
		lane("lakeside-ci", tasks.KindCourse),
	}
	err = registry.Publish(ctx, rdb, lanes)
	for _, l := range lanes {
		c := pace.Config{
			Organisation: l.Organisation, Name: registry.Queue(l.Tenant, l.Kind, false),
			Limits: []pace.Limit{{Calls: 20, Per: time.Second}}, Metered: l.Tenant == "lakeside-dt",
		}
		if c.Metered {
			c.Quota = pace.Quota{Calls: 5000, Reserve: 500, Warn: 4000}
		}
		if l.Kind == tasks.KindID {
			c.Limits = append(c.Limits, pace.Limit{Calls: 1000, Per: pace.Day})
		}
		err = errors.Join(err, pace.New(rdb, c).Open(ctx))
	}
	return fmt.Sprintf("redis://%s/%d", s.Addr, db), err
}

// Command is a command of a script.
type Command = func(*testscript.TestScript, bool, []string)

// Run runs scripts, each on a database of its own. They have the given commands,
// and of the kit
//
//	code N ARGS...    the command under test, which must exit with N
//	pending QUEUE N   so many tasks must wait in a queue
func (k *Kit) Run(t *testing.T, s *redistest.Server, files []string, commands map[string]Command) {
	t.Helper()
	path := k.Path(t)
	all := map[string]Command{"code": k.code, "pending": pending}
	maps.Copy(all, commands)
	var next atomic.Int64 // a Redis has 16 databases
	testscript.Run(t, testscript.Params{
		Files:               files,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			url, err := ServeAll(s, next.Add(1))
			env.Setenv("ROLLCALL_REDIS_URL", url)
			env.Setenv("PATH", path)
			env.Setenv("TZ", "UTC")
			env.Setenv("USER", "ann")
			// Under the race detector each call would sleep for a second at its end.
			env.Setenv("GORACE", "atexit_sleep_ms=10")
			env.Setenv("UNREACHABLE", unreachable(t))
			return err
		},
		Cmds: all,
	})
}

// Process is a process without an environment, whose output is lost.
func Process() cli.Process {
	return cli.Process{
		Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard,
		Getenv: func(string) string { return "" }, Hostname: func() (string, error) { return "host", nil },
	}
}

// Scripts runs the scripts of a package on every Redis; with -short on one, and those
// that are named on miniredis too.
func (k *Kit) Scripts(t *testing.T, commands map[string]Command, named ...string) {
	t.Helper()
	file := func(name string) string { return filepath.Join("testdata", "script", name+".txtar") }
	files, err := filepath.Glob(file("*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	if testing.Short() {
		var some []string
		for _, name := range named {
			some = append(some, file(name))
		}
		t.Run("some on miniredis", func(t *testing.T) {
			t.Parallel()
			k.Run(t, redistest.Mini(t), some, commands)
		})
	}
	redistest.Either(t, func(t *testing.T, s *redistest.Server) { k.Run(t, s, files, commands) })
}

// Page runs the commands of a page, each block in one shell, in a directory that holds
// the files. It returns the page and what the commands print.
func (k *Kit) Page(t *testing.T, path string, files map[string]string, further ...string) (page, printed string) {
	t.Helper()
	page = read(t, path)
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	url, err := ServeAll(redistest.Mini(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	blocks := Blocks(page, "sh")
	if len(blocks) < 2 {
		t.Fatalf("%s has %d blocks of commands", path, len(blocks))
	}
	var out strings.Builder
	for _, block := range append(blocks, further...) {
		out.WriteString(k.Shell(t, dir, url, block))
	}
	return page, out.String()
}

// Shell runs lines of a shell in a directory, on a Redis, and returns what they
// print. A line that fails ends them.
func (k *Kit) Shell(t *testing.T, dir, redisURL, lines string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-eu")
	cmd.Stdin, cmd.Dir = strings.NewReader(lines), dir
	cmd.Env = append(os.Environ(), "PATH="+k.Path(t), "ROLLCALL_REDIS_URL="+redisURL, "GORACE=atexit_sleep_ms=10")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s\n%s", err, lines, out)
	}
	return string(out)
}

// Blocks returns the blocks of a language on a page of Markdown.
func Blocks(page, language string) []string {
	var blocks []string
	for {
		_, rest, found := strings.Cut(page, "\n```"+language+"\n")
		if !found {
			return blocks
		}
		block, after, _ := strings.Cut(rest, "\n```")
		blocks, page = append(blocks, block+"\n"), after
	}
}

// Client returns a client of the script's own database.
func Client(ts *testscript.TestScript) *redis.Client {
	options, err := redis.ParseURL(ts.Getenv("ROLLCALL_REDIS_URL"))
	ts.Check(err)
	return redis.NewClient(options)
}

// unreachable is the URL of a Redis that does not exist.
func unreachable(t *testing.T) string {
	ports, err := subprocess.Ports(t.Context(), 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	return "redis://127.0.0.1:" + ports[0]
}

func pending(ts *testscript.TestScript, neg bool, args []string) {
	rdb := Client(ts)
	defer func() { _ = rdb.Close() }()
	n, err := rdb.LLen(context.Background(), "asynq:{"+args[0]+"}:pending").Result()
	ts.Check(err)
	if got := strconv.FormatInt(n, 10); (got == args[1]) == neg {
		ts.Fatalf("%s tasks are pending in %s, not %s", got, args[0], args[1])
	}
}

// code checks an exit code, which exec does not report.
func (k *Kit) code(ts *testscript.TestScript, _ bool, args []string) {
	script := fmt.Sprintf(`code=0; %s "$@" || code=$?; [ $code = %s ] || { echo "exit code $code, want %s" >&2; exit 1; }`, k.name, args[0], args[0])
	if err := ts.Exec("sh", append([]string{"-c", script, k.name}, args[1:]...)...); err != nil {
		ts.Fatalf("%s %s: %v", k.name, strings.Join(args[1:], " "), err)
	}
}

// NamesWords fails the test unless a page has each word in a code span.
func NamesWords(t *testing.T, path string, words ...string) {
	t.Helper()
	page := read(t, path)
	for _, word := range words {
		if !strings.Contains(page, "`"+word+"`") {
			t.Errorf("%s does not name %s", path, word)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

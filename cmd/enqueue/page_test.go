package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/pace"
	"rollcall/internal/redistest"
	"rollcall/internal/registry"
	"rollcall/internal/roster"
	"rollcall/tasks"
)

// TestMain makes the test binary the command where it is called by its name.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "enqueue" {
		main()
	}
	redistest.Prepare()
	os.Exit(runTests(m))
}

// commandDir is where the command is built, at most once.
var commandDir string

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "rollcall")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	commandDir = dir
	return m.Run()
}

// buildCommand makes the command. With -short it is a build of its own, without the
// race detector: it starts three times as fast, and the scripts start it hundreds
// of times.
var buildCommand = sync.OnceValue(func() error {
	command := filepath.Join(commandDir, "enqueue")
	if testing.Short() {
		if out, err := exec.Command("go", "build", "-buildvcs=false", "-ldflags=-s -w", "-o", command, ".").CombinedOutput(); err != nil {
			return fmt.Errorf("build enqueue: %w\n%s", err, out)
		}
		return nil
	}
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	return os.Symlink(binary, command)
})

// commandPath returns a PATH on which enqueue is the command under test.
func commandPath(t *testing.T) string {
	t.Helper()
	if err := buildCommand(); err != nil {
		t.Fatal(err)
	}
	return commandDir + string(os.PathListSeparator) + os.Getenv("PATH")
}

// serveAll makes a database of s ready for a script: tenants are served, and
// the calls of one count against the organisation's month.
func serveAll(s *redistest.Server, db int64) (url string, err error) {
	ctx := context.Background()
	rdb := redis.NewClient(&redis.Options{Addr: s.Addr, DB: int(db)})
	defer rdb.Close()
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

// The page's commands run as they stand there, in one shell each block.
func TestEveryCommandOfThePageRuns(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/enqueue.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := fenced(string(page), "csv")
	if len(files) != 1 {
		t.Fatalf("%d CSV files on the page, want one", len(files))
	}
	if err := os.WriteFile(filepath.Join(dir, "roster.csv"), []byte(files[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	url, err := serveAll(redistest.Mini(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	blocks := fenced(string(page), "sh")
	if len(blocks) < 4 {
		t.Fatalf("%d blocks of commands found", len(blocks))
	}
	path := commandPath(t)
	for _, block := range blocks {
		cmd := exec.CommandContext(t.Context(), "sh", "-eu")
		cmd.Stdin = strings.NewReader(block)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+path, "ROLLCALL_REDIS_URL="+url, "GORACE=atexit_sleep_ms=10")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%v\n%s\n%s", err, block, out)
		}
		if strings.Contains(string(out), "张三") {
			t.Errorf("a nickname is printed:\n%s", out)
		}
	}
}

// The lines that the page of files shows are those that its commands print.
func TestThePageOfFilesShowsWhatIsPrinted(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../../docs/files.md")
	if err != nil {
		t.Fatal(err)
	}
	page, dir := string(content), t.TempDir()
	for name, content := range map[string]string{
		"names.csv":   fenced(page, "csv")[0],
		"damaged.csv": "学号,昵称\n2023001,张三\n1.80E+17,李四\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	url, err := serveAll(redistest.Mini(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	var printed strings.Builder
	commands := append(fenced(page, "sh"), "enqueue bulk --tenant lakeside-dt --chat chat1 --map 学号=user_id damaged.csv && exit 1 || true\n")
	for _, block := range commands {
		cmd := exec.CommandContext(t.Context(), "sh", "-eu")
		cmd.Stdin, cmd.Dir = strings.NewReader(block), dir
		cmd.Env = append(os.Environ(), "PATH="+commandPath(t), "ROLLCALL_REDIS_URL="+url)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%v\n%s\n%s", err, block, out)
		}
		printed.Write(out)
	}
	for _, block := range fenced(page, "text") {
		for line := range strings.Lines(block) {
			if !strings.Contains(printed.String(), line) {
				t.Errorf("docs/files.md shows %q, which is not printed:\n%s", line, printed.String())
			}
		}
	}
	for _, kind := range tasks.Kinds() {
		for _, column := range append(roster.Columns(kind), roster.CommonColumns()...) {
			for _, name := range roster.Synonyms(column) {
				if !strings.Contains(page, name) {
					t.Errorf("docs/files.md does not name %s, another name of %s", name, column)
				}
			}
		}
	}
}

// fenced returns the blocks of a language on a page.
func fenced(page, language string) []string {
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

// helps returns the help text of each command.
func helps(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, name := range []string{"", "nickname", "course", "group", "id", "bulk", "lanes", "lanes hold", "lanes release", "lanes events", "dead", "dead list", "dead show", "dead replay", "dead discard", "dead export", "explain", "id list", "id confirm", "id reject"} {
		var text, fault strings.Builder
		args := append(strings.Fields(name), "--help")
		if code := run(t.Context(), args, strings.NewReader(""), &text, &fault, nowhere()); code != exitOK {
			t.Fatalf("%s --help: exit code %d: %s", name, code, fault.String())
		}
		out[name] = text.String()
	}
	return out
}

func TestHelpFitsATerminal(t *testing.T) {
	t.Parallel()
	for name, text := range helps(t) {
		for line := range strings.Lines(text) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 {
				t.Errorf("%s --help: %d characters: %s", name, n, line)
			}
		}
	}
}

func TestThePageNamesEveryFlagColumnAndField(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../../docs/enqueue.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(content)
	var wanted []string
	for _, text := range helps(t) {
		for word := range strings.FieldsSeq(text) {
			if flag := strings.Trim(word, `.,:;"`); strings.HasPrefix(flag, "--") && flag != "--" && flag != "--help" {
				wanted = append(wanted, flag)
			}
		}
	}
	for _, kind := range tasks.Kinds() {
		for _, name := range roster.Columns(kind) {
			wanted = append(wanted, "`"+name+"`")
		}
	}
	for _, name := range append(roster.CommonColumns(), "line", "target", "outcome", "task_id", "queue", "revision", "problems", "error", "warning",
		"stored", "already_there", "refused", "not_stored", "not_known", "valid") {
		wanted = append(wanted, "`"+name+"`")
	}
	for _, record := range []any{
		laneRecord{},
		monthRecord{},
		dayRecord{},
		holdRecord{},
		step{},
		eventRecord{},
		explainRecord{},
		fieldRecord{},
		intentRecord{},
		taskRecord{},
		editRecord{},
		effectRecord{},
		settledID{},
		doubtRecord{},
	} {
		for _, field := range reflect.VisibleFields(reflect.TypeOf(record)) {
			if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" {
				wanted = append(wanted, "`"+name+"`")
			}
		}
	}
	for _, w := range wanted {
		if !strings.Contains(page, w) {
			t.Errorf("docs/enqueue.md does not name %s", strings.TrimSpace(w))
		}
	}
}

func TestThePageOfExitCodesNamesEveryCode(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/exit-codes.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []int{exitOK, exitFailed, exitRefused, exitNotStored, exitNotKnown, exitInput, exitConfig} {
		if !strings.Contains(string(page), fmt.Sprintf("\n| %d | ", code)) {
			t.Errorf("docs/exit-codes.md does not name %d", code)
		}
	}
	if strings.Contains(string(page), "\n| 2 | ") && !strings.Contains(string(page), "\n| 2 | Go panic") {
		t.Error("docs/exit-codes.md gives 2 another meaning than a Go panic")
	}
}

func TestTheCommandLinksNoPlatform(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(out), "/providers\n") || !strings.Contains(string(out), "/tasks\n") {
		t.Errorf("%s", out)
	}
}

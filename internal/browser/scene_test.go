// Package browser_test drives the pages of a whole worker in Chromium, as their users do.
//
// It sees what a user sees, and the platform: it must not know how a page is made.
package browser_test

import (
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/demo"
	"rollcall/internal/enqueue"
	"rollcall/internal/redistest"
	"rollcall/internal/sandbox"
	"rollcall/internal/subprocess"
	"rollcall/tasks"
)

// patience bounds how long a test waits for an expected event.
const patience = 5 * time.Minute

// binaries is the directory of the worker, in the process that runs the tests.
var binaries string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "rollcall")
	if err != nil {
		panic(err)
	}
	binaries = dir
	redistest.Prepare()
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// buildWorker builds the worker once, without the race detector: other tests run its parts
// with it.
var buildWorker = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(binaries, "worker")
	out, err := exec.Command("go", "build", "-buildvcs=false", "-ldflags=-s -w", "-o", binary, "rollcall/cmd/worker").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the worker: %w\n%s", err, out)
	}
	return binary, nil
})

// The users, whose password is their name. Ann uploads files and sees names, Bea approves.
const (
	ann = "ann"
	bea = "bea"
	vic = "vic" // a viewer
	cat = "cat" // the administrator
)

const config = `redis: {url: %[1]q}
log: {format: json}
http:
  listen: 127.0.0.1:0
  users:
    - {name: ann, password: {env: ANN}, role: approver, names: true}
    - {name: bea, password: {env: BEA}, role: approver}
    - {name: vic, password: {env: VIC}, role: viewer}
    - {name: cat, password: {env: CAT}, role: administrator}
organisations:
  - name: lakeside
    quota: {calls: 5000, reserve: 10}
    tenants:
      - name: lakeside-dingtalk
        dingtalk: {api: %[2]q, oapi: %[2]q, app_key: dingdemo, app_secret: {env: APP_SECRET}, timeout: 5s, id_resend_after: 3s}
      - name: lakeside-classin
        classin: {base_url: %[2]q, sid: "1000082", secret: {env: SCHOOL_SECRET}, timeout: 5s}
schedules:
  - {name: nightly, cron: 37 2 * * *, zone: Asia/Shanghai, source: {files: {path: "roster-*.csv"}, tenant: lakeside-dingtalk}}
  - {name: courses, cron: 5 3 * * 1, zone: Asia/Shanghai, misfire_window: 1m, roster: courses.csv}
`

// scene is a worker at the emulated platforms, with the people of the demo's sample school.
type scene struct {
	t         *testing.T
	dir       string // of the configuration
	redis     *redistest.Server
	rdb       redis.UniversalClient
	platforms *sandbox.Sandbox
	producer  *enqueue.Client
	page      string   // URL of the worker that was started last
	pages     []string // of all workers, also of those that have ended
	workers   []*subprocess.Process
}

func newScene(t *testing.T, scenario sandbox.Scenario) *scene {
	t.Helper()
	_ = chromium(t) // before anything is started
	server := redistest.Real(t)
	s := &scene{t: t, dir: t.TempDir(), redis: server, rdb: server.Client(t)}
	var err error
	s.platforms, err = sandbox.New(sandbox.Config{World: demo.World(time.Now()), Scenario: scenario, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	listening := httptest.NewServer(s.platforms)
	t.Cleanup(listening.Close)
	t.Cleanup(s.platforms.Close)
	s.producer, err = enqueue.New(enqueue.Config{Redis: &redis.UniversalOptions{Addrs: []string{server.Addr}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.producer.Close() })
	s.write("rollcall.yaml", fmt.Sprintf(config, server.URL(), listening.URL))
	s.write("courses.csv", "kind,tenant,course_id\ncourse,lakeside-classin,561290\n")
	s.start()
	return s
}

var pageURL = regexp.MustCompile(`"page":"([^"]+)"`)

// start starts a worker, and waits until it serves its pages.
func (s *scene) start() *subprocess.Process {
	s.t.Helper()
	binary, err := buildWorker()
	if err != nil {
		s.t.Fatal(err)
	}
	env := []string{"APP_SECRET=" + demo.AppSecret, "SCHOOL_SECRET=" + demo.Secret, "TZ=Asia/Shanghai"}
	for _, name := range []string{ann, bea, vic, cat} {
		env = append(env, strings.ToUpper(name)+"="+name)
	}
	worker, err := subprocess.Start(subprocess.Command{
		Program: binary, Args: []string{"run", "--config", filepath.Join(s.dir, "rollcall.yaml")}, Env: env, Ready: `"msg":"worker ready"`,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Logf("end of the worker's log:\n%s", worker.Output())
		}
		worker.Kill()
	})
	found := pageURL.FindStringSubmatch(worker.Output())
	if found == nil {
		s.t.Fatalf("the log has no address of the pages: %s", worker.Output())
	}
	s.page = strings.TrimSuffix(found[1], "/")
	s.pages, s.workers = append(s.pages, s.page), append(s.workers, worker)
	return worker
}

// write writes a file, and returns its path.
func (s *scene) write(name, content string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// until waits for a condition outside the pages.
func (s *scene) until(what string, yes func() bool) {
	s.t.Helper()
	for end := time.After(patience); !yes(); {
		select {
		case <-end:
			s.t.Fatalf("timed out: %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// enqueue stores tasks.
func (s *scene) enqueue(requests ...tasks.Request) {
	s.t.Helper()
	for _, r := range requests {
		if _, err := s.producer.Enqueue(s.t.Context(), r.Task, r.Options); err != nil {
			s.t.Fatal(err)
		}
	}
}

const chat = "chat7Af3929"

// nickname is a task for a member of the chat.
func nickname(user, nick string) tasks.Request {
	return tasks.Request{Task: tasks.NicknameSync{Tenant: demo.DingTalk, ChatID: chat, UserID: user, Nickname: nick}}
}

// nick is the nickname of a member at the platform.
func (s *scene) nick(user string) string {
	o, _ := s.platforms.State().Organisation(demo.Organisation)
	nick, _ := o.Nick(chat, user)
	return nick
}

// becomes waits until the platform has a nickname.
func (s *scene) becomes(user, nick string) {
	s.t.Helper()
	s.until(user+" becomes "+nick, func() bool { return s.nick(user) == nick })
}

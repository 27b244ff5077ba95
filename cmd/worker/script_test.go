package main

import (
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/rogpeppe/go-internal/testscript"

	"rollcall/internal/demo"
	"rollcall/internal/redistest"
	"rollcall/internal/sandbox"
)

func TestMain(m *testing.M) {
	testscript.Main(withCommands{m}, map[string]func(){"worker": main})
}

// binaries is the directory where the commands of the scripts are built, at most once.
var binaries string

// withCommands creates the directory of the commands in the process that runs the tests,
// but not in the processes that the scripts start.
type withCommands struct{ *testing.M }

func (w withCommands) Run() int {
	dir, err := os.MkdirTemp("", "rollcall")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binaries = dir
	redistest.Prepare()
	return w.M.Run()
}

// buildCommands builds the commands enqueue and rollcall, and with -short also worker:
// without the race detector it needs a third of the time. All of the worker's parts
// run in other tests with the race detector, and the scripts run with it in make
// test-long.
var buildCommands = sync.OnceValue(func() error {
	packages := []string{"rollcall/cmd/enqueue", "rollcall/cmd/rollcall"}
	if testing.Short() {
		packages = append(packages, "rollcall/cmd/worker")
	}
	args := append([]string{"build", "-buildvcs=false", "-ldflags=-s -w", "-o", binaries + string(os.PathSeparator)}, packages...)
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("build %v: %w\n%s", packages, err, out)
	}
	return nil
})

// scene is the environment of a script: its own Redis, the emulated platforms, and
// asynq's record of the tasks.
type scene struct {
	t         *testing.T
	redis     redisOf
	rdb       redis.UniversalClient
	platforms *sandbox.Sandbox
	client    *asynq.Client
	inspector *asynq.Inspector
}

// redisOf is the Redis of a script: its name in a worker's configuration and for a
// producer, and its controls.
type redisOf struct {
	section string            // value of redis: in the configuration
	url     string            // ROLLCALL_REDIS_URL
	env     map[string]string // the passwords that section names

	server     *redistest.Server     // can be stopped; nil for a deployment
	deployment *redistest.Deployment // can lose its master; nil for a server
}

func at(s *redistest.Server) redisOf {
	return redisOf{section: fmt.Sprintf("{url: %q}", s.URL()), url: s.URL(), server: s}
}

func in(d *redistest.Deployment) redisOf {
	return redisOf{section: d.Section, url: d.URL, env: d.Env, deployment: d}
}

func (p redisOf) client(t *testing.T) redis.UniversalClient {
	t.Helper()
	if p.deployment != nil {
		return p.deployment.Client(t)
	}
	return p.server.Client(t)
}

type sceneKey struct{}

// sceneConfig is the configuration of the worker: the sample school at the emulated
// platforms.
const sceneConfig = `redis: %s
http: {listen: "off"}
log: {level: debug, format: text}
organisations:
  - name: lakeside
    tenants:
      - name: lakeside-dingtalk
        dingtalk: {api: %[2]q, oapi: %[2]q, app_key: dingdemo, app_secret: {env: APP_SECRET}, timeout: 5s, id_resend_after: 2s}
      - name: lakeside-classin
        classin: {base_url: %[2]q, sid: "1000082", secret: {env: SCHOOL_SECRET}, timeout: 5s}
`

// slowScripts wait half a minute until a worker counts as dead.
var slowScripts = []string{"killed", "redis_unavailable_in_the_middle", "unreadable"}

// slowAlone wait for the next minute, for the whole demo, or for several nights.
var slowAlone = []string{"schedule", "demo", "named"}

// onBoth run on miniredis and on a real redis-server even under -short.
var onBoth = []string{"goes_through", "stale_name"}

// Each script describes a behaviour of the product. It runs on miniredis and on a real
// redis-server; with -short, most run on one of them.
func TestScripts(t *testing.T) {
	t.Parallel()
	for _, script := range scripts(t, "testdata/script/*.txtar") {
		name := strings.TrimSuffix(filepath.Base(script), ".txtar")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && slices.Contains(slowScripts, name) {
				t.Skip("takes half a minute: make test-long")
			}
			each := redistest.Either
			if slices.Contains(onBoth, name) {
				each = redistest.Each
			}
			each(t, func(t *testing.T, server *redistest.Server) { play(t, script, at(server)) })
		})
	}
}

// These need a Redis that can run out of memory, become a replica and lose its data.
func TestScriptsOfFaultsOfRedis(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes half a minute: make test-long")
	}
	for _, script := range scripts(t, "testdata/faults/*.txtar") {
		t.Run(strings.TrimSuffix(filepath.Base(script), ".txtar"), func(t *testing.T) {
			t.Parallel()
			play(t, script, at(redistest.Real(t)))
		})
	}
}

// These need no Redis of the tests: they start their own, or use none.
func TestScriptsThatStandAlone(t *testing.T) {
	t.Parallel()
	for _, script := range scripts(t, "testdata/alone/*.txtar") {
		name := strings.TrimSuffix(filepath.Base(script), ".txtar")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && slices.Contains(slowAlone, name) {
				t.Skip("takes long: make test-long")
			}
			play(t, script, at(redistest.Mini(t)))
		})
	}
}

func scripts(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		t.Fatalf("no scripts %s: %v", pattern, err)
	}
	return found
}

func play(t *testing.T, script string, where redisOf) {
	t.Helper()
	s := newScene(t, where)
	testscript.Run(t, testscript.Params{Files: []string{script}, Setup: s.setUp, Cmds: commands()})
}

func newScene(t *testing.T, where redisOf) *scene {
	t.Helper()
	rdb := where.client(t)
	return &scene{
		t: t, redis: where, rdb: rdb,
		client:    asynq.NewClientFromRedisClient(rdb),
		inspector: asynq.NewInspectorFromRedisClient(rdb),
	}
}

func (s *scene) setUp(env *testscript.Env) error {
	if err := buildCommands(); err != nil {
		return err
	}
	platforms, err := sandbox.New(sandbox.Config{World: demo.World(testStart), Seed: 1})
	if err != nil {
		return err
	}
	s.platforms = platforms
	listening := httptest.NewServer(platforms)
	env.Defer(listening.Close)
	env.Defer(platforms.Close)

	config := filepath.Join(env.WorkDir, "rollcall.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, sceneConfig, s.redis.section, listening.URL), 0o600); err != nil {
		return err
	}
	env.Values[sceneKey{}] = s
	env.Setenv("CONFIG", config)
	env.Setenv("APP_SECRET", demo.AppSecret)
	env.Setenv("SCHOOL_SECRET", demo.Secret)
	env.Setenv("ROLLCALL_REDIS_URL", s.redis.url)
	for name, value := range s.redis.env {
		env.Setenv(name, value)
	}
	// With the race detector each process would sleep for a second at its end.
	env.Setenv("GORACE", "atexit_sleep_ms=10")
	env.Setenv("PATH", binaries+string(os.PathListSeparator)+env.Getenv("PATH"))
	return nil
}

package main

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"rollcall/internal/config"
	"rollcall/internal/exitcode"
	"rollcall/internal/sandbox"
	"rollcall/internal/subprocess"
)

// taken returns an address that is in use.
func taken(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// free returns an address that was not in use a moment ago.
func free(t *testing.T) string {
	t.Helper()
	ports, err := subprocess.Ports(t.Context(), 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	return "127.0.0.1:" + ports[0]
}

// wholeConfig is a configuration that all parts of a worker accept.
func wholeConfig(t *testing.T, embedded string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("rollcall.yaml", []byte(`
redis: {embedded: `+embedded+`}
http: {listen: 127.0.0.1:0, users: [{name: ops, password: {env: S}}]}
organisations:
  - name: lakeside
    tenants:
      - {name: lakeside-dt, dingtalk: {api: "http://127.0.0.1:1", oapi: "http://127.0.0.1:1", app_key: a, app_secret: {env: S}}}
      - {name: lakeside-ci, classin: {base_url: "http://127.0.0.1:1", sid: "1", secret: {env: S}}}
schedules: [{name: nightly, cron: 30 2 * * *, courses: {tenant: lakeside-ci, ids: ["1"]}}]
`), func(string) string { return "s" })
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// Each step of the wiring fails once, after all steps before it. The test is not
// parallel, because other tests must not have goroutines at the same time.
func TestAFailedStepOfTheWiringIsOneLineAndClosesWhatWasOpened(t *testing.T) { //nolint:paralleltest // goleak sees all goroutines
	unreadable := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(unreadable, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name  string
		spoil func(t *testing.T, c *config.Config)
		code  int
		want  string
	}{
		{"an unknown option in the URL of Redis", func(_ *testing.T, c *config.Config) { c.Redis = config.Redis{URL: "redis://r?poolsize=20"} }, exitcode.Config, "poolsize"},
		{"a database that is not a number", func(_ *testing.T, c *config.Config) { c.Redis = config.Redis{URL: "redis://r?db=abc"} }, exitcode.Config, "database number"},
		{"a path that is not a number", func(_ *testing.T, c *config.Config) { c.Redis = config.Redis{URL: "redis://r/abc"} }, exitcode.Config, "abc"},
		{"a pool size that go-redis panics on", func(_ *testing.T, c *config.Config) { c.Redis = config.Redis{URL: "redis://r?pool_size=-1"} }, exitcode.Config, "pool_size is -1"},
		{"a CA file without a certificate", func(_ *testing.T, c *config.Config) {
			c.Redis = config.Redis{URL: "rediss://r", TLS: &config.TLS{CA: unreadable}}
		}, exitcode.Config, unreadable},
		{"a missing key file", func(_ *testing.T, c *config.Config) {
			c.Redis = config.Redis{URL: "rediss://r", TLS: &config.TLS{Cert: "/nowhere.pem", Key: "/nowhere.key"}}
		}, exitcode.Config, "/nowhere.pem"},
		{"the embedded Redis' port is taken", func(t *testing.T, c *config.Config) { c.Redis.Embedded = taken(t) }, exitcode.Failed, "address already in use"},
		{"DingTalk's client", func(_ *testing.T, c *config.Config) { c.Organisations[0].Tenants[0].DingTalk.API = "ftp://x" }, exitcode.Config, "lakeside-dt"},
		{"ClassIn's client", func(_ *testing.T, c *config.Config) { c.Organisations[0].Tenants[1].ClassIn.SID = "" }, exitcode.Config, "lakeside-ci"},
		{"the schedule", func(_ *testing.T, c *config.Config) { c.Schedules[0].Cron = "never" }, exitcode.Config, "nightly"},
		{"the page has no users", func(_ *testing.T, c *config.Config) { c.HTTP = config.HTTP{Listen: "0.0.0.0:0"} }, exitcode.Config, "name users"},
		{"the page's address is invalid", func(_ *testing.T, c *config.Config) { c.HTTP.Listen = "127.0.0.1:http:1" }, exitcode.Config, "127.0.0.1:http:1"},
		{"the page's port is taken", func(t *testing.T, c *config.Config) { c.HTTP.Listen = taken(t) }, exitcode.Failed, "address already in use"},
	} {
		t.Run(step.name, func(t *testing.T) { //nolint:paralleltest // as above
			embedded := free(t)
			cfg := wholeConfig(t, embedded)
			step.spoil(t, cfg)
			before := goleak.IgnoreCurrent()
			var level slog.LevelVar
			w, err := newWorker(t.Context(), cfg, slog.New(slog.DiscardHandler), &level)
			if w != nil || err == nil {
				t.Fatalf("newWorker = %v, %v; want an error", w, err)
			}
			if code := exitcode.Of(err); code != step.code || !strings.Contains(err.Error(), step.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("exit code %d, %q; want %d and one line with %q", code, err, step.code, step.want)
			}
			goleak.VerifyNone(t, before)
			if l, err := net.Listen("tcp", embedded); err != nil {
				t.Errorf("the embedded Redis was left open: %v", err)
			} else {
				_ = l.Close()
			}
			// check, which connects to nothing, finds all that run refuses.
			if err := tryWiring(t.Context(), cfg); (err != nil) != (step.code == exitcode.Config) {
				t.Errorf("tryWiring = %v", err)
			}
			goleak.VerifyNone(t, before)
		})
	}
	t.Run("none", func(t *testing.T) { //nolint:paralleltest // as above
		if err := tryWiring(t.Context(), wholeConfig(t, free(t))); err != nil {
			t.Errorf("tryWiring = %v, want none", err)
		}
	})
	t.Run("the sandbox's port is taken", func(t *testing.T) { //nolint:paralleltest // as above
		address := taken(t)
		before := goleak.IgnoreCurrent()
		_, err := startSandbox(sandbox.Config{}, address)
		if exitcode.Of(err) != exitcode.Failed || !strings.Contains(err.Error(), address) {
			t.Errorf("startSandbox = %v, want one line that names %s", err, address)
		}
		goleak.VerifyNone(t, before)
	})
}

package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/config"
	"rollcall/internal/demo"
	"rollcall/internal/exitcode"
	"rollcall/internal/lane"
	"rollcall/internal/redistest"
	"rollcall/internal/sandbox"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// checked is the result of a run of the command.
type checked struct {
	code     int
	out, err string
}

func runCheck(t *testing.T, env map[string]string, args ...string) checked {
	t.Helper()
	var out, errs bytes.Buffer
	p := newProgram(func(name string) string { return env[name] }, &out, &errs, nil)
	cmd := p.checkCommand()
	cmd.SetArgs(append([]string{}, args...)) // nil would mean the arguments of the test binary
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(t.Context())
	if err != nil {
		t.Logf("check %v: %v", args, err)
	}
	return checked{exitcode.Of(err), out.String(), errs.String()}
}

// report is the part of --json that scripts read.
type report struct {
	OK       bool             `json:"ok"`
	Problems []config.Problem `json:"problems"`
	Findings []finding        `json:"findings"`
}

func (c checked) outcome(t *testing.T) report {
	t.Helper()
	var o report
	if err := json.Unmarshal([]byte(c.out), &o); err != nil {
		t.Fatalf("%v in:\n%s\n%s", err, c.out, c.err)
	}
	return o
}

// findings returns the findings of a run with --json.
func (c checked) findings(t *testing.T) []finding {
	t.Helper()
	o := c.outcome(t)
	if o.OK != (c.code == exitcode.OK) {
		t.Errorf("ok is %t and the exit code %d", o.OK, c.code)
	}
	return o.Findings
}

func wantFinding(t *testing.T, all []finding, subject string, v verdict, text string) {
	t.Helper()
	for _, f := range all {
		if f.Subject == subject && f.Verdict == v && strings.Contains(f.Text, text) {
			return
		}
	}
	t.Errorf("no %s on %s says %q; there is:\n%v", v, subject, text, all)
}

func writeFile(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const checkRoster = `kind,tenant,chat_id,user_id,nickname
nickname,lakeside-dingtalk,c,u1,Ann
nickname,hillside-dingtalk,c,u2,Bob
nickname,lakeside-dingtalk,c,,Eve
course,lakeside-classin,,,
`

func TestCheckShowsWhatWouldRun(t *testing.T) {
	t.Parallel()
	sample, err := os.ReadFile("../../docs/rollcall.sample.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := writeFile(t, dir, "rollcall.yaml", string(sample))
	writeFile(t, dir, "roster.csv", checkRoster)
	for name, o := range map[string]checkOptions{"check.txt": {file: file}, "check.json": {file: file, json: true}} {
		var out, errs bytes.Buffer
		p := newProgram(func(string) string { return "hunter2" }, &out, &errs, nil)
		if err := p.check(t.Context(), o, time.Date(2026, 9, 1, 18, 30, 0, 0, time.UTC)); err != nil {
			t.Fatalf("%v\n%s", err, errs.String())
		}
		got := strings.ReplaceAll(out.String(), dir, "/etc/rollcall")
		golden := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if strings.Contains(got, "hunter2") {
			t.Errorf("%s shows a secret", name)
		}
	}
}

func TestCheckPrintsEveryProblemOfAFile(t *testing.T) {
	t.Parallel()
	file := writeFile(t, t.TempDir(), "rollcall.yaml", "stop_timeout: 150\norganisations: []\n")
	want := file + ":1: stop_timeout is 150, without a unit; write it as in 15s, 500ms or 2m\n" +
		file + ":2: organisations is an empty list; add at least one entry\n"
	plain := runCheck(t, nil, "--config", file)
	if diff := cmp.Diff(checked{exitcode.Config, "", want}, plain, cmp.AllowUnexported(checked{})); diff != "" {
		t.Errorf("check (-want +got):\n%s", diff)
	}
	asJSON := runCheck(t, nil, "--config", file, "--json")
	o := asJSON.outcome(t)
	if asJSON.code != exitcode.Config || asJSON.err != want || o.OK || len(o.Problems) != 2 || o.Problems[1].Line != 2 {
		t.Errorf("check --json = %+v, want both problems on both streams", asJSON)
	}
	if missing := runCheck(t, nil, "-c", file+".yml"); missing.code != exitcode.Config || !strings.Contains(missing.err, "does not exist") {
		t.Errorf("a missing file: %+v", missing)
	}
}

func TestCheckWithoutAFileChecksTheDemo(t *testing.T) {
	t.Parallel()
	if c := runCheck(t, nil); c.code != exitcode.OK || !strings.Contains(c.out, "in memory only") {
		t.Errorf("check = %+v, want the demo", c)
	}
	if c := runCheck(t, nil, "--connect"); c.code != exitcode.Usage {
		t.Errorf("check --connect = %+v, want a usage error", c)
	}
}

func TestCheckReportsARosterThatTheScheduleCannotRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, dir, "roster.csv", "name,class\nAnn,7A\n")
	file := writeFile(t, dir, "rollcall.yaml", fmt.Sprintf(checkConfig, "{url: 'redis://127.0.0.1:6379'}", "http://127.0.0.1:1")+
		"schedules: [{name: nightly, cron: 30 2 * * *, roster: roster.csv}]\n")
	c := runCheck(t, checkEnv, "-c", file, "--json")
	wantFinding(t, c.findings(t), "schedule nightly", problem, "line 1")
	if c.code != exitcode.Failed {
		t.Errorf("exit code %d, want %d", c.code, exitcode.Failed)
	}
}

const checkConfig = `redis: %s
http: {listen: "off"}
organisations:
  - name: lakeside
    tenants:
      - name: lakeside-dingtalk
        dingtalk: {api: %[2]q, oapi: %[2]q, app_key: dingdemo, app_secret: {env: APP_SECRET}}
      - name: lakeside-classin
        classin: {base_url: %[2]q, sid: "1000082", secret: {env: SCHOOL_SECRET}}
`

var checkEnv = map[string]string{"APP_SECRET": demo.AppSecret, "SCHOOL_SECRET": demo.Secret}

// connect checks a configuration with this Redis section and the sandbox.
func connect(t *testing.T, section string, env map[string]string) checked {
	t.Helper()
	platforms, err := sandbox.New(sandbox.Config{World: demo.World(testStart), Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(platforms.Close)
	server := httptest.NewServer(platforms)
	t.Cleanup(server.Close)
	file := writeFile(t, t.TempDir(), "rollcall.yaml", fmt.Sprintf(checkConfig, section, server.URL))
	all := maps.Clone(checkEnv)
	maps.Copy(all, env)
	c := runCheck(t, all, "-c", file, "--connect", "--json")
	for _, value := range all {
		if strings.Contains(c.out+c.err, value) {
			t.Errorf("a secret is shown:\n%s%s", c.out, c.err)
		}
	}
	return c
}

func TestConnectAcceptsTheDocumentedUserOnAnyTopology(t *testing.T) {
	t.Parallel()
	redistest.EachTopology(t, func(t *testing.T, d *redistest.Deployment) {
		c := connect(t, d.Section, d.Env)
		found := c.findings(t)
		wantFinding(t, found, "redis", fine, "has version")
		wantFinding(t, found, "redis", fine, "the user has all permissions of a worker")
		wantFinding(t, found, "redis", warning, "append-only")
		wantFinding(t, found, "tenant lakeside-dingtalk", fine, "token")
		wantFinding(t, found, "tenant lakeside-classin", notTried, "ClassIn")
		if c.code != exitcode.OK {
			t.Errorf("exit code %d:\n%s", c.code, c.err)
		}
	})
}

func TestConnectReportsAnUnsuitableRedis(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	rdb := s.Client(t)
	if err := rdb.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru").Err(); err != nil {
		t.Fatal(err)
	}
	c := connect(t, fmt.Sprintf("{url: %q}", s.URL()), nil)
	wantFinding(t, c.findings(t), "redis", problem, "maxmemory-policy allkeys-lru")
	if c.code != exitcode.Failed || !strings.Contains(c.err, "noeviction") {
		t.Errorf("exit code %d, on the standard error:\n%s", c.code, c.err)
	}
	if keys, err := rdb.Keys(t.Context(), "*").Result(); err != nil || len(keys) > 0 {
		t.Errorf("the check left %v behind, %v", keys, err)
	}
}

func TestConnectReportsEachMissingPermission(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	rdb := s.Client(t)
	const all = "+@all ~* &*"
	for name, c := range map[string]struct{ rules, want string }{
		"eviction":  {all + " -info", "give the user +info"},
		"commands":  {all + " -zadd -rpoplpush", "add +rpoplpush +zadd"},
		"scripts":   {all + " -eval", "+eval"},
		"digests":   {all + " -evalsha", "+evalsha"},
		"keys":      {"+@all &* ~asynq:*", "add ~rollcall:*"},
		"channels":  {"+@all ~* resetchannels", "&asynq:cancel"},
		"words":     {"+@all ~* resetchannels &asynq:cancel", "&rollcall:*"},
		"streams":   {all + " -xadd", "add +xadd"},
		"subscribe": {all + " -subscribe", "+subscribe"},
		"exec":      {all + " -multi -exec", "+multi +exec"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := []any{"ACL", "SETUSER", name, "reset", "on", ">pass-of-" + name}
			for rule := range strings.FieldsSeq(c.rules) {
				args = append(args, rule)
			}
			if err := rdb.Do(t.Context(), args...).Err(); err != nil {
				t.Fatal(err)
			}
			section := fmt.Sprintf("{url: %q, username: %s, password: {env: REDIS_PASSWORD}}", s.URL(), name)
			v := problem
			if name == "eviction" {
				v = warning
			}
			found := connect(t, section, map[string]string{"REDIS_PASSWORD": "pass-of-" + name}).findings(t)
			wantFinding(t, found, "redis", v, c.want)
		})
	}
	if err := rdb.Do(t.Context(), "ACL", "SETUSER", "elsewhere", "on", ">pass-of-elsewhere", "~*", "&*", "+@all", "-select").Err(); err != nil {
		t.Fatal(err)
	}
	elsewhere := fmt.Sprintf("{url: %q, username: elsewhere, password: {env: REDIS_PASSWORD}}", strings.TrimSuffix(s.URL(), "0")+"1")
	wantFinding(t, connect(t, elsewhere, map[string]string{"REDIS_PASSWORD": "pass-of-elsewhere"}).findings(t), "redis", problem, "add +select")
	section := fmt.Sprintf("{url: %q, username: stranger, password: {env: REDIS_PASSWORD}}", s.URL())
	wrong := connect(t, section, map[string]string{"REDIS_PASSWORD": "pass-of-stranger"})
	wantFinding(t, wrong.findings(t), "redis", problem, "wrong user or password")
}

// The user of docs/redis.md may do nothing that the check does not try.
func TestConnectNamesEachRightOfTheDocumentedUserThatIsMissing(t *testing.T) {
	if testing.Short() {
		t.Skip("a check for each of 80 rights: make test-long")
	}
	t.Parallel()
	d := redistest.Single(t)
	for right := range strings.FieldsSeq(redistest.Rules) {
		var without string
		switch {
		case redistest.OfCluster(right):
			continue
		case strings.HasPrefix(right, "+"):
			without = "-" + right[1:]
		case strings.HasPrefix(right, "~"):
			without = strings.ReplaceAll(redistest.Rules, right+" ", "")
		case strings.HasPrefix(right, "&"):
			without = strings.Replace(redistest.Rules, " "+right, "", 1)
		default:
			continue
		}
		d.Set(t, redistest.User, "resetkeys "+redistest.Rules)
		if right[0] != '+' {
			without = "resetkeys " + without
		}
		d.Set(t, redistest.User, without)
		c := connect(t, d.Section, d.Env)
		named := strings.Contains(c.out, right) || right == "+ping" && strings.Contains(c.out, "may not run PING")
		if !named {
			t.Errorf("without %s it found:\n%s", right, c.out)
		}
		if _, err := d.Denied(t.Context()); err != nil { // it is what the check is for
			t.Fatal(err)
		}
	}
	d.Set(t, redistest.User, "resetkeys "+redistest.Rules)
}

func TestConnectReportsAnUnreachableRedisAndRefusedCredentials(t *testing.T) {
	t.Parallel()
	c := connect(t, "{url: 'redis://127.0.0.1:1/0'}", map[string]string{"APP_SECRET": "not-the-secret"})
	found := c.findings(t)
	wantFinding(t, found, "redis", problem, "no answer")
	wantFinding(t, found, "tenant lakeside-dingtalk", problem, "no token")
	if c.code != exitcode.Failed {
		t.Errorf("exit code %d, want %d", c.code, exitcode.Failed)
	}
}

// The configuration has its own numbers for the chain of timeouts, because it must not
// import lanes.
func TestTheConfigurationAllowsTheTimeOfAStop(t *testing.T) {
	t.Parallel()
	for _, timeout := range []time.Duration{time.Second, 15 * time.Second, config.MaxTimeout} {
		if got, want := timeout+config.StopMargin, lane.ShutdownTimeout(timeout); got != want {
			t.Errorf("with a timeout of %s the configuration computes a stop of %s, a lane takes %s", timeout, got, want)
		}
	}
}

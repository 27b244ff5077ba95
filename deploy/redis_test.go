package deploy_test

import (
	"context"
	"flag"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/manual"
	"rollcall/internal/redistest"
	"rollcall/internal/subprocess"
)

const (
	password, adminPassword, producerPassword = "p4ss of the worker", "p4ss of the admin", "p4ss of the producers"

	// answerBound is how long a Redis may take to start or to stop. It takes
	// some 50 ms; a machine under load takes longer.
	answerBound = 30 * time.Second
)

// writeACL runs acl.sh as README.md does, and returns what it printed.
func writeACL(t *testing.T, dir string) string {
	t.Helper()
	files := map[string]string{
		"redis-password": password + "\n", "redis-admin-password": adminPassword, "redis-producer-password": producerPassword,
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "sh", "redis/acl.sh",
		filepath.Join(dir, "redis-password"), filepath.Join(dir, "redis-admin-password"), filepath.Join(dir, "redis-producer-password"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("acl.sh: %v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "users.acl"), out, 0o600); err != nil {
		t.Fatal(err)
	}
	return string(out)
}

var update = flag.Bool("update", false, "rewrite the users of docs/redis.md")

// The rights are those under which all tests run that use an ACL.
func TestTheACLFileGivesTheTestedRightsAndNoPassword(t *testing.T) {
	t.Parallel()
	printed := writeACL(t, t.TempDir())
	manual.Parts(t, "../docs/redis.md", map[string]string{
		"users": "```text\nuser " + redistest.User + " on >PASSWORD " + redistest.Rules +
			"\nuser " + redistest.Producer + " on >PASSWORD " + redistest.ProducerRules +
			"\nuser default off resetpass ~* &* +@all\n```",
	}, *update)
	for user, want := range map[string]string{redistest.User: redistest.Rules, redistest.Producer: redistest.ProducerRules} {
		rights := ""
		for line := range strings.Lines(printed) {
			if rest, ok := strings.CutPrefix(line, "user "+user+" on #"); ok {
				_, rights, _ = strings.Cut(strings.TrimSpace(rest), " ")
			}
		}
		if diff := cmp.Diff(want, rights); diff != "" {
			t.Errorf("rights of %s (-tests +acl.sh):\n%s", user, diff)
		}
	}
	if strings.Contains(printed, "p4ss") {
		t.Errorf("acl.sh prints a password:\n%s", printed)
	}
}

func TestAnEmptyPasswordIsRefused(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "sh", "redis/acl.sh", empty).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "put the password into it") {
		t.Errorf("acl.sh with an empty file: %v, %s", err, out)
	}
}

// server is a redis-server with redis.conf and acl.sh, as an operator has it.
type server struct {
	dir, addr string
	cmd       *exec.Cmd
}

func (s *server) as(user, password string) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: s.addr, Username: user, Password: password})
}

// start starts it on the data in dir, with more arguments as given.
func (s *server) start(t *testing.T, more ...string) {
	t.Helper()
	_, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{
		"redis/redis.conf", "--bind", "127.0.0.1", "--port", port,
		"--dir", s.dir, "--aclfile", filepath.Join(s.dir, "users.acl"),
	}, more...)
	s.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), "redis-server", args...)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	admin := s.as("admin", adminPassword)
	defer func() { _ = admin.Close() }()
	s.until(t, "answers", func(ctx context.Context) bool { return admin.Ping(ctx).Err() == nil })
}

// until asks again and again, for answerBound at the most.
func (s *server) until(t *testing.T, what string, done func(ctx context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), answerBound)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !done(ctx) {
		select {
		case <-ctx.Done():
			t.Fatalf("redis-server at %s: gave up waiting until it %s", s.addr, what)
		case <-ticker.C:
		}
	}
}

// stop is a SIGTERM, or what a power failure would do.
func (s *server) stop(t *testing.T, signal os.Signal) {
	t.Helper()
	if s.cmd == nil {
		return
	}
	if err := s.cmd.Process.Signal(signal); err != nil {
		t.Errorf("signal redis-server: %v", err)
	}
	_ = s.cmd.Wait()
	s.cmd = nil
}

func newServer(t *testing.T) *server {
	t.Helper()
	// Skips the test where there is no redis-server, or fails it where one is
	// required. The server itself keeps nothing on disk, so it is of no use here.
	redistest.Real(t)
	ports, err := subprocess.Ports(t.Context(), 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{dir: t.TempDir(), addr: "127.0.0.1:" + ports[0]}
	writeACL(t, s.dir)
	t.Cleanup(func() { s.stop(t, os.Kill) })
	return s
}

// write leaves what rollcall and asynq leave: plain keys, scripts' and
// transactions'.
func (s *server) write(t *testing.T) {
	t.Helper()
	c := s.as("rollcall", password)
	defer func() { _ = c.Close() }()
	ctx := t.Context()
	err := c.Set(ctx, "rollcall:plain", 1, 0).Err()
	if err == nil {
		const script = `redis.call('HSET', KEYS[1], 'rev', 1) return redis.call('HSET', KEYS[1], 'd:id', 1)`
		err = c.Eval(ctx, script, []string{"rollcall:script"}).Err()
	}
	if err == nil {
		_, err = c.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Set(ctx, "rollcall:transaction", 1, 0)
			p.Set(ctx, "asynq:transaction", 1, 0)
			return nil
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (s *server) wantAll(t *testing.T) {
	t.Helper()
	c := s.as("rollcall", password)
	defer func() { _ = c.Close() }()
	for _, key := range []string{"rollcall:plain", "rollcall:script", "rollcall:transaction", "asynq:transaction"} {
		if n, err := c.Exists(t.Context(), key).Result(); n != 1 || err != nil {
			t.Errorf("%s is missing (%v)", key, err)
		}
	}
}

func TestNobodyGetsInWithoutAPassword(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(t)
	for _, c := range []*redis.Client{s.as("", ""), s.as("rollcall", "guess"), s.as("default", "guess")} {
		if err := c.Set(t.Context(), "rollcall:x", 1, 0).Err(); err == nil {
			t.Errorf("%q got in", c.Options().Username)
		}
		_ = c.Close()
	}
	c := s.as("rollcall", password)
	defer func() { _ = c.Close() }()
	for _, forbidden := range [][]any{{"FLUSHALL"}, {"CONFIG", "SET", "appendonly", "no"}, {"SET", "elsewhere", 1}, {"KEYS", "*"}, {"SCAN", 0}, {"SELECT", 1}} {
		if err := c.Do(t.Context(), forbidden...).Err(); err == nil {
			t.Errorf("rollcall may %v", forbidden)
		}
	}
}

// Redis replays its AOF as the user default, and drops the transactions that
// this user may not run: with a bare "user default off" they are all removed after
// a restart (https://github.com/redis/redis/issues/14541).
func TestARestartLosesNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(t)
	s.write(t)
	s.stop(t, os.Interrupt)
	s.start(t)
	s.wantAll(t)
}

// The steps are those of README.md.
func TestABackupComesBack(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(t)
	s.write(t)
	if _, err := exec.LookPath("redis-cli"); err != nil {
		t.Skip("redis-cli is not on the PATH: it takes the backup")
	}
	backup := filepath.Join(t.TempDir(), "backup.rdb")
	_, port, _ := net.SplitHostPort(s.addr)
	cmd := exec.CommandContext(t.Context(), "redis-cli", "-p", port, "--user", "admin", "--rdb", backup)
	cmd.Env = append(os.Environ(), "REDISCLI_AUTH="+adminPassword)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("redis-cli --rdb: %v\n%s", err, out)
	}
	s.stop(t, os.Kill)

	content, err := os.ReadFile(backup)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"appendonlydir", "dump.rdb"} {
		if err := os.RemoveAll(filepath.Join(s.dir, path)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(s.dir, "dump.rdb"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	// With an AOF from the start Redis would ignore dump.rdb and begin empty.
	s.start(t, "--appendonly", "no")
	admin := s.as("admin", adminPassword)
	defer func() { _ = admin.Close() }()
	if err := admin.ConfigSet(t.Context(), "appendonly", "yes").Err(); err != nil {
		t.Fatal(err)
	}
	s.until(t, "has written its AOF", func(ctx context.Context) bool {
		info := admin.Info(ctx, "persistence").Val()
		return strings.Contains(info, "aof_enabled:1\r") && strings.Contains(info, "aof_rewrite_in_progress:0\r") &&
			strings.Contains(info, "aof_rewrite_scheduled:0\r")
	})
	s.stop(t, os.Interrupt)
	s.start(t)
	s.wantAll(t)
}

func TestRedisIsSetAsRollcallNeedsIt(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.start(t)
	admin := s.as("admin", adminPassword)
	defer func() { _ = admin.Close() }()
	got := map[string]string{}
	for _, key := range []string{"appendonly", "appendfsync", "maxmemory-policy"} {
		value, err := admin.ConfigGet(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		got[key] = value[key]
	}
	want := map[string]string{"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("redis.conf (-want +got):\n%s", diff)
	}
}

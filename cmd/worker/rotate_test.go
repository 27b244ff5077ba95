package main

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/audit"
	"rollcall/internal/config"
	"rollcall/internal/enqueue"
	"rollcall/internal/hold"
	"rollcall/internal/logtest"
	"rollcall/internal/redistest"
	"rollcall/tasks"
)

// rotating emulates both platforms, with secrets that a test replaces.
type rotating struct {
	mu       sync.Mutex
	secrets  []string // accepted ones
	tokens   []string // the secrets of the token requests, in order
	signed   []string // the secrets of ClassIn's calls
	renamed  map[string]int
	gate     chan struct{} // if not nil, a rename waits for it
	arrivals chan struct{} // one for each waiting rename
}

func (p *rotating) accept(secrets ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.secrets = secrets
}

func (p *rotating) accepts(secret string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.secrets, secret)
}

func (p *rotating) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasSuffix(r.URL.Path, "/oauth2/accessToken"):
		var body struct {
			AppSecret string `json:"appSecret"`
		}
		_ = json.NewDecoder(r.Body).Decode(&body)
		p.mu.Lock()
		p.tokens = append(p.tokens, body.AppSecret)
		p.mu.Unlock()
		if !p.accepts(body.AppSecret) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprint(w, `{"code":"invalidClientIdOrSecret","requestid":"r","message":"no such app"}`)
			return
		}
		_, _ = fmt.Fprintf(w, `{"accessToken":"token-%s","expireIn":7200}`, body.AppSecret)
	case strings.HasSuffix(r.URL.Path, "/updategroupnick"):
		_ = r.ParseForm()
		p.mu.Lock()
		gate := p.gate
		p.mu.Unlock()
		if gate != nil {
			p.arrivals <- struct{}{}
			<-gate
		}
		if !p.accepts(strings.TrimPrefix(r.URL.Query().Get("access_token"), "token-")) {
			_, _ = fmt.Fprint(w, `{"errcode":40014,"errmsg":"不合法的access_token","request_id":"r"}`)
			return
		}
		p.mu.Lock()
		p.renamed[r.PostForm.Get("group_nick")]++
		p.mu.Unlock()
		_, _ = fmt.Fprint(w, `{"errcode":0,"errmsg":"ok","success":true,"request_id":"r"}`)
	default:
		_ = r.ParseForm()
		for _, s := range []string{"old", "new"} {
			sum := md5.Sum([]byte(s + r.PostForm.Get("timeStamp")))
			if hex.EncodeToString(sum[:]) == r.PostForm.Get("safeKey") {
				p.mu.Lock()
				p.signed = append(p.signed, s)
				p.mu.Unlock()
			}
		}
		_, _ = fmt.Fprint(w, `{"data":1,"error_info":{"errno":1,"error":"程序正常执行"}}`)
	}
}

// lastOf returns the last entry of a list of p.
func (p *rotating) lastOf(list *[]string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(*list) == 0 {
		return ""
	}
	return (*list)[len(*list)-1]
}

const rotatingConfig = `
redis: %s
http: {listen: "127.0.0.1:0", users: [{name: ops, password: {file: page}}]}
organisations:
  - name: lakeside
    quota: {calls: 0}
    tenants:
      - name: dt
        dingtalk: {api: %[2]q, oapi: %[2]q, app_key: app, app_secret: {file: app}, limits: {nickname: {calls: %[3]d, per: 1s}}}
      - name: ci
        classin: {base_url: %[2]q, sid: "1", secret: {file: school}}
`

// rotation is a worker in this process that reads its secrets from files.
type rotation struct {
	t        *testing.T
	dir      string
	platform *rotating
	hangup   chan os.Signal
	page     string
	client   *enqueue.Client
	log      *logtest.Buffer
	sent     int
}

func newRotation(t *testing.T, s *redistest.Server, redisSection string) *rotation {
	t.Helper()
	return newRotationAt(t, s, redisSection, 20)
}

// newRotationAt starts a worker that may rename so many people a second.
func newRotationAt(t *testing.T, s *redistest.Server, redisSection string, calls int) *rotation {
	t.Helper()
	r := &rotation{
		t: t, dir: t.TempDir(), hangup: make(chan os.Signal), log: &logtest.Buffer{},
		platform: &rotating{secrets: []string{"old"}, renamed: map[string]int{}, arrivals: make(chan struct{}, 100)},
	}
	server := httptest.NewServer(r.platform)
	t.Cleanup(server.Close)
	for _, name := range []string{"app", "school", "page", "redis"} {
		r.write(name, "old")
	}
	file := writeFile(t, r.dir, "rollcall.yaml", fmt.Sprintf(rotatingConfig, redisSection, server.URL, calls))
	p := &program{getenv: func(string) string { return "" }}
	load := func() (*config.Config, error) { return p.load(t.Context(), file) }
	cfg, err := load()
	if err != nil {
		t.Fatal(err)
	}
	var level slog.LevelVar
	ctx, stop := context.WithCancel(context.Background())
	w, err := newWorker(ctx, cfg, slog.New(slog.NewTextHandler(r.log, nil)), &level)
	if err != nil {
		t.Fatal(err)
	}
	readied, ended := make(chan ready, 1), make(chan error, 1)
	go func() {
		ended <- w.run(ctx, runtime{started: func(at ready) { readied <- at }, hangup: r.hangup, load: load})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the worker ended: %v", err)
		}
	})
	select {
	case at := <-readied:
		r.page = strings.TrimSuffix(at.page, "/") + "/metrics"
	case err := <-ended:
		ended <- nil
		t.Fatalf("the worker ended: %v", err)
	}
	if r.client, err = enqueue.New(enqueue.Config{Redis: &redis.UniversalOptions{Addrs: []string{s.Addr}}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.client.Close() })
	return r
}

func (r *rotation) write(name, value string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(value+"\n"), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// reload returns when the worker has reloaded: the worker receives the second signal
// after it has handled the first.
func (r *rotation) reload() {
	r.hangup <- os.Interrupt
	r.hangup <- os.Interrupt
}

func (r *rotation) rename(n int) {
	r.t.Helper()
	for range n {
		r.sent++
		name := fmt.Sprintf("n%d", r.sent)
		if _, err := r.client.Enqueue(r.t.Context(), tasks.NicknameSync{Tenant: "dt", ChatID: "c", UserID: name, Nickname: name}, tasks.Options{}); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *rotation) await(what string, check func() bool) {
	r.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !check(); <-tick.C {
		if time.Now().After(deadline) {
			r.t.Fatalf("timeout: %s\n%s", what, r.log)
		}
	}
}

// allRenamed waits until each name was sent once.
func (r *rotation) allRenamed() {
	r.t.Helper()
	r.await("every name once", func() bool {
		r.platform.mu.Lock()
		defer r.platform.mu.Unlock()
		return len(r.platform.renamed) == r.sent
	})
	for name, n := range r.platform.renamed {
		if n != 1 {
			r.t.Errorf("%s was sent %d times", name, n)
		}
	}
}

func (r *rotation) statusOfPage(password string) int {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.page, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	request.SetBasicAuth("ops", password)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

func TestSecretsInFilesAreRotatedByAReloadAndNoTaskIsLost(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRotation(t, s, fmt.Sprintf("{url: %q}", s.URL()))
		r.rename(1)
		r.allRenamed()
		if got := r.platform.lastOf(&r.platform.tokens); got != "old" {
			t.Fatalf("the first token was fetched with %q", got)
		}

		// While both secrets are valid, a call with the old one's token is running.
		gate := make(chan struct{})
		r.platform.accept("old", "new")
		r.platform.mu.Lock()
		r.platform.gate = gate
		r.platform.mu.Unlock()
		r.rename(1)
		<-r.platform.arrivals
		for _, name := range []string{"app", "school", "page"} {
			r.write(name, "new")
		}
		r.reload()
		r.platform.mu.Lock()
		r.platform.gate = nil
		r.platform.mu.Unlock()
		close(gate)
		r.rename(5)
		r.allRenamed()
		if got := r.platform.lastOf(&r.platform.tokens); got != "new" {
			t.Errorf("after the reload the last token was fetched with %q\n%s", got, r.log)
		}
		if old, now := r.statusOfPage("old"), r.statusOfPage("new"); old != http.StatusUnauthorized || now != http.StatusOK {
			t.Errorf("the page answers %d to the old password and %d to the new one", old, now)
		}
		if _, err := r.client.Enqueue(t.Context(), tasks.CourseSync{Tenant: "ci", CourseID: "7"}, tasks.Options{}); err != nil {
			t.Fatal(err)
		}
		r.await("a signed request", func() bool { return r.platform.lastOf(&r.platform.signed) != "" })
		if got := r.platform.lastOf(&r.platform.signed); got != "new" {
			t.Errorf("ClassIn's request was signed with the secret %q", got)
		}
	})
}

func TestAHoldForRefusedCredentialsIsProbedAtOnceAfterTheReload(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRotation(t, s, fmt.Sprintf("{url: %q}", s.URL()))
		r.rename(1)
		r.allRenamed()
		r.platform.accept("new")
		r.rename(20)
		rdb := s.Client(t)
		r.await("the hold", func() bool { return rdb.HLen(t.Context(), hold.Key).Val() == 1 })
		r.write("app", "new")
		r.reload()
		r.allRenamed()
		r.await("the end of the hold", func() bool { return rdb.HLen(t.Context(), hold.Key).Val() == 0 })
		// Without the reload the first probe would come after a minute.
		events, err := audit.Read(t.Context(), rdb, 10)
		if err != nil || len(events) != 2 {
			t.Fatalf("events = %+v, %v; want that it began and ended", events, err)
		}
	})
}

// The server's password changes and all connections are closed: new connections log in
// with the password that the reload read.
func TestThePasswordOfRedisIsRotatedByAReload(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	admin := s.Client(t)
	do := func(args ...any) {
		t.Helper()
		if err := admin.Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	do("ACL", "SETUSER", "worker", "on", ">old", "~*", "&*", "+@all")
	r := newRotation(t, s, fmt.Sprintf("{url: %q, username: worker, password: {file: redis}}", s.URL()))
	r.rename(1)
	r.allRenamed()
	do("ACL", "SETUSER", "worker", "resetpass", ">new")
	r.write("redis", "new")
	r.reload()
	do("CLIENT", "KILL", "USER", "worker")
	r.rename(5)
	r.allRenamed()
}

package remote_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/access"
	"rollcall/internal/api"
	"rollcall/internal/enqueue"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/registry"
	"rollcall/internal/remote"
	"rollcall/internal/run"
	"rollcall/internal/secret"
	"rollcall/tasks"
)

var token = access.NewSecret()

// rig is a worker's API whose connections break.
type rig struct {
	t       *testing.T
	service *run.Service
	rdb     redis.UniversalClient
	url     string
	// lost counts down: the answer of the request at which it becomes 0 is lost, and cut the
	// request itself.
	lost, cut atomic.Int64
	requests  atomic.Int64
	broken    func()              // is called when it happens; nil: nothing is
	answered  func(*http.Request) // is called before an answer is sent; nil: nothing is
}

func newRig(t *testing.T) *rig {
	t.Helper()
	s := redistest.One(t)
	r := &rig{t: t, rdb: s.Client(t)}
	lanes := []registry.Lane{{Organisation: "lakeside", Tenant: "lakeside-dt", Kind: tasks.KindNickname, NicknameMax: 10}}
	if err := registry.Publish(t.Context(), r.rdb, lanes); err != nil {
		t.Fatal(err)
	}
	producer, err := enqueue.New(enqueue.Config{Redis: &redis.UniversalOptions{Addrs: []string{s.Addr}}})
	if err != nil {
		t.Fatal(err)
	}
	r.service = run.New(run.Config{Redis: r.rdb, Ledger: ledger.New(r.rdb)})
	served := api.New(api.Config{Runs: r.service, Producer: producer, Redis: r.rdb})
	grant := access.Grant{
		Principal: access.Principal{Token: "admin", Scopes: access.Scopes()}, Expires: time.Now().Add(time.Hour),
		Hashes: []access.Hash{access.HashOf(token.Reveal())},
	}
	guard := access.Guard{Tokens: access.NewTokens(grant), Guesses: new(access.Guesses), Public: api.Public}
	worker := httptest.NewServer(guard.Handler(served))
	behind, err := url.Parse(worker.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(behind)
	transport := &http.Transport{}
	proxy.Transport = transport
	proxy.ModifyResponse = func(resp *http.Response) error {
		if r.answered != nil {
			r.answered(resp.Request)
		}
		if r.lost.Add(-1) == 0 {
			r.breaks()
			return errors.New("lost")
		}
		return nil
	}
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.requests.Add(1)
		if r.cut.Add(-1) == 0 {
			r.breaks()
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, req)
	}))
	r.url = front.URL
	t.Cleanup(func() {
		front.Close()
		transport.CloseIdleConnections()
		worker.Close()
		served.Close()
		_ = producer.Close()
	})
	return r
}

func (r *rig) breaks() {
	if r.broken != nil {
		r.broken()
	}
}

func (r *rig) client() *remote.Client {
	r.t.Helper()
	c, err := remote.New(remote.Config{URL: r.url, Token: token, TokenFrom: "token"})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(c.Close)
	return c
}

func rows(from, to int) []run.Row {
	var all []run.Row
	for i := from; i < to; i++ {
		all = append(all, run.Row{Line: 2 * i, Request: tasks.Request{
			Task:    tasks.NicknameSync{Tenant: "lakeside-dt", ChatID: "chat1", UserID: fmt.Sprint("u", i), Nickname: fmt.Sprint("王芳", i)},
			Options: tasks.Options{Key: fmt.Sprint("k", i)},
		}})
	}
	return all
}

// upload does what a command does with a file of nine rows, in parts of three.
func upload(ctx context.Context, c *remote.Client) (run.Run, error) {
	made, err := c.Continue(ctx, run.Draft{Name: "spring"}, "content")
	in := made.Rows
	for err == nil && in < 9 {
		in, err = c.Add(ctx, made.ID, in, rows(in, min(in+3, 9)))
	}
	if err == nil {
		made, err = c.Seal(ctx, made.ID, 9)
	}
	if err == nil {
		made, err = c.Plan(ctx, made.ID, nil)
	}
	return made, err
}

// complete fails unless there is one run, which has each row once.
func (r *rig) complete(id string) {
	r.t.Helper()
	all, err := r.service.List(r.t.Context(), run.Filter{})
	if err != nil || len(all) != 1 || all[0].ID != id || all[0].Author != "token:admin" {
		r.t.Fatalf("%+v, %v; want run %s alone", all, err, id)
	}
	n := 0
	for row, err := range r.service.Rows(r.t.Context(), id) {
		want := rows(n, n+1)[0]
		if err != nil || row.Line != want.Line || !cmp.Equal(row.Request, want.Request) {
			r.t.Fatalf("row %d: %+v, %v", n, row, err)
		}
		n++
	}
	if n != 9 {
		r.t.Errorf("%d rows", n)
	}
}

// Each request of an upload is cut once, and each answer is lost once: the command goes on.
func TestARequestOrAnswerThatIsLostIsRepeated(t *testing.T) {
	t.Parallel()
	whole := newRig(t)
	made, err := upload(t.Context(), whole.client())
	if err != nil {
		t.Fatal(err)
	}
	whole.complete(made.ID)
	n := whole.requests.Load()
	for at := int64(1); at <= n; at++ {
		for _, what := range []string{"request", "answer"} {
			t.Run(fmt.Sprint(what, " ", at), func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				if what == "request" {
					r.cut.Store(at)
				} else {
					r.lost.Store(at)
				}
				made, err := upload(t.Context(), r.client())
				if err != nil {
					t.Fatal(err)
				}
				r.complete(made.ID)
			})
		}
	}
}

// The command is killed at each request; the next one continues its upload. (Once it is
// sealed, the upload is whole.)
func TestAnUploadThatWasKilledIsContinued(t *testing.T) {
	t.Parallel()
	const requests = 6 // the token, the run, three parts and the seal
	for at := int64(3); at <= requests; at++ {
		for _, what := range []string{"request", "answer"} {
			if at == requests && what == "answer" {
				continue
			}
			t.Run(fmt.Sprint(what, " ", at), func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				ctx, kill := context.WithCancel(t.Context())
				defer kill()
				if what == "request" {
					r.cut.Store(at)
				} else {
					r.lost.Store(at)
				}
				r.broken = kill
				if _, err := upload(ctx, r.client()); err == nil {
					t.Fatal("the command was not killed")
				}
				made, err := upload(t.Context(), r.client())
				if err != nil {
					t.Fatal(err)
				}
				r.complete(made.ID)
			})
		}
	}
}

// A file that was uploaded whole becomes another run, as it does in Redis.
func TestAWholeUploadIsNotContinued(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first, err := upload(t.Context(), r.client())
	if err != nil {
		t.Fatal(err)
	}
	second, err := upload(t.Context(), r.client())
	if err != nil || second.ID == first.ID {
		t.Fatalf("%s and %s, %v", first.ID, second.ID, err)
	}
}

func TestATaskIsStoredOnceWhateverIsLost(t *testing.T) {
	t.Parallel()
	for at := int64(1); at <= 4; at++ {
		for _, what := range []string{"request", "answer"} {
			r := newRig(t)
			if what == "request" {
				r.cut.Store(at)
			} else {
				r.lost.Store(at)
			}
			result := r.client().Enqueue(t.Context(), rows(1, 2)[0].Request)
			n, err := r.rdb.LLen(t.Context(), "asynq:{lakeside-dt.nickname}:pending").Result()
			if result.Err != nil || result.Outcome != tasks.Stored && result.Outcome != tasks.AlreadyThere || n != 1 || err != nil {
				t.Errorf("%s %d: %+v, %d tasks, %v", what, at, result, n, err)
			}
		}
	}
}

func TestATextThatTheAPIWouldChangeIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for nickname, want := range map[string]tasks.Outcome{
		"王芳": tasks.Stored, "'=A": tasks.Refused, strings.Repeat("芳", tasks.DefaultNicknameMax+1): tasks.Refused,
	} {
		result := r.client().Enqueue(t.Context(), tasks.Request{Task: tasks.NicknameSync{Tenant: "lakeside-dt", ChatID: "c", UserID: "u", Nickname: nickname}})
		if result.Outcome != want {
			t.Errorf("%q: %+v", nickname, result)
		}
	}
}

func TestAnAddressThatWouldGiveTheTokenAwayIsRefused(t *testing.T) {
	t.Parallel()
	for address, ok := range map[string]bool{
		"http://127.0.0.1:8080": true, "http://localhost:8080/": true, "http://[::1]:8080/v1": true, "https://worker.internal": true,
		"https://worker.internal/rollcall/": true,
		"http://worker.internal":            false, "http://10.0.0.1:8080": false, "http://127.0.0.1.evil.example": false, "ftp://127.0.0.1": false, "worker": false,
		"https://ann:pass@worker.internal": false, "https://worker.internal?token=x": false, "https://worker.internal/#x": false, "://": false,
	} {
		_, err := remote.New(remote.Config{URL: address, Token: token})
		if (err == nil) != ok || err != nil && strings.Contains(err.Error(), "pass@") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// stub answers every request in one way.
func stub(t *testing.T, status int, header map[string]string, body string) (url string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for name, value := range header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestEachTroubleHasOneClearMessageWithoutTheToken(t *testing.T) {
	t.Parallel()
	problem := map[string]string{"Content-Type": "application/problem+json"}
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	t.Cleanup(other.Close)
	for name, c := range map[string]struct{ url, want string }{
		"an older API":         {stub(t, 404, problem, `{"type":"/v1/problems/not-found","detail":"no operation has this path"}`), "is older than version 1.1"},
		"a newer API":          {stub(t, 200, nil, `{"api":"2.0.0","name":"x","scopes":[]}`), "has version 2.0.0, and this command needs 1.1"},
		"an API without names": {stub(t, 200, nil, `{"api":"1.0.3","name":"x","scopes":[]}`), "has version 1.0.3"},
		"a web server":         {stub(t, 404, map[string]string{"Content-Type": "text/html"}, "<html>"), "no API of rollcall at 127.0.0.1"},
		"a web UI":             {stub(t, 401, map[string]string{"WWW-Authenticate": "Basic"}, "no"), "no API of rollcall at 127.0.0.1"},
		"a page":               {stub(t, 200, map[string]string{"Content-Type": "text/html"}, "<html>"), "its answer is not that of rollcall's API"},
		"a redirect":           {stub(t, 302, map[string]string{"Location": other.URL}, ""), "no API of rollcall at 127.0.0.1"},
		"a wrong token":        {stub(t, 401, problem, `{"type":"/v1/problems/unauthorized","detail":"the configuration of this worker has no such token"}`), "does not accept the token of the file: the configuration"},
		"a missing scope":      {stub(t, 403, problem, `{"type":"/v1/problems/scope-missing","detail":"the token needs the scope read"}`), "the token needs the scope read; the token of the file does not have it"},
		"invalid rows":         {stub(t, 422, problem, `{"type":"/v1/problems/invalid-rows","detail":"1 of 2 rows are invalid","errors":[{"line":3,"column":"user_id","detail":"is missing"}]}`), "1 of 2 rows are invalid; line 3: column user_id: is missing"},
		"no worker":            {"http://127.0.0.1:1", "cannot reach the worker at 127.0.0.1:1: connection refused; safe to retry"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, err := remote.New(remote.Config{URL: c.url, Token: token, TokenFrom: "the file"})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			_, err = client.List(t.Context(), run.Filter{N: 1})
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") || strings.Contains(fmt.Sprintf("%+v %#v", err, client), token.Reveal()) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	t.Cleanup(func() {
		if elsewhere.Load() > 0 {
			t.Error("a redirect was followed with the token")
		}
	})
}

func TestATokenOfAnotherFormIsNotSent(t *testing.T) {
	t.Parallel()
	c, err := remote.New(remote.Config{URL: "http://127.0.0.1:1", Token: secret.New("a\nb")})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Get(t.Context(), "r"); err == nil || strings.Contains(err.Error(), "a\nb") {
		t.Errorf("%v", err)
	}
}

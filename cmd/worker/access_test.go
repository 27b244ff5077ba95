package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hibiken/asynq"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"rollcall/internal/access"
	"rollcall/internal/config"
	"rollcall/internal/exitcode"
	"rollcall/internal/hold"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	runs "rollcall/internal/run"
	"rollcall/internal/webhook"
)

const webhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// hooked is a URL that a worker calls. It refuses calls without a valid signature.
type hooked struct {
	mu     sync.Mutex
	bodies []string
}

func (h *hooked) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	hook, err := standardwebhooks.NewWebhook(webhookSecret)
	if err == nil {
		err = hook.Verify(body, r.Header)
	}
	if err != nil {
		http.Error(w, "forged", http.StatusForbidden)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bodies = append(h.bodies, string(body))
}

func (h *hooked) called(words ...string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.bodies, func(body string) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(body, w) })
	})
}

func (h *hooked) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.bodies)
}

func TestTokensAreReplacedByAReload(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	before, after := access.NewSecret().Reveal(), access.NewSecret().Reveal()
	hashes := filepath.Join(t.TempDir(), "hashes")
	write := func(tokens ...string) {
		t.Helper()
		var lines strings.Builder
		for _, token := range tokens {
			lines.WriteString(access.HashOf(token).String() + "\n")
		}
		if err := os.WriteFile(hashes, []byte(lines.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(before)
	r := newRotation(t, s, fmt.Sprintf("{url: %q}\napi: {tokens: [{name: grades, scopes: [read], expires: 2099-12-31, hash: {file: %q}}]}", s.URL(), hashes))
	status := func(token string) int {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.Replace(r.page, "/metrics", "/v1/nosuch", 1), nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		return answer.StatusCode
	}
	// A request that the guard lets through finds no such page.
	check := func(step string, wantBefore, wantAfter int) {
		t.Helper()
		if none, one, two := status(""), status(before), status(after); none != 401 || one != wantBefore || two != wantAfter {
			t.Errorf("%s: without a token %d, with the old one %d, with the new one %d; want 401, %d, %d", step, none, one, two, wantBefore, wantAfter)
		}
	}
	check("at first", 404, 401)
	write(before, after)
	r.reload()
	check("during the rotation", 404, 404)
	write(after)
	r.reload()
	check("after it", 401, 404)
	read := func(path string) string {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.Replace(r.page, "/metrics", path, 1), nil)
		if err != nil {
			t.Fatal(err)
		}
		request.SetBasicAuth("ops", "old")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		return string(body)
	}
	metrics := read("/metrics")
	if !strings.Contains(metrics, `rollcall_api_refused_total{reason="no-token"} 3`) || !strings.Contains(metrics, `rollcall_api_refused_total{reason="unknown-token"} 2`) {
		t.Errorf("counted:\n%s", strings.Join(regexp.MustCompile(`rollcall_api\S+ [1-9].*`).FindAllString(metrics, -1), "\n"))
	}
	for _, secret := range []string{before, after, access.HashOf(before).String()[7:], access.HashOf(after).String()[7:]} {
		for where, text := range map[string]string{"the log": r.log.String(), "the metrics": metrics, "a page": read("/"), "the events": read("/audit")} {
			if strings.Contains(text, secret) {
				t.Errorf("a token or its hash is in %s", where)
			}
		}
	}
}

func TestAWorkerCallsItsWebhooksAboutRunsAndLanes(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		var all, other hooked
		dir := t.TempDir()
		writeFile(t, dir, "secret", webhookSecret)
		urls := make([]any, 0, 4)
		for _, h := range []*hooked{&all, &other} {
			server := httptest.NewServer(h)
			t.Cleanup(server.Close)
			urls = append(urls, server.URL, filepath.Join(dir, "secret"))
		}
		hooks := fmt.Sprintf("webhooks: [{name: all, url: %q, secret: {file: %q}}, {name: other, url: %q, secret: {file: %q}, tenants: [ci], events: [lane.held]}]", urls...)
		r := newRotation(t, s, fmt.Sprintf("{url: %q}\n%s", s.URL(), hooks))
		rdb := s.Client(t)
		service := runs.New(runs.Config{Redis: rdb, Ledger: ledger.New(rdb)})
		made, err := service.Create(t.Context(), runs.Draft{Name: "zhangsan", Author: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := service.Cancel(t.Context(), made.ID, "ann", "李佳琪 asked for it"); err != nil {
			t.Fatal(err)
		}
		holds := hold.NewStore(rdb)
		for _, name := range []string{"dt.nickname", "ci.course"} {
			if _, _, err := holds.Put(t.Context(), hold.Hold{Scope: hold.Scope{Level: hold.Lane, Name: name}, Class: hold.Operator, Reason: "李佳琪 moves", By: "ann"}); err != nil {
				t.Fatal(err)
			}
		}
		r.await("all calls", func() bool {
			return all.called(`"type":"run.ended"`, made.ID, `"state":"cancelled"`) && all.called(`"type":"lane.held"`, `"name":"dt.nickname"`, `"class":"operator"`) &&
				all.called(`"name":"ci.course"`) && other.called(`"name":"ci.course"`)
		})
		// Calls whose records are damaged are made again, from the run and the holds.
		var done []*asynq.TaskInfo
		r.await("the ends of the calls", func() bool {
			done, err = asynq.NewInspectorFromRedisClient(rdb).ListCompletedTasks(webhook.Queue)
			return err == nil && len(done) == 4
		})
		client := asynq.NewClientFromRedisClient(rdb)
		for _, task := range done {
			if _, err := client.Enqueue(asynq.NewTask(webhook.Type, []byte("damaged")), asynq.Queue(webhook.Queue), asynq.TaskID(task.ID+":1")); err != nil {
				t.Fatal(err)
			}
		}
		r.await("the calls that are made again", func() bool { return all.count() == 6 && other.count() == 2 })
		if other.called("run.ended") || other.called("dt.nickname") {
			t.Errorf("the webhook of another tenant was called about %v", other.bodies)
		}
		for _, body := range all.bodies {
			if strings.Contains(body, "李佳琪") || strings.Contains(body, "zhangsan") || strings.Contains(body, "ann") {
				t.Errorf("a call names a person: %s", body)
			}
		}
		if strings.Contains(r.log.String(), "127.0.0.1:"+strings.Split(urls[0].(string), ":")[2]) {
			t.Error("the log has the URL of a webhook")
		}
	})
}

// runWorker runs the command with arguments.
func runWorker(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), args, func(string) string { return "s" }, &stdout, &stderr, nil)
	return code, stdout.String(), stderr.String()
}

func TestATokenIsPrintedOnceWithItsHashAndTheLinesOfTheConfiguration(t *testing.T) {
	t.Parallel()
	code, out, errs := runWorker(t, "token", "new", "--name", "grades", "--scope", "enqueue,read", "--tenant", "ci", "--expires", "2099-12-31")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	tokens := regexp.MustCompile(`rct_\S{43}`).FindAllString(out, -1)
	hash := regexp.MustCompile(`sha256:\S{64}`).FindAllString(out, -1)
	if len(tokens) != 1 || len(hash) != 1 || access.HashOf(tokens[0]).String() != hash[0] {
		t.Fatalf("tokens %v, hashes %v in:\n%s", tokens, hash, out)
	}
	// Its lines are a configuration.
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "tokens"), 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "tokens"), "grades", hash[0]+"\n")
	_, lines, found := strings.Cut(out, "api:\n")
	if !found {
		t.Fatalf("no configuration in:\n%s", out)
	}
	lines = "api:\n" + lines + "organisations: [{name: o, tenants: [{name: ci, classin: {sid: '1', secret: {env: S}}}]}]\n"
	file := writeFile(t, dir, "rollcall.yaml", lines)
	cfg, err := config.Load(file, func(string) string { return "s" })
	if err != nil {
		t.Fatalf("%v in:\n%s", err, lines)
	}
	all := grants(cfg)
	if len(all) != 1 || all[0].Token != "grades" || !all[0].May(access.Enqueue) || all[0].May(access.Operate) || all[0].MayTenant("dt") || all[0].Expires.Year() != 2100 {
		t.Errorf("grants %+v", all)
	}
	if code, out, errs := runWorker(t, "check", "-c", file, "--json"); code != 0 || !json.Valid([]byte(out)) || strings.Contains(out+errs, hash[0][7:]) || !strings.Contains(out, `"grades"`) {
		t.Errorf("check: %d %s %s", code, out, errs)
	}
}

func TestATokenWithWrongFlagsIsNotMade(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"--scope read":                                     "--name needs 1 to 39",
		"--name Grades --scope read":                       "--name needs 1 to 39",
		"--name grades":                                    "missing --scope",
		"--name grades --scope admin":                      "unknown --scope \"admin\"",
		"--name grades --scope read --tenant [x]":          "--tenant \"[x]\" is no name",
		"--name grades --scope read --expires tomorrow":    "--expires \"tomorrow\" is no date",
		"--name grades --scope read --expires 2026-01-01":  "--expires 2026-01-01 has passed",
		"--name grades --scope read --expires 2099-12-31x": "is no date",
	} {
		code, out, errs := runWorker(t, append([]string{"token", "new"}, strings.Fields(args)...)...)
		if code != exitcode.Usage || !strings.Contains(errs, want) || strings.Contains(out, access.Prefix) {
			t.Errorf("%s: exit code %d, %q %q; want %q", args, code, out, errs, want)
		}
	}
}

func TestAWebhookIsTestedFromTheCommandLine(t *testing.T) {
	t.Parallel()
	var good hooked
	server := httptest.NewServer(&good)
	t.Cleanup(server.Close)
	dir := t.TempDir()
	writeFile(t, dir, "secret", webhookSecret)
	writeFile(t, dir, "other", "whsec_"+strings.Repeat("A", 44))
	file := writeFile(t, dir, "rollcall.yaml", fmt.Sprintf("webhooks: [{name: good, url: %q, secret: {file: secret}}, {name: forged, url: %[1]q, secret: {file: other}}]\n"+
		"organisations: [{name: o, tenants: [{name: ci, classin: {sid: '1', secret: {env: S}}}]}]\n", server.URL+"/?key=hush"))
	for args, want := range map[string]struct {
		code int
		text string
	}{
		"good -c " + file:      {0, "webhook good accepted event test-"},
		"forged -c " + file:    {exitcode.Failed, "webhook forged: HTTP 403"},
		"nosuch -c " + file:    {exitcode.Usage, "names no webhook \"nosuch\"; it has 2"},
		"good":                 {exitcode.Usage, "missing --config"},
		"good more -c " + file: {exitcode.Usage, "expected one argument, NAME, not 2"},
	} {
		code, out, errs := runWorker(t, append([]string{"webhook", "test"}, strings.Fields(args)...)...)
		if code != want.code || !strings.Contains(out+errs, want.text) || strings.Contains(out+errs, "hush") {
			t.Errorf("%s: exit code %d, %q %q; want %d, %q", args, code, out, errs, want.code, want.text)
		}
	}
	if !good.called(`{"type":"webhook.test"`, `"data":{}`) {
		t.Errorf("called about %v", good.bodies)
	}
}

package api_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/access"
	"rollcall/internal/api"
	"rollcall/internal/backlog"
	"rollcall/internal/deadletter"
	"rollcall/internal/ledger"
	"rollcall/internal/pace"
	"rollcall/internal/problem"
	"rollcall/internal/redistest"
	"rollcall/internal/run"
	"rollcall/tasks"
)

// reply is an error that Redis answers.
type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

var _ redis.Error = reply("")

// explained are errors of the services that a request can cause, and the types of their
// problems.
func explained() map[error]string {
	damaged := &ledger.DamagedError{Damage: ledger.Damage{Key: "k", What: "is not a hash"}}
	refused := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	return map[error]string{
		&run.NotFoundError{ID: "x"}:                  "not-found",
		&run.StateError{ID: "x", State: "done"}:      "wrong-state",
		&run.AmbiguousError{Word: "rabcde", Runs: 2}: "invalid-request",
		&run.DigestError{ID: "x", Given: "00000000"}: "plan-changed",
		&run.GapError{ID: "x"}:                       "missing-rows",
		&run.CountError{ID: "x"}:                     "missing-rows",
		&run.ApproverError{ID: "x"}:                  "other-approver",
		&run.BusyError{ID: "x"}:                      "changed-by-others",

		&tasks.ValidationError{}:                               "invalid-rows",
		&tasks.KeyError{What: "is too long"}:                   "invalid-rows",
		&tasks.KeyReusedError{Key: "k"}:                        "key-reused",
		&tasks.UnservedError{Tenant: "t", Kind: "nickname"}:    "lane-not-served",
		&tasks.StoreError{Outcome: tasks.NotKnown}:             "outcome-unknown",
		&tasks.StoreError{Outcome: tasks.NotStored}:            "unavailable",
		&tasks.StoreError{Err: refused}:                        "unavailable",
		&tasks.StoreError{Err: damaged}:                        "damaged",
		&tasks.StoreError{Err: reply("WRONGTYPE Operation")}:   "damaged",
		&tasks.StoreError{Err: reply("LOADING Redis is busy")}: "unavailable",

		&deadletter.MissingError{ID: "x"}: "not-found",

		damaged:                                               "damaged",
		&ledger.FutureError{Revision: 1}:                      "damaged",
		&ledger.TooOldError{Own: 1}:                           "damaged",
		&backlog.DamagedError{}:                               "damaged",
		&backlog.DamagedTaskError{Key: "k"}:                   "damaged",
		&pace.DamagedError{Keys: []string{"k"}}:               "damaged",
		reply("WRONGTYPE Operation against a key"):            "damaged",
		reply("NOPERM no permissions"):                        "damaged",
		reply("LOADING Redis is loading"):                     "unavailable",
		refused:                                               "unavailable",
		context.DeadlineExceeded:                              "unavailable",
		&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}: "unavailable", // of Redis, not of the client
		io.ErrUnexpectedEOF:                                   "unavailable",

		errors.New("an error without a type"): "internal",
	}
}

func TestErrorsOfTheServicesHaveAProblemWithAPage(t *testing.T) {
	t.Parallel()
	for err, want := range explained() {
		for _, err := range []error{err, fmt.Errorf("read run x: %w", err)} {
			p := api.Explain(err)
			if p.Type != "/v1/problems/"+want {
				t.Errorf("%T %v: %s, want %s", err, err, p.Type, want)
			}
			if p.Status == http.StatusInternalServerError && want != "internal" || p.Status == http.StatusServiceUnavailable && p.GetHeaders().Get("Retry-After") == "" {
				t.Errorf("%T %v: status %d, %v", err, err, p.Status, p.GetHeaders())
			}
			if kind, ok := problem.Named(want); !ok || kind.Title != p.Title || kind.Status != p.Status {
				t.Errorf("%s: %d %s, and its page says %d %s", want, p.Status, p.Title, kind.Status, kind.Title)
			}
		}
	}
}

// A type of error that is added to a service must be decided here: it has a problem, or no
// request causes it.
func TestEveryTypeOfErrorOfTheServicesIsDecided(t *testing.T) {
	t.Parallel()
	notOfRequests := []string{
		"deadletter.ActiveError",                                           // the result for one dead letter
		"enqueue.PanicError",                                               // the cause of a StoreError whose outcome is unknown
		"ledger.BusyError", "ledger.LockedError", "ledger.UnverifiedError", // of a delivery, to the worker
		"pace.BookedOutError", "pace.MessagesSpentError", "pace.SpentError", // of a sender
	}
	decided := map[string]bool{}
	for err := range explained() {
		decided[strings.TrimPrefix(fmt.Sprintf("%T", err), "*")] = true
	}
	var missing []string
	for _, dir := range []string{"../run", "../enqueue", "../deadletter", "../ledger", "../backlog", "../pace", "../hold", "../registry", "../roster", "../table", "../upload", "../../tasks"} {
		for _, name := range errorsOf(t, dir) {
			if !decided[name] && !slices.Contains(notOfRequests, name) {
				missing = append(missing, name)
			}
			delete(decided, name)
		}
	}
	if len(missing) > 0 {
		t.Errorf("types of errors without a decision: %v", missing)
	}
	for name := range maps.Keys(decided) {
		if strings.HasPrefix(name, "run.") || strings.HasPrefix(name, "tasks.") {
			t.Errorf("%s is no type of its package", name)
		}
	}
}

// errorsOf returns the exported types of a package whose names end in Error.
func errorsOf(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok && spec.Name.IsExported() && strings.HasSuffix(spec.Name.Name, "Error") {
				names = append(names, file.Name.Name+"."+spec.Name.Name)
			}
			return true
		})
	}
	return names
}

// refusals counts the reasons for which a guard refuses requests.
type refusals struct{ reasons []string }

func (r *refusals) RequestRefused(reason string) { r.reasons = append(r.reasons, reason) }

// A refusal of the guard in front of the API has a type of the API, with the same title and
// status, and so a page.
func TestRefusalsOfTheGuardHaveThePagesOfTheAPI(t *testing.T) {
	t.Parallel()
	bearer := func(tokens ...string) func(*http.Request) {
		return func(r *http.Request) {
			for _, token := range tokens {
				r.Header.Add("Authorization", "Bearer "+token)
			}
		}
	}
	spoil := map[string]func(*http.Request){
		"no-token":           func(*http.Request) {},
		"unknown-token":      bearer(wrong),
		"expired-token":      bearer(expired),
		"several-tokens":     bearer(all, all),
		"token-in-url":       func(r *http.Request) { r.URL.RawQuery = "token=x" },
		"foreign-origin":     func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
		"plain-connection":   func(r *http.Request) { r.TLS = nil },
		"method-not-allowed": func(r *http.Request) { r.Method = http.MethodTrace },
		"body-too-large":     func(r *http.Request) { bearer(all)(r); r.ContentLength = 2 << 30 },
	}
	const last = "too-many-wrong-tokens" // after ten
	var refused refusals
	guard := access.Guard{Tokens: newTokens(), Guesses: new(access.Guesses), Observer: &refused}.Handler(http.NotFoundHandler())
	ask := func(spoil func(*http.Request)) problem.Problem {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://worker/v1/runs", nil)
		spoil(r)
		w := httptest.NewRecorder()
		guard.ServeHTTP(w, r)
		var p problem.Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != w.Code {
			t.Errorf("%d %s: %v", w.Code, w.Body, err)
		}
		return p
	}
	for _, reason := range access.Reasons() {
		var p problem.Problem
		if reason == last {
			for p.Status != http.StatusTooManyRequests {
				p = ask(bearer(wrong))
			}
		} else {
			p = ask(spoil[reason])
		}
		if got := refused.reasons[len(refused.reasons)-1]; got != reason {
			t.Errorf("refused because of %s, want %s", got, reason)
		}
		if kind, ok := problem.Named(strings.TrimPrefix(p.Type, "/v1/problems/")); !ok || kind.Title != p.Title || kind.Status != p.Status {
			t.Errorf("%s: %s %d, and its page says %s %d", reason, p.Title, p.Status, kind.Title, kind.Status)
		}
	}
}

// failing is a body that cannot be read to its end.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
func (failing) Close() error               { return nil }

func TestABodyThatIsNotReadHasAProblem(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), options{})
	for err, want := range map[error]string{
		access.ErrSlow: "too-slow", &http.MaxBytesError{Limit: 1}: "too-large", io.ErrUnexpectedEOF: "invalid-file",
	} {
		for path, kind := range map[string]string{"/v1/tasks": "application/json", "/v1/runs": "application/x-ndjson"} {
			req := httptest.NewRequestWithContext(access.With(t.Context(), newWallet()[all]), http.MethodPost, path, failing{err})
			req.Header.Set("Content-Type", kind)
			w := httptest.NewRecorder()
			r.api.ServeHTTP(w, req)
			var p problem.Problem
			if fault := json.Unmarshal(w.Body.Bytes(), &p); fault != nil || p.Status != w.Code || p.Type != "/v1/problems/"+want {
				t.Errorf("%s, %v: %d %s: %v", path, err, w.Code, w.Body, fault)
			}
		}
	}
}

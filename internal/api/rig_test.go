package api_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/access"
	"rollcall/internal/api"
	"rollcall/internal/enqueue"
	"rollcall/internal/ledger"
	"rollcall/internal/logtest"
	"rollcall/internal/problem"
	"rollcall/internal/redistest"
	"rollcall/internal/registry"
	"rollcall/internal/run"
	"rollcall/internal/wire"
	"rollcall/tasks"
)

const (
	organisation = "lakeside"
	tenant       = "lakeside-dt"
	other        = "seaside-dt"
	// patience bounds how long a test waits for an expected event. No test depends on how
	// long it took.
	patience = 2 * time.Minute
)

// The tokens of the tests, each named after what it may do.
var (
	all      = access.NewSecret().Reveal()
	producer = access.NewSecret().Reveal()
	reader   = access.NewSecret().Reveal()
	operator = access.NewSecret().Reveal()
	stranger = access.NewSecret().Reveal() // may do all, for the other tenant alone
	expired  = access.NewSecret().Reveal()
	wrong    = access.NewSecret().Reveal()
)

// newWallet returns who holds the tokens that are valid.
func newWallet() map[string]access.Principal {
	every := access.Scopes()
	return map[string]access.Principal{
		all: {Token: "all", Scopes: every}, producer: {Token: "producer", Scopes: []access.Scope{"enqueue"}, Tenants: []string{tenant}},
		reader: {Token: "reader", Scopes: []access.Scope{"read"}, Tenants: []string{tenant}}, operator: {Token: "operator", Scopes: []access.Scope{"read", "operate"}},
		stranger: {Token: "stranger", Scopes: every, Tenants: []string{other}},
	}
}

func newTokens() *access.Tokens {
	grants := []access.Grant{{Principal: access.Principal{Token: "old"}, Expires: time.Now().Add(-time.Hour), Hashes: []access.Hash{access.HashOf(expired)}}}
	for secret, p := range newWallet() {
		grants = append(grants, access.Grant{Principal: p, Expires: time.Now().Add(24 * time.Hour), Hashes: []access.Hash{access.HashOf(secret)}})
	}
	return access.NewTokens(grants...)
}

// rig is an API behind its guard, on a Redis with served lanes.
type rig struct {
	t       *testing.T
	redis   *redistest.Server
	rdb     redis.UniversalClient
	service *run.Service
	api     *api.API
	url     string
	log     *logtest.Buffer
	judge   *judge
}

// options change the API of a rig.
type options struct {
	limits api.Limits
	record func(context.Context, access.Change)
}

func newRig(t *testing.T, s *redistest.Server, o options) *rig {
	t.Helper()
	rdb := s.Client(t)
	var lanes []registry.Lane
	for _, kind := range []tasks.Kind{tasks.KindNickname, tasks.KindGroup, tasks.KindID} {
		lanes = append(lanes, registry.Lane{Organisation: organisation, Tenant: tenant, Kind: kind}, registry.Lane{Organisation: "seaside", Tenant: other, Kind: kind})
	}
	if err := registry.Publish(t.Context(), rdb, lanes); err != nil {
		t.Fatal(err)
	}
	client, err := enqueue.New(enqueue.Config{Redis: &redis.UniversalOptions{Addrs: []string{s.Addr}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	r := &rig{t: t, redis: s, rdb: rdb, service: run.New(run.Config{Redis: rdb, Ledger: ledger.New(rdb)}), log: &logtest.Buffer{}}
	r.api = api.New(api.Config{
		Runs: r.service, Producer: client, Redis: rdb, Limits: o.limits, Log: r.log.Logger(),
	})
	guard := access.Guard{Tokens: newTokens(), Guesses: new(access.Guesses), Public: api.Public, Record: o.record, Log: r.log.Logger()}
	server := httptest.NewServer(guard.Handler(r.api))
	t.Cleanup(r.api.Close)
	t.Cleanup(server.Close)
	r.url, r.judge = server.URL, judgeOf(t, r.api)
	return r
}

// judge holds requests and responses against the document.
type judge struct{ validator validator.Validator }

var documented = sync.OnceValues(func() (validator.Validator, error) {
	a := api.New(api.Config{})
	defer a.Close()
	doc, err := libopenapi.NewDocument(a.Document())
	if err != nil {
		return nil, err
	}
	v, errs := validator.NewValidator(doc)
	return v, errors.Join(errs...)
})

func judgeOf(t *testing.T, _ *api.API) *judge {
	t.Helper()
	v, err := documented()
	if err != nil {
		t.Fatal(err)
	}
	return &judge{validator: v}
}

// answer is a response with its body.
type answer struct {
	*http.Response

	body []byte
}

// as reads the body as JSON.
func as[T any](t *testing.T, a answer) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return v
}

// call is a request of a test.
type call struct {
	method, path, token string

	kind    string // Content-Type; "": JSON if there is a body
	body    string
	headers map[string]string
	// odd says that the document is not followed on purpose.
	odd bool
}

func (r *rig) do(c call) answer {
	r.t.Helper()
	a, err := r.try(r.t.Context(), c)
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

// try sends a request, and holds it and the response against the document. Of requests that
// are refused only the response is.
func (r *rig) try(ctx context.Context, c call) (answer, error) {
	build := func() *http.Request {
		req, err := http.NewRequestWithContext(ctx, c.method, r.url+c.path, strings.NewReader(c.body))
		if err != nil {
			r.t.Fatal(err)
		}
		if c.body == "" {
			req.Body, req.ContentLength = nil, 0
		}
		if c.token != "" {
			req.Header.Set("Authorization", "Bearer "+c.token)
		}
		if c.body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		if c.kind != "" {
			req.Header.Set("Content-Type", c.kind)
		}
		for name, value := range c.headers {
			req.Header.Set(name, value)
		}
		return req
	}
	resp, err := http.DefaultClient.Do(build())
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	r.judge.hold(r.t, c, build(), resp, body)
	return answer{resp, body}, nil
}

func (j *judge) hold(t *testing.T, c call, req *http.Request, resp *http.Response, body []byte) {
	t.Helper()
	if c.odd {
		return
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	_, faults := j.validator.ValidateHttpResponse(req, resp)
	for _, f := range faults {
		t.Errorf("response %d to %s %s: %s: %s %v\n%s", resp.StatusCode, c.method, c.path, f.Message, f.Reason, f.SchemaValidationErrors, body)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return
	}
	if c.kind == "application/x-ndjson" { // each line is the body of a task
		for line := range strings.Lines(c.body) {
			j.holdRow(t, line)
		}
	}
	_, faults = j.validator.ValidateHttpRequest(req)
	for _, f := range faults {
		t.Errorf("request %s %s: %s: %s %v", c.method, c.path, f.Message, f.Reason, f.SchemaValidationErrors)
	}
}

// holdRow holds a row against the document, unless it is one that a file of results holds.
func (j *judge) holdRow(t *testing.T, line string) {
	t.Helper()
	if strings.Contains(line, `"result":`) || strings.Contains(line, "perhaps") {
		return
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://worker/v1/tasks", strings.NewReader(line))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer x")
	if _, faults := j.validator.ValidateHttpRequest(req); len(faults) > 0 {
		t.Errorf("row %s: %s %v", line, faults[0].Reason, faults[0].SchemaValidationErrors)
	}
}

// want fails unless a response has a status.
func (r *rig) want(a answer, status int) answer {
	r.t.Helper()
	if a.StatusCode != status {
		r.t.Fatalf("status %d, want %d: %s", a.StatusCode, status, a.body)
	}
	return a
}

// problem fails unless a response is a problem of a type.
func (r *rig) problem(a answer, name string) problem.Problem {
	r.t.Helper()
	p := as[problem.Problem](r.t, a)
	if p.Type != "/v1/problems/"+name || p.Status != a.StatusCode || a.Header.Get("Content-Type") != "application/problem+json" {
		r.t.Fatalf("problem %s, status %d, %s; want %s: %s", p.Type, a.StatusCode, a.Header.Get("Content-Type"), name, a.body)
	}
	return p
}

func (r *rig) get(token, path string) answer {
	r.t.Helper()
	return r.do(call{method: http.MethodGet, path: path, token: token})
}

func (r *rig) post(token, path, body string) answer {
	r.t.Helper()
	return r.do(call{method: http.MethodPost, path: path, token: token, body: body})
}

// upload sends rows as NDJSON.
func (r *rig) upload(token, path, rows string) answer {
	r.t.Helper()
	return r.do(call{method: http.MethodPost, path: path, token: token, kind: "application/x-ndjson", body: rows})
}

// nicknames are rows of NDJSON for members from one to another.
func nicknames(from, to int) string {
	var b strings.Builder
	for i := from; i <= to; i++ {
		fmt.Fprintf(&b, `{"tenant":%q,"chat_id":"chat1","user_id":"u%d","nickname":"王芳%d","key":"k%d"}`+"\n", tenant, i, i, i)
	}
	return b.String()
}

// planned makes a run of rows and returns it with its plan.
func (r *rig) planned(token, rows string) wire.Run {
	r.t.Helper()
	made := as[wire.Run](r.t, r.want(r.upload(token, "/v1/runs?canary=0", rows), http.StatusCreated))
	return r.plan(token, made.ID).Run
}

// plan reads the plan of a run once it is there.
func (r *rig) plan(token, id string) wire.PlanPage {
	r.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		a := r.get(token, "/v1/runs/"+id+"/plan")
		if a.StatusCode != http.StatusAccepted {
			return as[wire.PlanPage](r.t, r.want(a, http.StatusOK))
		}
	}
	r.t.Fatalf("run %s was not planned", id)
	panic("unreachable")
}

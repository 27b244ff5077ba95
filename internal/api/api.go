// Package api is the HTTP API for services in any language. A request comes in, one
// service is called, a response goes out.
//
// It must not know any platform, how a run is carried out, nor where tokens come from.
package api

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/access"
	"rollcall/internal/deadletter"
	"rollcall/internal/enqueue"
	"rollcall/internal/explain"
	"rollcall/internal/intake"
	"rollcall/internal/lease"
	"rollcall/internal/ledger"
	"rollcall/internal/problem"
	"rollcall/internal/run"
)

// Path is where the API is mounted.
const Path = "/v1/"

// Config is what the API needs.
type Config struct {
	// Runs is the service that keeps runs. Required.
	Runs *run.Service
	// Producer enqueues tasks and checks rows. Required; the caller closes it.
	Producer *enqueue.Client
	// Redis is where dead letters, targets and lanes are read. Required.
	Redis redis.UniversalClient
	// Limits bound what one token and one worker accept. The zero value: see Limits.
	Limits Limits
	// Log receives faults. nil: no log.
	Log *slog.Logger
	// Now returns the time. nil: time.Now.
	Now func() time.Time
}

// API serves /v1/ behind an access.Guard, which says who sends a request and records
// changes. It is safe for concurrent use.
type API struct {
	runs     *run.Service
	producer *enqueue.Client
	shared   enqueue.Shared
	rdb      redis.UniversalClient
	ledger   *ledger.Ledger
	dead     *deadletter.Service
	known    *explain.Reader
	limits   Limits
	log      *slog.Logger
	now      func() time.Time

	mux      *http.ServeMux
	huma     huma.API
	document []byte
	rates    *rates
	uploads  chan struct{}
	waiting  chan struct{}
	once     once
	planner  *intake.Planner
}

// New returns the API. Close ends its work in the background.
func New(cfg Config) *API {
	a := &API{
		runs: cfg.Runs, producer: cfg.Producer, shared: enqueue.Shared{Client: cfg.Producer}, rdb: cfg.Redis, ledger: ledger.New(cfg.Redis),
		dead: deadletter.New(cfg.Redis, cfg.Producer), known: explain.NewReader(cfg.Redis),
		limits: cfg.Limits.withDefaults(), log: cfg.Log, now: cfg.Now, mux: http.NewServeMux(),
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.now == nil {
		a.now = time.Now
	}
	a.rates = newRates(a.limits)
	a.uploads, a.waiting = make(chan struct{}, a.limits.Uploads), make(chan struct{}, a.limits.Waiting)
	a.once = once{rdb: cfg.Redis, leases: lease.New(cfg.Redis)}
	a.planner = intake.NewPlanner(cfg.Runs, cfg.Redis, a.log)
	a.huma = humago.New(a.mux, humaConfig())
	a.registerToken()
	a.registerTasks()
	a.registerRuns()
	a.registerDirect()
	a.registerSteering()
	a.registerResults()
	a.registerLanes()
	a.registerSurvey()
	a.registerTargets()
	a.registerExplanation()
	a.registerDeadLetters()
	a.document = finish(a.huma.OpenAPI())
	a.mux.HandleFunc("GET "+documentPath, a.serveDocument)
	a.mux.HandleFunc("GET "+problem.Path+"{name}", serveProblem)
	return a
}

// Close ends plans that are being made, and waits for them. The worker that is asked next
// for such a plan begins it again.
func (a *API) Close() { a.planner.Close() }

// humaConfig is the configuration of a bare API: its pages and its links to schemas are not
// wanted.
func humaConfig() huma.Config {
	cfg := huma.DefaultConfig("rollcall", documentVersion)
	cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath, cfg.CreateHooks = "", "", "", nil
	format := huma.Format{
		Marshal:   func(w io.Writer, v any) error { return json.MarshalWrite(w, v, jsontext.AllowInvalidUTF8(true)) },
		Unmarshal: func(data []byte, v any) error { return json.Unmarshal(data, v) },
	}
	cfg.Formats = map[string]huma.Format{"application/json": format, "json": format}
	cfg.RejectUnknownQueryParameters = true
	cfg.Transformers = []huma.Transformer{explainError}
	return cfg
}

// caller is who sent a request.
type caller struct{ access.Principal }

// by is what runs and events call the caller.
func (c caller) by() string { return "token:" + c.Token }

func callerOf(ctx context.Context) caller {
	p, _ := access.From(ctx)
	return caller{p}
}

// register adds an operation that tokens with one of some scopes may use.
func register[I, O any](a *API, op huma.Operation, scopes []access.Scope, handle func(context.Context, caller, *I) (*O, error)) {
	describe(a.huma.OpenAPI(), &op, scopes)
	if _, body := reflect.TypeFor[I]().FieldByName("Body"); body {
		op.Middlewares = huma.Middlewares{whole}
	}
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		c := callerOf(ctx)
		if !c.mayOne(scopes) {
			return nil, forbidden(scopes)
		}
		out, err := handle(ctx, c, in)
		if err != nil {
			return nil, a.explain(ctx, op.OperationID, err)
		}
		return out, nil
	})
}

func (c caller) mayOne(scopes []access.Scope) bool {
	return slices.ContainsFunc(scopes, c.May)
}

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
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/go-json-experiment/json"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/access"
	"rollcall/internal/deadletter"
	"rollcall/internal/enqueue"
	"rollcall/internal/hold"
	"rollcall/internal/ledger"
	"rollcall/internal/run"
)

// Path is where the API is mounted.
const Path = "/v1/"

// The scopes of tokens.
const (
	scopeEnqueue = access.Scope("enqueue")
	scopeRead    = access.Scope("read")
	scopeOperate = access.Scope("operate")
	scopeApprove = access.Scope("approve")
	scopeNames   = access.Scope("names")
)

// Identifier returns who holds a token.
type Identifier interface {
	// Identify returns the principal of a token's secret, or an error if there is none. An
	// error with a method RetryAfter() time.Duration says that the token was not checked,
	// because there were too many wrong ones.
	Identify(secret string, now time.Time) (access.Principal, error)
}

// Config is what the API needs.
type Config struct {
	// Runs is the service that keeps runs. Required.
	Runs *run.Service
	// Producer enqueues tasks and checks rows. Required; the caller closes it.
	Producer *enqueue.Client
	// Redis is where dead letters, targets and lanes are read. Required.
	Redis redis.UniversalClient
	// Tokens identifies who sends a request. Required.
	Tokens Identifier
	// Limits bound what one token and one worker accept. The zero value: see Limits.
	Limits Limits
	// Audit records a change that a token made, other than tasks and rows, which are too
	// many. nil: what is in front of the API records and logs them.
	Audit func(context.Context, Change) error
	// Log receives changes and faults. nil: no log.
	Log *slog.Logger
	// Now returns the time. nil: time.Now.
	Now func() time.Time
}

// Change is what a token did.
type Change struct {
	Token  string // its name
	Action string // the operation, such as "apply-run"
	Run    string // its id; empty: it concerns no run
	What   string // in words, without names of people; may be empty
}

// API serves /v1/. It is safe for concurrent use.
type API struct {
	runs     *run.Service
	producer *enqueue.Client
	rdb      redis.UniversalClient
	ledger   *ledger.Ledger
	dead     *deadletter.Service
	holds    *hold.Store
	tokens   Identifier
	limits   Limits
	audit    func(context.Context, Change) error
	log      *slog.Logger
	now      func() time.Time

	mux      *http.ServeMux
	huma     huma.API
	document []byte
	rates    *rates
	uploads  chan struct{}
	waiting  chan struct{}
	once     once
	planner  *planner
	stop     context.CancelFunc
}

// New returns the API. Close ends its work in the background.
func New(cfg Config) *API {
	ctx, stop := context.WithCancel(context.Background())
	a := &API{
		runs: cfg.Runs, producer: cfg.Producer, rdb: cfg.Redis, ledger: ledger.New(cfg.Redis),
		dead: deadletter.New(cfg.Redis, cfg.Producer), holds: hold.NewStore(cfg.Redis), tokens: cfg.Tokens,
		limits: cfg.Limits.withDefaults(), audit: cfg.Audit, log: cfg.Log, now: cfg.Now, mux: http.NewServeMux(), stop: stop,
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.now == nil {
		a.now = time.Now
	}
	a.rates = newRates(a.limits)
	a.uploads, a.waiting = make(chan struct{}, a.limits.Uploads), make(chan struct{}, a.limits.Waiting)
	a.once = once{leases: leases{rdb: cfg.Redis}}
	a.planner = newPlanner(ctx, cfg.Runs, leases{rdb: cfg.Redis}, a.log)
	a.huma = humago.New(a.mux, humaConfig())
	a.registerTasks()
	a.registerRuns()
	a.registerSteering()
	a.registerResults()
	a.registerLanes()
	a.registerTargets()
	a.registerDeadLetters()
	a.document = finish(a.huma.OpenAPI())
	a.mux.HandleFunc("GET "+documentPath, a.serveDocument)
	a.mux.HandleFunc("GET "+problemPath+"{name}", serveProblem)
	return a
}

// Close ends plans that are being made, and waits for them. The worker that is asked next
// for such a plan begins it again.
func (a *API) Close() {
	a.stop()
	a.planner.wait()
}

// humaConfig is the configuration of a bare API: its pages and its links to schemas are not
// wanted.
func humaConfig() huma.Config {
	cfg := huma.DefaultConfig("rollcall", documentVersion)
	cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath, cfg.CreateHooks = "", "", "", nil
	format := huma.Format{
		Marshal:   func(w io.Writer, v any) error { return json.MarshalWrite(w, v) },
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

type callerKey struct{}

func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// did records a change of the caller. The change was made: a fault is only logged. what may
// be the text of a person, and is not logged.
func (a *API) did(ctx context.Context, c caller, action, id, what string) {
	if a.audit == nil {
		return
	}
	a.log.Info("changed by the API", "token", c.Token, "action", action, "run", id)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditFor)
	defer cancel()
	if err := a.audit(ctx, Change{Token: c.Token, Action: action, Run: id, What: what}); err != nil {
		a.log.Warn("change by the API not among the events", "token", c.Token, "action", action, "run", id, "err", err)
	}
}

// auditFor bounds how long a change is being recorded.
const auditFor = 2 * time.Second

// register adds an operation that tokens with one of some scopes may use.
func register[I, O any](a *API, op huma.Operation, scopes []access.Scope, handle func(context.Context, caller, *I) (*O, error)) {
	describe(a.huma.OpenAPI(), &op, scopes)
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

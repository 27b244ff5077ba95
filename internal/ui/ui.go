// Package ui serves rollcall's own pages: what is wrong now, runs, dead letters, schedules and
// who did what, in English and Chinese. The pages are rendered here and work without
// JavaScript.
//
// It reads and changes everything through the services that the commands and the HTTP API use.
// It must not know any platform, the HTTP API, nor how a task is executed.
package ui

import (
	"embed"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/access"
	"rollcall/internal/deadletter"
	"rollcall/internal/enqueue"
	"rollcall/internal/hold"
	"rollcall/internal/intake"
	"rollcall/internal/ledger"
	"rollcall/internal/overview"
	"rollcall/internal/run"
	"rollcall/internal/schedule"
)

//go:embed templates static
var files embed.FS

// Config is what the pages need.
type Config struct {
	// Login knows the users. Required; asynq's pages share it.
	Login *access.Login
	// Redis is where the state is read. Required.
	Redis redis.UniversalClient
	// Ledger is on the same Redis. Required.
	Ledger *ledger.Ledger
	// Runs is the service that keeps runs. Required.
	Runs *run.Service
	// Producer enqueues tasks and checks rows. Required; the caller closes it.
	Producer *enqueue.Client
	// State is what the page Now shows. Required.
	State *overview.Reader
	// Zone is that of the times on the pages. nil: that of this machine.
	Zone *time.Location
	// Log receives changes by users, and faults. nil: no log.
	Log *slog.Logger
	// Now returns the time. nil: time.Now.
	Now func() time.Time
}

// UI serves the pages. It is safe for concurrent use.
type UI struct {
	login     *access.Login
	rdb       redis.UniversalClient
	ledger    *ledger.Ledger
	runs      *run.Service
	producer  *enqueue.Client
	state     *overview.Reader
	dead      *deadletter.Service
	holds     *hold.Store
	schedules *schedule.Store
	zone      *time.Location
	log       *slog.Logger
	now       func() time.Time

	mux      *http.ServeMux
	routes   []route // of pages that need a role
	messages map[string]message
	idle     chan *renderer
	lives    lives
	standIn  string            // for the token of a form, in what lives keeps
	versions map[string]string // of static files, by name

	planner *intake.Planner
	uploads chan struct{} // bounds the files that are read at the same time
	shown   shownNames
}

// route is a page, and the role that its users need.
type route struct {
	pattern string
	role    access.Role
}

// New returns the pages. The caller closes them.
func New(cfg Config) *UI {
	u := &UI{
		login: cfg.Login, rdb: cfg.Redis, ledger: cfg.Ledger, runs: cfg.Runs, producer: cfg.Producer, state: cfg.State,
		dead: deadletter.New(cfg.Redis, cfg.Producer), holds: hold.NewStore(cfg.Redis), schedules: schedule.NewStore(cfg.Redis),
		zone: cfg.Zone, log: cfg.Log, now: cfg.Now,
		mux: http.NewServeMux(), messages: allMessages(), versions: versions(files), standIn: randomToken(),
		uploads: make(chan struct{}, uploadsAtOnce), idle: make(chan *renderer, mostIdle),
	}
	if u.zone == nil {
		u.zone = time.Local
	}
	if u.log == nil {
		u.log = slog.New(slog.DiscardHandler)
	}
	if u.now == nil {
		u.now = time.Now
	}
	u.planner = intake.NewPlanner(u.runs, u.rdb, u.log)
	u.lives.all, u.shown.last = map[liveKey]live{}, map[[2]string]time.Time{}
	u.loginRoutes()
	u.nowRoutes()
	u.runsRoutes()
	u.deadRoutes()
	u.searchRoutes()
	u.targetRoutes()
	u.scheduleRoutes()
	u.auditRoutes()

	static, _ := fs.Sub(files, "static") // it is embedded
	u.mux.Handle("GET /static/", cached(http.StripPrefix("/static/", http.FileServerFS(static))))
	u.handle("GET /", access.Viewer, func(*request) (view, error) { return view{}, errNotFound })
	return u
}

// ServeHTTP implements http.Handler.
func (u *UI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	// A policy of no-referrer would make a form's Origin null, which looks like another site.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	defer u.recovered(w, r)
	u.mux.ServeHTTP(w, r)
}

// policy lets the pages load their own style sheets, scripts and images, and nothing inline.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// cached lets browsers keep files whose URL has their version.
func cached(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("v") != "" {
			w.Header().Set("Cache-Control", "public, max-age=86400, immutable")
		}
		next.ServeHTTP(w, r)
	})
}

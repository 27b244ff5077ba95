// Package monitor is the worker's web server for people and machines: asynq's web UI,
// the probes, the metrics and the log level, behind one guard, and our pages behind theirs.
//
// It must not know lanes or platforms, nor where its configuration came from.
package monitor

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/hibiken/asynq"
	"github.com/hibiken/asynqmon"

	"rollcall/internal/access"
)

// Path is where asynq's web UI is mounted.
const Path = "/monitor"

// Config is what the server serves, and to whom.
type Config struct {
	// Address is where the server listens without TLS. Without Users it must be a loopback
	// address. Empty: only TLS.
	Address string
	// Redis is used and closed by asynq.
	Redis asynq.RedisConnOpt
	// TLS is a second listener. nil: there is none.
	TLS *TLS
	// API serves everything below /v1/, behind a guard of its own. nil: there is none.
	API http.Handler
	// UI serves our pages, everything that no other path has, behind a guard of its own. nil:
	// "/" leads to asynq's web UI.
	UI http.Handler
	// Login knows the users. Required, but not for Check.
	Login *access.Login
	// Users are those of Login. Empty: everyone on this machine may see everything.
	Users []User
	// Writable lets the web UI run, archive and delete tasks, and pause queues. False:
	// it only shows them.
	Writable bool
	// ShowPersonalData shows payloads and results as they are stored. False: names and
	// ids of people are masked, and an unreadable payload is shown by its length.
	ShowPersonalData bool
	// PlainTypes are task types without personal data: shown unmasked.
	PlainTypes []string
	// Metrics serves /metrics. nil: there is no such page.
	Metrics http.Handler
	// Ready is called by /readyz; everyone can see its error. nil: always ready.
	Ready func(context.Context) error
	// Notes are lines that /readyz adds while the worker is ready, such as lanes that are
	// not; everyone can see them. nil: none.
	Notes func() []string
	// Level is the log level, which PUT /log/level changes. nil: there is no such page.
	Level *slog.LevelVar
	// Audit records what a user changed in the web UI, within two seconds. nil: it is
	// only logged.
	Audit func(context.Context, Write) error
	// Log receives changes by users, and faults. nil: no log.
	Log *slog.Logger
}

// Server is the listening web server.
type Server struct {
	http      *http.Server
	ui        *asynqmon.HTTPHandler
	listeners listeners
	root      string // path of the first page
	log       *slog.Logger
}

// Listen binds the address. Serve starts to serve.
func (c Config) Listen(ctx context.Context) (*Server, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	address, err := c.address()
	if err != nil {
		return nil, err
	}
	listeners, err := c.listen(ctx, address)
	if err != nil {
		return nil, err
	}
	ui := asynqmon.New(asynqmon.Options{
		RootPath: Path, RedisConnOpt: c.Redis, ReadOnly: !c.Writable,
		PayloadFormatter: asynqmon.PayloadFormatterFunc(c.payload),
		ResultFormatter:  asynqmon.ResultFormatterFunc(c.result),
	})
	root := "/"
	if c.UI == nil {
		root = Path + "/"
	}
	return &Server{
		http:      access.NewServer(c.routes(ui), c.Log),
		ui:        ui,
		listeners: listeners,
		root:      root,
		log:       c.Log,
	}, nil
}

// Check returns what is wrong with the configuration, as Listen would, without binding
// the address.
func (c Config) Check() error {
	_, err := c.address()
	return err
}

func (c Config) address() (*net.TCPAddr, error) {
	for _, u := range c.Users {
		if u.Name == "" || u.Password.IsZero() {
			return nil, fmt.Errorf("web UI: user %q has no name or no password: give both under http", u.Name)
		}
	}
	if c.Address == "" {
		return nil, nil //nolint:nilnil // no address is a valid choice
	}
	address, err := net.ResolveTCPAddr("tcp", c.Address)
	if err != nil {
		return nil, fmt.Errorf("web UI: %w: choose another address under http, or \"off\"", err)
	}
	if len(c.Users) == 0 && !address.IP.IsLoopback() {
		return nil, fmt.Errorf("web UI: %s can be reached from other machines: name users under http, or listen at 127.0.0.1", c.Address)
	}
	return address, nil
}

// routes returns the pages. The probes are open to everyone, because a probe cannot log
// in; everything else is behind the guard.
func (c Config) routes(ui http.Handler) http.Handler {
	inner := http.NewServeMux()
	inner.Handle(Path+"/", c.readOnly(c.audited(c.linked(ui))))
	inner.Handle("GET "+Path, http.RedirectHandler(Path+"/", http.StatusFound))
	if c.UI == nil {
		inner.Handle("GET /{$}", http.RedirectHandler(Path+"/", http.StatusFound))
	}
	if c.Metrics != nil {
		inner.Handle("GET /metrics", c.Metrics)
	}
	if c.Level != nil {
		inner.HandleFunc("GET /log/level", c.showLevel)
		inner.HandleFunc("PUT /log/level", c.setLevel)
	}
	outer := http.NewServeMux()
	if c.UI == nil {
		outer.Handle("/", c.guard(inner))
	} else {
		for _, path := range []string{Path, Path + "/", "/metrics", "/log/level"} {
			outer.Handle(path, c.guard(inner))
		}
		outer.Handle("/", c.UI)
	}
	if c.API != nil {
		outer.Handle("/v1/", c.API)
	}
	outer.HandleFunc("GET /healthz", alive)
	outer.HandleFunc("GET /readyz", c.ready)
	return outer
}

// readOnly answers 405 to every request that would change a task, before asynqmon sees
// it.
func (c Config) readOnly(ui http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !c.Writable && !reads(r) {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "the web UI is read-only: set writable under http in the worker's configuration", http.StatusMethodNotAllowed)
			return
		}
		ui.ServeHTTP(w, r)
	})
}

// Serve serves until ctx ends, and returns when the last page is served, at most 2 s
// later.
func (s *Server) Serve(ctx context.Context) error {
	defer func() {
		if err := s.ui.Close(); err != nil {
			s.log.Debug("web UI: redis connection not closed", "err", err)
		}
	}()
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if err := s.http.Shutdown(bounded); err != nil {
			s.log.Debug("web UI: page cancelled", "err", err)
		}
	})
	defer func() {
		if !stop() {
			<-ended
		}
	}()
	return s.listeners.serve(s.http)
}

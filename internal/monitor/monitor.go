// Package monitor is what a person opens in a browser: asynq's web UI, read-only
// and on this machine alone.
//
// It must not know lanes, tasks or platforms.
package monitor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/hibiken/asynq"
	"github.com/hibiken/asynqmon"
)

// Path is where asynq's web UI is mounted.
const Path = "/monitor"

// policy keeps the page from asking anybody else for anything: its index page
// names a font server of a third party.
const policy = "default-src 'self'; style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data:; frame-ancestors 'none'; base-uri 'self'; form-action 'none'"

// Server is the web UI, listening.
type Server struct {
	http     *http.Server
	ui       *asynqmon.HTTPHandler
	listener net.Listener
	log      *slog.Logger
}

// Listen binds address, which must be a loopback one. redis is asynq's to use
// and close. Nothing is served before Serve.
func Listen(ctx context.Context, address string, redis asynq.RedisConnOpt, log *slog.Logger) (*Server, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("web UI: %w: choose another address under listen, or \"off\"", err)
	}
	ui := asynqmon.New(asynqmon.Options{RootPath: Path, RedisConnOpt: redis, ReadOnly: true})
	mux := http.NewServeMux()
	mux.Handle(Path+"/", ui)
	mux.Handle("/", http.RedirectHandler(Path+"/", http.StatusFound))
	return &Server{
		http:     &http.Server{Handler: guard(mux), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute},
		ui:       ui,
		listener: listener,
		log:      log,
	}, nil
}

// URL is where a browser finds the web UI.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() + Path + "/" }

// Serve answers until ctx ends.
func (s *Server) Serve(ctx context.Context) error {
	defer func() {
		if err := s.ui.Close(); err != nil {
			s.log.Debug("web UI: closing its Redis connection", "err", err)
		}
	}()
	defer context.AfterFunc(ctx, func() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if err := s.http.Shutdown(bounded); err != nil {
			s.log.Debug("web UI: a page was cut off", "err", err)
		}
	})()
	if err := s.http.Serve(s.listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("web UI: %w", err)
	}
	return nil
}

// guard refuses what did not come to a loopback address by name: a page
// elsewhere can make a browser send requests here under a name of its own.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !loopback(r.Host) {
			http.Error(w, "this page is served to this machine only, as 127.0.0.1 or localhost", http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}

func loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

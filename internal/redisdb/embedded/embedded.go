// Package embedded is a Redis inside the process, for trying rollcall out
// without installing anything. It keeps nothing: what is queued when the
// process ends is gone.
//
// It stands apart from redisdb so that the producer's command does not link it.
package embedded

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// tick is how often keys are aged: miniredis lets their TTLs stand still.
const tick = time.Second

// Server is a Redis that listens on a loopback address.
type Server struct{ mini *miniredis.Miniredis }

// Start listens on address, e.g. 127.0.0.1:6390; port 0 takes a free one. The
// server ends with Close.
func Start(address string) (*Server, error) {
	mini := miniredis.NewMiniRedis()
	if err := mini.StartAddr(address); err != nil {
		return nil, fmt.Errorf("embedded Redis: %w: choose another address under redis: embedded", err)
	}
	return &Server{mini: mini}, nil
}

// URL is the server's address for clients.
func (s *Server) URL() string { return "redis://" + s.mini.Addr() + "/0" }

// Age lets keys expire until ctx ends.
func (s *Server) Age(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.mini.FastForward(tick)
		}
	}
}

// Close ends the server. What it held is gone.
func (s *Server) Close() { s.mini.Close() }

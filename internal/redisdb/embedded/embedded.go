// Package embedded is a Redis inside the process, for trying rollcall out without an
// installation. It stores nothing on disk: queued tasks are lost when the process ends.
//
// It is separate from redisdb so that the producer's command does not link it.
package embedded

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// tick is how often keys are aged: miniredis does not age TTLs by itself.
const tick = time.Second

// Server is a Redis that listens on a loopback address.
type Server struct{ mini *miniredis.Miniredis }

// Start listens on address, e.g. 127.0.0.1:6390; port 0 selects a free one. Close ends
// the server.
func Start(address string) (*Server, error) {
	mini := miniredis.NewMiniRedis()
	if err := mini.StartAddr(address); err != nil {
		return nil, fmt.Errorf("embedded Redis: %w: choose another address under redis: embedded", err)
	}
	return &Server{mini: mini}, nil
}

// URL returns the server's address for clients.
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

// Close ends the server and drops its data.
func (s *Server) Close() { s.mini.Close() }

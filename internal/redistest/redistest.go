// Package redistest gives a test its own Redis: miniredis in the process, or a
// redis-server that the test starts and stops. What matters is run on both,
// because each forgives something the other does not.
//
// It must not know what is kept in Redis, and no production code may import it.
package redistest

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

// Server is a Redis of one test's own, empty at first, gone when the test ends.
type Server struct {
	Addr string               // host:port on the loopback interface
	Mini *miniredis.Miniredis // nil on a real one

	// Of a real one alone.
	running *process
	again   func() (*process, error)
}

// Each runs test on miniredis and on a real redis-server, as parallel subtests
// with those names.
func Each(t *testing.T, test func(t *testing.T, s *Server)) {
	t.Helper()
	t.Run("miniredis", func(t *testing.T) {
		t.Parallel()
		test(t, Mini(t))
	})
	t.Run("redis-server", func(t *testing.T) {
		t.Parallel()
		test(t, Real(t))
	})
}

// Either runs test as Each does, but under -short on one of the two: on a
// redis-server, which costs less processor time, or on miniredis where none is on the
// PATH. It is for tests of what uses scripts that other tests run on both.
func Either(t *testing.T, test func(t *testing.T, s *Server)) {
	t.Helper()
	if !testing.Short() {
		Each(t, test)
		return
	}
	if _, err := exec.LookPath("redis-server"); err != nil && os.Getenv("ROLLCALL_REQUIRE_REDIS") != "1" {
		t.Run("miniredis", func(t *testing.T) {
			t.Parallel()
			test(t, Mini(t))
		})
		return
	}
	t.Run("redis-server", func(t *testing.T) {
		t.Parallel()
		test(t, Real(t))
	})
}

// Mini starts a miniredis. Its TTLs stand still until Mini.FastForward moves
// them; its TIME is the machine's unless Mini.SetTime says otherwise.
func Mini(t *testing.T) *Server {
	t.Helper()
	mini := miniredis.NewMiniRedis()
	if err := mini.Start(); err != nil {
		t.Fatalf("redistest: start miniredis: %v", err)
	}
	t.Cleanup(mini.Close)
	return &Server{Addr: mini.Addr(), Mini: mini}
}

// Real starts a redis-server that keeps nothing on disk. Without one on the
// PATH the test is skipped, or fails where ROLLCALL_REQUIRE_REDIS=1 says that
// a silent skip would hide something.
func Real(t *testing.T) *Server {
	t.Helper()
	binary, dir := lookUp(t), t.TempDir()
	s := &Server{}
	retry(t, func() error {
		ports, err := freePorts(1, 0)
		if err != nil {
			return err
		}
		start := func() (*process, error) {
			return launch(binary, "eady to accept connections", "--bind", loopback, "--port", ports[0], "--dir", dir,
				"--save", "", "--appendonly", "no", "--daemonize", "no", "--logfile", "", "--databases", "64")
		}
		p, err := start()
		if err != nil {
			return err
		}
		s.Addr, s.running, s.again = addr(ports[0]), p, start
		return nil
	})
	t.Cleanup(func() { s.running.stop() })
	return s
}

// lookUp returns the path of redis-server, or ends the test.
func lookUp(t *testing.T) string {
	t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err == nil {
		return binary
	}
	if os.Getenv("ROLLCALL_REQUIRE_REDIS") == "1" {
		t.Fatalf("redistest: ROLLCALL_REQUIRE_REDIS=1, but redis-server is not on the PATH: %v", err)
	}
	t.Skip("redis-server is not on the PATH: install Redis 6.2 or later to run this test")
	return ""
}

// Away ends the server as a restart would: what it holds comes back with Back,
// connections are refused until then.
func (s *Server) Away(t *testing.T) {
	t.Helper()
	if s.Mini != nil {
		s.Mini.Close()
		return
	}
	if err := s.Client(t).Save(t.Context()).Err(); err != nil {
		t.Fatalf("redistest: keep what the server holds: %v", err)
	}
	s.running.stop()
}

// Back starts a server that is Away again, at the same address.
func (s *Server) Back(t *testing.T) {
	t.Helper()
	if s.Mini != nil {
		if err := s.Mini.Restart(); err != nil {
			t.Fatalf("redistest: restart miniredis: %v", err)
		}
		return
	}
	p, err := s.again()
	if err != nil {
		t.Fatalf("redistest: restart redis-server: %v", err)
	}
	s.running = p
}

// URL returns the server's address as a redis:// URL of database 0.
func (s *Server) URL() string { return "redis://" + s.Addr + "/0" }

// Client returns a client of the server, closed when the test ends.
func (s *Server) Client(t *testing.T) redis.UniversalClient {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: s.Addr})
	t.Cleanup(func() {
		if err := client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
			t.Errorf("redistest: close the client: %v", err)
		}
	})
	return client
}

// Dials is what goleak need not find: the pool of a client that is closed while its
// Redis is away dials once more, up to a second later.
func Dials() goleak.Option {
	return goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial")
}

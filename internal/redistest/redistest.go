// Package redistest gives a test its own Redis: miniredis in the process, or a
// redis-server that the test starts and stops. Important tests run on both, because
// each accepts something that the other rejects.
//
// The package must not know what is stored in Redis, and production code must not
// import it.
package redistest

import (
	"os"
	"testing"
	"time"

	"rollcall/internal/subprocess"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

// Server is a Redis for one test. It starts empty and ends with the test.
type Server struct {
	Addr string               // host:port on the loopback interface
	Mini *miniredis.Miniredis // nil for a real Redis

	// For a real Redis only.
	running *subprocess.Process
	again   func() (*subprocess.Process, error)

	step func(time.Duration) // of Stepped only
}

// Each runs test on miniredis and on a real redis-server, as parallel subtests
// with those names.
func Each(t *testing.T, test func(t *testing.T, s *Server)) {
	t.Helper()
	on(t, "miniredis", Mini, test)
	on(t, "redis-server", Real, test)
}

func on(t *testing.T, name string, start func(*testing.T) *Server, test func(*testing.T, *Server)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		test(t, start(t))
	})
}

// Either runs test like Each, but under -short on one of the two only: on redis-server,
// which costs less CPU time, or on miniredis if redis-server is not on the PATH. It is
// for tests whose scripts are covered on both by other tests.
func Either(t *testing.T, test func(t *testing.T, s *Server)) {
	t.Helper()
	if !testing.Short() {
		Each(t, test)
		return
	}
	on(t, "one", One, test)
}

// One starts one server for a test that is not about Redis: a redis-server, which costs less CPU
// time, or a miniredis if redis-server is not on the PATH.
func One(t *testing.T) *Server {
	t.Helper()
	if _, err := subprocess.RedisServer(); err != nil && os.Getenv("ROLLCALL_REQUIRE_REDIS") != "1" {
		return Mini(t)
	}
	return Real(t)
}

// Mini starts a miniredis. Its TTLs change only with Mini.FastForward; its TIME is the
// machine's unless Mini.SetTime sets it.
func Mini(t *testing.T) *Server {
	t.Helper()
	mini := miniredis.NewMiniRedis()
	retry(t, 1, 0, func(ports []string) error { return mini.StartAddr(addr(ports[0])) })
	t.Cleanup(mini.Close)
	return &Server{Addr: mini.Addr(), Mini: mini}
}

// Real starts a redis-server that stores nothing on disk. If it is not on the PATH the
// test is skipped; with ROLLCALL_REQUIRE_REDIS=1 it fails, so that no skip goes
// unnoticed.
func Real(t *testing.T) *Server {
	t.Helper()
	return startReal(t)
}

// startReal starts a redis-server with additional variables of its environment.
func startReal(t *testing.T, env ...string) *Server {
	t.Helper()
	binary, dir := lookUp(t), t.TempDir()
	s := &Server{}
	retry(t, 1, 0, func(ports []string) error {
		start := func() (*subprocess.Process, error) {
			return subprocess.Start(subprocess.Command{Program: binary, Env: env, Ready: subprocess.RedisReady, Args: []string{
				"--bind", loopback, "--port", ports[0], "--dir", dir,
				"--save", "", "--appendonly", "no", "--daemonize", "no", "--logfile", "", "--databases", "64",
			}})
		}
		p, err := start()
		if err != nil {
			return err
		}
		s.Addr, s.running, s.again = addr(ports[0]), p, start
		return nil
	})
	t.Cleanup(func() { s.running.Kill() })
	return s
}

// lookUp returns the path of redis-server, or ends the test.
func lookUp(t *testing.T) string {
	t.Helper()
	binary, err := subprocess.RedisServer()
	if err == nil {
		return binary
	}
	if os.Getenv("ROLLCALL_REQUIRE_REDIS") == "1" {
		t.Fatalf("redistest: ROLLCALL_REQUIRE_REDIS=1, but %v", err)
	}
	t.Skip(err)
	return ""
}

// Stop stops the server like a restart: its data is available again after Start, and
// connections are refused until then.
func (s *Server) Stop(t *testing.T) {
	t.Helper()
	if s.Mini != nil {
		s.Mini.Close()
		return
	}
	if err := s.Client(t).Save(t.Context()).Err(); err != nil {
		t.Fatalf("redistest: keep the server's data: %v", err)
	}
	s.running.Kill()
}

// Start restarts a server after Stop, at the same address.
func (s *Server) Start(t *testing.T) {
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
	return closing(t, redis.NewClient(&redis.Options{Addr: s.Addr}))
}

// Dials ignores a goroutine in goleak: the pool of a client that is closed while its
// Redis is unavailable dials once more, up to a second later.
func Dials() goleak.Option {
	return goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial")
}

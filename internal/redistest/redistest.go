// Package redistest gives a test its own Redis: miniredis in the process, or a
// redis-server that the test starts and stops. What matters is run on both,
// because each forgives something the other does not.
//
// It must not know what is kept in Redis, and no production code may import it.
package redistest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// startBound is how long a redis-server may take to say that it is ready. It
// takes some 20 ms; a machine under load takes longer.
const startBound = 30 * time.Second

// portTries bounds how often a port that somebody else took in between is
// replaced with another.
const portTries = 5

// Server is a Redis of one test's own, empty at first, gone when the test ends.
type Server struct {
	Addr string               // host:port on the loopback interface
	Mini *miniredis.Miniredis // nil on a real one

	// Of a real one alone.
	stop  func()
	again func() (stop func(), err error)
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
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("ROLLCALL_REQUIRE_REDIS") == "1" {
			t.Fatalf("redistest: ROLLCALL_REQUIRE_REDIS=1, but redis-server is not on the PATH: %v", err)
		}
		t.Skip("redis-server is not on the PATH: install Redis 6.2 or later to run this test")
	}
	dir := t.TempDir()
	var refused error
	for range portTries {
		addr, err := freeAddr()
		if err != nil {
			t.Fatalf("redistest: find a free port: %v", err)
		}
		stop, err := start(binary, dir, addr)
		if err == nil {
			s := &Server{Addr: addr, stop: stop}
			s.again = func() (stop func(), err error) { return start(binary, dir, addr) }
			t.Cleanup(func() { s.stop() })
			return s
		}
		refused = errors.Join(refused, err)
	}
	t.Fatalf("redistest: redis-server did not start: %v", refused)
	return nil
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
	s.stop()
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
	stop, err := s.again()
	if err != nil {
		t.Fatalf("redistest: restart redis-server: %v", err)
	}
	s.stop = stop
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

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// start returns once the server accepts connections; stop kills that process
// and returns when it is gone.
func start(binary, dir, addr string) (stop func(), err error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, "--bind", host, "--port", port, "--dir", dir,
		"--save", "", "--appendonly", "no", "--daemonize", "no", "--logfile", "")
	dieWithParent(cmd)
	log, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}

	started, ready, gone := make(chan error, 1), make(chan error, 1), make(chan struct{})
	go func() {
		defer close(gone)
		// The kernel ties dieWithParent to the thread that forked, so that thread
		// must live as long as the server does.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		ready <- awaitReady(log)
		_, _ = io.Copy(io.Discard, log) // a full pipe would stop the server
		_ = cmd.Wait()                  // killed: never nil
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	stop = func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		<-gone
	}
	select {
	case err = <-ready:
	case <-time.After(startBound):
		err = fmt.Errorf("not ready after %s", startBound)
	}
	if err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

func awaitReady(log io.Reader) error {
	var said []string
	// The scanner may read beyond the line it returns; what it swallows of the
	// log nobody needs.
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if strings.Contains(lines.Text(), "eady to accept connections") {
			return nil
		}
		said = append(said, lines.Text())
	}
	return fmt.Errorf("it ended at once and said: %s", strings.Join(said, " / "))
}

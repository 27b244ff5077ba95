package redistest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	loopback = "127.0.0.1"
	// startBound is how long a redis-server may take to be ready, and a deployment to
	// agree on its master. They usually take 20 ms and some seconds; a loaded machine
	// takes longer.
	startBound = time.Minute
	// takeOverBound is how long a replica may take to become the master. It usually
	// takes four seconds. A Sentinel that gets no CPU time for two seconds distrusts
	// its clock and does nothing for thirty, each time.
	takeOverBound = 4 * time.Minute
	// portTries bounds how often ports that another process took in between are
	// replaced.
	portTries = 5
	// askEvery is how often a deployment is checked for being ready.
	askEvery = 20 * time.Millisecond
)

func addr(port string) string { return net.JoinHostPort(loopback, port) }

// process is a redis-server that this test binary started.
type process struct {
	cmd  *exec.Cmd
	once sync.Once
	gone chan struct{}
	last tail // end of its output
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailLength = 2 << 10

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - tailLength; over > 0 {
		t.text = t.text[over:]
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

// stop kills the process and returns when it has ended. It may be called again.
func (p *process) stop() {
	p.once.Do(func() { _ = p.cmd.Process.Kill() }) // it may already have ended
	<-p.gone
}

// launch returns once the server has written ready to its standard output.
func launch(binary, ready string, args ...string) (*process, error) {
	return launchIn(nil, binary, ready, args...)
}

// launchIn is launch with additional variables of the environment.
func launchIn(env []string, binary, ready string, args ...string) (*process, error) {
	cmd := exec.Command(binary, args...) //nolint:gosec,noctx // redis-server, and it ends with stop
	cmd.Env = append(os.Environ(), env...)
	dieWithParent(cmd)
	log, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, gone: make(chan struct{})}
	started, said := make(chan error, 1), make(chan error, 1)
	go func() {
		defer close(p.gone)
		// The kernel ties dieWithParent to the thread that forked, so that thread must
		// live as long as the server.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		said <- await(log, ready)
		_, _ = io.Copy(&p.last, log) // a full pipe would stop the server
		_ = cmd.Wait()               // killed: never nil
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	select {
	case err = <-said:
	case <-time.After(startBound):
		err = fmt.Errorf("not ready after %s", startBound)
	}
	if err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

func await(log io.Reader, ready string) error {
	var said []string
	// The scanner may read beyond the line that it returns; the rest of the log is not
	// needed.
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if strings.Contains(lines.Text(), ready) {
			return nil
		}
		said = append(said, lines.Text())
	}
	return fmt.Errorf("it ended at once with the output: %s", strings.Join(said, " / "))
}

// retry builds something on free ports, which another process may take first.
func retry(t *testing.T, build func() error) {
	t.Helper()
	var refused error
	for range portTries {
		err := build()
		if err == nil {
			return
		}
		refused = errors.Join(refused, err)
	}
	t.Fatalf("redistest: the server did not start: %v", refused)
}

// eventually repeats check until it returns nil, and fails the test after a while.
func eventually(t *testing.T, what string, check func(context.Context) error) {
	t.Helper()
	within(t, startBound, what, check)
}

func within(t *testing.T, bound time.Duration, what string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), bound)
	defer cancel()
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("redistest: %s: not within %s: %v", what, bound, err)
		case <-tick.C:
		}
	}
}

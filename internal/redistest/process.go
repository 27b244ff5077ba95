package redistest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	loopback = "127.0.0.1"
	// startBound is how long a redis-server may take to say that it is ready,
	// and a deployment to agree on who is master. It takes some 20 ms, and some
	// seconds; a machine under load takes longer.
	startBound = time.Minute
	// takeOverBound is how long a replica may take to become the master. It takes
	// some four seconds; a Sentinel that was kept from the processor for two
	// distrusts its clock and does nothing for thirty, however often that happens.
	takeOverBound = 4 * time.Minute
	// portTries bounds how often ports that somebody else took in between are
	// replaced with others.
	portTries = 5
	// askEvery is how often a deployment is asked whether it is ready.
	askEvery = 20 * time.Millisecond
)

func addr(port string) string { return net.JoinHostPort(loopback, port) }

// process is a redis-server that this test binary started.
type process struct {
	cmd  *exec.Cmd
	once sync.Once
	gone chan struct{}
	last tail // what it said last
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

// stop kills that process and returns when it is gone. It may be repeated.
func (p *process) stop() {
	p.once.Do(func() { _ = p.cmd.Process.Kill() }) // it may have ended by itself
	<-p.gone
}

// launch returns once the server has said ready on its standard output.
func launch(binary, ready string, args ...string) (*process, error) {
	cmd := exec.Command(binary, args...) //nolint:gosec,noctx // redis-server, and it ends with stop
	dieWithParent(cmd)
	log, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, gone: make(chan struct{})}
	started, said := make(chan error, 1), make(chan error, 1)
	go func() {
		defer close(p.gone)
		// The kernel ties dieWithParent to the thread that forked, so that thread
		// must live as long as the server does.
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
	// The scanner may read beyond the line it returns; what it swallows of the
	// log nobody needs.
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if strings.Contains(lines.Text(), ready) {
			return nil
		}
		said = append(said, lines.Text())
	}
	return fmt.Errorf("it ended at once and said: %s", strings.Join(said, " / "))
}

// freePorts returns n ports that nobody listens on, nor on the port that lies
// so many beside each. beside 0: there is no such other.
func freePorts(n, beside int) ([]string, error) {
	var ports []string
	for tries := 0; len(ports) < n; tries++ {
		if tries > 100*n {
			return nil, errors.New("no free ports are left")
		}
		// All are held until the last is found: else one might be given twice.
		l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr("0"))
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }()
		port := l.Addr().(*net.TCPAddr).Port
		if beside > 0 {
			other, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr(strconv.Itoa(port+beside)))
			if err != nil { // taken, or beyond 65535
				continue
			}
			defer func() { _ = other.Close() }()
		}
		ports = append(ports, strconv.Itoa(port))
	}
	return ports, nil
}

// retry builds something on free ports, which somebody else may take first.
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
	t.Fatalf("redistest: redis-server did not start: %v", refused)
}

// eventually asks until check is nil, and ends the test when it never is.
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

// Package subprocess starts servers on this machine for tests, benchmarks and chaos:
// redis-server, and workers. They get ports that no other program is given, and end with
// the process that started them.
package subprocess

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// Lines that a server writes once it is ready.
const (
	RedisReady    = "eady to accept connections"
	SentinelReady = "+monitor master"
)

// readyWithin is how long a server may take to be ready. It usually takes 20 ms; a loaded
// machine takes longer.
const readyWithin = time.Minute

// RedisServer returns the path of redis-server.
func RedisServer() (string, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return "", errors.New("redis-server is not on the PATH: install Redis 6.2 or later")
	}
	return path, nil
}

// Command is a server to start.
type Command struct {
	Program string
	Args    []string
	Env     []string // in addition to the environment of this process
	// Log is a file to which the output is added. Empty: its end is kept.
	Log string
	// Ready is part of the line in the output, of a Command without Log, for which Start
	// waits. Empty: it does not wait.
	Ready string
}

// Process is a running server.
type Process struct {
	cmd    *exec.Cmd
	output *output
	ended  chan struct{}
}

// Start starts a server and returns once it is ready. If it is not, it has ended.
func Start(c Command) (*Process, error) {
	cmd := exec.Command(c.Program, c.Args...) //nolint:gosec,noctx // the caller's own server, which ends with Kill
	cmd.Env = append(os.Environ(), c.Env...)
	dieWithParent(cmd)
	p := &Process{cmd: cmd, ended: make(chan struct{}), output: &output{ready: []byte(c.Ready), found: make(chan struct{})}}
	if c.Log != "" {
		file, err := os.OpenFile(c.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }() // the server has its own
		cmd.Stdout, cmd.Stderr = file, file
	} else {
		cmd.Stdout, cmd.Stderr = p.output, p.output
	}
	started := make(chan error, 1)
	go func() {
		defer close(p.ended)
		// The kernel ties dieWithParent to the thread that forked, so that thread must
		// live as long as the server.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its output
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Program, err)
	}
	if c.Ready == "" {
		return p, nil
	}
	select {
	case <-p.output.found:
		return p, nil
	case <-p.ended:
		return nil, fmt.Errorf("%s ended at once with the output: %s", c.Program, p.Output())
	case <-time.After(readyWithin):
		p.Kill()
		return nil, fmt.Errorf("%s not ready after %s", c.Program, readyWithin)
	}
}

// Kill sends SIGKILL and returns when the process has ended. It may be called again.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may already have ended
	<-p.ended
}

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Output returns the end of what a server without a log has written.
func (p *Process) Output() string { return p.output.String() }

// output keeps the end of what is written to it, and looks for a text in it.
type output struct {
	ready []byte
	found chan struct{} // closed once the text was written

	mu   sync.Mutex
	over bool // the text was written
	text []byte
}

// outputKept is how many bytes an output keeps.
const outputKept = 8 << 10

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, p...)
	if !o.over && bytes.Contains(o.text, o.ready) {
		o.over = true
		close(o.found)
	}
	o.text = o.text[max(0, len(o.text)-outputKept):]
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}

package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
)

// child is a process that this one started. It is killed by its own process id, and
// ends with this one.
type child struct {
	cmd  *exec.Cmd
	once sync.Once
	gone chan struct{}
}

// spawn starts a program whose output is added to a file.
func spawn(file string, env []string, name string, args ...string) (*child, error) {
	out, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(name, args...) //nolint:gosec,noctx // our own worker or the operator's redis-server; it ends with kill
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(os.Environ(), env...)
	dieWithParent(cmd)
	c := &child{cmd: cmd, gone: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		defer close(c.gone)
		defer func() { _ = out.Close() }()
		// The kernel ties dieWithParent to the thread that forked, which must live
		// as long as the child does.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended stands in its log
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return c, nil
}

// kill sends SIGKILL and returns when the process has ended. It may be called again.
func (c *child) kill() {
	c.once.Do(func() { _ = c.cmd.Process.Kill() }) // it may already have ended
	<-c.gone
}

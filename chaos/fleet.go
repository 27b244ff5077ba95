package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"rollcall/internal/subprocess"
)

// fleet is the workers.
type fleet struct {
	binaries []string // worker i runs the ith, modulo their number
	config   string
	logs     []string
	quits    atomic.Int64 // workers that ended by themselves

	mu      sync.Mutex
	workers []*subprocess.Process
	closed  bool
}

func openFleet(binaries []string, dir, config string, n int) (*fleet, error) {
	f := &fleet{binaries: binaries, config: filepath.Join(dir, "worker.yaml")}
	if err := os.WriteFile(f.config, []byte(config), 0o600); err != nil {
		return nil, err
	}
	f.workers = make([]*subprocess.Process, n)
	for i := range n {
		f.logs = append(f.logs, filepath.Join(dir, fmt.Sprintf("worker-%d.log", i+1)))
		if err := f.start(i); err != nil {
			f.close()
			return nil, err
		}
	}
	return f, nil
}

// start starts a worker, and starts it again if it ends unexpectedly.
func (f *fleet) start(i int) error {
	c, err := subprocess.Start(subprocess.Command{
		Program: f.binaries[i%len(f.binaries)], Args: []string{"run", "--config", f.config}, Env: []string{"CHAOS_SECRET=secret"}, Log: f.logs[i],
	})
	if err != nil {
		return err
	}
	f.workers[i] = c
	go func() {
		<-c.Ended()
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.closed || f.workers[i] != c {
			return
		}
		f.quits.Add(1)
		_ = f.start(i) // if it cannot be started the others do its work
	}()
	return nil
}

// kill kills a worker and starts it again at once.
func (f *fleet) kill(i int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.workers[i]
	f.workers[i] = nil
	c.Kill()
	return f.start(i)
}

func (f *fleet) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for _, c := range f.workers {
		if c != nil {
			c.Kill()
		}
	}
}

// said counts the lines of all logs that contain each of the phrases.
func (f *fleet) said(phrases ...string) (map[string]int, error) {
	counts := map[string]int{}
	for _, name := range f.logs {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			for _, phrase := range phrases {
				if strings.Contains(lines.Text(), phrase) {
					counts[phrase]++
				}
			}
		}
		if err := errors.Join(lines.Err(), file.Close()); err != nil {
			return nil, err
		}
	}
	return counts, nil
}

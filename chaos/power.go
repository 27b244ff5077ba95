package main

import (
	"os"
	"path/filepath"
	"sync"
	"time"
)

// meter records the length of the append-only file over the last seconds. A killed
// process loses nothing that it has written. A machine that loses its power loses what
// was not on the disk: with appendfsync everysec up to a second. The file is therefore
// cut to its earlier length.
type meter struct {
	dir  string
	done chan struct{}
	gone chan struct{}

	mu      sync.Mutex
	lengths []length // oldest first
}

type length struct {
	at    time.Time
	bytes int64
}

const (
	meterEvery = 50 * time.Millisecond
	meterKeeps = 60 // lengths, three seconds
)

func watchGrowth(dir string) *meter {
	m := &meter{dir: dir, done: make(chan struct{}), gone: make(chan struct{})}
	go func() {
		defer close(m.gone)
		tick := time.NewTicker(meterEvery)
		defer tick.Stop()
		for {
			select {
			case <-m.done:
				return
			case now := <-tick.C:
				m.note(now)
			}
		}
	}()
	return m
}

func (m *meter) stop() {
	close(m.done)
	<-m.gone
}

// file is where Redis appends.
func (m *meter) file() string {
	found, _ := filepath.Glob(filepath.Join(m.dir, "appendonlydir", "*.incr.aof")) // the pattern is ours
	if len(found) == 0 {
		return filepath.Join(m.dir, "appendonly.aof") // as Redis 6.2 has it
	}
	return found[len(found)-1]
}

func (m *meter) note(now time.Time) {
	info, err := os.Stat(m.file())
	if err != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lengths = append(m.lengths, length{now, info.Size()})
	m.lengths = m.lengths[max(0, len(m.lengths)-meterKeeps):]
}

// cut removes what was appended in the last stretch of time, and returns how much that
// was. Redis must not run.
func (m *meter) cut(last time.Duration) (lost int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	info, err := os.Stat(m.file())
	if err != nil {
		return 0, err
	}
	keep := info.Size()
	for _, l := range m.lengths {
		if time.Since(l.at) >= last {
			keep = l.bytes
		}
	}
	m.lengths = nil // what was longer is no more
	// The cut may be in the middle of a command: Redis drops the rest of it when it
	// starts.
	return info.Size() - keep, os.Truncate(m.file(), keep)
}

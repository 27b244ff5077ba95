package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"rollcall/internal/redistest"
)

// loss selects the reply to lose, and how to lose it. The zero value loses none.
type loss struct {
	command string // its name
	fault   redistest.Fault
}

// forward is sent every second. It is a step of the path only if it moved a task.
const forward = "asynq's `forward`"

// line is the connection of a producer or a worker to Redis. Once started it records the
// commands, and loses one reply.
type line struct {
	scripts *luaScripts
	proxy   *redistest.Proxy

	mu     sync.Mutex
	open   bool
	loss   loss
	counts map[string]int
	seen   []string // in the order of their first use
	lost   []byte   // the command whose reply was lost
}

func newLine(t *testing.T, s *redistest.Server, known *luaScripts) *line {
	t.Helper()
	l := &line{scripts: known, counts: map[string]int{}}
	l.proxy = redistest.NewProxy(t, s.Addr, l.judge, l.answered)
	return l
}

// start begins to record commands and to lose a reply.
func (l *line) start(what loss) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open, l.loss = true, what
}

// stop ends start.
func (l *line) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = false
}

// ordinal numbers the steps of the ledger, whose meaning depends on their order.
func ordinal(name string, n int) string {
	if n == 1 || !strings.HasPrefix(name, "`internal/ledger/") {
		return name
	}
	return fmt.Sprintf("%s (%d)", name, n)
}

func (l *line) judge(request []byte) redistest.Fault {
	words := redistest.Words(request)
	if len(words) == 0 {
		return redistest.Pass
	}
	name := l.scripts.name(words)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.open || name == "" {
		return redistest.Pass
	}
	if bytes.Equal(request, l.lost) {
		return redistest.Pass
	}
	l.counts[name]++
	nth := ordinal(name, l.counts[name])
	if !slices.Contains(l.seen, nth) {
		l.seen = append(l.seen, nth)
	}
	if l.lost == nil && nth == l.loss.command && nth != forward {
		l.lost = bytes.Clone(request)
		return l.loss.fault
	}
	return redistest.Pass
}

func (l *line) answered(request, reply []byte) redistest.Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open && l.lost == nil && l.loss.command == forward && string(reply) != ":0\r\n" &&
		l.scripts.name(redistest.Words(request)) == forward {
		l.lost = bytes.Clone(request)
		return l.loss.fault
	}
	return redistest.Pass
}

// commands returns the recorded commands, in the order of their first use.
func (l *line) commands() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.seen)
}

// lostOne reports whether a reply was lost.
func (l *line) lostOne() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost != nil
}

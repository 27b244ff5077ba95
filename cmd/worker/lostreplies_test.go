package main

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/internal/redistest"
)

const (
	// together is the number of concurrent runs. They wait most of the time.
	together = 24
	// lossTries bounds the runs of a story until it sends a command: under load a run
	// may skip a step.
	lossTries = 3
)

// Redis executes a command and its reply is lost: each command of the path in turn, in a
// run of its own. In all cases the story ends as docs/lost-replies.md says.
func TestALostReplyAtAnyCommandOfThePathDoesNoHarm(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes: make test-long")
	}
	t.Parallel()
	known := readScripts(t)
	redistest.Real(t) // or skip
	seats := make(chan struct{}, together)
	run := func(name string, f func(t *testing.T)) {
		seats <- struct{}{}
		defer func() { <-seats }()
		t.Run(name, f)
	}
	everyStep(t, known, run)
	var wg sync.WaitGroup
	for _, s := range stories() {
		for _, at := range s.steps {
			for name, fault := range map[string]redistest.Fault{"cut off": redistest.LoseReply, "silence": redistest.Mute} {
				wg.Go(func() {
					run(s.name+"/"+at.command+"/"+name, func(t *testing.T) { lose(t, known, s, at, fault) })
				})
			}
		}
	}
	wg.Wait()
}

// The same for some commands of one story, in seconds.
func TestALostReplyToANicknameTaskDoesNoHarm(t *testing.T) {
	t.Parallel()
	known, nickname := readScripts(t), stories()[0]
	// The first run also loads the scripts, so that each step is one command.
	newTaskRun(t, known).loseReply(nickname, step{}, redistest.Pass)
	for _, at := range []step{
		{true, "asynq's `enqueue`"},
		{false, "`internal/ledger/begin.lua`"},
		{false, "`internal/ledger/settle.lua`"},
		{false, "asynq's `markAsComplete`"},
	} {
		t.Run(at.command, func(t *testing.T) {
			t.Parallel()
			lose(t, known, nickname, at, redistest.LoseReply)
		})
	}
}

// lose runs a story until the reply to one of its commands is lost.
func lose(t *testing.T, known *luaScripts, s story, at step, fault redistest.Fault) {
	t.Helper()
	for range lossTries {
		if newTaskRun(t, known).loseReply(s, at, fault) || t.Failed() {
			return
		}
	}
	t.Errorf("the %s sent no %s in %d runs: if it never does, remove it from the story's steps", at.sender(), at.command, lossTries)
}

// step is one command of a producer or a worker.
type step struct {
	ofProducer bool
	command    string
}

func (s step) sender() string {
	if s.ofProducer {
		return "producer"
	}
	return "worker"
}

type runner func(name string, f func(t *testing.T))

// everyStep runs each story twice without a loss: the first run loads the scripts, the
// second records the commands. Each must be a step of a story, or off the path.
func everyStep(t *testing.T, known *luaScripts, run runner) {
	t.Helper()
	listed := map[string]bool{}
	for _, s := range stories() {
		for _, st := range s.steps {
			listed[baseName(st.command)] = true
		}
	}
	for range 2 {
		var wg sync.WaitGroup
		for _, s := range stories() {
			wg.Go(func() {
				run(s.name+"/no loss", func(t *testing.T) {
					p := newTaskRun(t, known)
					p.loseReply(s, step{}, redistest.Pass)
					for _, command := range slices.Concat(p.producer.commands(), p.worker.commands()) {
						if !isOffPath(command) && !listed[baseName(command)] {
							t.Errorf("%s is neither a step of a story nor off the path", command)
						}
					}
				})
			})
		}
		wg.Wait()
	}
}

// loseReply runs a story, loses a reply, and reports whether it did.
func (p *taskRun) loseReply(s story, at step, fault redistest.Fault) (lost bool) {
	p.t.Helper()
	s.before(p)
	before := len(p.calls())
	mine, other := p.worker, p.producer
	if at.ofProducer {
		mine, other = other, mine
	}
	mine.start(loss{at.command, fault})
	other.start(loss{})
	requests := slices.Clone(s.requests)
	for i := range requests {
		if s.in > 0 {
			requests[i].Options.At = time.Now().Add(s.in)
		}
	}
	results := p.enqueue(requests...)
	if s.during != nil {
		s.during(p)
	}
	p.judge(s, p.settle(results))
	p.producer.stop()
	p.worker.stop()
	if calls := len(p.calls()) - before; calls > s.most {
		p.t.Errorf("%d calls, want at most %d", calls, s.most)
	}
	p.must(s.wrong(p))
	if n := p.deadLetters(); n != s.deadLetters {
		p.t.Errorf("%d dead letters, want %d", n, s.deadLetters)
	}
	s.after(p)
	if p.t.Failed() {
		p.t.Logf("the worker's log:\n%s", p.log)
	}
	return mine.lostOne()
}

// judge checks that the tasks of a story ended in one of the expected ways.
func (p *taskRun) judge(s story, ends []end) {
	p.t.Helper()
	for _, e := range ends {
		if !slices.Contains(s.ends, e.String()) {
			p.t.Errorf("a task ended as %s, want one of %v", e, s.ends)
		}
	}
}

// baseName is a command's name without its ordinal and without the queue's priority.
func baseName(command string) string {
	name, _, _ := strings.Cut(command, " (")
	return strings.TrimSuffix(name, ", urgent")
}

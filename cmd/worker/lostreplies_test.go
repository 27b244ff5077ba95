package main

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/internal/redistest"
	"rollcall/tasks"
)

// together is how many passages are under way at a time. They wait most of
// their time.
const together = 24

// Redis carries a command out and its reply is lost, at one command of the path
// after the other, each in a passage of its own. However it goes on, it ends
// right; docs/lost-replies.md is what was seen.
func TestALostReplyAtAnyCommandOfThePathDoesNoHarm(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes: make test-long")
	}
	t.Parallel()
	known := readScripts(t)
	redistest.Real(t) // or skip
	seats := make(chan struct{}, together)
	told := make([][]row, len(stories()))
	run := func(name string, f func(t *testing.T)) {
		seats <- struct{}{}
		defer func() { <-seats }()
		t.Run(name, f)
	}
	paths := recordAll(t, known, run)
	var wg sync.WaitGroup
	for i, s := range stories() {
		told[i] = make([]row, len(paths[i]))
		for j, step := range paths[i] {
			wg.Go(func() { told[i][j] = loseEither(s, step, known, run) })
		}
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	compareLost(t, told)
}

// The same at some commands of one story, for those who do not wait for all.
func TestALostReplyToANicknameTaskDoesNoHarm(t *testing.T) {
	t.Parallel()
	known, nickname := readScripts(t), stories()[0]
	// The first passage also makes the scripts known, so that each step is one command.
	newPassage(t, known).tell(nickname, step{}, redistest.Pass)
	for _, at := range []step{
		{true, "asynq's `enqueue`"},
		{false, "`internal/ledger/begin.lua`"},
		{false, "`internal/ledger/settle.lua`"},
		{false, "asynq's `markAsComplete`"},
	} {
		t.Run(at.command, func(t *testing.T) {
			t.Parallel()
			if r := newPassage(t, known).tell(nickname, at, redistest.LoseReply); !r.met {
				t.Errorf("no reply to %s was lost", at.command)
			}
		})
	}
}

// step is one command of somebody's.
type step struct {
	ofProducer bool
	command    string
}

type runner func(name string, f func(t *testing.T))

// recordAll tells each story twice without a loss: the first time for the
// scripts, the second for the commands.
func recordAll(t *testing.T, known *luaScripts, run runner) [][]step {
	t.Helper()
	paths := make([][]step, len(stories()))
	for range 2 {
		var wg sync.WaitGroup
		for i, s := range stories() {
			wg.Go(func() {
				run(s.name+"/nothing is lost", func(t *testing.T) {
					p := newPassage(t, known)
					p.tell(s, step{}, redistest.Pass)
					paths[i] = nil
					for _, c := range p.producer.commands() {
						paths[i] = append(paths[i], step{true, c})
					}
					for _, c := range p.worker.commands() {
						paths[i] = append(paths[i], step{false, c})
					}
				})
			})
		}
		wg.Wait()
	}
	seen := map[step]bool{}
	for i, s := range stories() {
		paths[i] = slices.DeleteFunc(paths[i], func(st step) bool {
			return isBeside(st.command) || s.letters == 0 && isRelease(st.command) || s.news && seen[st]
		})
		for _, st := range paths[i] {
			seen[st] = true
		}
	}
	return paths
}

// tell tells a story and loses a reply.
func (p *passage) tell(s story, at step, fault redistest.Fault) row {
	p.t.Helper()
	s.before(p)
	before := len(p.calls())
	mine := p.worker
	if at.ofProducer {
		mine = p.producer
	}
	other := p.producer
	if mine == p.producer {
		other = p.worker
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
	ends := p.settle(results)
	p.producer.stop()
	p.worker.stop()
	r := row{step: at, ends: p.sum(s, results, ends)}
	calls := len(p.calls()) - before
	r.calls = strconv.Itoa(calls)
	if calls > s.most {
		p.t.Errorf("%d calls, want at most %d", calls, s.most)
	}
	p.must(s.wrong(p))
	if n := p.letters(); n != s.letters {
		p.t.Errorf("%d dead letters, want %d", n, s.letters)
	}
	s.after(p)
	r.said, r.met = mine.said() // so late, as it may come again after the task's end
	if p.t.Failed() {
		p.t.Logf("the worker's log:\n%s", p.log)
	}
	return r
}

// sum says how the tasks of a story ended, and judges it.
func (p *passage) sum(s story, results []tasks.Result, ends []end) string {
	p.t.Helper()
	var parts []string
	for i, e := range ends {
		if !slices.Contains(s.ends, e.String()) {
			p.t.Errorf("a task ended as %s, want one of %v", e, s.ends)
		}
		parts = append(parts, e.String())
		if results[i].Warning != "" {
			parts[i] += ", and the producer is warned"
		}
	}
	slices.Sort(parts)
	sum := strings.Join(slices.Compact(parts), " and ")
	if p.log.holds("a task whose worker is gone runs again") {
		sum += ", when the worker looks for lost tasks"
	}
	return sum
}

// loseEither loses a reply with its connection, and again by silence.
func loseEither(s story, at step, known *luaScripts, run runner) row {
	var rows [2]row
	var wg sync.WaitGroup
	for i, how := range []struct {
		name  string
		fault redistest.Fault
	}{{"cut off", redistest.LoseReply}, {"silence", redistest.Mute}} {
		wg.Go(func() {
			run(s.name+"/"+at.command+"/"+how.name, func(t *testing.T) { rows[i] = newPassage(t, known).tell(s, at, how.fault) })
		})
	}
	wg.Wait()
	one, two := rows[0], rows[1]
	join := func(a, b string) string {
		if a == b {
			return a
		}
		return a + "; after silence " + b
	}
	return row{step: at, met: one.met && two.met, said: join(one.said, two.said), ends: join(one.ends, two.ends), calls: join(one.calls, two.calls)}
}

package redisdb

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// lines is how many pipelines are under way at most. What comes meanwhile
	// shares the next: the fewer, the more share one. A second one saves half a
	// round trip of waiting where Redis is far.
	lines = 2
	// mostShared bounds how many commands share a pipeline, and so how long an
	// answer waits for those of the others.
	mostShared = 128
	// pipelineFor bounds a pipeline whatever the deadlines of those who share it.
	pipelineFor = 10 * time.Second
)

// Autopipeline runs scripts for many goroutines in shared pipelines: each of a
// few hundred tasks would else pay for round trips of its own, and they are most
// of what a step costs. A command that comes alone leaves at once. It is safe for
// concurrent use, and holds nothing that must be closed.
//
// A command whose caller has given up before its pipeline left is not sent. One
// whose caller gives up later may still be carried out, as with any client.
//
// go-redis has one too (v9.23, experimental). A command that it has taken keeps
// no deadline of its own, and commands of one caller may be parted.
type Autopipeline struct {
	redis.Scripter // what is not shared
	rdb            redis.UniversalClient

	mu      sync.Mutex
	waiting []*errand
	running int // pipelines
}

// errand is the commands of one caller, which stay together and in order.
type errand struct {
	ctx  context.Context //nolint:containedctx // the caller's, for as long as it waits
	cmds []redis.Cmder
	done chan struct{}
}

// NewAutopipeline returns an Autopipeline on rdb, which stays the caller's to
// close.
func NewAutopipeline(rdb redis.UniversalClient) *Autopipeline {
	return &Autopipeline{Scripter: rdb, rdb: rdb}
}

// EvalSha implements [redis.Scripter].
func (a *Autopipeline) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	return a.script(ctx, "evalsha", sha, keys, args)
}

// Eval implements [redis.Scripter].
func (a *Autopipeline) Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	return a.script(ctx, "eval", script, keys, args)
}

// script runs one script. A caller that gives up gets an answer of its own: the
// pipeline may yet write to the other.
func (a *Autopipeline) script(ctx context.Context, how, what string, keys []string, args []any) *redis.Cmd {
	cmd := Script(ctx, how, what, keys, args...)
	if err := a.Do(ctx, cmd); err != nil {
		cmd = redis.NewCmd(ctx, how, what)
		cmd.SetErr(err)
	}
	return cmd
}

// Script is the command that runs a script, for [Autopipeline.Do]. how is eval or
// evalsha.
func Script(ctx context.Context, how, what string, keys []string, args ...any) *redis.Cmd {
	all := make([]any, 0, 3+len(keys)+len(args))
	all = append(all, how, what, len(keys))
	for _, key := range keys {
		all = append(all, key)
	}
	cmd := redis.NewCmd(ctx, append(all, args...)...)
	if len(keys) > 0 {
		cmd.SetFirstKeyPos(3) // a Cluster finds the node by it
	}
	return cmd
}

// Do runs commands one after another, in a pipeline with those of others. On a
// Cluster the order holds for commands of one slot. Each command holds its own
// error, unless Do returns one: then ctx ended first, and no command may be read.
func (a *Autopipeline) Do(ctx context.Context, cmds ...redis.Cmder) error {
	e := &errand{ctx: ctx, cmds: cmds, done: make(chan struct{})}
	a.mu.Lock()
	a.waiting = append(a.waiting, e)
	start := a.running < lines
	if start {
		a.running++
	}
	a.mu.Unlock()
	if start {
		go a.serve()
	}
	select {
	case <-e.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// serve is one line: it goes on for as long as there is something to send.
func (a *Autopipeline) serve() {
	for {
		errands := a.next()
		if len(errands) == 0 {
			return
		}
		a.send(errands)
	}
}

// next takes what shares the next pipeline; nothing ends the line.
func (a *Autopipeline) next() []*errand {
	a.mu.Lock()
	defer a.mu.Unlock()
	n, shared := 0, 0
	for n < len(a.waiting) && (n == 0 || shared+len(a.waiting[n].cmds) <= mostShared) {
		shared += len(a.waiting[n].cmds)
		n++
	}
	taken := a.waiting[:n:n]
	a.waiting = a.waiting[n:]
	if n == 0 {
		a.waiting = nil
		a.running--
	}
	return taken
}

func (a *Autopipeline) send(errands []*errand) {
	ctx, cancel := context.WithTimeout(context.Background(), pipelineFor)
	defer cancel()
	// Its error is that of one of the commands, which has it as well.
	_, _ = a.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, e := range errands {
			if e.ctx.Err() != nil {
				continue
			}
			for _, cmd := range e.cmds {
				_ = p.Process(ctx, cmd)
			}
		}
		return nil
	})
	for _, e := range errands {
		close(e.done)
	}
}

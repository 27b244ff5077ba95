package redisdb

import (
	"context"
	"strings"
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
	// parted is set on a Cluster: commands of different tags share nothing there,
	// so that a node that is away keeps nobody waiting but its own.
	parted bool

	mu     sync.Mutex
	queues map[string]*queue // by tag; those that have something to do
}

// queue is what shares pipelines.
type queue struct {
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
	_, cluster := rdb.(*redis.ClusterClient)
	return &Autopipeline{Scripter: rdb, rdb: rdb, parted: cluster, queues: map[string]*queue{}}
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
	var key string
	if len(keys) > 0 {
		key = keys[0]
	}
	cmd := Script(ctx, how, what, keys, args...)
	if err := a.Do(ctx, key, cmd); err != nil {
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

// Do runs commands one after another, in a pipeline with those of others. key is one
// of theirs, and the others have its tag. Each command holds its own error, unless
// Do returns one: then ctx ended first, and no command may be read.
func (a *Autopipeline) Do(ctx context.Context, key string, cmds ...redis.Cmder) error {
	tag := ""
	if a.parted {
		tag = hashTag(key)
	}
	e := &errand{ctx: ctx, cmds: cmds, done: make(chan struct{})}
	a.mu.Lock()
	q := a.queues[tag]
	if q == nil {
		q = &queue{}
		a.queues[tag] = q
	}
	q.waiting = append(q.waiting, e)
	start := q.running < lines
	if start {
		q.running++
	}
	a.mu.Unlock()
	if start {
		go a.serve(tag, q)
	}
	select {
	case <-e.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// hashTag is the part of a key that chooses its node in a Cluster.
func hashTag(key string) string {
	if _, rest, found := strings.Cut(key, "{"); found {
		if tag, _, closed := strings.Cut(rest, "}"); closed && tag != "" {
			return tag
		}
	}
	return key
}

// serve is one line: it goes on for as long as there is something to send.
func (a *Autopipeline) serve(tag string, q *queue) {
	for {
		errands := a.next(tag, q)
		if len(errands) == 0 {
			return
		}
		a.send(errands)
	}
}

// next takes what shares the next pipeline; nothing ends the line.
func (a *Autopipeline) next(tag string, q *queue) []*errand {
	a.mu.Lock()
	defer a.mu.Unlock()
	n, shared := 0, 0
	for n < len(q.waiting) && (n == 0 || shared+len(q.waiting[n].cmds) <= mostShared) {
		shared += len(q.waiting[n].cmds)
		n++
	}
	taken := q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	if n == 0 {
		q.waiting = nil
		q.running--
		if q.running == 0 {
			delete(a.queues, tag)
		}
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

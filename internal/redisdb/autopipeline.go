package redisdb

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// lines is the largest number of concurrent pipelines. Commands that arrive in
	// between share the next pipeline: fewer pipelines are shared by more commands. A
	// second one saves half a round trip of waiting if Redis is far away.
	lines = 2
	// mostShared bounds how many commands share a pipeline, and so how long an answer
	// waits for those of the others.
	mostShared = 128
	// pipelineFor bounds a pipeline regardless of the deadlines of its callers.
	pipelineFor = 10 * time.Second
)

// Autopipeline runs scripts for many goroutines in shared pipelines. Otherwise each of
// a few hundred tasks would pay for its own round trips, which are most of the cost of
// a step. A command that arrives alone is sent at once. It is safe for concurrent use
// and needs no Close.
//
// A command is not sent if its caller gives up before the pipeline is sent. If the
// caller gives up later, the command may still be executed, as with any client.
//
// go-redis has an autopipeline too (v9.23, experimental), but its commands have no
// deadline of their own, and the commands of one caller may be separated.
type Autopipeline struct {
	redis.Scripter // for commands that are not shared
	rdb            redis.UniversalClient
	// parted is set for a Cluster: commands with different tags then share no pipeline,
	// so that an unavailable node delays only its own commands.
	parted bool
	guard  func(of string, step func() error) error

	mu     sync.Mutex
	queues map[string]*queue // by tag; only those with commands to send
}

// queue is the commands that share pipelines.
type queue struct {
	waiting []*operation
	running int // running pipelines
}

// operation is the commands of one caller, which stay together and in order.
type operation struct {
	ctx  context.Context //nolint:containedctx // the caller's context, while it waits
	cmds []redis.Cmder
	done chan struct{}
}

// NewAutopipeline returns an Autopipeline that uses rdb. The caller closes rdb.
func NewAutopipeline(rdb redis.UniversalClient) *Autopipeline {
	_, cluster := rdb.(*redis.ClusterClient)
	return &Autopipeline{Scripter: rdb, rdb: rdb, parted: cluster, queues: map[string]*queue{}}
}

// GuardBy sets what runs each pipeline: it recovers from a panic and returns it as an
// error, which all commands of the pipeline have then. Without it a panic ends the
// process. Call it before the first command.
func (a *Autopipeline) GuardBy(guard func(of string, step func() error) error) { a.guard = guard }

// EvalSha implements [redis.Scripter].
func (a *Autopipeline) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	return a.script(ctx, "evalsha", sha, keys, args)
}

// Eval implements [redis.Scripter].
func (a *Autopipeline) Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	return a.script(ctx, "eval", script, keys, args)
}

// script runs one script. A caller that gives up gets a separate answer, because the
// pipeline may still write to the original one.
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

// Script returns the command that runs a script, for [Autopipeline.Do]. how is eval or
// evalsha.
func Script(ctx context.Context, how, what string, keys []string, args ...any) *redis.Cmd {
	all := make([]any, 0, 3+len(keys)+len(args))
	all = append(all, how, what, len(keys))
	for _, key := range keys {
		all = append(all, key)
	}
	cmd := redis.NewCmd(ctx, append(all, args...)...)
	if len(keys) > 0 {
		cmd.SetFirstKeyPos(3) // a Cluster finds the node by this key
	}
	return cmd
}

// Do runs commands in order, in a pipeline shared with other callers. key is a key of
// one of them; the others have its tag. Each command contains its own error, unless Do
// returns one: then ctx ended first, and no command may be read.
func (a *Autopipeline) Do(ctx context.Context, key string, cmds ...redis.Cmder) error {
	tag := ""
	if a.parted {
		tag = hashTag(key)
	}
	e := &operation{ctx: ctx, cmds: cmds, done: make(chan struct{})}
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

// hashTag returns the part of a key that selects its node in a Cluster.
func hashTag(key string) string {
	if _, rest, found := strings.Cut(key, "{"); found {
		if tag, _, closed := strings.Cut(rest, "}"); closed && tag != "" {
			return tag
		}
	}
	return key
}

// serve sends pipelines as long as there are commands.
func (a *Autopipeline) serve(tag string, q *queue) {
	for {
		operations := a.next(tag, q)
		if len(operations) == 0 {
			return
		}
		a.send(operations)
	}
}

// next removes and returns the operations of the next pipeline; none ends the loop.
func (a *Autopipeline) next(tag string, q *queue) []*operation {
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

func (a *Autopipeline) send(operations []*operation) {
	defer func() {
		for _, e := range operations {
			close(e.done)
		}
	}()
	if a.guard == nil {
		a.pipeline(operations)
		return
	}
	err := a.guard("a pipeline to Redis", func() error { a.pipeline(operations); return nil })
	if err == nil {
		return
	}
	for _, e := range operations {
		for _, cmd := range e.cmds {
			cmd.SetErr(err) // it may have been executed
		}
	}
}

func (a *Autopipeline) pipeline(operations []*operation) {
	ctx, cancel := context.WithTimeout(context.Background(), pipelineFor)
	defer cancel()
	// The error is that of one of the commands, which contains it as well.
	_, _ = a.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, e := range operations {
			if e.ctx.Err() != nil {
				continue
			}
			for _, cmd := range e.cmds {
				_ = p.Process(ctx, cmd)
			}
		}
		return nil
	})
}

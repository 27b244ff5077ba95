package backlog_test

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/backlog"
	"rollcall/internal/redistest"
)

// gated is a client that records every script that asynq runs, and can block its
// dequeues.
type gated struct {
	redis.UniversalClient

	shut atomic.Bool

	mu    sync.Mutex
	asked []string        // queues of the dequeues, in order
	runs  []run           // runs of all scripts that Redis answered
	pops  map[string]bool // by SHA-1 of a script: whether it removes something from a list
}

type run struct {
	sha, by  string
	dequeue  bool // a dequeue, according to its keys
	answered bool // not nil
}

func wrap(rdb redis.UniversalClient) *gated {
	return &gated{UniversalClient: rdb, pops: map[string]bool{}}
}

func (g *gated) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	return g.pass(run{sha: sha, by: "EvalSha"}, keys, func() *redis.Cmd { return g.UniversalClient.EvalSha(ctx, sha, keys, args...) })
}

func (g *gated) Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	sum := sha1.Sum([]byte(script))
	sha := hex.EncodeToString(sum[:])
	g.mu.Lock()
	g.pops[sha] = strings.Contains(script, "RPOPLPUSH")
	g.mu.Unlock()
	return g.pass(run{sha: sha, by: "Eval"}, keys, func() *redis.Cmd { return g.UniversalClient.Eval(ctx, script, keys, args...) })
}

func (g *gated) pass(r run, keys []string, call func() *redis.Cmd) *redis.Cmd {
	queue, ok := backlog.DequeueOf(keys)
	if ok {
		g.mu.Lock()
		g.asked = append(g.asked, queue)
		g.mu.Unlock()
		if g.shut.Load() {
			return redis.NewCmdResult(nil, redis.Nil)
		}
	}
	cmd := call()
	r.dequeue, r.answered = ok, cmd.Err() == nil
	g.mu.Lock()
	g.runs = append(g.runs, r)
	g.mu.Unlock()
	return cmd
}

// asks returns the queues of the dequeues so far, in order.
func (g *gated) asks() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.asked)
}

// reaches waits until this many dequeues were sent.
func (g *gated) reaches(t *testing.T, n int) {
	t.Helper()
	eventually(t, func() error {
		if asked := len(g.asks()); asked < n {
			return fmt.Errorf("%d dequeues, want %d", asked, n)
		}
		return nil
	})
}

// If this test fails after an upgrade of asynq or go-redis, a gate built on DequeueOf
// no longer stops the dequeues.
func TestDequeueOfRecognisesEveryDequeueOfAServer(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		g := wrap(s.Client(t))
		const tasks = 20
		for i := range tasks {
			queue, result := []string{urgent, normal}[i%2], []string{"done", "kept", "fails", "dies"}[i/2%4]
			options := map[string][]asynq.Option{"kept": {asynq.Retention(patience)}, "dies": {asynq.MaxRetry(0)}}[result]
			put(t, g.UniversalClient, queue, fmt.Sprintf("%s-%d", result, i), options...)
		}
		var handled atomic.Int64
		serve(t, g, asynq.Config{Queues: map[string]int{urgent: 2, normal: 1}}, func(_ context.Context, task *asynq.Task) error {
			handled.Add(1)
			if task.Type() == "fails" || task.Type() == "dies" {
				return errors.New("as asked")
			}
			return nil
		})
		eventually(t, func() error {
			all, err := backlog.Read(t.Context(), g.UniversalClient, []string{urgent, normal})
			if err == nil && (all[0].Pending+all[0].Active+all[1].Pending+all[1].Active != 0) {
				err = fmt.Errorf("the queues' states are %+v", all)
			}
			return err
		})

		g.mu.Lock()
		defer g.mu.Unlock()
		taken, by, others := int64(0), map[string]bool{}, 0
		for _, r := range g.runs {
			pops, known := g.pops[r.sha]
			if !known && r.answered {
				t.Errorf("script %s was answered and never sent", r.sha)
			}
			if known && pops != r.dequeue {
				t.Errorf("the script removes from a list: %v; its keys are those of a dequeue: %v", pops, r.dequeue)
			}
			if !r.dequeue {
				others++
				continue
			}
			by[r.by] = true
			if r.answered {
				taken++
			}
		}
		if taken != tasks || handled.Load() != tasks {
			t.Errorf("%d tasks were handled and %d dequeues answered, want %d of both", handled.Load(), taken, tasks)
		}
		if diff := cmp.Diff(map[string]bool{"EvalSha": true, "Eval": true}, by); diff != "" {
			t.Errorf("dequeues were run by (-want +got):\n%s", diff)
		}
		if others == 0 {
			t.Error("no other script was run, so the test proves nothing about others")
		}
	})
}

func TestAServerTakesNothingIfItsDequeuesAreAnsweredWithNil(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		g, queues := wrap(s.Client(t)), []string{urgent, normal}
		g.shut.Store(true)
		for _, queue := range queues {
			put(t, g.UniversalClient, queue, "waits")
		}
		handled := make(chan struct{}, 10)
		serve(t, g, asynq.Config{Queues: map[string]int{urgent: 2, normal: 1}}, func(context.Context, *asynq.Task) error {
			handled <- struct{}{}
			return nil
		})
		g.reaches(t, 10)
		for _, queue := range queues {
			if got := read(t, g.UniversalClient, queue); got.Pending != 1 || got.Active != 0 {
				t.Errorf("state of %s: %+v, want its task pending", queue, got)
			}
			if !slices.Contains(g.asks(), queue) {
				t.Errorf("%s had no dequeue", queue)
			}
		}
		if len(handled) != 0 {
			t.Error("a task was handled")
		}
		g.shut.Store(false)
		eventually(t, func() error {
			if n := len(handled); n != len(queues) {
				return fmt.Errorf("%d tasks were handled after the gate opened", n)
			}
			return nil
		})
	})
}

func TestAStrictServerAsksItsQueuesInOrderOfPriority(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		g := wrap(s.Client(t))
		g.shut.Store(true)
		serve(t, g, asynq.Config{Queues: map[string]int{"a": 1, "b": 4, "c": 2, "d": 3}, StrictPriority: true}, func(context.Context, *asynq.Task) error {
			return nil
		})
		g.reaches(t, 12)
		if diff := cmp.Diff(strings.Split("b d c a b d c a b d c a", " "), g.asks()[:12]); diff != "" {
			t.Errorf("-by priority +asked:\n%s", diff)
		}
	})
}

// dequeue returns the keys of that script.
func dequeue(queue string) []string {
	return []string{
		backlog.Key(queue, "pending"), backlog.Key(queue, "paused"), backlog.Key(queue, "active"), backlog.Key(queue, "lease"),
	}
}

func TestDequeueOfRejectsTheKeysOfOtherScripts(t *testing.T) {
	t.Parallel()
	keys := dequeue(normal)
	elsewhere := dequeue(urgent)
	for what, other := range map[string][]string{
		"none":                nil,
		"three":               keys[:3],
		"five":                append(slices.Clone(keys), backlog.Key(normal, "t:id")),
		"another order":       {keys[0], keys[2], keys[1], keys[3]},
		"two queues":          {keys[0], keys[1], keys[2], elsewhere[3]},
		"a task called lease": {keys[0], keys[1], keys[2], backlog.Key(normal, "t:lease")},
		"ours":                {"rollcall:{a}:pending", "rollcall:{a}:paused", "rollcall:{a}:active", "rollcall:{a}:lease"},
		"no braces":           {"asynq:a:pending", "asynq:a:paused", "asynq:a:active", "asynq:a:lease"},
	} {
		if queue, ok := backlog.DequeueOf(other); ok || queue != "" {
			t.Errorf("%s: recognised as a dequeue of %q", what, queue)
		}
	}
}

// DequeueOf is the inverse of Key: for all queues, and for no other keys.
func FuzzDequeueOf(f *testing.F) {
	f.Add(normal, "asynq:{a}:pending", "asynq:{a}:paused", "asynq:{a}:active", "asynq:{a}:lease")
	f.Add("a}:pending", "asynq:{:pending", "asynq:{:paused", "asynq:{:active", "asynq:{:lease")
	f.Fuzz(func(t *testing.T, name, pending, paused, active, lease string) {
		if queue, ok := backlog.DequeueOf(dequeue(name)); !ok || queue != name {
			t.Errorf("the keys of %q: %q, %v", name, queue, ok)
		}
		keys := []string{pending, paused, active, lease}
		if queue, ok := backlog.DequeueOf(keys); ok && !slices.Equal(keys, dequeue(queue)) {
			t.Errorf("%q recognised as a dequeue of %q", keys, queue)
		}
	})
}

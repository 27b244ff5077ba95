package enqueue_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/internal/enqueue"
	"rollcall/internal/redistest"
	"rollcall/tasks"
)

// blocked is a Shared whose batches are blocked before they take revisions.
type blocked struct {
	*enqueue.Shared

	t       *testing.T
	open    func()
	batches atomic.Int32 // that came as far
	callers sync.WaitGroup
}

// enqueued is what became of a task.
type enqueued struct {
	tasks.Result

	err error
}

func newBlocked(t *testing.T, s *redistest.Server) *blocked {
	t.Helper()
	serve(t, s)
	gate := make(chan struct{})
	b := &blocked{t: t, open: sync.OnceFunc(func() { close(gate) })}
	p := redistest.NewProxy(t, s.Addr, func(request []byte) redistest.Fault {
		if bytes.Contains(request, []byte("rollcall:{lakeside/nickname}:floor")) && bytes.Contains(bytes.ToLower(request), []byte("evalsha")) {
			b.batches.Add(1)
			<-gate
		}
		return redistest.Pass
	}, nil)
	// Scripts that Redis knows are sent once.
	if _, err := open(t, s.Addr).Enqueue(t.Context(), nick("warm", "up"), tasks.Options{}); err != nil {
		t.Fatal(err)
	}
	b.Shared = &enqueue.Shared{Client: open(t, p.Addr())}
	t.Cleanup(b.callers.Wait)
	t.Cleanup(b.open)
	return b
}

// enqueue enqueues a task, in the background.
func (b *blocked) enqueue(ctx context.Context, task tasks.Task, o tasks.Options) (result func() enqueued) {
	became := make(chan enqueued, 1)
	b.callers.Go(func() {
		r, err := b.Enqueue(ctx, task, o)
		became <- enqueued{r, err}
	})
	return func() enqueued { return <-became }
}

func (b *blocked) await(what string, done func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); {
		if time.Now().After(deadline) {
			b.t.Fatalf("%s: not within a minute", what)
		}
		<-time.After(time.Millisecond)
	}
}

// underway starts as many batches as may be underway, of one task each.
func (b *blocked) underway() (results []func() enqueued) {
	b.t.Helper()
	for i := range 2 {
		results = append(results, b.enqueue(b.t.Context(), nick(fmt.Sprint("first", i), "A"), tasks.Options{}))
		b.await("a batch is underway", func() bool { return int(b.batches.Load()) == i+1 })
	}
	return results
}

func TestTasksOfManyCallersShareRoundTripsAndEachIsStoredOnce(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		const n = 100
		b := newBlocked(t, s)
		results := b.underway()
		for i := range n {
			// Also of one target, and with a key.
			results = append(results, b.enqueue(t.Context(), nick(fmt.Sprint("u", i%90), fmt.Sprint("A", i)), tasks.Options{Key: fmt.Sprint("k", i)}))
		}
		b.await("all others wait", func() bool { return b.Waiting() == n })
		b.open()
		ids := map[string]bool{}
		for i, result := range results {
			r := result()
			if r.err != nil || r.Outcome != tasks.Stored || r.Revision == 0 || r.Warning != "" || ids[r.TaskID] {
				t.Errorf("task %d: %+v", i, r)
			}
			ids[r.TaskID] = true
		}
		if got := b.batches.Load(); got != 4 { // the two, 64 tasks, and the rest
			t.Errorf("%d batches", got)
		}
		wantPending(t, s, 1+2+n)
	})
}

func TestATaskIsNotDecidedByAnotherOfItsKeyInTheSameBatch(t *testing.T) {
	t.Parallel()
	b := newBlocked(t, redistest.One(t))
	b.underway()
	invalid := b.enqueue(t.Context(), nick("u1", strings.Repeat("A", 31)), tasks.Options{Key: "k"})
	b.await("the first waits", func() bool { return b.Waiting() == 1 })
	valid := b.enqueue(t.Context(), nick("u1", "A"), tasks.Options{Key: "k"})
	b.await("both wait", func() bool { return b.Waiting() == 2 })
	b.open()
	if r := invalid(); r.Outcome != tasks.Refused {
		t.Errorf("the first: %+v", r)
	}
	if r := valid(); r.err != nil || r.Outcome != tasks.Stored {
		t.Errorf("the second: %+v", r)
	}
}

func TestATaskWhoseCallerGaveUpBeforeItsBatchIsNotStored(t *testing.T) {
	t.Parallel()
	s := redistest.One(t)
	b := newBlocked(t, s)
	results := b.underway()
	ctx, giveUp := context.WithCancel(t.Context())
	given := b.enqueue(ctx, nick("u1", "A"), tasks.Options{})
	b.await("it waits", func() bool { return b.Waiting() == 1 })
	results = append(results, b.enqueue(t.Context(), nick("u2", "A"), tasks.Options{}))
	b.await("both wait", func() bool { return b.Waiting() == 2 })
	giveUp()
	b.open()
	r := given()
	if fault, ok := errors.AsType[*tasks.StoreError](r.err); !ok || fault.Outcome != tasks.NotStored || !errors.Is(r.err, context.Canceled) {
		t.Errorf("%+v", r)
	}
	for i, result := range results {
		if r := result(); r.err != nil || r.Outcome != tasks.Stored {
			t.Errorf("task %d: %+v", i, r)
		}
	}
	wantPending(t, s, 1+2+1)
}

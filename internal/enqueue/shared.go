package enqueue

import (
	"context"
	"sync"

	"github.com/redis/go-redis/v9"

	"rollcall/tasks"
)

// batchesAtOnce is how many batches of a [Shared] are underway at a time. The second one
// saves half a batch of waiting.
const batchesAtOnce = 2

// Shared enqueues tasks for many goroutines in batches: tasks that arrive while two batches
// are underway share the next one, its three round trips and its scripts. A task that
// arrives alone is stored at once. It is safe for concurrent use and needs no Close.
//
// On a Cluster nothing is shared, so that an unavailable node delays only its own tasks.
type Shared struct {
	// Client stores the tasks. Required.
	Client *Client

	mu      sync.Mutex
	waiting []*sharer
	running int // batches
}

// sharer is a task that waits for its batch.
type sharer struct {
	ctx     context.Context //nolint:containedctx // the caller's, until the batch begins
	request tasks.Request
	result  tasks.Result
	done    chan struct{}
}

// Enqueue stores a task as [Client.Enqueue] does. A task whose ctx ends before its batch
// begins is not stored; later, ctx ends nothing.
func (s *Shared) Enqueue(ctx context.Context, task tasks.Task, options tasks.Options) (tasks.Result, error) {
	if _, cluster := s.Client.rdb.(*redis.ClusterClient); cluster {
		return s.Client.Enqueue(ctx, task, options)
	}
	w := &sharer{ctx: ctx, request: tasks.Request{Task: task, Options: options}, done: make(chan struct{})}
	s.mu.Lock()
	s.waiting = append(s.waiting, w)
	start := s.running < batchesAtOnce
	if start {
		s.running++
	}
	s.mu.Unlock()
	if start {
		go s.serve()
	}
	<-w.done
	return w.result, w.result.Err
}

// serve stores batches as long as there are tasks.
func (s *Shared) serve() {
	for batch := s.next(); len(batch) > 0; batch = s.next() {
		s.store(batch)
	}
}

// next removes and returns the tasks of the next batch; none ends a serve. Of two tasks with
// one key the second waits: in one batch the first would decide on it, even if it is
// invalid.
func (s *Shared) next() []*sharer {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, keys := 0, map[string]bool{}
	for ; n < min(len(s.waiting), chunk); n++ {
		key := s.waiting[n].request.Options.Key
		if key != "" && keys[key] {
			break
		}
		keys[key] = true
	}
	batch := s.waiting[:n:n]
	if s.waiting = s.waiting[n:]; n == 0 {
		s.waiting = nil
		s.running--
	}
	return batch
}

// store stores a batch, and reports the result of each task.
func (s *Shared) store(batch []*sharer) {
	var due []*sharer
	var requests []tasks.Request
	for _, w := range batch {
		if err := context.Cause(w.ctx); err != nil {
			w.result = destination{key: w.request.Options.Key}.notStored("store it", err)
			close(w.done)
			continue
		}
		due, requests = append(due, w), append(requests, w.request)
	}
	results := make([]tasks.Result, len(due))
	err := guarded(func() { copy(results, s.Client.EnqueueAll(context.Background(), requests)) })
	for i, w := range due {
		if w.result = results[i]; err != nil {
			w.result = tasks.Result{Outcome: tasks.NotKnown, Err: destination{}.notKnown(err)}
		}
		close(w.done)
	}
}

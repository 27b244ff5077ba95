package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/internal/enqueue"
	"rollcall/internal/ledger"
	"rollcall/tasks"
)

const (
	producers = 8
	// batch is how many wishes that are due go into one EnqueueAll.
	batch = 20
	// askAgain is the pause before a wish that was not stored is asked for again.
	askAgain = 150 * time.Millisecond
)

// producer asks for wishes as a program that nobody watches would: again and
// again, with the same key, until it hears that they are stored.
type producer struct {
	client *enqueue.Client

	acknowledged atomic.Int64
	unknown      atomic.Int64 // answers that were lost twice
	refused      atomic.Int64 // that nothing was stored
}

// run asks for all wishes, evenly spread over a stretch of time, and returns
// when each was answered for good or ctx ends. Wishes for one target are asked
// for one after the other.
func (p *producer) run(ctx context.Context, wishes []*wish, over time.Duration) {
	shards := make([][]*wish, producers)
	for _, w := range wishes {
		h := fnv.New32a()
		_, _ = fmt.Fprint(h, w.target.API, w.target.Key) // a hash takes everything
		shard := h.Sum32() % producers
		shards[shard] = append(shards[shard], w)
	}
	began := time.Now()
	due := func(w *wish) time.Duration {
		return time.Until(began.Add(time.Duration(float64(over) * float64(w.n-wishes[0].n) / float64(len(wishes)))))
	}
	var group sync.WaitGroup
	for _, shard := range shards {
		group.Go(func() {
			for len(shard) > 0 && ctx.Err() == nil {
				pause(ctx, due(shard[0]))
				n := ready(shard, due)
				p.ask(ctx, shard[:n])
				shard = shard[n:]
			}
		})
	}
	group.Wait()
}

// ready counts the wishes at the head of a shard that are due and may go side by
// side, one a target: were the first of two for one target not stored and the
// second were, nobody could say which is the newer.
func ready(shard []*wish, due func(*wish) time.Duration) int {
	seen := map[ledger.Target]bool{}
	for n, w := range shard {
		if n == batch || seen[w.target] || n > 0 && due(w) > 0 {
			return n
		}
		seen[w.target] = true
	}
	return len(shard)
}

// ask asks for some wishes of different targets.
func (p *producer) ask(ctx context.Context, wishes []*wish) {
	for len(wishes) > 0 && ctx.Err() == nil {
		requests := make([]tasks.Request, len(wishes))
		for i, w := range wishes {
			if w.after > 0 && w.options.At.IsZero() {
				w.options.At = time.Now().Add(w.after)
			}
			requests[i] = tasks.Request{Task: w.task, Options: w.options}
		}
		var left []*wish
		for i, result := range p.client.EnqueueAll(ctx, requests) {
			if p.answered(wishes[i], result) {
				continue
			}
			left = append(left, wishes[i])
		}
		if wishes = left; len(left) > 0 {
			pause(ctx, askAgain)
		}
	}
}

// answered notes an answer and tells whether it is the last.
func (p *producer) answered(w *wish, r tasks.Result) bool {
	w.asked++
	w.outcome, w.rev, w.err = r.Outcome, r.Revision, r.Err
	if r.TaskID != "" {
		w.id, w.queue = r.TaskID, r.Queue
	}
	if e, ok := errors.AsType[*tasks.StoreError](r.Err); ok && e.TaskID != "" {
		w.id, w.queue = e.TaskID, e.Queue
	}
	switch r.Outcome {
	case tasks.Stored, tasks.AlreadyThere:
		p.acknowledged.Add(1)
		return true
	case tasks.NotKnown:
		p.unknown.Add(1)
		return w.options.Key == "" // to ask again would make a second task of it
	case tasks.NotStored:
		p.refused.Add(1)
		return false
	case tasks.Refused:
		// A Redis that lost its list of lanes hears of them within a minute.
		_, unserved := errors.AsType[*tasks.UnservedError](r.Err)
		return !unserved
	}
	return true
}

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
	// batch is how many due changes one EnqueueAll gets.
	batch = 20
	// askAgain is the pause before a change that was not stored is enqueued again.
	askAgain = 150 * time.Millisecond
)

// producer enqueues changes as an unattended program would: repeatedly, with the same
// key, until it gets the result that they are stored.
type producer struct {
	client *enqueue.Client
	other  *otherProducer // of another commit, for every second shard; nil: none

	acknowledged atomic.Int64
	unknown      atomic.Int64 // answers that were lost twice
	refused      atomic.Int64 // that nothing was stored
	byOther      atomic.Int64 // requests that the command of another commit got
}

// run enqueues all changes, evenly spread over a stretch of time, and returns when each
// has a final result or ctx ends. Changes of one target are enqueued one after the
// other.
func (p *producer) run(ctx context.Context, changes []*change, over time.Duration) {
	shards := make([][]*change, producers)
	for _, w := range changes {
		h := fnv.New32a()
		_, _ = fmt.Fprint(h, w.target.API, w.target.Key) // a hash takes everything
		shard := h.Sum32() % producers
		shards[shard] = append(shards[shard], w)
	}
	began := time.Now()
	due := func(w *change) time.Duration {
		return time.Until(began.Add(time.Duration(float64(over) * float64(w.n-changes[0].n) / float64(len(changes)))))
	}
	var group sync.WaitGroup
	for i, shard := range shards {
		enqueueAll := p.client.EnqueueAll
		if p.other != nil && i%2 == 1 {
			enqueueAll = p.withOther
		}
		group.Go(func() {
			for len(shard) > 0 && ctx.Err() == nil {
				pause(ctx, due(shard[0]))
				n := ready(shard, due)
				p.ask(ctx, shard[:n], enqueueAll)
				shard = shard[n:]
			}
		})
	}
	group.Wait()
}

// ready counts the changes at the head of a shard that are due and may be enqueued
// together, one per target: if the first of two changes of a target were not stored but
// the second were, it would be unknown which is the later one.
func ready(shard []*change, due func(*change) time.Duration) int {
	seen := map[ledger.Target]bool{}
	for n, w := range shard {
		if n == batch || seen[w.target] || n > 0 && due(w) > 0 {
			return n
		}
		seen[w.target] = true
	}
	return len(shard)
}

// ask enqueues some changes of different targets.
func (p *producer) ask(ctx context.Context, changes []*change, enqueueAll func(context.Context, []tasks.Request) []tasks.Result) {
	for len(changes) > 0 && ctx.Err() == nil {
		requests := make([]tasks.Request, len(changes))
		for i, w := range changes {
			if w.after > 0 && w.options.At.IsZero() {
				w.options.At = time.Now().Add(w.after)
			}
			requests[i] = tasks.Request{Task: w.task, Options: w.options}
		}
		var left []*change
		for i, result := range enqueueAll(ctx, requests) {
			if p.answered(changes[i], result) {
				continue
			}
			left = append(left, changes[i])
		}
		if changes = left; len(left) > 0 {
			pause(ctx, askAgain)
		}
	}
}

// withOther has the command of another commit enqueue what it can.
func (p *producer) withOther(ctx context.Context, requests []tasks.Request) []tasks.Result {
	if !takenByOther(requests) {
		return p.client.EnqueueAll(ctx, requests)
	}
	p.byOther.Add(int64(len(requests)))
	return p.other.enqueueAll(ctx, requests)
}

// answered records a result and reports whether it is final.
func (p *producer) answered(w *change, r tasks.Result) bool {
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
		// A Redis that lost its list of lanes has it again within a minute.
		_, unserved := errors.AsType[*tasks.UnservedError](r.Err)
		return !unserved
	}
	return true
}

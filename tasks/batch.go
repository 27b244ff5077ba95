package tasks

import (
	"context"
	"sync"

	"rollcall/internal/ledger"
)

// EnqueueAll stores many tasks and returns a result for each, in their order.
// Tasks of one target take their revisions in the order of the batch, so that
// the last of them wins; different targets go side by side.
//
// A batch is not all or nothing: each task is judged by itself. When ctx ends,
// what was not sent yet is NotStored.
func (c *Client) EnqueueAll(ctx context.Context, requests []Request) []Result {
	results := make([]Result, len(requests))
	queue := make(chan []int)
	var workers sync.WaitGroup
	for range min(c.concurrency, len(requests)) {
		workers.Go(func() {
			for rows := range queue {
				for _, i := range rows {
					results[i] = c.enqueue(ctx, requests[i])
				}
			}
		})
	}
	for _, rows := range c.order(requests, results) {
		queue <- rows
	}
	close(queue)
	workers.Wait()
	return results
}

// order puts the rows of one target together, targets by their first row. Rows
// that need no Redis to be refused get their result here.
func (c *Client) order(requests []Request, results []Result) [][]int {
	var groups [][]int
	at := make(map[ledger.Target]int, len(requests))
	digests := make(map[[2]string]string)
	for i, r := range requests {
		tenant, _, ok := laneOf(r.Task)
		if !ok {
			results[i] = refused(errNotATask(r.Task))
			continue
		}
		// Which of two tasks with one key is stored must not depend on which of
		// them is faster.
		if key := r.Options.Key; key != "" {
			sum, _ := digest(r.Task) // a task without one is refused further on
			if before, there := digests[[2]string{tenant, key}]; there && before != sum {
				results[i] = refused(&KeyReusedError{Key: key})
				continue
			}
			digests[[2]string{tenant, key}] = sum
		}
		// The organisation is not known here. Rows of two organisations that
		// happen to look alike go one after the other: slower, never wrong.
		target, _ := r.Task.Wish("")
		n, there := at[target]
		if !there {
			n = len(groups)
			at[target], groups = n, append(groups, nil)
		}
		groups[n] = append(groups[n], i)
	}
	return groups
}

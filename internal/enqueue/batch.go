package enqueue

import (
	"context"
	"slices"
	"sync"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

// chunk is how many tasks go through the steps together: one round trip for all their
// revisions, one for the tasks, one for all the notes. A crash leaves at most this many
// stored tasks without a note.
const chunk = 64

// EnqueueAll stores many tasks and returns a result for each, in order. Tasks of one
// target take their revisions in the order of the batch, so that the last one wins.
// Different targets are processed concurrently.
//
// A batch is not atomic: each task has its own result. When ctx ends, tasks that were
// not sent yet are NotStored.
func (c *Client) EnqueueAll(ctx context.Context, requests []tasks.Request) []tasks.Result {
	rows := make([]FedRow, len(requests))
	for i, r := range requests {
		rows[i].Request = r
	}
	return c.enqueue(ctx, rows, c.number(ctx, rows))
}

// enqueue stores tasks. unnumbered are the errors of runs whose rows could not be
// numbered, by run.
func (c *Client) enqueue(ctx context.Context, rows []FedRow, unnumbered map[string]error) []tasks.Result {
	results := make([]tasks.Result, len(rows))
	b := &batch{client: c, rows: rows, results: results, unnumbered: unnumbered}
	chunks := b.chunks()
	carry := func(groups [][]int) { b.fail(groups, guarded(func() { b.carry(ctx, groups) })) }
	if len(chunks) == 1 {
		carry(chunks[0])
		return results
	}
	queue := make(chan [][]int)
	var workers sync.WaitGroup
	for range min(c.abreast, len(chunks)) {
		workers.Go(func() {
			for groups := range queue {
				carry(groups)
			}
		})
	}
	for _, groups := range chunks {
		queue <- groups
	}
	close(queue)
	workers.Wait()
	return results
}

// number gives a row to each request that names a run and has none. It returns the error
// of each run whose rows could not be numbered.
func (c *Client) number(ctx context.Context, rows []FedRow) (faults map[string]error) {
	without := map[string][]int{}
	for i, r := range rows {
		if o := r.Request.Options; o.Row == 0 && tasks.ValidRun(o.Run) {
			without[o.Run] = append(without[o.Run], i)
		}
	}
	faults = map[string]error{}
	for run, unnumbered := range without {
		first, err := c.ledger.NumberRows(ctx, run, len(unnumbered))
		if err != nil {
			faults[run] = err
			continue
		}
		for n, i := range unnumbered {
			rows[i].Request.Options.Row = first + n
		}
	}
	return faults
}

// batch is one call of EnqueueAll or of Feed.
type batch struct {
	client  *Client
	rows    []FedRow // without a TaskID, those of EnqueueAll
	results []tasks.Result
	// unnumbered are the errors of runs whose rows could not be numbered, by run.
	unnumbered map[string]error
}

// carry takes a chunk through the steps: revisions, tasks, notes. docs/guarantees.md
// explains the order. groups are the rows by target.
func (b *batch) carry(ctx context.Context, groups [][]int) {
	if len(groups) == 1 && len(groups[0]) > chunk { // one target, whose rows stay in their order
		for rows := groups[0]; len(rows) > 0; {
			n := min(chunk, len(rows))
			b.carry(ctx, [][]int{rows[:n]})
			rows = rows[n:]
		}
		return
	}
	c := b.client
	at := slices.Concat(groups...)
	rows := make([]FedRow, len(at))
	for n, i := range at {
		rows[n] = b.rows[i]
	}
	all := c.enter(ctx, rows)
	c.skipEnded(ctx, all)
	admitted := unfinished(all)
	c.revise(ctx, admitted)
	c.put(ctx, unfinished(admitted))
	c.note(ctx, admitted)
	for n, i := range at {
		b.results[i] = all[n].result
	}
}

// unfinished returns the submissions that are not over.
func unfinished(submissions []*submission) []*submission {
	var left []*submission
	for _, p := range submissions {
		if !p.over {
			left = append(left, p)
		}
	}
	return left
}

// chunks groups the rows by target, and the targets into chunks, by their first row.
// Rows that are rejected without Redis get their result here.
func (b *batch) chunks() [][][]int {
	var chunks [][][]int
	n := chunk
	for _, rows := range b.order() {
		if n += len(rows); n > chunk {
			chunks, n = append(chunks, nil), len(rows)
		}
		chunks[len(chunks)-1] = append(chunks[len(chunks)-1], rows)
	}
	return chunks
}

func (b *batch) order() [][]int {
	var groups [][]int
	at := make(map[ledger.Target]int, len(b.rows))
	digests := make(map[[2]string]string)
	for i, row := range b.rows {
		r := row.Request
		if _, ok := kinds.Of(r.Task); !ok {
			b.results[i] = refused(r.Validate(tasks.Limits{}))
			continue
		}
		tenant, kind := r.Task.Lane()
		if err := b.unnumbered[r.Options.Run]; err != nil && r.Options.Row == 0 {
			queue := registry.Queue(tenant, kind, r.Options.Urgent)
			b.results[i] = destination{key: r.Options.Key, held: reservation{Queue: queue}}.notStored("number the rows of its run", err)
			continue
		}
		// Which of two tasks with one key is stored must not depend on their speed.
		if key := r.Options.Key; key != "" {
			sum, _ := digest(r.Task) // a task without one is rejected later
			if before, there := digests[[2]string{tenant, key}]; there && before != sum {
				b.results[i] = refused(&tasks.KeyReusedError{Key: key})
				continue
			}
			digests[[2]string{tenant, key}] = sum
		}
		// The organisation is unknown here. Rows of two organisations that happen to
		// have the same target run one after the other: slower, but never wrong.
		target, _ := kinds.Change(r.Task, "")
		n, there := at[target]
		if !there {
			n = len(groups)
			at[target], groups = n, append(groups, nil)
		}
		groups[n] = append(groups[n], i)
	}
	return groups
}

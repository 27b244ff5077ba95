package ledger

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// recallFor is how far back a worker remembers its own writes. A Redis with
	// appendfsync everysec loses two seconds at the most, a replica that takes over
	// what was written since it was cut off.
	recallFor = 2 * time.Minute
	// recallMost bounds how many writes it remembers, at a few hundred bytes each.
	recallMost = 8192
	// recallers is how many are noted again at once.
	recallers = 64
)

// memory is what a process remembers of its own last settles, and of sends that it
// could not settle, for a Redis that loses writes.
type memory struct {
	mu      sync.Mutex
	results []attemptResult // a ring, once it is full
	next    int
	// lost is when Redis was last found to have lost writes.
	lost time.Time
}

// attemptResult is the end of one attempt.
type attemptResult struct {
	at       time.Time
	target   Target
	revision int64
	how      string // applied or sent
	fields   []any  // as recall.lua takes them
}

// add remembers a result, and reports whether Redis has just lost writes.
func (m *memory) add(r attemptResult) (justLost bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.results) < recallMost {
		m.results = append(m.results, r)
	} else {
		m.results[m.next] = r
		m.next = (m.next + 1) % recallMost
	}
	return !m.lost.IsZero() && r.at.Sub(m.lost) < recallFor
}

// since returns the results of the last recallFor before now.
func (m *memory) since(now time.Time) []attemptResult {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lost = now
	var results []attemptResult
	for _, r := range m.results {
		if now.Sub(r.at) < recallFor {
			results = append(results, r)
		}
	}
	return results
}

// Recall notes again what this process settled in the last two minutes, and what it
// sent and could not settle, where Redis has lost it. Without it an equal value from
// before would count as unchanged, an older task as the latest, and an ID as never
// sent. It changes nothing in a Redis that lost nothing. It returns how many targets
// had lost something. One round trip for some dozens of targets.
func (l *Ledger) Recall(ctx context.Context) (forgotten int, err error) {
	var group errgroup.Group
	group.SetLimit(recallers)
	var mu sync.Mutex
	for _, r := range l.memory.since(time.Now()) {
		group.Go(func() error {
			return l.guarded("the recall of a result", func() error {
				was, err := l.recall(ctx, r)
				if was {
					mu.Lock()
					defer mu.Unlock()
					forgotten++
				}
				return err
			})
		})
	}
	err = group.Wait()
	return forgotten, err
}

func (l *Ledger) recall(ctx context.Context, r attemptResult) (forgotten bool, err error) {
	args := append([]any{r.revision, keep.Milliseconds(), r.how, r.at.Add(lockedFor).Unix()}, r.fields...)
	n, err := recall.Run(ctx, l.steps, []string{r.target.redisKey()}, args...).Int()
	if err != nil {
		return false, fmt.Errorf("ledger: note again what was done for %s %s: %w", r.target.API, r.target.Key, err)
	}
	return n > 0, nil
}

// remember keeps the result of an attempt, whether or not Redis has noted it: Redis
// may lose it.
func (m *Lease) remember(ctx context.Context, how string, fields []any) {
	if m.task.Resend { // it changed nothing
		return
	}
	r := attemptResult{at: time.Now(), target: m.task.Target, revision: m.task.Revision, how: how, fields: fields}
	if m.ledger.memory.add(r) {
		_, _ = m.ledger.recall(ctx, r) // a failure loses one of the many writes that Redis has lost
	}
}

// GiveUp gives up a lease that another attempt has, or that Redis has lost, after a
// send: this process remembers that the outcome of the fields is unknown.
func (m *Lease) GiveUp(ctx context.Context) {
	var fields []any
	for _, f := range m.fields {
		value := f.Value
		if f.Mode == Once {
			value = fmt.Sprintf("%d %d %d %s %s", max(m.intent.Sends, 1), time.Now().UnixMilli(), m.task.Revision, m.task.TaskID, m.intent.Value)
		}
		fields = append(fields, f.Name, f.Mode.String(), value, "")
	}
	m.remember(ctx, "sent", fields)
}

package ledger

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// recallFor is how far back a worker remembers what it has done: a Redis with
	// appendfsync everysec forgets two seconds at the most, a replica that takes over
	// what came since it was cut off.
	recallFor = 2 * time.Minute
	// recallMost bounds how much of that, at a few hundred bytes each.
	recallMost = 8192
	// recallers is how many traces are written down at once.
	recallers = 64
)

// memory is what a process remembers of its own last settles and of what it sent
// and could not settle, for a Redis that loses its memory.
type memory struct {
	mu     sync.Mutex
	traces []trace // a ring, once it is full
	next   int
	// forgot is when Redis was found to have lost its memory last.
	forgot time.Time
}

// trace is what one mark has led to.
type trace struct {
	at       time.Time
	target   Target
	revision int64
	how      string // applied or sent
	fields   []any  // as recall.lua takes them
}

// keep takes a trace in, and tells whether Redis has just lost its memory.
func (m *memory) keep(t trace) (now bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.traces) < recallMost {
		m.traces = append(m.traces, t)
	} else {
		m.traces[m.next] = t
		m.next = (m.next + 1) % recallMost
	}
	return !m.forgot.IsZero() && t.at.Sub(m.forgot) < recallFor
}

// since are the traces of the last recallFor before now.
func (m *memory) since(now time.Time) []trace {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forgot = now
	var traces []trace
	for _, t := range m.traces {
		if now.Sub(t.at) < recallFor {
			traces = append(traces, t)
		}
	}
	return traces
}

// Recall writes down again what this process has settled in the last two minutes,
// and what it had sent and could not settle, where Redis does not know it any
// more: else an equal value that was there before would be taken for unchanged,
// an older task for the newest, and an ID for one that was never sent. It is for
// a Redis that may have lost its memory, and does nothing otherwise. It returns
// how many targets had been forgotten. One round trip for some dozens of targets.
func (l *Ledger) Recall(ctx context.Context) (forgotten int, err error) {
	var group errgroup.Group
	group.SetLimit(recallers)
	var mu sync.Mutex
	for _, t := range l.memory.since(time.Now()) {
		group.Go(func() error {
			was, err := l.recall(ctx, t)
			if was {
				mu.Lock()
				forgotten++
				mu.Unlock()
			}
			return err
		})
	}
	err = group.Wait()
	return forgotten, err
}

func (l *Ledger) recall(ctx context.Context, t trace) (forgotten bool, err error) {
	args := append([]any{t.revision, keep.Milliseconds(), t.how, t.at.Add(lockedFor).Unix()}, t.fields...)
	n, err := recall.Run(ctx, l.steps, []string{t.target.redisKey()}, args...).Int()
	if err != nil {
		return false, fmt.Errorf("ledger: recall what was done of %s %s: %w", t.target.API, t.target.Key, err)
	}
	return n > 0, nil
}

// remember keeps what a mark has led to. Whether that was written down makes no
// difference: it may be forgotten.
func (m *Mark) remember(ctx context.Context, how string, fields []any) {
	t := trace{at: time.Now(), target: m.task.Target, revision: m.task.Revision, how: how, fields: fields}
	if m.ledger.memory.keep(t) {
		_, _ = m.ledger.recall(ctx, t) // what is lost with it is one of many that Redis has forgotten
	}
}

// Lost gives up a mark that is another's, or that Redis has forgotten, after a
// send: it is remembered that the fields are in doubt.
func (m *Mark) Lost(ctx context.Context) {
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

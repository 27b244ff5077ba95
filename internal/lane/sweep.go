package lane

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hibiken/asynq"

	"rollcall/internal/backlog"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/registry"
)

// sweepEvery is how often the queues are searched. A sweep that finds nothing costs
// four round trips for all queues, one more for each organisation's API, and two for
// each lane that has dead letters. Every second one costs two more.
const sweepEvery = 5 * time.Second

// typeUndecodable is the asynq type of the stand-in for a message that asynq cannot
// read. asynq takes such a message from the queue, fails to decode it, and leaves it
// "active" without end. The stand-in is a task that asynq can read, show and archive.
const typeUndecodable = "rollcall:undecodable"

// undecodable is the stand-in's payload.
type undecodable struct {
	Queue string `json:"queue"`
	ID    string `json:"id"`
	Raw   []byte `json:"raw"` // the original bytes, base64 in JSON, up to ledger.MaxKept; empty if there were none
	// Bytes and SHA256 are the length and the hash of a message that was cut.
	Bytes  int    `json:"bytes,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
}

// standIn returns the payload of the stand-in for a message.
func standIn(queue, id string, raw []byte) ([]byte, error) {
	var kept ledger.DeadLetter
	kept.Cut(raw)
	return json.Marshal(undecodable{Queue: queue, ID: id, Raw: kept.Payload, Bytes: kept.PayloadBytes, SHA256: kept.PayloadSHA256})
}

// UndecodableError reports a message that asynq cannot read.
type UndecodableError struct {
	Queue, ID string
	Bytes     int
}

// Error returns what was found in which queue, and what to do.
func (e *UndecodableError) Error() string {
	if e.Bytes == 0 {
		return fmt.Sprintf("queue %s listed a task %s that has no message in Redis: enqueue it again if it is still needed", e.Queue, e.ID)
	}
	return fmt.Sprintf("queue %s held a message %s of %d bytes that is not an asynq task, or too long for one; its first bytes are kept in field raw: "+
		"find the other program that writes to this Redis, and enqueue the task again with the enqueue command", e.Queue, e.ID, e.Bytes)
}

func readUndecodable(payload []byte) error {
	var u undecodable
	if err := json.Unmarshal(payload, &u); err != nil {
		return &kinds.PayloadError{Type: typeUndecodable, What: err.Error()}
	}
	return &UndecodableError{Queue: u.Queue, ID: u.ID, Bytes: max(u.Bytes, len(u.Raw))}
}

// sweeper searches the queues of a Set. Each of its passes is a method in a file of its
// own.
type sweeper struct {
	set            *Set
	client         *asynq.Client
	repairer       *backlog.Repairer
	queues         []*swept
	rescued        []*swept // queues, and those without a lane
	names          []string // names of the queues, in order
	unservedQueues unservedQueues
	// registers are the open tasks of the lanes, by organisation and API.
	registers []*register
	steps     []int64 // position of the search for ids without a task, by queue
	// corrections is the position in the dead letters of a lane, for the comparison
	// with what was applied.
	corrections map[*Lane]ledger.Cursor
	large       sync.Mutex // held while a long message is in memory
	checked     time.Time  // when the types of the keys were checked
}

// swept is a queue of a lane, and what earlier sweeps found in it.
type swept struct {
	lane    *Lane // nil: the queue has none, and its tasks are only rescued
	name    string
	urgent  bool
	beats   beats
	archive archive
}

func newSweeper(set *Set) *sweeper {
	s := &sweeper{set: set, client: asynq.NewClientFromRedisClient(set.rdb), repairer: backlog.NewRepairer(set.rdb), registers: registers(set.lanes), corrections: map[*Lane]ledger.Cursor{}}
	for _, l := range set.lanes {
		for _, urgent := range []bool{true, false} {
			q := &swept{lane: l, name: registry.Queue(l.Tenant, l.Kind, urgent), urgent: urgent}
			s.queues, s.names = append(s.queues, q), append(s.names, q.name)
		}
	}
	s.steps = make([]int64, len(s.names))
	s.rescued = slices.Clone(s.queues)
	for _, name := range set.rescue {
		s.rescued = append(s.rescued, &swept{name: name})
	}
	return s
}

// Rescue adds queues without a lane to those in which Sweep finds tasks of dead workers.
// Call it before Sweep.
func (s *Set) Rescue(queues ...string) { s.rescue = append(s.rescue, queues...) }

// Sweep searches the lanes' queues until ctx ends. It finds tasks of dead workers,
// messages that asynq cannot read, tasks that asynq archived or lost, ids without a
// task, and queues that no worker serves.
func (s *Set) Sweep(ctx context.Context) {
	w := newSweeper(s)
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			w.sweep(ctx, time.Now())
		}
	}
}

// sweep searches all queues once. An error or a panic in one pass or queue does not stop
// the others.
func (s *sweeper) sweep(ctx context.Context, now time.Time) {
	at := func(pass func(context.Context, time.Time) error) func(context.Context) error {
		return func(ctx context.Context) error { return pass(ctx, now) }
	}
	var faults []error
	for _, pass := range []struct {
		of  string
		run func(context.Context) error
	}{
		{"the check of the keys", at(s.keys)},
		{"the sweep for tasks of dead workers", s.orphans},
		{"the sweep for lanes with dead letters", s.set.findDeadLetters},
		{"the sweep of archived tasks", s.archives},
		{"the sweep of corrected dead letters", at(s.corrected)},
		{"the sweep for vanished tasks", at(s.vanished)},
		{"the sweep for queues without a worker", at(s.unserved)},
		{"the sweep for ids without a task", s.stale},
	} {
		faults = append(faults, s.set.faults.Guard(pass.of, func() error { return pass.run(ctx) }))
	}
	err := errors.Join(faults...)
	if ctx.Err() == nil {
		s.set.outcome("queues not searched for lost tasks; retried at the next sweep", "queues searched for lost tasks again", err)
	}
}

// replace stores the stand-in first and removes the message second: a crash in between
// leaves both rather than neither.
func (s *sweeper) replace(ctx context.Context, queue, id string, raw []byte) error {
	payload, err := standIn(queue, id, raw)
	if err != nil {
		return fmt.Errorf("keep message %s: %w", id, err)
	}
	_, err = s.client.EnqueueContext(ctx, asynq.NewTask(typeUndecodable, payload),
		asynq.Queue(queue), asynq.TaskID("undecodable-"+id), asynq.MaxRetry(1))
	if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		return fmt.Errorf("keep message %s: %w", id, err)
	}
	return s.repairer.Unlist(ctx, queue, id)
}

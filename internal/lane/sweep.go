package lane

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"

	"rollcall/internal/backlog"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/registry"
)

// sweepEvery is how often the queues are looked through. All of them together
// cost four round trips while there is nothing to mend, and one more for each
// organisation's API and two for each lane that has dead letters.
const sweepEvery = 5 * time.Second

// typeUndecodable is the asynq type of the stand-in for a message that asynq
// cannot read: it takes such a one out of a queue, fails to decode it, and leaves
// it "active" for ever. The stand-in is a task that asynq can read, show and
// archive.
const typeUndecodable = "rollcall:undecodable"

// undecodable is the stand-in's payload.
type undecodable struct {
	Queue string `json:"queue"`
	ID    string `json:"id"`
	Raw   []byte `json:"raw"` // as it was found, base64 in JSON; empty if there was none
}

// UndecodableError tells of a message that asynq cannot read.
type UndecodableError struct {
	Queue, ID string
	Bytes     int
}

// Error says what was found where, and what to do.
func (e *UndecodableError) Error() string {
	if e.Bytes == 0 {
		return fmt.Sprintf("queue %s listed a task %s that has no message in Redis: enqueue it again if it is missed", e.Queue, e.ID)
	}
	return fmt.Sprintf("queue %s held a message %s of %d bytes that is no asynq task, kept here as raw: "+
		"find out who writes to this Redis besides rollcall, and enqueue it again with the enqueue command", e.Queue, e.ID, e.Bytes)
}

func readUndecodable(payload []byte) error {
	var u undecodable
	if err := json.Unmarshal(payload, &u); err != nil {
		return &kinds.PayloadError{Type: typeUndecodable, What: err.Error()}
	}
	return &UndecodableError{Queue: u.Queue, ID: u.ID, Bytes: len(u.Raw)}
}

// sweeper looks through the queues of a Set. Each pass over them is a method in a
// file of its own.
type sweeper struct {
	set    *Set
	client *asynq.Client
	mender *backlog.Mender
	queues []*swept
	names  []string // of queues, in their order
	strays strays
	// registers are those of the lanes' open tasks.
	registers []*register
	steps     []int64 // of the search for ids without a task, by queue
	// corrections is how far the dead letters of a lane have been compared with what
	// was applied.
	corrections map[*Lane]ledger.Cursor
}

// swept is a queue of a lane, and what the sweeps before have found in it.
type swept struct {
	lane    *Lane
	name    string
	urgent  bool
	beats   beats
	archive archive
}

func newSweeper(set *Set) *sweeper {
	s := &sweeper{set: set, client: asynq.NewClientFromRedisClient(set.rdb), mender: backlog.NewMender(set.rdb), registers: registers(set.lanes), corrections: map[*Lane]ledger.Cursor{}}
	for _, l := range set.lanes {
		for _, urgent := range []bool{true, false} {
			q := &swept{lane: l, name: registry.Queue(l.Tenant, l.Kind, urgent), urgent: urgent}
			s.queues, s.names = append(s.queues, q), append(s.names, q.name)
		}
	}
	s.steps = make([]int64, len(s.names))
	return s
}

// Sweep looks through the lanes' queues until ctx ends: for tasks whose worker is
// gone, for messages that asynq cannot read, for tasks that asynq archived by
// itself, for those that it has lost, and for ids without a task. Beside them it looks for queues that nobody serves.
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

// sweep goes over all queues once. What goes wrong in one pass or queue keeps no
// other from it.
func (s *sweeper) sweep(ctx context.Context, now time.Time) {
	err := errors.Join(s.orphans(ctx), s.set.lookForLetters(ctx), s.archives(ctx), s.corrected(ctx, now), s.vanished(ctx, now), s.unserved(ctx, now), s.stale(ctx))
	if ctx.Err() == nil {
		s.set.outcome("queues not searched for lost tasks; each sweep tries again", "all queues are searched for lost tasks again", err)
	}
}

// replace stores the stand-in first and removes the message after, so that a
// crash in between shows it twice rather than never.
func (s *sweeper) replace(ctx context.Context, queue, id string, raw []byte) error {
	payload, err := json.Marshal(undecodable{Queue: queue, ID: id, Raw: raw})
	if err != nil {
		return fmt.Errorf("keep message %s: %w", id, err)
	}
	_, err = s.client.EnqueueContext(ctx, asynq.NewTask(typeUndecodable, payload),
		asynq.Queue(queue), asynq.TaskID("undecodable-"+id), asynq.MaxRetry(1))
	if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		return fmt.Errorf("keep message %s: %w", id, err)
	}
	return s.mender.Unlist(ctx, queue, id)
}

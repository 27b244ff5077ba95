package lane

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"

	"rollcall/internal/backlog"
	"rollcall/tasks"
)

// sweepEvery is how often the queues are looked through for tasks whose worker
// is gone, and for messages that asynq cannot read: it takes such a one out of
// a queue, fails to decode it, and leaves it "active" for ever.
const sweepEvery = 5 * time.Second

// typeUndecodable is the asynq type of the stand-in for such a message: a task
// that asynq can read, show and archive.
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
		return &tasks.PayloadError{Type: typeUndecodable, What: err.Error()}
	}
	return &UndecodableError{Queue: u.Queue, ID: u.ID, Bytes: len(u.Raw)}
}

// sweeper looks through the queues of a Set.
type sweeper struct {
	set       *Set
	client    *asynq.Client
	mender    *backlog.Mender
	registers []*register
}

func (s *Set) sweeper() *sweeper {
	return &sweeper{
		set: s, client: asynq.NewClientFromRedisClient(s.rdb), mender: backlog.NewMender(s.rdb), registers: registers(s.lanes),
	}
}

// Sweep looks through the lanes' queues until ctx ends: for messages that asynq
// cannot read, for tasks whose worker is gone, for tasks that asynq archived by
// itself, and for those that it has lost.
func (s *Set) Sweep(ctx context.Context) {
	w := s.sweeper()
	seen := map[string]map[string]sighting{}
	archives := map[string]*archive{}
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		w.lookForVanished(ctx, time.Now())
		for _, l := range s.lanes {
			l.lookForLetters(ctx)
			for _, urgent := range []bool{true, false} {
				queue := tasks.Queue(l.Tenant, l.Kind, urgent)
				if seen[queue] == nil {
					seen[queue], archives[queue] = map[string]sighting{}, &archive{}
				}
				if err := w.queue(ctx, l, queue, seen[queue]); err != nil && ctx.Err() == nil {
					l.log.Warn("a queue could not be looked through; the next sweep tries again", "queue", queue, "err", err)
				}
				if err := w.archived(ctx, l, queue, urgent, archives[queue]); err != nil && ctx.Err() == nil {
					l.log.Warn("an archive could not be looked through; the next sweep tries again", "queue", queue, "err", err)
				}
			}
		}
	}
}

// queue sweeps one queue. One round trip when nothing is active, and two more a
// task. A task that cannot be looked at does not keep the others from it.
func (s *sweeper) queue(ctx context.Context, l *Lane, queue string, seen map[string]sighting) error {
	active, err := s.mender.Active(ctx, queue)
	if err != nil {
		return err
	}
	var fault error // the first: while Redis is away they are all the same
	readable := active[:0]
	for _, task := range active {
		raw, unreadable, err := s.mender.Unreadable(ctx, queue, task.ID)
		if unreadable {
			err = s.replace(ctx, queue, task.ID, raw)
		} else {
			readable = append(readable, task)
		}
		fault = cmp.Or(fault, err)
	}
	return cmp.Or(fault, s.orphans(ctx, l, queue, readable, seen))
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

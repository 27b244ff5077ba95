package lane

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

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

//go:embed unlist.lua
var unlistLua string

// sweeper looks through the queues of a Set.
type sweeper struct {
	set       *Set
	client    *asynq.Client
	inspector *asynq.Inspector
	unlist    *redis.Script
	requeue   *redis.Script
}

// Sweep looks through the lanes' queues until ctx ends: for messages that asynq
// cannot read, and for tasks whose worker is gone.
func (s *Set) Sweep(ctx context.Context) {
	w := &sweeper{
		set:       s,
		client:    asynq.NewClientFromRedisClient(s.rdb),
		inspector: asynq.NewInspectorFromRedisClient(s.rdb),
		unlist:    redis.NewScript(unlistLua),
		requeue:   redis.NewScript(requeueLua),
	}
	seen := map[string]map[string]sighting{}
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, l := range s.lanes {
			for _, urgent := range []bool{true, false} {
				queue := tasks.Queue(l.Tenant, l.Kind, urgent)
				if seen[queue] == nil {
					seen[queue] = map[string]sighting{}
				}
				if err := w.queue(ctx, l, queue, seen[queue]); err != nil && ctx.Err() == nil {
					l.log.Warn("a queue could not be looked through; the next sweep tries again", "queue", queue, "err", err)
				}
			}
		}
	}
}

// queue sweeps one queue. Three round trips when nothing is active.
func (s *sweeper) queue(ctx context.Context, l *Lane, queue string, seen map[string]sighting) error {
	active, err := s.set.rdb.LRange(ctx, key(queue, "active"), 0, -1).Result()
	if err != nil {
		return fmt.Errorf("list active tasks: %w", err)
	}
	readable := active[:0]
	for _, id := range active {
		info, err := s.inspector.GetTaskInfo(queue, id)
		// asynq's dequeue of an id without a task leaves a task without a message
		// behind, which it reads as an empty one.
		missing := errors.Is(err, asynq.ErrTaskNotFound) || (err == nil && info.ID == "")
		// asynq gives this error no identity, only words; the test that puts raw
		// bytes into a queue fails if they change.
		unreadable := err != nil && strings.Contains(err.Error(), "could not decode task message")
		if !missing && !unreadable {
			readable = append(readable, id)
			continue
		}
		if err := s.replace(ctx, queue, id, missing); err != nil {
			return err
		}
	}
	return s.orphans(ctx, l, queue, readable, seen)
}

// replace stores the stand-in first and removes the message after, so that a
// crash in between shows it twice rather than never.
func (s *sweeper) replace(ctx context.Context, queue, id string, missing bool) error {
	rdb := s.set.rdb
	raw, err := rdb.HGet(ctx, key(queue, "t:"+id), "msg").Bytes()
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("read message %s: %w", id, err)
	}
	keys := []string{key(queue, "active"), key(queue, "lease"), key(queue, "t:"+id)}
	if missing {
		// A task that ended between the two looks is no longer listed: nothing to tell.
		if _, err := rdb.LPos(ctx, keys[0], id, redis.LPosArgs{}).Result(); errors.Is(err, redis.Nil) {
			return nil
		}
		if there, err := rdb.HExists(ctx, keys[2], "msg").Result(); err != nil || there {
			return err
		}
	}
	payload, err := json.Marshal(undecodable{Queue: queue, ID: id, Raw: raw})
	if err != nil {
		return fmt.Errorf("keep message %s: %w", id, err)
	}
	_, err = s.client.EnqueueContext(ctx, asynq.NewTask(typeUndecodable, payload),
		asynq.Queue(queue), asynq.TaskID("undecodable-"+id), asynq.MaxRetry(1))
	if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		return fmt.Errorf("keep message %s: %w", id, err)
	}
	if err := s.unlist.Run(ctx, rdb, keys, id).Err(); err != nil {
		return fmt.Errorf("remove message %s: %w", id, err)
	}
	return nil
}

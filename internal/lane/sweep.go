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

// sweepEvery is how often the queues are looked through for messages that asynq
// cannot read. It takes one out of a queue, fails to decode it, and leaves it
// "active" for ever.
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

// Sweep looks through the lanes' queues until ctx ends.
func (s *Set) Sweep(ctx context.Context) {
	client := asynq.NewClientFromRedisClient(s.rdb)
	inspector := asynq.NewInspectorFromRedisClient(s.rdb)
	unlist := redis.NewScript(unlistLua)
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
				if err := s.sweepQueue(ctx, queue, client, inspector, unlist); err != nil && ctx.Err() == nil {
					l.log.Warn("a queue could not be looked through for unreadable messages; the next sweep tries again", "err", err)
				}
			}
		}
	}
}

func (s *Set) sweepQueue(
	ctx context.Context, queue string, client *asynq.Client, inspector *asynq.Inspector, unlist *redis.Script,
) error {
	prefix := "asynq:{" + queue + "}:"
	ids, err := s.rdb.LRange(ctx, prefix+"active", 0, -1).Result()
	if err != nil {
		return fmt.Errorf("list active tasks: %w", err)
	}
	for _, id := range ids {
		_, err := inspector.GetTaskInfo(queue, id)
		missing := errors.Is(err, asynq.ErrTaskNotFound)
		// asynq gives this error no identity, only words; the test that puts raw
		// bytes into a queue fails if they change.
		unreadable := err != nil && strings.Contains(err.Error(), "could not decode task message")
		if !missing && !unreadable {
			continue
		}
		if err := s.replace(ctx, queue, prefix, id, missing, client, unlist); err != nil {
			return err
		}
	}
	return nil
}

// replace stores the stand-in first and removes the message after, so that a
// crash in between shows it twice rather than never.
func (s *Set) replace(
	ctx context.Context, queue, prefix, id string, missing bool, client *asynq.Client, unlist *redis.Script,
) error {
	raw, err := s.rdb.HGet(ctx, prefix+"t:"+id, "msg").Bytes()
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("read message %s: %w", id, err)
	}
	keys := []string{prefix + "active", prefix + "lease", prefix + "t:" + id}
	if missing {
		// A task that ended between the two looks is no longer listed: nothing to tell.
		still, err := s.rdb.LPos(ctx, keys[0], id, redis.LPosArgs{}).Result()
		if errors.Is(err, redis.Nil) || (err == nil && still < 0) {
			return nil
		}
		if exists, err := s.rdb.Exists(ctx, keys[2]).Result(); err != nil || exists == 1 {
			return err
		}
	}
	payload, err := json.Marshal(undecodable{Queue: queue, ID: id, Raw: raw})
	if err != nil {
		return fmt.Errorf("keep message %s: %w", id, err)
	}
	_, err = client.EnqueueContext(ctx, asynq.NewTask(typeUndecodable, payload),
		asynq.Queue(queue), asynq.TaskID("undecodable-"+id), asynq.MaxRetry(1))
	if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		return fmt.Errorf("keep message %s: %w", id, err)
	}
	if err := unlist.Run(ctx, s.rdb, keys, id).Err(); err != nil {
		return fmt.Errorf("remove message %s: %w", id, err)
	}
	return nil
}

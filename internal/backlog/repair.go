package backlog

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

//go:embed unlist.lua
var unlistLua string

var unlist = redis.NewScript(unlistLua)

// Repairer finds and repairs what asynq leaves in the list of a queue's active tasks.
type Repairer struct {
	rdb       redis.UniversalClient
	inspector *asynq.Inspector
}

// NewRepairer returns a Repairer. It needs no Close.
func NewRepairer(rdb redis.UniversalClient) *Repairer {
	return &Repairer{rdb: rdb, inspector: asynq.NewInspectorFromRedisClient(rdb)}
}

// Unreadable reports whether asynq cannot read the message of an active task, or does not
// get it because it is too long. It returns the message's bytes, empty if there was none.
// asynq takes a message that it cannot decode from its queue, and leaves it active without
// end. A task that has ended since is not unreadable. A *DamagedTaskError: its key has
// another type. Cost: three round trips, four if it is unreadable.
func (m *Repairer) Unreadable(ctx context.Context, queue, id string) (raw []byte, unreadable bool, err error) {
	long, err := m.TooLong(ctx, queue, id)
	if err != nil {
		return nil, false, err
	}
	if long {
		return m.message(ctx, queue, id)
	}
	info, err := m.inspector.GetTaskInfo(queue, id)
	missing := errors.Is(err, asynq.ErrTaskNotFound)
	// asynq's dequeue of an id without a task creates a task without a message, which
	// asynq reads as an empty one.
	blank := err == nil && info.ID == ""
	if damagedTask(err) {
		return nil, false, &DamagedTaskError{Key(queue, "t:"+id)}
	}
	if !missing && !blank && !undecodable(err) {
		if err != nil {
			return nil, false, fmt.Errorf("read task %s: %w", id, err)
		}
		return nil, false, nil
	}
	raw, unreadable, err = m.message(ctx, queue, id)
	// A message that was missing and exists now is left to the next look.
	return raw, unreadable && (len(raw) == 0 || !missing), err
}

// TooLong reports whether the message of a task is longer than LongestMessage. Cost: one
// round trip.
func (m *Repairer) TooLong(ctx context.Context, queue, id string) (bool, error) {
	n, err := m.rdb.HStrLen(ctx, Key(queue, "t:"+id), "msg").Result()
	if damagedTask(err) {
		return false, &DamagedTaskError{Key(queue, "t:"+id)}
	}
	if err != nil {
		return false, fmt.Errorf("read the length of message %s: %w", id, err)
	}
	return n > LongestMessage, nil
}

// message returns the message of a task that is active; false if it is not.
func (m *Repairer) message(ctx context.Context, queue, id string) (raw []byte, active bool, err error) {
	var (
		listed *redis.IntCmd
		msg    *redis.StringCmd
	)
	_, err = m.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		listed = p.LPos(ctx, Key(queue, "active"), id, redis.LPosArgs{})
		msg = p.HGet(ctx, Key(queue, "t:"+id), "msg")
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, false, fmt.Errorf("read message %s: %w", id, err)
	}
	raw, err = msg.Bytes()
	switch {
	case errors.Is(listed.Err(), redis.Nil): // it ended between the two reads
		return nil, false, nil
	case errors.Is(err, redis.Nil):
		return nil, true, nil
	case err != nil:
		return nil, false, fmt.Errorf("read message %s: %w", id, err)
	}
	return raw, true, nil
}

// undecodable reports whether asynq could not decode a message. asynq gives this error
// no type, only a text. The tests that put raw bytes into a queue fail if the text
// changes.
func undecodable(err error) bool {
	return err != nil && strings.Contains(err.Error(), "could not decode task message")
}

// damagedTask reports whether asynq failed at a task whose key has another type.
func damagedTask(err error) bool { return err != nil && strings.Contains(err.Error(), "WRONGTYPE") }

// Unlist removes a task and its message from asynq permanently. It is for an unreadable
// task, after its bytes were stored elsewhere. Cost: one round trip.
func (m *Repairer) Unlist(ctx context.Context, queue, id string) error {
	keys := keysOf(queue, "active", "lease", "t:"+id)
	if err := unlist.Run(ctx, m.rdb, keys, id).Err(); err != nil {
		return fmt.Errorf("remove message %s: %w", id, err)
	}
	return nil
}

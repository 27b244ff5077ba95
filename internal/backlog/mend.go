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

// Mender finds and mends what asynq leaves behind in the list of a queue's
// active tasks.
type Mender struct {
	rdb       redis.UniversalClient
	inspector *asynq.Inspector
	look      *redis.Script
	requeue   *redis.Script
	condemn   *redis.Script
	unlist    *redis.Script
}

// NewMender returns a Mender. It holds nothing that must be closed.
func NewMender(rdb redis.UniversalClient) *Mender {
	return &Mender{
		rdb:       rdb,
		inspector: asynq.NewInspectorFromRedisClient(rdb),
		look:      redis.NewScript(lookLua),
		requeue:   redis.NewScript(requeueLua),
		condemn:   redis.NewScript(condemnLua),
		unlist:    redis.NewScript(unlistLua),
	}
}

// Unreadable tells whether asynq cannot read the message of an active task, and
// returns the message as it was found, empty if there was none. asynq takes
// such a task out of its queue, cannot decode it, and leaves it active for
// ever. A task that ended meanwhile is not unreadable. Two round trips, three
// for one that is.
func (m *Mender) Unreadable(ctx context.Context, queue, id string) (raw []byte, unreadable bool, err error) {
	info, err := m.inspector.GetTaskInfo(queue, id)
	missing := errors.Is(err, asynq.ErrTaskNotFound)
	// asynq's dequeue of an id without a task leaves a task without a message
	// behind, which it reads as an empty one.
	blank := err == nil && info.ID == ""
	if !missing && !blank && !undecodable(err) {
		if err != nil {
			return nil, false, fmt.Errorf("look at task %s: %w", id, err)
		}
		return nil, false, nil
	}
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
	case errors.Is(listed.Err(), redis.Nil): // it ended between the two looks
		return nil, false, nil
	case errors.Is(err, redis.Nil):
		return nil, true, nil
	case err != nil:
		return nil, false, fmt.Errorf("read message %s: %w", id, err)
	}
	// One that was missing and is there now is for the next look.
	return raw, !missing, nil
}

// undecodable tells that asynq could not read a message. It gives this error no
// identity, only words; the tests that put raw bytes into a queue fail if they
// change.
func undecodable(err error) bool {
	return err != nil && strings.Contains(err.Error(), "could not decode task message")
}

// Unlist removes a task, and its message with it, from asynq's books for good.
// It is for one that is unreadable, after that was kept elsewhere. One round
// trip.
func (m *Mender) Unlist(ctx context.Context, queue, id string) error {
	keys := []string{Key(queue, "active"), Key(queue, "lease"), Key(queue, "t:"+id)}
	if err := m.unlist.Run(ctx, m.rdb, keys, id).Err(); err != nil {
		return fmt.Errorf("remove message %s: %w", id, err)
	}
	return nil
}

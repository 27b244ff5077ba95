package backlog

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

var (
	//go:embed requeue.lua
	requeueLua string
	//go:embed unlist.lua
	unlistLua string
)

// Mender finds and mends what asynq leaves behind in the list of a queue's
// active tasks.
type Mender struct {
	rdb       redis.UniversalClient
	inspector *asynq.Inspector
	requeue   *redis.Script
	unlist    *redis.Script
}

// NewMender returns a Mender. It holds nothing that must be closed.
func NewMender(rdb redis.UniversalClient) *Mender {
	return &Mender{
		rdb:       rdb,
		inspector: asynq.NewInspectorFromRedisClient(rdb),
		requeue:   redis.NewScript(requeueLua),
		unlist:    redis.NewScript(unlistLua),
	}
}

// Active is a task that is listed as active.
type Active struct {
	ID string
	// Lease tells one look from the next: the worker that runs the task moves it
	// every 5 s. "" for none.
	Lease string
}

// Active lists the active tasks of a queue with their leases. One round trip.
func (m *Mender) Active(ctx context.Context, queue string) ([]Active, error) {
	var (
		ids    *redis.StringSliceCmd
		leases *redis.ZSliceCmd
	)
	_, err := m.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		ids = p.LRange(ctx, Key(queue, "active"), 0, -1)
		leases = p.ZRangeWithScores(ctx, Key(queue, "lease"), 0, -1)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list active tasks: %w", err)
	}
	held := make(map[string]string, len(leases.Val()))
	for _, z := range leases.Val() {
		id, _ := z.Member.(string)
		held[id] = strconv.FormatFloat(z.Score, 'f', -1, 64)
	}
	active := make([]Active, len(ids.Val()))
	for i, id := range ids.Val() {
		active[i] = Active{ID: id, Lease: held[id]}
	}
	return active, nil
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

// Requeue makes an active task pending again, at the head of its queue and with
// no attempt counted, unless it ended or its lease moved since it was seen. It
// tells whether the task was moved. asynq's recoverer does the same one or two
// minutes after a worker died; both may run, as each moves only what is still
// listed as active. One round trip.
func (m *Mender) Requeue(ctx context.Context, queue string, seen Active) (moved bool, err error) {
	keys := []string{Key(queue, "active"), Key(queue, "lease"), Key(queue, "pending"), Key(queue, "t:"+seen.ID)}
	n, err := m.requeue.Run(ctx, m.rdb, keys, seen.ID, seen.Lease).Int()
	if err != nil {
		return false, fmt.Errorf("make task %s pending again: %w", seen.ID, err)
	}
	return n == 1, nil
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

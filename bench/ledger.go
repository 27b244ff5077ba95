package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/redisdb"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

// writers fill a Redis together.
const writers = 64

// ledgerActs are the figures of the ledger's cost and of its use. A prefix that selects
// the ledger's figures also selects those of a crash.
func ledgerActs() []act {
	return []act{
		{{{names: []string{"ledger.bytes_per_queued_task"}, play: queuedBytes}}},
		{{{names: []string{"ledger.bytes_per_target"}, play: targetBytes}}},
		{{{names: []string{"crash.recovery_seconds", "crash.recovery_seconds.worst"}, play: recovery, with: "ledger"}}},
	}
}

// queuedBytes compares tasks that wait in their queue, with all that is written
// down of each.
func queuedBytes(ctx context.Context, t *theatre) ([]result, error) {
	n := t.tempo.queued
	ours, err := bytesEach(ctx, n, func(ctx context.Context, s *store, from, to int) error {
		requests := make([]tasks.Request, to-from)
		for i := range requests {
			requests[i] = tasks.Request{Task: task(from + i)}
		}
		for _, r := range s.clients.ours.EnqueueAll(ctx, requests) {
			if r.Err != nil {
				return r.Err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	peer, err := bytesEach(ctx, n, func(ctx context.Context, s *store, from, to int) error {
		return together(ctx, from, to, func(ctx context.Context, i int) error {
			typename, payload, err := kinds.Encode(task(i), int64(i+1))
			if err != nil {
				return err
			}
			_, err = s.clients.peer.EnqueueContext(ctx, asynq.NewTask(typename, payload), asynq.Queue(queue), asynq.Retention(kept))
			return err
		})
	})
	return []result{{
		"ledger.bytes_per_queued_task", ours, peer, "bytes",
		fmt.Sprintf("asynq.Client.Enqueue of the same payload, %d of them", n),
	}}, err
}

// targetBytes compares the memory per target that was settled once.
func targetBytes(ctx context.Context, t *theatre) ([]result, error) {
	n := t.tempo.targets
	ours, err := bytesEach(ctx, n, func(ctx context.Context, s *store, from, to int) error {
		record := ledger.New(s.rdb)
		return together(ctx, from, to, func(ctx context.Context, i int) error { return settle(ctx, record, i) })
	})
	if err != nil {
		return nil, err
	}
	peer, err := bytesEach(ctx, n, func(ctx context.Context, s *store, from, to int) error {
		return together(ctx, from, to, func(ctx context.Context, i int) error {
			w := task(i)
			return s.rdb.Set(ctx, "last:"+w.ChatID+"/"+w.UserID, w.Nickname, 0).Err()
		})
	})
	return []result{{
		"ledger.bytes_per_target", ours, peer, "bytes",
		fmt.Sprintf("SET last:<chat>/<user> <nickname>, %d of them", n),
	}}, err
}

// settle takes the nth target from its change to its success, as a producer and a
// worker do.
func settle(ctx context.Context, record *ledger.Ledger, n int) error {
	return settleTask(ctx, record, task(n), n)
}

func settleTask(ctx context.Context, record *ledger.Ledger, task tasks.NicknameSync, n int) error {
	target, fields := kinds.Change(task, organisation)
	id := fmt.Sprintf("%08d-5b6f-4f3e-9f6a-0d0cd8f08ac5", n) // as long as a task's
	w := ledger.Change{Target: target, Fields: fields, TaskID: id}
	revised := record.Revise(ctx, w)[0]
	if revised.Err != nil {
		return revised.Err
	}
	typename, payload, err := kinds.Encode(task, revised.Revision)
	if err != nil {
		return err
	}
	open := ledger.Open{Change: w, Revision: revised.Revision, Queue: queue, Type: typename, Payload: payload}
	if err := record.Stored(ctx, open); err != nil {
		return err
	}
	lease, _, err := record.Begin(ctx, ledger.Delivery{TaskID: id, Target: target, Revision: revised.Revision, Fields: fields})
	if err != nil {
		return err
	}
	if lease == nil {
		return fmt.Errorf("the ledger returns no call for %s, a new target", target.Key)
	}
	if err := lease.Check(ctx); err != nil {
		return err
	}
	// As long as the platform's own.
	return lease.Settle(ctx, fmt.Sprintf("15r%010d", n), false, nil)
}

// store is a Redis that is filled.
type store struct {
	rdb     redis.UniversalClient
	clients *producers
}

type fill func(ctx context.Context, s *store, from, to int) error

// bytesEach fills a Redis of its own with n things, and returns by how many
// bytes each has made it grow. The first ones bring scripts and do not count.
func bytesEach(ctx context.Context, n int, fill fill) (each float64, err error) {
	server, rdb, err := openRedis(ctx)
	if err != nil {
		return 0, err
	}
	defer server.stop()
	defer func() { _ = rdb.Close() }()
	lanes := []registry.Lane{{Organisation: organisation, Tenant: tenant, Kind: tasks.KindNickname}}
	if err := registry.Publish(ctx, rdb, lanes); err != nil {
		return 0, err
	}
	var used [2]int64
	for i, until := range []int{writers, writers + n} {
		if err := server.filled(ctx, fill, i*writers, until); err != nil {
			return 0, err
		}
		if used[i], err = usedMemory(ctx, rdb); err != nil {
			return 0, err
		}
	}
	return float64(used[1]-used[0]) / float64(n), nil
}

// filled fills Redis in parts, because a producer holds its input, and with its own
// clients, because Redis holds their buffers.
func (s *redisServer) filled(ctx context.Context, fill fill, from, to int) (err error) {
	rdb, err := redisdb.Open("redis://" + s.address + "/0")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rdb.Close()) }()
	clients, err := newProducers(nil, s.address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, clients.close()) }()
	const piece = 20_000
	for ; from < to; from += piece {
		if err := fill(ctx, &store{rdb, clients}, from, min(from+piece, to)); err != nil {
			return err
		}
	}
	return nil
}

// together has many goroutines do it for each number of a range.
func together(ctx context.Context, from, to int, do func(context.Context, int) error) error {
	var next atomic.Int64
	next.Store(int64(from))
	group, ctx := errgroup.WithContext(ctx)
	for range writers {
		group.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= to {
					return nil
				}
				if err := do(ctx, i); err != nil {
					return err
				}
			}
		})
	}
	return group.Wait()
}

// usedMemory returns Redis' memory once no other client is connected.
func usedMemory(ctx context.Context, rdb redis.UniversalClient) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, drains)
	defer cancel()
	for {
		said, err := rdb.Info(ctx, "memory", "clients").Result()
		if err != nil {
			return 0, err
		}
		clients, err := infoField(said, "connected_clients")
		if err != nil {
			return 0, err
		}
		if clients == 1 {
			return infoField(said, "used_memory")
		}
		pause(ctx, 10*time.Millisecond)
	}
}

// infoField returns a number from the output of INFO.
func infoField(info, name string) (int64, error) {
	for line := range strings.Lines(info) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			return strconv.ParseInt(text, 10, 64)
		}
	}
	return 0, fmt.Errorf("no number %s in INFO, but %q", name, info)
}

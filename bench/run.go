package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/registry"
	runs "rollcall/internal/run"
	"rollcall/tasks"
)

// runActs are the figures of runs.
func runActs() []act {
	return []act{
		{{{names: []string{"run.bytes_per_waiting_row"}, play: rowBytes}}},
		{{{names: []string{"run.upload_and_plan_seconds"}, play: uploadAndPlan}}},
	}
}

// rowBytes compares rows that wait in planned runs with tasks that wait in a queue.
func rowBytes(ctx context.Context, t *theatre) ([]result, error) {
	n := t.tempo.queued
	ours, err := bytesEach(ctx, n, func(ctx context.Context, s *store, from, to int) error {
		_, err := planRun(ctx, s.rdb, from, to)
		return err
	})
	if err != nil {
		return nil, err
	}
	peer, err := bytesEach(ctx, n, func(ctx context.Context, s *store, from, to int) error {
		return together(ctx, from, to, func(ctx context.Context, i int) error { return enqueuePeer(ctx, s.clients.peer, i) })
	})
	return []result{{
		"run.bytes_per_waiting_row", ours, peer, "bytes", fmt.Sprintf("asynq.Client.Enqueue of the same payload, %d of them", n),
	}}, err
}

func enqueuePeer(ctx context.Context, peer *asynq.Client, i int) error {
	typename, payload, err := kinds.Encode(task(i), int64(i+1))
	if err != nil {
		return err
	}
	_, err = peer.EnqueueContext(ctx, asynq.NewTask(typename, payload), asynq.Queue(queue), asynq.Retention(kept))
	return err
}

// planRun uploads and plans a run of some tasks.
func planRun(ctx context.Context, rdb redis.UniversalClient, from, to int) (runs.Run, error) {
	service := runs.New(runs.Config{Redis: rdb, Ledger: ledger.New(rdb)})
	made, err := service.Create(ctx, runs.Draft{})
	if err != nil {
		return runs.Run{}, err
	}
	rows := make([]runs.Row, 0, runs.MaxAdd)
	for in := 0; in < to-from; {
		rows = rows[:0]
		for i := from + in; i < min(to, from+in+runs.MaxAdd); i++ {
			rows = append(rows, runs.Row{Line: i + 2, Request: tasks.Request{Task: task(i)}})
		}
		if in, err = service.Add(ctx, made.ID, in, rows); err != nil {
			return runs.Run{}, err
		}
	}
	if _, err := service.Seal(ctx, made.ID, to-from); err != nil {
		return runs.Run{}, err
	}
	return service.Plan(ctx, made.ID, nil)
}

// uploadAndPlan compares the time until rows are planned against as many known targets
// with the time of a loop that enqueues them without any plan.
func uploadAndPlan(ctx context.Context, t *theatre) ([]result, error) {
	n := t.tempo.rows
	ours, err := timed(ctx, func(s *store) (func() error, error) {
		record := ledger.New(s.rdb)
		if err := together(ctx, 0, n, func(ctx context.Context, i int) error { return settle(ctx, record, i) }); err != nil {
			return nil, err
		}
		return func() error {
			r, err := planRun(ctx, s.rdb, 0, n)
			if err == nil && r.Plan.Counts[runs.RowUnchanged] != n {
				err = fmt.Errorf("the plan of %d known values is %v", n, r.Plan.Counts)
			}
			return err
		}, nil
	})
	if err != nil {
		return nil, err
	}
	peer, err := timed(ctx, func(s *store) (func() error, error) {
		return func() error {
			for i := range n {
				if err := enqueuePeer(ctx, s.clients.peer, i); err != nil {
					return err
				}
			}
			return nil
		}, nil
	})
	return []result{{
		"run.upload_and_plan_seconds", ours, peer, "s", "asynq.Client.Enqueue of the same " + strconv.Itoa(n) + " rows in a loop, without a plan",
	}}, err
}

// timed returns how many seconds something takes on a Redis of its own. prepare is not
// counted.
func timed(ctx context.Context, prepare func(*store) (func() error, error)) (seconds float64, err error) {
	server, rdb, err := openRedis(ctx)
	if err != nil {
		return 0, err
	}
	defer server.stop()
	defer func() { err = errors.Join(err, rdb.Close()) }()
	lanes := []registry.Lane{{Organisation: organisation, Tenant: tenant, Kind: tasks.KindNickname}}
	if err := registry.Publish(ctx, rdb, lanes); err != nil {
		return 0, err
	}
	clients, err := newProducers(nil, server.address)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, clients.close()) }()
	do, err := prepare(&store{rdb, clients})
	if err != nil {
		return 0, err
	}
	began := time.Now()
	err = do()
	return time.Since(began).Seconds(), err
}

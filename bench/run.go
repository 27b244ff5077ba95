package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/registry"
	runs "rollcall/internal/run"
	"rollcall/tasks"
)

// runPrefix selects the figures of runs, and those of EnqueueAll.
const runPrefix = "run"

// runActs are the figures of runs.
func runActs() []act {
	return []act{
		{{{names: []string{"run.bytes_per_waiting_row", "run.bytes_per_finished_row"}, play: rowBytes}}},
		{{{names: []string{"run.upload_and_plan_seconds", "run.upload_and_plan_mib"}, play: uploadAndPlan}}},
		{{{names: []string{"run.goodput"}, play: runGoodput}}},
	}
}

// rowBytes compares rows of runs with tasks that wait in a queue.
func rowBytes(ctx context.Context, t *theatre) ([]result, error) {
	n := t.tempo.queued
	waiting, err := bytesEach(ctx, n, func(ctx context.Context, s *store, from, to int) error {
		_, err := planRun(ctx, s.rdb, from, to, task)
		return err
	})
	if err != nil {
		return nil, err
	}
	finished, err := finishedBytes(ctx, n)
	if err != nil {
		return nil, err
	}
	peer, err := bytesEach(ctx, n, func(ctx context.Context, s *store, from, to int) error {
		return together(ctx, from, to, func(ctx context.Context, i int) error {
			return enqueuePeer(ctx, s.clients.peer, task(i), int64(i+1))
		})
	})
	peerIs := fmt.Sprintf("asynq.Client.Enqueue of the same payload, %d of them, waiting", n)
	return []result{
		{"run.bytes_per_waiting_row", waiting, peer, "bytes", peerIs},
		{"run.bytes_per_finished_row", finished, peer, "bytes", peerIs},
	}, err
}

// renamed returns the nth task with another name.
func renamed(n int) tasks.NicknameSync {
	t := task(n)
	t.Nickname += " 新"
	return t
}

// finishedBytes returns what a run holds in Redis of each of its rows when all have ended
// with a call. The records of the targets are there with and without a run.
func finishedBytes(ctx context.Context, n int) (each float64, err error) {
	err = withStore(ctx, func(s *store, _ string) error {
		record := ledger.New(s.rdb)
		if err := together(ctx, 0, n, func(ctx context.Context, i int) error { return settle(ctx, record, i) }); err != nil {
			return err
		}
		planned, err := planRun(ctx, s.rdb, 0, n, renamed)
		if err != nil {
			return err
		}
		if changed := planned.Plan.Counts[runs.RowChange]; changed != n {
			return fmt.Errorf("the plan of %d new names is %v", n, planned.Plan.Counts)
		}
		revision, err := record.RunRevision(ctx, organisation, string(tasks.KindNickname))
		if err != nil {
			return err
		}
		err = together(ctx, 0, n, func(ctx context.Context, i int) error { return finish(ctx, record, planned.ID, revision, i) })
		if err != nil {
			return err
		}
		used, err := memoryUsage(ctx, s.rdb, "*"+planned.ID+"*")
		each = float64(used) / float64(n)
		return err
	})
	return each, err
}

// finish takes the nth row of a run from its storing to its success, as the worker does
// that feeds the run, and the one that carries it out.
func finish(ctx context.Context, record *ledger.Ledger, id string, revision int64, n int) error {
	target, fields := kinds.Change(renamed(n), organisation)
	row := ledger.Row{Tenant: tenant, Run: id, Row: n + 1}
	w := ledger.Change{Target: target, Fields: fields, TaskID: fmt.Sprintf("%s:%d", id, n+1)}
	typename, payload, err := kinds.Encode(renamed(n), revision)
	if err != nil {
		return err
	}
	open := ledger.Open{Change: w, Revision: revision, Queue: queue, Type: typename, Payload: payload, Row: row, Again: true}
	if err := record.Stored(ctx, open); err != nil {
		return err
	}
	lease, _, err := record.Begin(ctx, ledger.Delivery{TaskID: w.TaskID, Target: target, Revision: revision, Fields: fields, Row: row})
	if err != nil {
		return err
	}
	if lease == nil {
		return fmt.Errorf("the ledger returns no call for row %d", n+1)
	}
	if err := lease.Check(ctx); err != nil {
		return err
	}
	return lease.Settle(ctx, fmt.Sprintf("15r%010d", n), false, nil)
}

// memoryUsage sums up the memory of the keys that match a pattern.
func memoryUsage(ctx context.Context, rdb redis.UniversalClient, pattern string) (sum int64, err error) {
	keys := rdb.Scan(ctx, 0, pattern, 1000).Iterator()
	for keys.Next(ctx) {
		used, err := rdb.MemoryUsage(ctx, keys.Val(), 0).Result() // 0: looks at every element
		if err != nil {
			return 0, err
		}
		sum += used
	}
	return sum, keys.Err()
}

func enqueuePeer(ctx context.Context, peer *asynq.Client, task tasks.Task, revision int64) error {
	typename, payload, err := kinds.Encode(task, revision)
	if err != nil {
		return err
	}
	_, err = peer.EnqueueContext(ctx, asynq.NewTask(typename, payload), asynq.Queue(queue), asynq.Retention(kept))
	return err
}

// planRun uploads and plans a run of some tasks.
func planRun(ctx context.Context, rdb redis.UniversalClient, from, to int, task func(int) tasks.NicknameSync) (runs.Run, error) {
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

// withStore calls do with a Redis of its own in which the lane is published.
func withStore(ctx context.Context, do func(s *store, address string) error) (err error) {
	server, rdb, err := openRedis(ctx)
	if err != nil {
		return err
	}
	defer server.stop()
	defer func() { err = errors.Join(err, rdb.Close()) }()
	lanes := []registry.Lane{{Organisation: organisation, Tenant: tenant, Kind: tasks.KindNickname}}
	if err := registry.Publish(ctx, rdb, lanes); err != nil {
		return err
	}
	clients, err := newProducers(nil, server.address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, clients.close()) }()
	return do(&store{rdb, clients}, server.address)
}

package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/rogpeppe/go-internal/testscript"

	"rollcall/internal/commandtest"
	"rollcall/internal/night"
	"rollcall/internal/redisdb"
	"rollcall/internal/schedule"
	"rollcall/internal/secret"
)

// nights are schedules of a script, with a worker that leads.
type nights struct {
	held atomic.Bool // ticks that begin do not end
	stop func()
}

func (n *nights) Run(ctx context.Context, _ schedule.Tick) (schedule.Result, error) {
	if n.held.Load() {
		<-ctx.Done()
		return schedule.Result{}, ctx.Err()
	}
	return schedule.Result{Text: "12 names changed"}, nil
}

// schedules returns the command of scripts that runs a worker with schedules:
//
//	schedules run           starts it, and waits until it leads
//	schedules hold          ticks that begin from now on do not end
//	schedules begun NAME    waits until the last tick of a schedule runs
//	schedules ended NAME    waits until it has ended
//	schedules reported NAME stores a report of the night of its last tick
//	schedules stop          stops the worker
func schedules() commandtest.Command {
	var mu sync.Mutex
	all := map[string]*nights{} // by the Redis of a script: scripts run in parallel
	return func(ts *testscript.TestScript, _ bool, args []string) {
		mu.Lock()
		n := all[ts.Getenv("ROLLCALL_REDIS_URL")]
		if n == nil {
			n = &nights{}
			all[ts.Getenv("ROLLCALL_REDIS_URL")] = n
		}
		mu.Unlock()
		rdb := commandtest.Client(ts)
		defer rdb.Close()
		store := schedule.NewStore(rdb)
		ctx := context.Background()
		last := func(name string, is func(schedule.State) bool) bool {
			ticks, err := store.History(ctx, name, 1)
			return err == nil && len(ticks) == 1 && is(ticks[0].State)
		}
		switch args[0] {
		case "run":
			n.run(ts)
			until(ts, func() bool {
				survey, err := store.List(ctx)
				return err == nil && survey.Leader && len(survey.Entries) == 2
			})
		case "hold":
			n.held.Store(true)
		case "begun":
			until(ts, func() bool { return last(args[1], func(s schedule.State) bool { return s == schedule.Running }) })
		case "ended":
			until(ts, func() bool { return last(args[1], schedule.State.Ended) })
		case "reported":
			ticks, err := store.History(ctx, args[1], 1)
			ts.Check(err)
			r, err := json.Marshal(night.Report{
				Schedule: args[1], Tick: ticks[0].At, State: night.StateDone, Rows: 300, Complete: true, Unchanged: 290, Calls: 5, Applied: 3,
				Failed: map[string]int{"transient": 2}, Drift: 7,
			})
			ts.Check(err)
			ts.Check(rdb.HSet(ctx, "rollcall:{night:"+args[1]+"}:reports", ticks[0].At.Format(time.RFC3339), r).Err())
		case "stop":
			n.stop()
		default:
			ts.Fatalf("schedules %s: no such command", args[0])
		}
	}
}

func until(ts *testscript.TestScript, yes func() bool) {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(time.Minute)
	for !yes() {
		select {
		case <-ticker.C:
		case <-timeout:
			ts.Fatalf("schedules: timed out")
		}
	}
}

func (n *nights) run(ts *testscript.TestScript) {
	options, err := redisdb.Config{URL: secret.New(ts.Getenv("ROLLCALL_REDIS_URL"))}.Options()
	ts.Check(err)
	s, err := schedule.New(schedule.Config{
		Entries: []schedule.Entry{
			{Name: "nightly", Cron: "30 2 1 1 *", Zone: "Asia/Shanghai", Jitter: time.Hour, MisfireWindow: 2 * time.Hour, Job: n, Does: "a night of lakeside"},
			{Name: "courses", Cron: "0 3 1 1 *", Zone: "UTC", Overlap: schedule.Skip, Job: n, Does: "a night of lakeside"},
		},
		Redis: options, Worker: "worker-1", Grace: time.Millisecond,
	})
	ts.Check(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stopped := false
	n.stop = func() {
		cancel()
		if !stopped {
			stopped = true
			ts.Check(<-ended)
		}
	}
	ts.Defer(n.stop)
}

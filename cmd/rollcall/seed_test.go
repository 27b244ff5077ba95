package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/redis/go-redis/v9"
	"github.com/rogpeppe/go-internal/testscript"

	"rollcall/internal/backlog"
	"rollcall/internal/commandtest"
	"rollcall/internal/hold"
	"rollcall/internal/night"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
	"rollcall/internal/registry"
)

// seed writes the records of workers into the Redis of a script:
//
//	seed hold JSON             a hold, its Since now
//	seed queue QUEUE STATE N   tasks: pending, active, scheduled, due, retry or archived
//	seed empty QUEUE           removes its waiting tasks
//	seed paused QUEUE          asynq's pause button
//	seed spent ORG N [said]    the month's calls; said: the platform reports an exhausted quota
//	seed refused LANE          a call refused for its rate
//	seed seen LANE AGO [ADDR]  when its worker was last seen, and its address
//	seed banned ADDR           a pause of an address
//	seed spoil KEY             a key becomes a string
//	seed spoil KEY ENTRY VALUE an entry of a hash gets a value
//	seed night JSON            a report of a night
//	seed missing NAME TENANT CHAT USER  a member whom a schedule notes as missing
//	seed nothing               an empty Redis
//	seed nothing-of KEY        no such key
func seed(ts *testscript.TestScript, _ bool, args []string) {
	rdb := commandtest.Client(ts)
	defer rdb.Close()
	ctx := context.Background()
	what, args := args[0], args[1:]
	switch what {
	case "hold":
		var h hold.Hold
		ts.Check(json.Unmarshal([]byte(args[0]), &h))
		_, _, err := hold.NewStore(rdb).Put(ctx, h)
		ts.Check(err)
	case "queue":
		ts.Check(rdb.SAdd(ctx, "asynq:queues", args[0]).Err())
		n, err := strconv.Atoi(args[2])
		ts.Check(err)
		for i := range n {
			ts.Check(store(ctx, rdb, args[0], args[1], fmt.Sprintf("%s-%d", args[1], i)))
		}
	case "empty":
		ts.Check(rdb.Del(ctx, backlog.Key(args[0], "pending"), backlog.Key(args[0], "scheduled")).Err())
	case "paused":
		ts.Check(rdb.Set(ctx, backlog.Key(args[0], "paused"), 1, 0).Err())
	case "spent":
		months, err := pace.ReadMonths(ctx, rdb, args[0])
		ts.Check(err)
		ts.Check(rdb.HSet(ctx, pace.MonthKey(args[0]), months[0].Name, args[1]).Err())
		if len(args) > 2 {
			ts.Check(pace.NoteMonthSpent(ctx, rdb, args[0]))
		}
	case "refused":
		l := pace.New(rdb, pace.Config{Organisation: "lakeside", Name: args[0], Limits: []pace.Limit{{Calls: 20, Per: time.Second}}})
		defer l.Close()
		slot, err := l.Wait(ctx, true)
		ts.Check(err)
		_, err = l.Refused(ctx, slot, 0, time.Hour)
		ts.Check(err)
	case "seen":
		ago, err := time.ParseDuration(args[1])
		ts.Check(err)
		tenant, kind, _, _ := registry.ParseQueue(args[0])
		lane := registry.Lane{Organisation: "lakeside", Tenant: tenant, Kind: kind, Seen: time.Now().Add(-ago).UTC()}
		if len(args) > 2 {
			lane.Address = args[2]
		}
		record, err := json.Marshal(lane)
		ts.Check(err)
		ts.Check(rdb.HSet(ctx, registry.Key, args[0], record).Err())
	case "banned":
		ts.Check(pace.NewAddress(rdb, args[0], pace.Limit{Calls: 60, Per: time.Minute}).Pause(ctx, time.Hour))
	case "spoil":
		if len(args) > 1 {
			ts.Check(rdb.HSet(ctx, args[0], args[1], args[2]).Err())
			return
		}
		ts.Check(rdb.Set(ctx, args[0], "not ours", 0).Err())
	case "night":
		var r night.Report
		ts.Check(json.Unmarshal([]byte(args[0]), &r))
		ts.Check(rdb.HSet(ctx, "rollcall:{night:"+r.Schedule+"}:reports", r.Tick.Format(time.RFC3339), args[0]).Err())
	case "missing":
		ts.Check(rdb.SAdd(ctx, "rollcall:nights:open", args[0]).Err())
		ts.Check(rdb.HSet(ctx, "rollcall:{night:"+args[0]+"}:absent", strings.Join(args[1:], "\t"), `{"n":1,"t":"2026-11-29T18:37:00Z"}`).Err())
	case "nothing-of":
		ts.Check(rdb.Del(ctx, args[0]).Err())
	case "nothing":
		ts.Check(rdb.FlushDB(ctx).Err())
	default:
		ts.Fatalf("seed %s: no such seed", what)
	}
}

// store adds a task in a state to a queue, with only the keys that are counted.
func store(ctx context.Context, rdb *redis.Client, queue, state, id string) error {
	at := time.Now().Add(time.Hour)
	switch state {
	case "pending":
		hourAgo := time.Now().Add(-time.Hour).UnixNano()
		if err := rdb.HSet(ctx, backlog.Key(queue, "t:"+id), "pending_since", hourAgo).Err(); err != nil {
			return err
		}
		return rdb.LPush(ctx, backlog.Key(queue, state), id).Err()
	case "active":
		return rdb.LPush(ctx, backlog.Key(queue, state), id).Err()
	case "due":
		state, at = "scheduled", time.Now().Add(-time.Hour)
	}
	return rdb.ZAdd(ctx, backlog.Key(queue, state), redis.Z{Score: float64(at.Unix()), Member: id}).Err()
}

// worker ends|keeps SCOPE runs a worker in the background that receives requests for a
// probe of a scope. Its probes succeed and end the hold, or fail and keep it.
func worker(ts *testscript.TestScript, _ bool, args []string) {
	rdb := commandtest.Client(ts)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	ts.Defer(func() {
		stop()
		<-ended
		rdb.Close()
	})
	scope, ok := hold.ParseScope(strings.Join(args[1:], " "))
	if !ok {
		ts.Fatalf("worker: %v is not a scope", args[1:])
	}
	go func() {
		defer close(ended)
		holds := hold.NewStore(rdb)
		ticker := time.NewTicker(10 * time.Millisecond)
		defer ticker.Stop()
		for ctx.Err() == nil {
			if holds.Refresh(ctx) == nil {
				for _, h := range holds.Of(scope) {
					claimed, mine, err := holds.Claim(ctx, h, time.Now(), "worker-1")
					switch {
					case err != nil || !mine:
					case args[0] == "ends":
						_, _ = holds.End(ctx, claimed, "worker-1")
					default:
						_, _, _ = holds.EndProbe(ctx, claimed, 1, time.Now().Add(time.Hour))
					}
				}
			}
			select {
			case <-ctx.Done():
			case <-ticker.C:
			}
		}
	}()
}

// served returns the URL of a Redis where a worker has published all lanes, and its client.
func served(t *testing.T) (url string, rdb redis.UniversalClient) {
	t.Helper()
	s := redistest.Mini(t)
	url, err := commandtest.ServeAll(s, 0)
	if err != nil {
		t.Fatal(err)
	}
	return url, s.Client(t)
}

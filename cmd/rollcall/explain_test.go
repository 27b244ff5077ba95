package main

import (
	"context"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/rogpeppe/go-internal/testscript"

	"rollcall/internal/commandtest"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/tasks"
)

// attempt runs a worker's attempt at the latest change of a target:
//
//	attempt applied LANE KEY VALUE   the platform applies it, request r-1
//	attempt late LANE KEY VALUE      the platform applies it, after a request that may still take effect
//	attempt cut LANE KEY             its request has no answer
//	attempt busy LANE KEY            its request has an unclear answer
//	attempt begun LANE KEY           the attempt is still running
//	attempt unverified USER ID       of lakeside-dt.id: sent, then a dead letter
//	attempt again USER ID            of lakeside-dt.id: sent, to be sent again
//	attempt damaged LANE KEY ENTRY   an entry of its hash holds inf
func attempt(ts *testscript.TestScript, _ bool, args []string) {
	rdb := commandtest.Client(ts)
	defer rdb.Close()
	if args[0] == "damaged" {
		target := targetOf(args[1], args[2])
		of := "rollcall:{" + target.Organisation + "/" + target.API + "}:"
		if name, whole := strings.CutPrefix(args[3], "key "); whole {
			ts.Check(rdb.Set(context.Background(), of+name, "not ours", 0).Err())
		} else {
			ts.Check(rdb.HSet(context.Background(), of+"target:"+target.Key, args[3], "inf").Err())
		}
		return
	}
	ctx, l := context.Background(), ledger.New(rdb)
	how, lane, key, value := args[0], args[1], args[2], ""
	if how == "unverified" || how == "again" {
		lane, key, value = "lakeside-dt.id", args[1], args[2]
	}
	target := targetOf(lane, key)
	kind := tasks.Kind(target.API)
	record, err := l.Look(ctx, target)
	ts.Check(err)
	if len(record.Fields) != 1 {
		ts.Fatalf("%d fields: %+v", len(record.Fields), record)
	}
	name := record.Names()[0]
	state := record.Fields[name]
	field := ledger.Field{Name: name, Value: value}
	if how == "applied" || how == "late" {
		field.Value = args[3]
	}
	if kind == tasks.KindID {
		field.Mode = ledger.Once
	}
	lease, _, err := l.Begin(ctx, ledger.Delivery{
		ResentBy: "lakeside-dt", TaskID: state.TaskID, Target: target, Revision: state.Latest, Fields: []ledger.Field{field}, Row: ledger.Row{},
	})
	ts.Check(err)
	switch how {
	case "applied":
		lease.Intend(field.Value)
		ts.Check(lease.Check(ctx))
		ts.Check(lease.Settle(ctx, "r-1", false, nil))
		ts.Check(asynq.NewInspectorFromRedisClient(rdb).DeleteTask(lane, state.TaskID))
	case "late":
		ts.Check(lease.Check(ctx))
		ts.Check(lease.Settle(ctx, "r-2", true, nil))
		ts.Check(asynq.NewInspectorFromRedisClient(rdb).DeleteTask(lane, state.TaskID))
	case "cut":
		ts.Check(lease.Check(ctx))
		ts.Check(lease.Release(ctx, ledger.Unanswered))
	case "busy":
		ts.Check(lease.Check(ctx))
		ts.Check(lease.Release(ctx, ledger.Answered))
	case "unverified":
		lease.Intend(value)
		ts.Check(lease.Check(ctx))
		ts.Check(lease.Lock(ctx, time.Now().AddDate(1, 0, 0), ledger.LockUnverified))
		dies(ts, rdb, state.TaskID, key, value, state.Latest)
	case "again":
		lease.Intend(value)
		ts.Check(lease.Check(ctx))
		ts.Check(lease.Release(ctx, ledger.Unanswered))
	}
}

// targetOf returns a target of a lane of the organisation of the scripts.
func targetOf(lane, key string) ledger.Target {
	_, kind, _ := strings.Cut(lane, ".")
	return ledger.Target{Organisation: "lakeside", API: kind, Key: key}
}

// dies archives an ID change and adds its dead letter.
func dies(ts *testscript.TestScript, rdb redis.UniversalClient, id, user, value string, revision int64) {
	ts.Check(asynq.NewInspectorFromRedisClient(rdb).ArchiveTask("lakeside-dt.id", id))
	typename, payload, err := kinds.Encode(tasks.IDChange{Tenant: "lakeside-dt", UserID: user, DingTalkID: value}, revision)
	ts.Check(err)
	l := ledger.New(rdb)
	_, err = l.AddDeadLetter(context.Background(), ledger.DeadLetter{
		ID: id, Lane: "lakeside-dt.id", Tenant: "lakeside-dt", Kind: "id", Organisation: "lakeside", Type: typename, Payload: payload,
		Target: user, Revision: revision, Class: "unverified", Cause: "unverified: no answer", First: time.Now(), Last: time.Now(),
	})
	ts.Check(err)
	target := ledger.Target{Organisation: "lakeside", API: "id", Key: user}
	ts.Check(l.Close(context.Background(), target, id, ledger.Row{}))
}

// taskid NAME LANE KEY sets a variable to the id of the task of a target's latest change.
func taskid(ts *testscript.TestScript, _ bool, args []string) {
	rdb := commandtest.Client(ts)
	defer rdb.Close()
	record, err := ledger.New(rdb).Look(context.Background(), targetOf(args[1], args[2]))
	ts.Check(err)
	for _, f := range record.Fields {
		ts.Setenv(args[0], f.TaskID)
	}
}

// vanish LANE ID deletes a task in asynq.
func vanish(ts *testscript.TestScript, _ bool, args []string) {
	rdb := commandtest.Client(ts)
	defer rdb.Close()
	ts.Check(asynq.NewInspectorFromRedisClient(rdb).DeleteTask(args[0], args[1]))
}

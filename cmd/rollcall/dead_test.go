package main

import (
	"context"
	"strconv"
	"time"

	"github.com/hibiken/asynq"
	"github.com/rogpeppe/go-internal/testscript"

	"rollcall/internal/commandtest"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/registry"
	"rollcall/tasks"
)

// die ID CLASS CODE ADVICE archives a nickname task and adds its dead letter. An id that
// begins with i means an ID change, one with m an unreadable message.
func die(ts *testscript.TestScript, _ bool, args []string) {
	rdb := commandtest.Client(ts)
	defer rdb.Close()
	id, class, code, todo := args[0], args[1], args[2], args[3]
	kind, task := tasks.KindNickname, tasks.Task(tasks.NicknameSync{Tenant: "lakeside-dt", ChatID: "chat1", UserID: "employee7", Nickname: "Zoë Brontë"})
	if id[0] == 'i' {
		kind, task = tasks.KindID, tasks.IDChange{Tenant: "lakeside-dt", UserID: "employee7", DingTalkID: "zoebronte"}
	}
	typename, payload, err := kinds.Encode(task, 1234)
	ts.Check(err)
	if id[0] == 'm' {
		payload = []byte("\xff")
	}
	queue := registry.Queue("lakeside-dt", kind, false)
	_, err = asynq.NewClientFromRedisClient(rdb).Enqueue(asynq.NewTask(typename, payload), asynq.Queue(queue), asynq.TaskID(id))
	ts.Check(err)
	ts.Check(asynq.NewInspectorFromRedisClient(rdb).ArchiveTask(queue, id))
	target := "chat1/employee7"
	if kind == tasks.KindID {
		target = "employee7"
	}
	at, run, row := time.Now().Add(-time.Hour), "", 0
	if id == "t2" {
		run, row = "night-1", 7
	}
	key, message, cause := "", "not in chat", class+": dingtalk: "+code+" · to do: "+todo
	if id[0] == 'h' { // of a member with a hostile name
		key, message, cause = "2026-03-01/Zoë Brontë", "\x1b[2Juser employee7 (Zoë Brontë) \u202eis not in chat", class+": user employee7"
	}
	_, err = ledger.New(rdb).AddDeadLetter(context.Background(), ledger.DeadLetter{
		ID: id, Lane: queue, Tenant: "lakeside-dt", Kind: string(kind), Organisation: "lakeside", Type: typename, Payload: payload,
		Run: run, Row: row, Key: key,
		Target: target, Revision: 1234, Class: class, Code: code, Message: message, RequestID: "r-1", Todo: todo,
		Cause: cause, Attempts: map[string]int{class: 1}, First: at, Last: at,
	})
	ts.Check(err)
}

// ends RUN ROW ends the nickname task of a row of a run as a dead letter.
func ends(ts *testscript.TestScript, _ bool, args []string) {
	rdb := commandtest.Client(ts)
	defer rdb.Close()
	row, err := strconv.Atoi(args[1])
	ts.Check(err)
	target := ledger.Target{Organisation: "lakeside", API: "nickname", Key: "any"}
	ts.Check(ledger.New(rdb).Close(context.Background(), target, "any", ledger.Row{Tenant: "lakeside-dt", Run: args[0], Row: row}))
}

// events N expects N events of dead letters. More arguments describe the last one.
func events(ts *testscript.TestScript, _ bool, args []string) {
	rdb := commandtest.Client(ts)
	defer rdb.Close()
	entries, err := rdb.XRange(context.Background(), "rollcall:events", "-", "+").Result()
	ts.Check(err)
	for _, e := range entries {
		ts.Logf("%s %s by %s: %s x %s (%s)", e.Values["event"], e.Values["name"], e.Values["by"], e.Values["class"], e.Values["count"], e.Values["reason"])
	}
	if want := args[0]; want != string(rune('0'+len(entries))) {
		ts.Fatalf("%d events, want %s", len(entries), want)
	}
	if len(args) == 1 {
		return
	}
	last := entries[len(entries)-1].Values
	for i, field := range []string{"event", "class", "count", "reason", "by"} {
		if i+1 < len(args) && last[field] != args[i+1] {
			ts.Fatalf("the last event's %s is %q, want %q", field, last[field], args[i+1])
		}
	}
}

// closes ID closes a dead letter of die, as a worker does after its fields were applied
// at a higher revision.
func closes(ts *testscript.TestScript, _ bool, args []string) {
	rdb := commandtest.Client(ts)
	defer rdb.Close()
	l := ledger.New(rdb)
	dead, _, err := l.DeadLetter(context.Background(), "lakeside-dt.nickname", args[0])
	ts.Check(err)
	closed, err := l.CloseDeadLetter(context.Background(), dead, time.Now().UnixMicro(), time.Now())
	ts.Check(err)
	if !closed {
		ts.Fatalf("%s had no dead letter", args[0])
	}
}

package main

import (
	"context"

	"github.com/rogpeppe/go-internal/testscript"

	"rollcall/internal/enqueue"
	"rollcall/internal/redisdb"
	"rollcall/internal/roster"
	"rollcall/internal/secret"
	"rollcall/internal/table"
	"rollcall/tasks"
)

// direct RUN FILE enqueues the rows of a file as a service does: directly, under the name
// of a run.
func direct(ts *testscript.TestScript, _ bool, args []string) {
	options, err := redisdb.Config{URL: secret.New(ts.Getenv("ROLLCALL_REDIS_URL"))}.Options()
	ts.Check(err)
	client, err := enqueue.New(enqueue.Config{Redis: options})
	ts.Check(err)
	defer client.Close()
	in, err := table.OpenFile(ts.MkAbs(args[1]))
	ts.Check(err)
	defer in.Close()
	content, err := table.Open(in, table.Options{})
	ts.Check(err)
	file, err := roster.Open(content, roster.Options{})
	ts.Check(err)
	var requests []tasks.Request
	for row, err := range file.Rows() {
		ts.Check(err)
		row.Request.Options.Run, row.Request.Options.Row = args[0], row.Line
		requests = append(requests, row.Request)
	}
	for _, result := range client.EnqueueAll(context.Background(), requests) {
		ts.Check(result.Err)
	}
}

package main

import (
	"context"
	"strings"

	"rollcall/internal/access"
	"rollcall/internal/audit"
	"rollcall/internal/hold"
	"rollcall/internal/monitor"
	"rollcall/internal/registry"
)

// auditChange writes a change in the web UI into the events, which rollcall lanes events
// shows.
func (w *worker) auditChange(ctx context.Context, did monitor.Write) error {
	name := did.Queue
	if tenant, kind, _, ok := registry.ParseQueue(did.Queue); ok {
		name = registry.Queue(tenant, kind, false)
	}
	what := strings.TrimSpace(did.Queue + " " + did.What)
	return audit.Write(ctx, w.rdb, audit.Event{
		Event: "web." + did.Action, Level: audit.Lane, Name: name, Class: string(hold.Operator),
		Reason: "in the web UI: " + what, By: access.User{Name: did.User}.By(),
	})
}

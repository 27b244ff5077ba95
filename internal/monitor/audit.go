package monitor

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"rollcall/internal/access"
)

// Write is something that a user changed in the web UI.
type Write struct {
	User   string // "" if the web UI needs no login
	Action string // pause, delete, archive_all
	Queue  string
	What   string // of the queue: "pending_tasks/ID"; "": the queue itself
}

// auditFor bounds how long a change is being recorded.
const auditFor = 2 * time.Second

// audited logs every request that may change something, and reports those that did to
// Audit.
func (c Config) audited(ui http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if reads(r) {
			ui.ServeHTTP(w, r)
			return
		}
		answer := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		ui.ServeHTTP(answer, r)
		did := writeOf(r)
		failed := answer.status >= http.StatusBadRequest
		message := "changed in the web UI"
		if failed {
			message = "change in the web UI failed"
		}
		c.Log.Warn(message, "user", did.User, "address", r.RemoteAddr, "action", did.Action,
			"queue", did.Queue, "what", did.What, "status", answer.status)
		if failed || c.Audit == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), auditFor)
		defer cancel()
		if err := c.Audit(ctx, did); err != nil {
			c.Log.Warn("change in the web UI not among the events", "user", did.User, "action", did.Action, "err", err)
		}
	})
}

// longest bounds a part of a path in the log and in an event, in characters.
const longest = 200

// writeOf reads the paths of asynqmon: {queue}:{action}, {queue}/{tasks}:{action},
// {queue}/{tasks}/{id}:{action}, and without an action for DELETE. Ids may contain
// colons.
func writeOf(r *http.Request) Write {
	user := access.VisitorFrom(r.Context()).Name
	queue, what, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, Path+"/api/queues/"), "/")
	did := Write{User: user, Action: strings.ToLower(r.Method), Queue: queue, What: what}
	part := &did.What
	if what == "" {
		part = &did.Queue
	}
	if at := strings.LastIndexByte(*part, ':'); at >= 0 && (r.Method == http.MethodPost || strings.HasSuffix(*part, ":delete_all")) {
		did.Action, *part = (*part)[at+1:], (*part)[:at]
	}
	for _, text := range []*string{&did.Action, &did.Queue, &did.What} {
		*text = fmt.Sprintf("%.*s", longest, *text)
	}
	return did
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter

	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

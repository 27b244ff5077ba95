package watch

import (
	"slices"
	"time"

	"rollcall/cmd/rollcall/internal/session"
	"rollcall/internal/console"
	"rollcall/internal/run"
)

// quiet is how long nothing is printed while only the number of rows changes.
const quiet = 10 * time.Second

// lines shows a run in a pipe: a line where something changed, an object with --json.
type lines struct {
	s    *session.Session
	last *view
	at   time.Time
}

func (l *lines) show(v *view) {
	now := l.s.Now()
	if l.last != nil && !l.changed(v) && (now.Sub(l.at) < quiet || v.done == l.last.done) {
		return
	}
	held := l.last == nil || !slices.Equal(l.last.held, v.held)
	l.last, l.at = v, now
	if l.s.JSON {
		_ = l.s.PrintJSON(v.run) // text always encodes; the exit code reports an output error
		return
	}
	console.Fprintf(l.s.Stdout, "%s %s\n", now.Format(time.TimeOnly), v.summary())
	if held {
		for _, why := range v.held {
			console.Fprintf(l.s.Stdout, "  %s\n", console.Line(why))
		}
	}
}

// changed reports whether something else than the number of rows changed.
func (l *lines) changed(v *view) bool {
	return v.run.State != l.last.run.State || !slices.Equal(v.held, l.last.held) ||
		v.run.Outcomes[run.OutcomeFailed] != l.last.run.Outcomes[run.OutcomeFailed]
}

func (l *lines) end(bool) {}

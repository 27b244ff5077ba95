package plan

import (
	"time"

	"rollcall/cmd/rollcall/internal/session"
	"rollcall/internal/console"
)

// progress shows on a terminal how far an upload or a plan is.
type progress struct {
	s     *session.Session
	of    int
	last  time.Time
	shown bool
}

func newProgress(s *session.Session, of int) *progress { return &progress{s: s, of: of, last: s.Now()} }

// at shows a number of rows, at most twice a second: a short file shows nothing.
func (p *progress) at(what string, rows int) {
	screen := p.s.Stderr.Screen()
	if screen == nil || p.s.Now().Sub(p.last) < 500*time.Millisecond {
		return
	}
	p.last, p.shown = p.s.Now(), true
	console.Fprintf(screen, "\r%s: %d of %d rows\x1b[K", what, rows, p.of)
}

// end removes what was shown.
func (p *progress) end() {
	if p.shown {
		console.Fprintf(p.s.Stderr.Screen(), "\r\x1b[K")
	}
}

package ui

import (
	"sync"
	"time"
)

// noteNamesEvery is how often an event says that a user looks at the names of a run: the page
// refreshes itself.
const noteNamesEvery = 10 * time.Minute

// shownNames are the users who saw names in clear lately, with what they looked at.
type shownNames struct {
	mu   sync.Mutex
	last map[[2]string]time.Time
}

// begin reports whether an event is due.
func (s *shownNames) begin(user, what string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := [2]string{user, what}
	if now.Sub(s.last[key]) < noteNamesEvery {
		return false
	}
	for old, at := range s.last {
		if now.Sub(at) >= noteNamesEvery {
			delete(s.last, old)
		}
	}
	s.last[key] = now
	return true
}

// noteNames records that a user sees names and ids of people of a run in clear.
func (u *UI) noteNames(r *request, id string) {
	if u.shown.begin(r.User.By(), id, u.now()) {
		u.noteRun(r, "names", id, "")
	}
}

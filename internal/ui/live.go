package ui

import (
	"cmp"
	"net/http"
	"strings"
	"sync"
	"time"

	"rollcall/internal/access"
)

const (
	// sharedFor is how long a rendering of a list serves other browsers. It is less than the
	// time between two refreshes of a browser: none gets an older list than it shows.
	sharedFor = 5900 * time.Millisecond
	// mostLives bounds the renderings that are kept.
	mostLives = 100
)

// lives are the last renderings of pages for browsers that refresh them: fifty that show the
// same page cost one rendering for each state.
type lives struct {
	mu  sync.Mutex
	all map[liveKey]live
}

// liveKey is all that changes a refreshed page, besides what it shows and its token.
type liveKey struct {
	uri   string
	lang  language
	role  access.Role
	names bool
}

type live struct {
	same  any
	parts []string // between them stands the token of a form
	at    time.Time
}

func (r *request) liveKey() liveKey {
	return liveKey{r.URL.RequestURI(), r.Lang, r.User.Role, r.User.Names}
}

func (r *request) refreshes() bool {
	return r.Method == http.MethodGet && r.Header.Get(access.LiveHeader) != ""
}

func (l *lives) find(key liveKey) (live, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last, known := l.all[key]
	return last, known
}

func (l *lives) keep(key liveKey, page live) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) >= mostLives {
		clear(l.all)
	}
	l.all[key] = page
}

// forget is called when a user has changed something.
func (l *lives) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.all)
}

// shared answers a browser that refreshes a list, if it was just rendered for another one.
func (u *UI) shared(r *request) bool {
	if !r.refreshes() {
		return false
	}
	last, known := u.lives.find(r.liveKey())
	if !known || last.same != nil || u.now().Sub(last.at) >= sharedFor {
		return false
	}
	r.writePage(http.StatusOK, last.parts...)
	return true
}

// refresh writes the part of a page that a browser refreshes.
func (u *UI) refresh(r *request, v view) error {
	key, token := r.liveKey(), r.csrf
	last, known := u.lives.find(key)
	if !known || v.same == nil || last.same != v.same {
		r.csrf = u.standIn
		var body strings.Builder
		err := u.render(&body, r, v, "live")
		r.csrf = token
		if err != nil {
			return err
		}
		last = live{v.same, strings.Split(body.String(), u.standIn), u.now()}
		if v.same != nil || v.shared {
			u.lives.keep(key, last)
		}
	}
	r.writePage(cmp.Or(v.status, http.StatusOK), last.parts...)
	return nil
}

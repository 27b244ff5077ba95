package ui

import (
	"cmp"
	"net/http"
	"strings"

	"rollcall/internal/access"
	"rollcall/internal/audit"
)

// maskedPage is a page with names or ids of people, which are masked unless personal.
type maskedPage func(r *request, personal bool) (view, error)

// handleMasked registers a page that masks names and ids of people. A user who may see them
// reveals them by a form to the same address, which about describes for the audit log.
func (u *UI) handleMasked(path string, about func(r *request) audit.Event, page maskedPage) {
	u.handle("GET "+path, access.Viewer, func(r *request) (view, error) { return page(r, false) })
	u.handle("POST "+path, access.Viewer, func(r *request) (view, error) {
		v, err := page(r, true)
		if err != nil {
			return view{}, err
		}
		if !r.User.Names {
			return view{}, &userError{key: "reveal.refused", status: http.StatusForbidden}
		}
		e := about(r)
		e.Event, e.By = "names.revealed", r.User.By()
		if err := audit.Write(r.Context(), u.rdb, e); err != nil { // nothing is shown without it
			return view{}, err
		}
		v.live = false // the next read would mask them again
		return v, nil
	})
}

// named returns the message of a value that others wrote: a class, a kind, an event. A value
// that has none is shown as it is: a newer version may have written it.
func (r *request) named(prefix, value string) string { return cmp.Or(r.hint(prefix+value), value) }

// hint returns a message that may not exist; empty: it does not.
func (r *request) hint(key string) string {
	if r.ui.messages[key].EN == "" {
		return ""
	}
	return r.t(key)
}

// reason returns the trimmed reason of a form. It is required where other operators need it.
func (r *request) reason(required bool) (string, error) {
	text := strings.TrimSpace(r.PostFormValue("reason"))
	switch {
	case text == "" && required:
		return "", &userError{key: "more.reason.missing"}
	case len(text) > mostReason:
		return "", &userError{key: "more.reason.long", args: []any{num(mostReason)}}
	}
	return text, nil
}

// mostReason bounds a reason, in bytes.
const mostReason = 500

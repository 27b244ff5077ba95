package monitor

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"rollcall/internal/access"
)

// User is a user who may log in. Over plain HTTP the password can be read on the network: on
// other addresses than this machine's put TLS in front.
type User = access.Account

// policy allows the pages to load nothing from other sites: asynqmon's index page names
// a third party's font server.
const policy = "default-src 'self'; style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data:; frame-ancestors 'none'; base-uri 'self'; form-action 'none'"

// guard accepts requests of users who may see the pages, and only requests of these
// pages themselves: another site could make a logged-in browser send the same request,
// and asynqmon does not check its origin.
func (c Config) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		visitor, err := c.Login.Identify(r)
		switch {
		case err != nil:
			c.refuse(w, r, err)
			return
		case access.OfOtherSite(r):
			http.Error(w, "another site asked for this", http.StatusForbidden)
			return
		case !reads(r) && !visitor.May(access.Operator):
			http.Error(w, "your role may only look: changes need the role operator", http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r.WithContext(access.WithVisitor(r.Context(), visitor)))
	})
}

// refuse answers a request without a user.
func (c Config) refuse(w http.ResponseWriter, r *http.Request, err error) {
	wrong, is := errors.AsType[*access.WrongLoginError](err)
	switch {
	case errors.Is(err, access.ErrElsewhere):
		http.Error(w, err.Error(), http.StatusForbidden)
	case is && wrong.Wait > 0:
		w.Header().Set("Retry-After", strconv.Itoa(wrong.Seconds()))
		http.Error(w, wrong.Error(), http.StatusTooManyRequests)
	case is, errors.Is(err, access.ErrNoLogin):
		if c.UI != nil && !is && r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate" {
			http.Redirect(w, r, "/login?next="+url.QueryEscape(r.URL.Path), http.StatusSeeOther)
			return
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="rollcall", charset="UTF-8"`)
		http.Error(w, access.ErrNoLogin.Error(), http.StatusUnauthorized)
	default:
		http.Error(w, "cannot check your session: redis unavailable; use basic authentication", http.StatusServiceUnavailable)
	}
}

func reads(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

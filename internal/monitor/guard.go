package monitor

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"rollcall/internal/loopback"
	"rollcall/internal/secret"
)

// User is a user who may log in, by basic authentication. Over plain HTTP the password
// can be read on the network: on other addresses than this machine's put TLS in front.
type User struct {
	Name     string
	Password secret.Text
}

// policy allows the pages to load nothing from other sites: asynqmon's index page names
// a third party's font server.
const policy = "default-src 'self'; style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data:; frame-ancestors 'none'; base-uri 'self'; form-action 'none'"

// guard accepts requests of users who may see the pages, and only requests of these
// pages themselves: another site could make a logged-in browser send the same request,
// and asynqmon does not check its origin.
func (c Config) guard(next http.Handler) http.Handler {
	elsewhere := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case len(c.Users) == 0 && (!loopback.Is(r.Host) || !local(r)):
			// Another host name may have been made to resolve to this machine.
			http.Error(w, "without users these pages are served to this machine only, as 127.0.0.1 or localhost", http.StatusForbidden)
			return
		case len(c.Users) > 0 && !c.admitted(w, r):
			return
		case elsewhere.Check(asWrite(r)) != nil && !followed(r):
			http.Error(w, "another site asked for this", http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// asWrite returns the request as if it changed something: other sites must not read
// anything here either.
func asWrite(r *http.Request) *http.Request {
	judged := new(http.Request)
	*judged = *r
	judged.Method = http.MethodPost
	return judged
}

// followed reports whether the user followed a link from another site.
func followed(r *http.Request) bool {
	return r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}

// admitted reports whether the request has the login of a user, and answers it if not.
func (c Config) admitted(w http.ResponseWriter, r *http.Request) bool {
	name, _, tried := r.BasicAuth()
	if !tried { // a browser's first request
		askForLogin(w)
		return false
	}
	ok, wait := c.Guesses.Check(c.Proxies.Client(r), c.now(), func() bool { return c.known(r) })
	if ok {
		return true
	}
	user := "unknown" // it may be a password
	if slices.ContainsFunc(c.Users, func(u User) bool { return u.Name == name }) {
		user = name
	}
	checked := wait == 0
	if !checked {
		seconds := int(wait/time.Second) + 1
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		http.Error(w, fmt.Sprintf("too many wrong logins from your address: retry in %d s", seconds), http.StatusTooManyRequests)
	} else {
		askForLogin(w)
	}
	c.refusals.Of("login at the web UI refused", "").Begin(strconv.FormatBool(checked), "checked", checked, "user", user, "address", c.Proxies.Client(r))
	if c.Observer != nil {
		c.Observer.LoginRefused(checked)
	}
	return false
}

func askForLogin(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Basic realm="rollcall", charset="UTF-8"`)
	http.Error(w, "log in with a user that the worker's configuration names under http", http.StatusUnauthorized)
}

// known compares with every user, so that the time it takes reveals nothing.
func (c Config) known(r *http.Request) bool {
	name, password, _ := r.BasicAuth()
	found := 0
	for _, u := range *c.users.Load() {
		found |= same(name, u.Name) & same(password, u.Password.Reveal())
	}
	return found == 1
}

// same compares digests, because a direct comparison would reveal the length.
func same(a, b string) int {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:])
}

// local reports whether the connection of a request does not leave this machine: the
// client chooses the host that it names.
func local(r *http.Request) bool {
	at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && loopback.Is(at.String())
}

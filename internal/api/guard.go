package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// ServeHTTP answers a request of the API.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer a.recovered(w, r)
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	r, p := a.admit(w, r)
	if p == nil {
		p = a.unrouted(r)
	}
	if p != nil {
		writeProblem(w, p)
		return
	}
	a.mux.ServeHTTP(w, r)
}

// recovered turns a panic into a response, if none has begun. A response that was cut on
// purpose stays cut.
func (a *API) recovered(w http.ResponseWriter, r *http.Request) {
	value := recover()
	if value == nil {
		return
	}
	if value == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
		panic(value)
	}
	a.log.Error("request ended by a panic", "method", r.Method, "panic", value, "stack", string(debug.Stack()))
	writeProblem(w, newProblem(problemInternal, "rollcall has a defect, please report it with the worker's log"))
}

// admit decides whether a request is served, and for whom. The body is not read yet.
func (a *API) admit(w http.ResponseWriter, r *http.Request) (*http.Request, *Problem) {
	switch {
	case r.URL.Path != path.Clean(r.URL.Path) || r.URL.RawPath != "":
		return r, newProblem(problemNotFound, "the path is not in its plain form")
	case crossOrigin(r):
		return r, newProblem(problemCrossOrigin, "a page of another site sent this request")
	case r.Header.Get("Content-Encoding") != "":
		return r, newProblem(problemUnsupported, "Content-Encoding is not supported: send the body as it is")
	case r.Method == http.MethodGet && public(r.URL.Path):
		return r, nil
	}
	for _, name := range []string{"token", "access_token", "api_key", "authorization"} {
		if r.URL.Query().Has(name) {
			return r, newProblem(problemTokenInQuery, "the query has a parameter "+name)
		}
	}
	secret, ok := bearer(r)
	if !ok {
		return r, unauthorized("the header Authorization must be sent once, as: Bearer TOKEN")
	}
	principal, err := a.tokens.Identify(secret, a.now())
	if limited, ok := errors.AsType[retryable](err); ok {
		p := newProblem(problemRateLimited, "too many wrong tokens from your address")
		return r, p.after(limited.RetryAfter())
	}
	if err != nil {
		return r, unauthorized("the token is not known, or it has expired")
	}
	if !a.rates.take(w.Header(), principal.Token, a.now()) {
		return r, newProblem(problemRateLimited, fmt.Sprintf("the token has sent more than %v requests a second", a.limits.PerSecond))
	}
	return r.WithContext(context.WithValue(r.Context(), callerKey{}, caller{principal})), nil
}

// retryable is an error that says when to try again.
type retryable interface {
	error

	RetryAfter() time.Duration
}

// bearer returns the token of a request.
func bearer(r *http.Request) (secret string, ok bool) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, secret, _ := strings.Cut(values[0], " ")
	return secret, strings.EqualFold(scheme, "Bearer") && secret != "" && !strings.ContainsAny(secret, " ,")
}

// crossOrigin reports whether a browser sent the request for a page of another site. No
// such page is served: it can read nothing either.
func crossOrigin(r *http.Request) bool {
	judged := new(http.Request)
	*judged = *r
	judged.Method = http.MethodPost
	return http.NewCrossOriginProtection().Check(judged) != nil
}

// public reports whether a path is served to everyone: it says nothing about anybody.
func public(path string) bool { return path == documentPath || strings.HasPrefix(path, problemPath) }

func unauthorized(detail string) *Problem {
	p := newProblem(problemUnauthorized, detail)
	p.headers.Set("WWW-Authenticate", `Bearer realm="rollcall"`)
	return p
}

// unrouted returns the problem of a request that no operation serves.
func (a *API) unrouted(r *http.Request) *Problem {
	if _, pattern := a.mux.Handler(r); pattern != "" {
		return nil
	}
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		other := new(http.Request)
		*other = *r
		other.Method = method
		if _, pattern := a.mux.Handler(other); pattern != "" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		return newProblem(problemNotFound, "no operation has this path")
	}
	p := newProblem(problemMethod, "this path allows "+strings.Join(allowed, " and "))
	p.headers.Set("Allow", strings.Join(allowed, ", "))
	return p
}

// writeProblem writes a response that no operation writes.
func writeProblem(w http.ResponseWriter, p *Problem) {
	maps.Copy(w.Header(), p.headers)
	w.Header().Set("Content-Type", problemType)
	w.Header().Set("Connection", "close") // its body is not read
	w.WriteHeader(p.Status)
	_ = json.MarshalWrite(w, p) // the client may have disconnected
}

// after sets when the request may be sent again.
func (p *Problem) after(wait time.Duration) *Problem {
	p.headers.Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
	return p
}

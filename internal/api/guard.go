package api

import (
	"fmt"
	"net/http"
	"path"
	"runtime/debug"
	"strings"

	"rollcall/internal/problem"
)

// ServeHTTP answers a request of the API that passed an access.Guard. Any other request has
// no scope.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer a.recovered(w, r)
	p := a.admit(w, r)
	if p == nil {
		p = a.unrouted(r)
	}
	if p != nil {
		p.Write(w)
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
	problem.New(problem.Internal, "rollcall has a defect, please report it with the worker's log").Write(w)
}

// admit returns why a request is not served; nil: it is. The body is not read yet.
func (a *API) admit(w http.ResponseWriter, r *http.Request) *problem.Problem {
	switch {
	case r.URL.Path != path.Clean(r.URL.Path) || r.URL.RawPath != "":
		return problem.New(problem.NotFound, "the path is not in its plain form")
	case r.Header.Get("Content-Encoding") != "":
		return problem.New(problem.Unsupported, "Content-Encoding is not supported: send the body as it is")
	}
	token := callerOf(r.Context()).Token
	if token != "" && !a.rates.take(w.Header(), token, a.now()) {
		return problem.New(problem.RateLimited, fmt.Sprintf("the token has sent more than %v requests a second", a.limits.PerSecond))
	}
	return nil
}

// Public reports whether a path is served without a token: it says nothing about anybody.
func Public(path string) bool { return path == documentPath || strings.HasPrefix(path, problem.Path) }

// unrouted returns the problem of a request that no operation serves.
func (a *API) unrouted(r *http.Request) *problem.Problem {
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
		return problem.New(problem.NotFound, "no operation has this path")
	}
	return problem.New(problem.Method, "this path allows "+strings.Join(allowed, " and ")).With("Allow", strings.Join(allowed, ", "))
}

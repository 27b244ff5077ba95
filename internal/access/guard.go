package access

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"rollcall/internal/logging"
)

// Observer counts what a Guard refuses.
type Observer interface {
	// RequestRefused counts a request by one of Reasons.
	RequestRefused(reason string)
}

// Guard lets requests through that have a valid token and came over a connection that
// no other program can read.
type Guard struct {
	// Tokens are the valid tokens. Required.
	Tokens *Tokens
	// Guesses slows down wrong tokens. Required; the web UI may share it.
	Guesses *Guesses
	// Proxies may send requests over plain connections.
	Proxies Proxies
	// Public reports whether a path may be read without a token: it says nothing about
	// anybody. The principal is the zero one. nil: none may.
	Public func(path string) bool
	// MaxBody bounds a body in bytes. 0: DefaultMaxBody. Handlers may have lower bounds.
	MaxBody int64
	// Record receives each request that changed something. nil: none.
	Record func(context.Context, Change)
	// Observer counts refused requests. nil: they are not counted.
	Observer Observer
	// Log receives refused requests, without tokens. nil: no log.
	Log *slog.Logger
	// Now returns the time. nil: time.Now.
	Now func() time.Time
}

// DefaultMaxBody is the bound of a body: some millions of rows.
const DefaultMaxBody = 1 << 30

// Handler returns next behind the guard. next finds the principal with From.
func (g Guard) Handler(next http.Handler) http.Handler {
	if g.MaxBody == 0 {
		g.MaxBody = DefaultMaxBody
	}
	if g.Now == nil {
		g.Now = time.Now
	}
	if g.Log == nil {
		g.Log = slog.New(slog.DiscardHandler)
	}
	refusals, origins := &logging.Conditions{Log: g.Log}, http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		client := g.Proxies.Client(r)
		p, no := g.admit(r, client, origins)
		if no != nil {
			refusals.Of("request to the API refused", "").Begin(no.reason+" "+p.Token,
				"reason", no.reason, "token", p.Token, "address", client)
			if g.Observer != nil {
				g.Observer.RequestRefused(no.reason)
			}
			no.write(w)
			return
		}
		answer := &answer{ResponseWriter: w, control: http.NewResponseController(w)}
		defer limitBody(w, r, answer.control, g.MaxBody)()
		next.ServeHTTP(answer, r.WithContext(With(r.Context(), p)))
		if g.Record != nil && !safe(r.Method) && answer.code() < http.StatusBadRequest {
			g.Record(r.Context(), Change{Token: p.Token, Method: r.Method, Path: r.URL.Path, Client: client, Status: answer.code()})
		}
	})
}

func safe(method string) bool {
	return slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions}, method)
}

// admit returns who sends a request, or why it is refused. The principal of a refused
// request has the token's name, if it is known.
func (g Guard) admit(r *http.Request, client netip.Addr, origins *http.CrossOriginProtection) (Principal, *refusal) {
	now := g.Now()
	if r.Method == http.MethodConnect || r.Method == http.MethodTrace {
		return Principal{}, refuse(badMethod)
	}
	if !g.private(r) {
		return Principal{}, refuse(plainConnection)
	}
	if token, found := inURL(r); found {
		p, _ := g.Tokens.Identify(token, now)
		return Principal{Token: p.Token}, refuse(tokenInURL)
	}
	if origins.Check(asWrite(r)) != nil {
		return Principal{}, refuse(foreignOrigin)
	}
	if g.Public != nil && r.Method == http.MethodGet && path.Clean(r.URL.Path) == r.URL.Path && g.Public(r.URL.Path) {
		return Principal{}, nil
	}
	token, no := bearer(r.Header["Authorization"])
	if no != nil {
		return Principal{}, no
	}
	p, err := g.Tokens.Identify(token, now)
	if err != nil {
		if wait := g.Guesses.Wrong(client, now); wait > 0 {
			no := refuse(tooManyWrong)
			no.wait = wait
			return p, no
		}
		if errors.Is(err, ErrExpired) {
			return p, refuse(expiredToken)
		}
		return p, refuse(unknownToken)
	}
	if r.ContentLength > g.MaxBody {
		return Principal{Token: p.Token}, refuse(bodyTooLarge)
	}
	return p, nil
}

// private reports whether no other program can read the connection: it has TLS, does not leave
// this machine, or comes from a proxy that the configuration names.
func (g Guard) private(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		if at, err := netip.ParseAddrPort(local.String()); err == nil && at.Addr().Unmap().IsLoopback() {
			return true
		}
	}
	return g.Proxies.sent(r)
}

// asWrite returns the request as if it changed something: other sites must not read
// anything here either.
func asWrite(r *http.Request) *http.Request {
	judged := *r
	judged.Method = http.MethodPost
	return &judged
}

// bearer returns the token of the one Authorization header.
func bearer(headers []string) (string, *refusal) {
	if len(headers) == 0 {
		return "", refuse(noToken)
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	switch {
	case len(headers) > 1:
		return "", refuse(severalTokens)
	case !strings.EqualFold(scheme, "Bearer") || token == "":
		return "", refuse(noToken)
	}
	return token, nil
}

// queryNames are names under which tokens are sent in queries.
var queryNames = []string{"access_token", "token", "bearer", "authorization", "api_key", "apikey"}

// inURL reports whether there is a token in the URL, where logs and histories keep it, or
// a parameter that is meant for one.
func inURL(r *http.Request) (token string, found bool) {
	texts := []string{r.URL.Path, r.URL.RawQuery}
	for name, values := range r.URL.Query() {
		found = found || slices.Contains(queryNames, strings.ToLower(name))
		texts = append(append(texts, name), values...)
	}
	for _, text := range texts {
		if token := anyToken.FindString(text); token != "" {
			return token, true
		}
	}
	return "", found
}

package access

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"rollcall/internal/logging"
	"rollcall/internal/loopback"
)

// LoginObserver counts refused logins.
type LoginObserver interface {
	// LoginRefused counts a login that was wrong, or that was not checked because its
	// address had too many wrong ones.
	LoginRefused(checked bool)
}

// Login knows the users of the pages: by a session that a login form began, or by HTTP basic
// authentication. Make it with NewLogin.
type Login struct{ LoginConfig }

// LoginConfig is what a Login needs.
type LoginConfig struct {
	// Users may log in. Empty: every user of this machine is an administrator, and other
	// machines are not served. Required.
	Users *Users
	// Sessions are begun by a login form. nil: basic authentication alone.
	Sessions *Sessions
	// Guesses slows down wrong logins. nil: it has its own.
	Guesses *Guesses
	// Proxies name the client of a request.
	Proxies Proxies
	// Observer counts refused logins. nil: they are not counted.
	Observer LoginObserver
	// Log receives refused logins. nil: no log.
	Log *slog.Logger
	// Now returns the time. nil: time.Now.
	Now func() time.Time

	refusals *logging.Conditions
}

// NewLogin returns a Login.
func NewLogin(cfg LoginConfig) *Login {
	if cfg.Guesses == nil {
		cfg.Guesses = new(Guesses)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.refusals = &logging.Conditions{Log: cfg.Log}
	return &Login{cfg}
}

// Why a request has no user.
var (
	// ErrElsewhere means that there are no users, and that the request is not of this machine.
	ErrElsewhere = errors.New("without users these pages are served to this machine only, as 127.0.0.1 or localhost")
	// ErrNoLogin means that the request has neither a session nor basic authentication.
	ErrNoLogin = errors.New("log in with a user that the worker's configuration names under http")
)

// WrongLoginError means that name or password are wrong, or were not checked.
type WrongLoginError struct {
	// Wait is how long the address must wait until a login is checked. 0: it was checked.
	Wait time.Duration
}

// Error describes the refusal for the user.
func (e *WrongLoginError) Error() string {
	if e.Wait > 0 {
		return fmt.Sprintf("too many wrong logins from your address: retry in %d s", e.Seconds())
	}
	return ErrNoLogin.Error()
}

// Seconds is the wait in whole seconds, at least one.
func (e *WrongLoginError) Seconds() int { return int(e.Wait/time.Second) + 1 }

// Visitor is who sends a request.
type Visitor struct {
	User

	// Token must be in the forms of a session. Empty: the request has no session.
	Token string
}

const (
	// Cookie holds the id of a session.
	Cookie = "rollcall_session"
	// LiveHeader marks a request by which an open page refreshes itself.
	LiveHeader = "Rollcall-Live"
)

// Identify returns who sends a request. Its errors are ErrElsewhere, ErrNoLogin, a
// *WrongLoginError, or one of Redis, which has the sessions.
func (l *Login) Identify(r *http.Request) (Visitor, error) {
	if l.Users.Empty() {
		// Another host name may have been made to resolve to this machine.
		if !loopback.Is(r.Host) || !local(r) {
			return Visitor{}, ErrElsewhere
		}
		return Visitor{User: User{Role: Administrator, Names: true}}, nil
	}
	if name, password, tried := r.BasicAuth(); tried {
		a, err := l.Check(r, name, password)
		return Visitor{User: a.user()}, err
	}
	cookie, err := r.Cookie(Cookie)
	if err != nil || l.Sessions == nil || len(cookie.Value) != base64.RawURLEncoding.EncodedLen(secretBytes) {
		return Visitor{}, ErrNoLogin
	}
	a, err := l.Sessions.find(r.Context(), cookie.Value, r.Header.Get(LiveHeader) == "", l.Users)
	switch {
	case errors.Is(err, errNoSession):
		return Visitor{}, ErrNoLogin
	case err != nil:
		return Visitor{}, err
	}
	return Visitor{User: a.user(), Token: sign(cookie.Value, "csrf")}, nil
}

// Check returns the account of a name and a password, or a *WrongLoginError. Guesses of an
// address are slowed down.
func (l *Login) Check(r *http.Request, name, password string) (a Account, err error) {
	client := l.Proxies.Client(r)
	ok, wait := l.Guesses.Check(client, l.Now(), func() (known bool) {
		a, known = l.Users.known(name, password)
		return known
	})
	if ok {
		return a, nil
	}
	user := "unknown" // it may be a password
	if _, exists := l.Users.named(name); exists {
		user = name
	}
	checked := wait == 0
	l.refusals.Of("login at the web UI refused", "").Begin(strconv.FormatBool(checked), "checked", checked, "user", user, "address", client)
	if l.Observer != nil {
		l.Observer.LoginRefused(checked)
	}
	return Account{}, &WrongLoginError{Wait: wait}
}

// Enter begins a session of an account, with a new id, and ends the one that the request has.
func (l *Login) Enter(w http.ResponseWriter, r *http.Request, a Account) {
	_ = l.forget(r) // it ends by its time at the latest
	http.SetCookie(w, l.cookie(r, l.Sessions.begin(r.Context(), a), int(Longest/time.Second)))
}

// Leave ends the session of a request.
func (l *Login) Leave(w http.ResponseWriter, r *http.Request) error {
	err := l.forget(r)
	http.SetCookie(w, l.cookie(r, "", -1))
	return err
}

func (l *Login) forget(r *http.Request) error {
	cookie, err := r.Cookie(Cookie)
	if err != nil || l.Sessions == nil {
		return nil //nolint:nilerr // there is no session
	}
	return l.Sessions.end(context.WithoutCancel(r.Context()), cookie.Value)
}

func (l *Login) cookie(r *http.Request, value string, life int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure where the browser has TLS
		Name: Cookie, Value: value, Path: "/", MaxAge: life, HttpOnly: true, Secure: l.Encrypted(r), SameSite: http.SameSiteLaxMode,
	}
}

// Encrypted reports whether the browser's connection has TLS.
func (l *Login) Encrypted(r *http.Request) bool {
	return r.TLS != nil || l.Proxies.sent(r) && r.Header.Get("X-Forwarded-Proto") == "https"
}

// local reports whether the connection of a request does not leave this machine: the
// client chooses the host that it names.
func local(r *http.Request) bool {
	at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && loopback.Is(at.String())
}

// OfOtherSite reports whether a page of another site sends a request. A link that the user
// followed does not count. Other sites must not read anything either.
func OfOtherSite(r *http.Request) bool {
	followed := r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
	return !followed && new(http.CrossOriginProtection).Check(asWrite(r)) != nil
}

type visitorKey struct{}

// WithVisitor returns a context with who sends its request.
func WithVisitor(ctx context.Context, v Visitor) context.Context {
	return context.WithValue(ctx, visitorKey{}, v)
}

// VisitorFrom returns who sends a request; the zero Visitor, a viewer, if it is not known.
func VisitorFrom(ctx context.Context) Visitor {
	v, _ := ctx.Value(visitorKey{}).(Visitor)
	return v
}

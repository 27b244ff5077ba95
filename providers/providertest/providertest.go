// Package providertest is the conformance test of every call of every platform's
// client: what a server can answer, how a connection can break, what the gate is
// promised and what an error must never show.
//
// It uses clients over HTTP and must not know any of them: a client's tests describe
// one call in a [Subject].
package providertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"rollcall/providers"
)

// Call performs the call under test once.
type Call func(ctx context.Context, gate providers.Gate) (providers.Receipt, error)

// Setting is the configuration of a client under test.
type Setting struct {
	URL     string        // every base URL of the client
	Timeout time.Duration // of one HTTP exchange
	Quick   time.Duration // the longest wait before the first quick try
}

// Subject describes one call of one client.
type Subject struct {
	Platform, API string
	// Open builds a client and returns its call. It closes the client in t's
	// cleanup.
	Open func(t testing.TB, s Setting) Call
	// Path is that of the metered request. Side answers all others, such as a token
	// request; nil if there are none.
	Path string
	Side http.HandlerFunc
	// Done is the body of the documented success.
	Done string
	// Refusal returns the body with a code and a message, and Status is the HTTP status
	// that it usually has.
	Refusal func(code, message string) string
	Status  int
	// Rows is the call's table, in the order that it is tried.
	Rows []providers.Code
	// Throttle is a code that means too fast; Quick one that allows a quick retry,
	// empty if none does.
	Throttle, Quick string
	// Once means that the call must not be repeated once it may have left, and that an
	// unknown outcome is Ambiguous.
	Once bool
	// Bans means that {"status":1111} reports a ban of our address.
	Bans bool
	// Secrets and Names must appear in no error. The first name is the one that the
	// call sets, the others are parts of it.
	Secrets, Names []string
}

// Run runs the conformance tests.
func Run(t *testing.T, s Subject) {
	for _, part := range []struct {
		name string
		run  func(*testing.T, Subject)
	}{
		{"the documented success and nothing else is a success", success},
		{"every documented code has its kind", codes},
		{"every HTTP status has a sane kind", statuses},
		{"a wait that the platform names is kept", retryAfter},
		{"bodies that are not what they should be", bodies},
		{"a banned address", bans},
		{"HTML pages", pages},
		{"a server that is down", dead},
		{"a server that breaks off", breaks},
		{"a server that does not answer", hangs},
		{"a redirect is not followed", redirect},
		{"a cancelled context", cancelled},
		{"the gate is passed before every send", gates},
		{"quick tries", quickTries},
		{"parallel calls", parallel},
	} {
		t.Run(part.name, func(t *testing.T) {
			t.Parallel()
			part.run(t, s)
		})
	}
}

// answer plays the platform for the n-th metered request, counted from 1.
type answer func(w http.ResponseWriter, r *http.Request, n int)

// rig is one server, one client and a gate that counts.
type rig struct {
	t      testing.TB
	s      Subject
	call   Call
	server *httptest.Server

	play   atomic.Pointer[answer]
	hits   atomic.Int64
	passes atomic.Int64
}

func newRig(t testing.TB, s Subject, play answer) *rig {
	return newRigWith(t, s, Setting{Timeout: 30 * time.Second, Quick: time.Millisecond}, play)
}

// plays makes the platform answer so from now on.
func (r *rig) plays(play answer) { r.play.Store(&play) }

func newRigWith(t testing.TB, s Subject, setting Setting, play answer) *rig {
	t.Helper()
	r := &rig{t: t, s: s}
	r.plays(play)
	r.server = httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(r.server.Close)
	setting.URL = r.server.URL
	r.call = s.Open(t, setting)
	return r
}

func (r *rig) serve(w http.ResponseWriter, req *http.Request) {
	if req.URL.Path != r.s.Path {
		if r.s.Side == nil {
			r.t.Errorf("unexpected request to %s", req.URL.Path)
			return
		}
		r.s.Side(w, req)
		return
	}
	n := int(r.hits.Add(1))
	if req.Method != http.MethodPost {
		r.t.Errorf("the method is %s, want POST", req.Method)
	}
	if req.Header.Get("Idempotency-Key") != "" || req.Header.Get("X-Idempotency-Key") != "" {
		r.t.Error("the request has an idempotency key: Go's transport would repeat it")
	}
	(*r.play.Load())(w, req, n)
}

func (r *rig) gate(context.Context) error { r.passes.Add(1); return nil }

// do makes the call with the counting gate, from fresh counts, and checks what is true
// for every outcome.
func (r *rig) do(t testing.TB) (providers.Receipt, *providers.Error) {
	t.Helper()
	return r.doWith(t, context.Background(), r.gate)
}

func (r *rig) doWith(t testing.TB, ctx context.Context, gate providers.Gate) (providers.Receipt, *providers.Error) {
	t.Helper()
	r.hits.Store(0)
	r.passes.Store(0)
	receipt, err := r.call(ctx, gate)
	if err == nil {
		if receipt.Sends != int(r.hits.Load()) {
			t.Errorf("the receipt has %d sends, the server received %d", receipt.Sends, r.hits.Load())
		}
		return receipt, nil
	}
	e, ok := errors.AsType[*providers.Error](err)
	if !ok {
		t.Fatalf("the error is a %T, want *providers.Error: %v", err, err)
	}
	inspect(t, r.s, e)
	if e.Sends != int(r.hits.Load()) {
		t.Errorf("the error has %d sends, the server received %d: %v", e.Sends, r.hits.Load(), e)
	}
	return receipt, e
}

// inspect checks what is true for every error.
func inspect(t testing.TB, s Subject, e *providers.Error) {
	t.Helper()
	if e.Platform != s.Platform || e.API != s.API || e.Tenant == "" {
		t.Errorf("the error is of %s %s, tenant %q; want %s %s and a tenant", e.Platform, e.API, e.Tenant, s.Platform, s.API)
	}
	if e.Kind == providers.TokenRejected {
		t.Errorf("a TokenRejected left the client: %v", e)
	}
	if n := utf8.RuneCountInString(e.Message); n > 300 {
		t.Errorf("the message has %d runes, want 300 at the most", n)
	}
	if strings.ContainsAny(e.Message+e.Code+e.RequestID, "\x00\x1b\n\r") {
		t.Errorf("control characters came through: %q", e.Message)
	}
	refused := e.Kind == providers.Throttled || e.Kind == providers.QuotaSpent
	if e.Unmetered && !refused && e.Err == nil {
		t.Errorf("an answer that is no refusal for the rate or the month is said not to be counted: %+v", e)
	}
	var all strings.Builder
	fmt.Fprintf(&all, "%v %+v %q", e, *e, e.Fix)
	for err := error(e); err != nil; err = errors.Unwrap(err) {
		fmt.Fprintf(&all, " %v %+v", err, err)
	}
	shown := all.String()
	for _, word := range append(append([]string{}, s.Secrets...), s.Names...) {
		if strings.Contains(shown, word) {
			t.Errorf("the error shows %q: %s", word, shown)
		}
	}
}

// respond answers with a status and a body.
func respond(status int, body string) answer {
	return func(w http.ResponseWriter, _ *http.Request, _ int) {
		w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body) // 204 and 304 take no body
	}
}

// refuse answers with a code, and a message that hurls back all that the
// client sent, as a careless platform would.
func (s Subject) refuse(status int, code string) answer {
	return func(w http.ResponseWriter, r *http.Request, n int) {
		body, _ := io.ReadAll(r.Body)
		echo := fmt.Sprintf("refused %s\x1b[31m\n%v %s %v", r.URL, r.Header, body, s.Names[:min(1, len(s.Names))])
		respond(status, s.Refusal(code, echo))(w, r, n)
	}
}

// unknown is the kind of a send whose outcome is not known.
func (s Subject) unknown() providers.Kind {
	if s.Once {
		return providers.Ambiguous
	}
	return providers.Transient
}

// Package apicall carries out one call of a platform: the HTTP exchange with its
// bounds, the send gate before each send, the two quick retries, and texts that are
// safe to show.
//
// It must not know any platform's codes, paths or credentials; its callers pass tables
// and the texts to hide.
package apicall

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"rollcall/internal/buildinfo"
)

// MaxBody is the longest answer that is read, in bytes. The platforms' own are
// below 1 KiB; anything longer is not theirs.
const MaxBody = 1 << 20

// Request is a POST. Its URL may carry a token, so it never gets into a text.
type Request struct {
	URL         string
	ContentType string
	Header      http.Header // further headers; may be nil
	Body        []byte
}

// Answer is what came back, whole.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte // nil if it was longer than MaxBody
	Note   string // what is odd about the answer besides its content; may be empty
}

// page reports whether the answer is an HTML page, or another text declared as one.
func (a Answer) page() bool {
	if _, isObject := ParseObject(a.Body); isObject {
		return false
	}
	kind, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type"))
	body := bytes.TrimSpace(bytes.TrimPrefix(a.Body, []byte("\xef\xbb\xbf")))
	return len(body) > 0 && (kind == "text/html" || body[0] == '<')
}

// CodePage stands for the code of a suspected ban in the tables.
const CodePage = "(HTML page)"

// Suspect reports whether the answer is an HTML page that its status does not explain, and
// so a suspected ban. These statuses explain one: a gateway's own fault, a wrong address, a
// proxy that requires a password, too many requests.
func (a Answer) Suspect() bool {
	switch a.Status {
	case http.StatusUnauthorized, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusProxyAuthRequired,
		http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false
	}
	explained := a.Status >= 500 || a.Status >= 300 && a.Status < 400
	return !explained && a.page()
}

// Fault is an exchange without a whole answer.
type Fault struct {
	// Written is false only if the request provably never left: the connection
	// was not even open.
	Written bool
	// Timeout means that one of our time limits expired. An immediate retry does not
	// help.
	Timeout bool
	// Ended means that the caller's context ended.
	Ended  bool
	Status int // of an answer that broke off; 0 if none began
	Err    error
}

// Wire sends requests to one platform. It is safe for concurrent use.
type Wire struct {
	transport *http.Transport
	timeout   time.Duration
	agent     string // User-Agent
}

// NewWire returns a Wire whose exchanges take at most timeout each, from the dial to
// the last byte of the answer.
//
// The proxy comes from the environment (HTTPS_PROXY, NO_PROXY), because company
// networks often require one. It sees only the host's name: plain HTTP is allowed to
// loopback addresses only, which never use a proxy. HTTP/2 is off, because only a
// connection with one request at a time shows whether the request was written.
func NewWire(timeout time.Duration) *Wire {
	var http1 http.Protocols
	http1.SetHTTP1(true)
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &Wire{timeout: timeout, agent: buildinfo.Read().UserAgent(), transport: &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  timeout,
		MaxResponseHeaderBytes: 64 << 10,
		// The largest number of concurrent calls: a connection that is not kept costs
		// the next send a handshake.
		MaxIdleConnsPerHost: 64,
		// Below the minute after which servers commonly close: a request written to a
		// connection that is being closed has an unknown outcome.
		IdleConnTimeout: 30 * time.Second,
		Protocols:       &http1,
		OnProxyConnectResponse: func(_ context.Context, proxy *url.URL, _ *http.Request, answer *http.Response) error {
			if answer.StatusCode == http.StatusOK {
				return nil
			}
			return &ProxyError{Host: proxy.Hostname(), Status: answer.StatusCode}
		},
	}}
}

// ProxyError means that the proxy did not open the way to the platform: nothing
// of the request was sent.
type ProxyError struct {
	Host   string
	Status int // of the proxy's answer to CONNECT
}

// Error names the proxy and its answer.
func (e *ProxyError) Error() string {
	return fmt.Sprintf("the proxy %s answered HTTP %d and opened no connection", e.Host, e.Status)
}

// Close closes idle connections. Running exchanges continue.
func (w *Wire) Close() { w.transport.CloseIdleConnections() }

// Exchange sends one request and reads its answer. It follows no redirect and retries
// nothing. clean removes secrets from the fault's text.
func (w *Wire) Exchange(parent context.Context, r Request, clean Cleaner) (Answer, *Fault) {
	ctx, cancel := context.WithTimeout(parent, w.timeout)
	defer cancel()

	// The transport repeats a POST only if nothing of it was written, and then requests
	// another connection. A connection in use counts as written: the write runs
	// concurrently and may complete before a cancellation.
	var written atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { written.Store(false) },
		GotConn: func(httptrace.GotConnInfo) { written.Store(true) },
	})
	fault := func(status int, err error) *Fault {
		f := &Fault{Written: written.Load(), Status: status, Ended: parent.Err() != nil}
		f.Timeout = !f.Ended && (ctx.Err() != nil || isTimeout(err))
		if f.Ended {
			err = Ended(parent)
		} else if ctx.Err() != nil {
			err = fmt.Errorf("no whole answer within %v: %w", w.timeout, context.DeadlineExceeded)
		}
		f.Err = clean.Error(err)
		return f
	}

	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		// Only the URL can be at fault, and the error would quote it.
		return Answer{}, &Fault{Err: errors.New("the request's address is not a URL")}
	}
	maps.Copy(req.Header, r.Header)
	req.Header.Set("Content-Type", r.ContentType)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", w.agent)

	// The transport and not an http.Client: it neither follows redirects, which
	// would send a POST again, nor wraps its errors in the URL with the token.
	resp, err := w.transport.RoundTrip(req)
	if err != nil {
		return Answer{}, fault(0, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxBody+1))
	if err != nil {
		return Answer{}, fault(resp.StatusCode, err)
	}
	answer := Answer{Status: resp.StatusCode, Header: resp.Header, Body: body}
	if len(body) > MaxBody {
		answer.Body, answer.Note = nil, "the answer is longer than 1 MiB"
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		answer.Note = redirectNote(req.URL, resp.Header.Get("Location"))
	}
	return answer, nil
}

// redirectNote names only the host: the rest may contain the token if the platform
// echoes our query.
func redirectNote(from *url.URL, location string) string {
	to, err := from.Parse(location)
	if location == "" || err != nil || to.Host == "" {
		return "the answer is a redirect, which is never followed"
	}
	return "the answer is a redirect to host " + to.Host + ", which is never followed"
}

func isTimeout(err error) bool {
	n, ok := errors.AsType[net.Error](err)
	return ok && n.Timeout()
}

// Ended returns why ctx is over, such that errors.Is sees both the plain
// context error and the cause that the canceller gave.
func Ended(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == nil || errors.Is(cause, err) {
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}

package source

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"rollcall/internal/buildinfo"
	"rollcall/internal/loopback"
	"rollcall/internal/secret"
	"rollcall/internal/table"
)

// HTTPSSpec configures [HTTPS].
type HTTPSSpec struct {
	Form

	// URL is https, or http at a loopback address. It may hold a token, so it is in no
	// error.
	URL secret.Text
	// Bearer is a token. Username and Password are for basic authentication. The zero
	// values send nothing.
	Bearer   secret.Text
	Username string
	Password secret.Text
	// CA holds certificates in PEM that are trusted in addition to those of the system.
	CA []byte
	// Timeout bounds the request, to the last byte of the content. 0: 5 min.
	Timeout time.Duration
	// MaxAge is how old Last-Modified may be. 0: any time.
	MaxAge time.Duration
	// MaxSize is the largest size in bytes, unpacked. 0: 512 MiB, which is also the most.
	MaxSize int64
}

const (
	defaultTimeout = 5 * time.Minute
	connectFor     = 10 * time.Second
	mostRedirects  = 5
)

// Validate returns what is wrong, each beginning with the key of the configuration.
func (s HTTPSSpec) Validate() error {
	all := []error{s.validate(), s.validURL(), validAge(s.MaxAge), validSize(s.MaxSize)}
	if !s.Bearer.IsZero() && (s.Username != "" || !s.Password.IsZero()) {
		all = append(all, errors.New("bearer: a user name or password is given too: use one way to authenticate"))
	}
	if (s.Username == "") != s.Password.IsZero() {
		all = append(all, errors.New("username: basic authentication needs a user name and a password"))
	}
	if strings.ContainsAny(s.Username, ":\r\n") {
		all = append(all, errors.New("username: it has a colon or a line break, which basic authentication cannot send"))
	}
	if strings.ContainsAny(s.Bearer.Reveal(), " \t\r\n") {
		all = append(all, errors.New("bearer: the token has a space or a line break: give the token alone, without the word Bearer"))
	}
	if len(s.CA) > 0 && !x509.NewCertPool().AppendCertsFromPEM(s.CA) {
		all = append(all, errors.New("ca: it holds no certificate in PEM"))
	}
	if s.Timeout < 0 || s.Timeout > time.Hour {
		all = append(all, fmt.Errorf("timeout: %s is not between 0 and 1h", s.Timeout))
	}
	return errors.Join(all...)
}

func (s HTTPSSpec) validURL() error {
	u, err := url.Parse(s.URL.Reveal())
	switch {
	case s.URL.IsZero():
		return errors.New("url: missing: write https://host/path")
	case err != nil || u.Hostname() == "":
		return errors.New("url: cannot be read: write https://host/path")
	case u.User != nil:
		return errors.New("url: it has a user name: use username and password")
	case u.Scheme == "http" && !loopback.Is(u.Hostname()):
		return fmt.Errorf("url: plain http to %s would show the roster to everyone on the way: use https", u.Host)
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("url: the scheme is %q: use https", u.Scheme)
	}
	return nil
}

// HTTPS reads a table from a server. The content decides the format, because servers send
// wrong types; only a web page is refused by its type. Version is the SHA-256 of the
// content.
//
// The last content that was read whole is kept in memory, compressed, with its ETag. The
// next request has this ETag: if the server answers that the content has not changed, it
// is read from memory, and the reading is as complete as a download.
type HTTPS struct {
	spec HTTPSSpec
	url  *url.URL
	last atomic.Pointer[kept] // nil: nothing is kept
}

// NewHTTPS returns a source at a URL.
func NewHTTPS(spec HTTPSSpec) (*HTTPS, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	u, err := url.Parse(spec.URL.Reveal())
	if err != nil {
		return nil, errors.New("url: cannot be read")
	}
	return &HTTPS{spec: spec, url: u}, nil
}

// Read implements [Source].
func (h *HTTPS) Read(ctx context.Context, each func(columns []string, r Record) error) (Reading, error) {
	to := relay{each: each}
	reading, err := h.read(ctx, to.give)
	if err != nil {
		return Reading{}, to.explain("https source "+h.url.Host, err)
	}
	return reading, nil
}

func (h *HTTPS) read(ctx context.Context, each func(columns []string, r Record) error) (Reading, error) {
	fetching, cancel := context.WithTimeout(ctx, cmp.Or(h.spec.Timeout, defaultTimeout))
	defer cancel()
	transport := h.transport()
	defer transport.CloseIdleConnections()
	last := h.last.Load()
	answer, err := h.send(fetching, transport, last)
	if err != nil {
		return Reading{}, err
	}
	defer answer.Body.Close()                                         //nolint:errcheck // it was only read
	modified, _ := http.ParseTime(answer.Header.Get("Last-Modified")) // none: unknown
	if answer.StatusCode == http.StatusNotModified {
		return h.again(ctx, last, modified, each)
	}
	if err := tooOld(modified, h.spec.MaxAge); err != nil {
		return Reading{}, err
	}
	in, err := h.spool(fetching, answer)
	if err != nil {
		return Reading{}, err
	}
	defer in.Close() //nolint:errcheck // it is temporary
	reading, err := h.spec.read(ctx, in, false, each)
	if err != nil {
		return Reading{}, err
	}
	reading.Modified = modified
	if !bounded(answer) {
		reading.Complete = false
		reading.Why = strings.TrimPrefix(reading.Why+"; the server does not say where the content ends, so it may be cut", "; ")
		return reading, nil
	}
	h.last.Store(keep(answer.Header.Get("ETag"), modified, in.Reader()))
	return reading, nil
}

// again reads the content that was kept, which the server has not sent again.
func (h *HTTPS) again(ctx context.Context, last *kept, modified time.Time, each func(columns []string, r Record) error) (Reading, error) {
	if last == nil {
		return Reading{}, Errorf(Malformed, "the server answered HTTP 304 to a request without a condition")
	}
	if modified.IsZero() {
		modified = last.modified
	}
	if err := tooOld(modified, h.spec.MaxAge); err != nil {
		return Reading{}, err
	}
	in, err := table.Spool(last.content())
	if err != nil {
		return Reading{}, ofTable(err)
	}
	defer in.Close() //nolint:errcheck // it is temporary
	reading, err := h.spec.read(ctx, in, false, each)
	reading.Modified = modified
	return reading, err
}

// bounded reports whether a cut of the content would have been an error: its length is
// known, or its last part is marked.
func bounded(answer *http.Response) bool {
	return answer.ContentLength >= 0 || answer.Uncompressed || len(answer.TransferEncoding) > 0 || answer.ProtoMajor >= 2
}

// send returns an answer with content, or with the status 304 if the content is still the
// last one.
func (h *HTTPS) send(ctx context.Context, transport *http.Transport, last *kept) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url.String(), nil)
	if err != nil {
		return nil, Errorf(Malformed, "the URL cannot be used")
	}
	request.Header.Set("User-Agent", buildinfo.Read().UserAgent())
	switch {
	case !h.spec.Bearer.IsZero():
		request.Header.Set("Authorization", "Bearer "+h.spec.Bearer.Reveal())
	case h.spec.Username != "":
		request.SetBasicAuth(h.spec.Username, h.spec.Password.Reveal())
	}
	if last != nil {
		request.Header.Set("If-None-Match", last.etag)
	}
	client := &http.Client{Transport: transport, CheckRedirect: h.redirect}
	answer, err := client.Do(request)
	if err != nil {
		return nil, ofWire(ctx, err)
	}
	if err := ofStatus(answer); err != nil {
		_ = answer.Body.Close() // its status is the error
		return nil, err
	}
	return answer, nil
}

// redirect follows redirects at the same host alone: another one would get the
// credentials, or serve a login page.
func (h *HTTPS) redirect(next *http.Request, via []*http.Request) error {
	switch {
	case next.URL.Scheme != h.url.Scheme || !strings.EqualFold(next.URL.Host, h.url.Host):
		return Errorf(Refused, "the server redirects to %s://%s, which was not called: check the permission, or configure that address", next.URL.Scheme, next.URL.Host)
	case len(via) > mostRedirects:
		return Errorf(Malformed, "the server redirects more than %d times: configure the final URL", mostRedirects)
	}
	return nil
}

// transport is that of one reading. As for the platforms, the proxy is the one of the
// environment; it sees the name of the host.
func (h *HTTPS) transport() *http.Transport {
	dialer := &net.Dialer{Timeout: connectFor}
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(h.spec.CA) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool() // the system has none
		}
		pool.AppendCertsFromPEM(h.spec.CA) // Validate has read it
		trust.RootCAs = pool
	}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, TLSClientConfig: trust, TLSHandshakeTimeout: connectFor,
		MaxResponseHeaderBytes: 64 << 10, DisableKeepAlives: true,
	}
}

// spool copies the content into a temporary file, which Close removes.
func (h *HTTPS) spool(ctx context.Context, answer *http.Response) (*table.Input, error) {
	most := cmp.Or(h.spec.MaxSize, table.MaxSize)
	if answer.ContentLength > most {
		return nil, Errorf(TooLarge, "the content has %d bytes, the limit is %d: send less, or raise max_size", answer.ContentLength, most)
	}
	body := &capped{from: answer.Body, left: most, most: most}
	in, err := table.Spool(body)
	switch {
	case body.err != nil || ctx.Err() != nil: // a server may end its content when the client gives up
		err = ofWire(ctx, body.err)
	case err != nil:
		err = ofTable(err)
	case body.left == most:
		err = Errorf(Empty, "the content is empty: check the export")
	}
	if err != nil && in != nil {
		_ = in.Close() // it is temporary
	}
	return in, err
}

// capped reads up to a limit, and keeps the error of what it reads apart from the errors
// of the reader's user.
type capped struct {
	from       io.Reader
	left, most int64
	err        error
}

func (c *capped) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	if c.left -= int64(n); c.left < 0 {
		err = Errorf(TooLarge, "the content has more than %d bytes: send less, or raise max_size", c.most)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}

// ofStatus returns the error of an answer that has no content to read.
func ofStatus(answer *http.Response) error {
	status := answer.StatusCode
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type")) // a wrong one is none
	switch {
	case status == http.StatusNotModified:
		return nil
	case status == http.StatusOK && (kind == "text/html" || kind == "application/xhtml+xml"):
		return Errorf(Malformed, "the server sent a web page in place of a table: check the URL and the permission, it may be a login page")
	case status == http.StatusOK:
		return nil
	case status == http.StatusNoContent:
		return Errorf(Empty, "the server answered HTTP 204, no content: check the export")
	case status == http.StatusAccepted:
		return Errorf(NotReady, "the server answered HTTP 202, the content is not made yet: read it later")
	case status == http.StatusUnauthorized:
		return Errorf(Refused, "the server answered HTTP 401: check the token, or the user name and password")
	case status == http.StatusForbidden, status == http.StatusProxyAuthRequired:
		return Errorf(Refused, "the server answered HTTP %d: let these credentials read the roster", status)
	case status == http.StatusNotFound, status == http.StatusGone:
		return Errorf(Missing, "the server answered HTTP %d: check the URL and the export", status)
	case status >= 500, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout:
		return Errorf(Down, "the server answered HTTP %d: safe to retry", status)
	}
	return Errorf(Malformed, "the server answered HTTP %d, 200 is expected: check the URL", status)
}

// ofWire returns the error of an exchange, without the URL.
func ofWire(ctx context.Context, err error) error {
	if fault, ok := errors.AsType[*Error](err); ok {
		return fault
	}
	if whole, ok := errors.AsType[*url.Error](err); ok {
		err = whole.Err
	}
	if ended := interrupted(ctx); ended != nil {
		return ended
	}
	if slow, ok := errors.AsType[net.Error](err); ok && slow.Timeout() {
		return Errorf(Slow, "the server did not answer in time: %w: safe to retry", err)
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return Errorf(Refused, "the certificate of the server is not trusted: %w: correct it, or give its authority as ca", err)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return Errorf(Down, "the connection ended before the end of the content: safe to retry")
	}
	return Errorf(Down, "cannot reach the server: %w: safe to retry", err)
}

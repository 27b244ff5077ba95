// Package remote is the client of a worker's HTTP API for our own commands: what they do
// with the services in Redis, they do with its methods without a password of Redis.
//
// It must not know what a command prints, nor how the API does its work.
package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"rollcall/internal/buildinfo"
	"rollcall/internal/loopback"
	"rollcall/internal/secret"
	"rollcall/internal/wire"
)

const (
	// answerWithin bounds an attempt: a waiting query is answered within 50 s.
	answerWithin = 90 * time.Second
	// waitSeconds is how long a waiting query waits.
	waitSeconds = "30"
	// answerMax bounds an answer, in bytes: a page of 1,000 rows has less.
	answerMax = 128 << 20
	// longestPause bounds what a Retry-After is obeyed: somebody is waiting.
	longestPause = 15 * time.Second
)

// pauses are those before an attempt is repeated: a worker that restarts is back within
// them.
func pauses() []time.Duration {
	return []time.Duration{200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second}
}

// firstTries is how often the first request of a command is repeated: a wrong address is
// reported at once.
const firstTries = 2

// Config configures a Client.
type Config struct {
	// URL is that of a worker, without /v1. Plain http only to this machine.
	URL string
	// Token is sent in a header. TokenFrom is what messages call it: the path of its file.
	Token     secret.Text
	TokenFrom string
	// Masked is called once, before the first row with masked names is returned, with the
	// name of the token. nil: it is not.
	Masked func(token string)
}

// Client is a client of one worker's API. Every request is safe to repeat, and is repeated
// if its connection breaks. It is safe for concurrent use.
type Client struct {
	config Config
	base   *url.URL
	http   *http.Client

	once   sync.Mutex
	rights *wire.Token // nil: not read yet

	mu     sync.Mutex
	sealed map[string]bool // runs that the worker plans by itself
	masked bool            // Config.Masked was called
}

// New returns a client. It does not connect.
func New(cfg Config) (*Client, error) {
	base, err := url.Parse(cfg.URL)
	switch {
	case err != nil:
		return nil, errors.New("is not a URL such as https://worker.internal:8443") // its text may hold a password
	case base.User != nil:
		return nil, errors.New("must not contain a user or password: the token is in a file")
	case base.Scheme != "https" && base.Scheme != "http" || base.Host == "":
		return nil, errors.New("must be a URL such as https://worker.internal:8443")
	case base.RawQuery != "" || base.Fragment != "":
		return nil, errors.New("must not have a query or fragment")
	case base.Scheme == "http" && !loopback.Is(base.Host):
		return nil, fmt.Errorf("would send the token to %s without TLS: use https, or an address of this machine", base.Host)
	}
	base.Path = strings.TrimSuffix(strings.TrimSuffix(strings.TrimRight(base.Path, "/"), "/v1"), "/")
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = answerWithin
	return &Client{config: cfg, base: base, sealed: map[string]bool{}, http: &http.Client{
		Transport: transport,
		// The token belongs to this address alone.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// request is a request, whose body can be sent again.
type request struct {
	method string
	path   []string // below /v1, not escaped
	query  url.Values
	kind   string // Content-Type; empty: no body
	body   []byte
	once   string // Idempotency-Key
	first  bool   // of the command: nothing is lost if it fails
}

func get(query url.Values, path ...string) request {
	return request{method: http.MethodGet, path: path, query: query}
}

// post returns a request with a body of JSON; nil: none.
func post(body any, path ...string) request {
	r := request{method: http.MethodPost, path: path}
	if body != nil {
		r.kind = "application/json"
		r.body, _ = json.Marshal(body) // our own types of texts and numbers
	}
	return r
}

// answered is an answer of the API.
type answered struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request and reads the JSON of its answer into out.
func (c *Client) do(ctx context.Context, r request, out any) (answered, error) {
	if _, err := c.greet(ctx); err != nil {
		return answered{}, err
	}
	return c.send(ctx, r, out)
}

// send does so without looking at the token first.
func (c *Client) send(ctx context.Context, r request, out any) (answered, error) {
	waits := pauses()
	for attempt := 0; ; attempt++ {
		a, err := c.attempt(ctx, r)
		if err == nil {
			if out == nil {
				return a, nil
			}
			if err := json.Unmarshal(a.body, out); err != nil {
				return a, &Error{Name: foreign, Status: a.status, Detail: "its answer is not that of rollcall's API", from: c.base.Host}
			}
			return a, nil
		}
		pause, again := again(err)
		if !again || attempt >= len(waits) || ctx.Err() != nil || r.first && attempt >= firstTries {
			if ctx.Err() != nil {
				return a, context.Cause(ctx)
			}
			return a, err
		}
		select {
		case <-ctx.Done():
			return a, context.Cause(ctx)
		case <-time.After(max(waits[attempt], min(pause, longestPause))):
		}
	}
}

// attempt sends a request once.
func (c *Client) attempt(ctx context.Context, r request) (answered, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	at := *c.base
	at.Path += "/v1/" + strings.Join(r.path, "/")
	at.RawPath = c.base.EscapedPath() + "/v1/" + strings.Join(escaped(r.path), "/")
	at.RawQuery = r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, at.String(), bytes.NewReader(r.body))
	if err != nil {
		return answered{}, fmt.Errorf("make a request of the API: %w", err)
	}
	if len(r.body) == 0 {
		req.Body, req.ContentLength = http.NoBody, 0
	}
	req.Header.Set("Authorization", "Bearer "+c.config.Token.Reveal())
	req.Header.Set("User-Agent", "rollcall/"+buildinfo.Read().Version)
	if r.kind != "" {
		req.Header.Set("Content-Type", r.kind)
	}
	if r.once != "" {
		req.Header.Set("Idempotency-Key", r.once)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answered{}, &UnreachableError{Host: c.base.Host, Err: withoutURL(err)}
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerMax))
	if err != nil {
		return answered{}, &UnreachableError{Host: c.base.Host, Err: err}
	}
	a := answered{status: resp.StatusCode, header: resp.Header, body: body}
	if resp.StatusCode >= http.StatusOK && resp.StatusCode < http.StatusMultipleChoices {
		return a, nil
	}
	return a, c.problemOf(a)
}

func escaped(path []string) []string {
	all := slices.Clone(path)
	for i := range all {
		all[i] = url.PathEscape(all[i])
	}
	return all
}

// withoutURL returns the cause of an error of net/http, which repeats the URL.
func withoutURL(err error) error {
	if of, ok := errors.AsType[*url.Error](err); ok {
		return of.Err
	}
	return err
}

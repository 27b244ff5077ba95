// Package dingtalk calls the three DingTalk APIs that rename people and groups and
// change IDs, and those that list contacts, with one app's credentials, writes messages
// by a group's robot, and reads from each answer whether it succeeded.
//
// It must not know tasks, queues, Redis or rates: its caller passes a gate through
// which every metered send goes.
package dingtalk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"rollcall/internal/secret"
	"rollcall/providers"
	"rollcall/providers/internal/apicall"
)

const (
	platform = "dingtalk"

	apiNick   = "updategroupnick"
	apiGroup  = "group/update"
	apiChange = "dingTalkIds/change"
	apiToken  = "oauth2/accessToken" //nolint:gosec // a path

	tokenHeader = "X-Acs-Dingtalk-Access-Token" //nolint:gosec // a header's name
	jsonType    = "application/json; charset=utf-8"
	formType    = "application/x-www-form-urlencoded;charset=utf-8"
)

// DefaultTimeout bounds one HTTP exchange where the configuration does not.
const DefaultTimeout = 15 * time.Second

// Config is one tenant: an internal app of one organisation.
type Config struct {
	Tenant    string // its name in our configuration, for errors
	AppKey    string // "Client ID" in the developer console
	AppSecret secret.Text
	// API and OAPI are the base URLs of the new and the legacy host, both of
	// the region that the app belongs to: https://api.dingtalk.com and
	// https://oapi.dingtalk.com, or both with .io. Credentials of one region
	// are unknown in the other.
	API, OAPI string
	// Timeout bounds one HTTP exchange. 0: [DefaultTimeout].
	Timeout time.Duration
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Quick is the longest wait before the first quick try; the second may wait
	// twice as long. 0: 200 ms.
	Quick time.Duration
}

// Client calls the APIs for one tenant. It keeps its own access token. A second Client
// of the same app receives the same token from the platform, so the two do not
// invalidate each other's. It is safe for concurrent use.
type Client struct {
	tenant string
	secret atomic.Pointer[secret.Text] // never nil
	wire   *apicall.Wire
	tokens *tokens
	quick  time.Duration
	now    func() time.Time

	nick, group, change api
	contacts            map[string]api
}

// api is one call: its address, its form of success, and its rows.
type api struct {
	name    string
	url     string
	host    string
	once    bool
	success func(apicall.Object) bool
	rows    []providers.Code
}

func newAPI(name, host, url string, success func(apicall.Object) bool) api {
	return api{name: name, host: host, url: url, success: success, rows: CodesFor(name)}
}

func (a *api) call(tenant string, gate providers.Gate) *apicall.Call {
	return &apicall.Call{Platform: platform, Tenant: tenant, API: a.name, Host: a.host, Gate: gate, Once: a.once}
}

// New checks cfg and returns a Client. It sends nothing. Call Close when done.
func New(cfg Config) (*Client, error) {
	refuse := func(err error) (*Client, error) {
		return nil, fmt.Errorf("dingtalk tenant %q: %w", cfg.Tenant, err)
	}
	switch {
	case cfg.Tenant == "":
		return refuse(errors.New("the tenant has no name; give it one"))
	case cfg.AppKey == "":
		return refuse(errors.New("the app key is missing; copy the Client ID from the developer console"))
	case cfg.AppSecret.IsZero():
		return refuse(errors.New("the app secret is missing; copy the Client Secret from the developer console"))
	case cfg.Timeout < 0:
		return refuse(fmt.Errorf("the timeout is %v; it must not be negative", cfg.Timeout))
	}
	newBase, newHost, err := apicall.Base(cfg.API)
	if err != nil {
		return refuse(fmt.Errorf("api: %w", err))
	}
	oldBase, oldHost, err := apicall.Base(cfg.OAPI)
	if err != nil {
		return refuse(fmt.Errorf("oapi: %w", err))
	}
	if region(newHost) != region(oldHost) && region(newHost) != "" && region(oldHost) != "" {
		return refuse(fmt.Errorf("api is %s and oapi is %s: an app belongs to one region, .com or .io", newHost, oldHost))
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Client{
		tenant: cfg.Tenant, quick: cfg.Quick, now: cfg.Now,
		wire:     apicall.NewWire(cmp.Or(cfg.Timeout, DefaultTimeout)),
		nick:     newAPI(apiNick, oldHost, oldBase+"/topapi/chat/updategroupnick", nickDone),
		group:    newAPI(apiGroup, newHost, newBase+"/v1.0/im/group/update", groupDone),
		change:   newAPI(apiChange, newHost, newBase+"/v1.0/contact/orgAccounts/dingTalkIds/change", changeDone),
		contacts: map[string]api{},
	}
	c.change.once = true
	for _, name := range []string{APIDepartment, APIDepartments, APIDepartmentIDs, APIUsers, APIUserIDs} {
		c.contacts[name] = newAPI(name, oldHost, oldBase+"/topapi/"+name, nil) // read knows its success
	}
	c.secret.Store(&cfg.AppSecret)
	c.tokens = newTokens(c, cfg, newBase, newHost)
	return c, nil
}

// region returns the platform's domain that host lies in, or "".
func region(host string) string {
	for _, domain := range []string{"dingtalk.com", "dingtalk.io"} {
		if inDomain(host, domain) {
			return domain
		}
	}
	return ""
}

// Close ends a running token request and closes idle connections. Running calls are not
// cancelled: their contexts belong to their callers.
func (c *Client) Close() {
	c.tokens.close()
	c.wire.Close()
}

// SetSecret replaces the app's secret after it was rotated at the platform. The next
// call fetches a token with it: the cached token and a refusal of the old secret no
// longer apply. Running calls keep their token.
func (c *Client) SetSecret(secret secret.Text) {
	c.secret.Store(&secret)
	c.tokens.forget()
}

// CheckToken requests an access token from the platform, unless a valid one is cached,
// and so checks the credentials. Once credentials are refused, the other calls return
// the same refusal for five minutes without a request, or until CheckToken succeeds;
// CheckToken always requests. It is not metered and passes no gate. The error is a
// [*providers.Error]. It does not cover the permissions of the three calls, which the
// platform checks only at each call.
func (c *Client) CheckToken(ctx context.Context) error {
	if err := c.tokens.check(ctx, c.tokens.call()); err != nil {
		return err
	}
	return nil
}

// AskToken requests an access token even if a valid one is cached: it checks whether
// the platform answers calls from this address. It is not metered and passes no gate.
// The error is a [*providers.Error].
func (c *Client) AskToken(ctx context.Context) error {
	if _, err := c.tokens.fetch(ctx, c.tokens.call(), asked); err != nil {
		return err
	}
	return nil
}

// find returns the row for an answer.
func (a *api) find(status int, r reply) providers.Code {
	rows := a.rows
	if r.banned {
		rows = banRows(a.once)
	}
	if r.nested {
		for _, row := range a.rows {
			if row.Code == nested+r.code {
				return row
			}
		}
	}
	row, _ := apicall.Find(rows, status, r.code)
	return row
}

// do carries out one call. send builds the request for a token.
func (c *Client) do(ctx context.Context, gate providers.Gate, a api, names []string,
	request func(token string) apicall.Request,
) (providers.Receipt, error) {
	call := a.call(c.tenant, gate)
	if gate == nil {
		return providers.Receipt{}, call.NoGate()
	}
	renewed := false
	attempt := func(ctx context.Context) (string, *providers.Error, bool) {
		// The token is fetched first: a booked slot must not pass during the fetch.
		with, err := c.tokens.get(ctx, call)
		if err != nil {
			return "", err, false
		}
		id, err, again := c.send(ctx, call, a, names, with.value, request)
		if err != nil && err.Kind == providers.TokenRejected && !renewed {
			renewed = true
			fresh, tokenErr := c.tokens.renew(ctx, call, with)
			if tokenErr != nil {
				return "", tokenErr, false
			}
			if fresh.value != with.value {
				id, err, again = c.send(ctx, call, a, names, fresh.value, request)
			}
			with = fresh
		}
		switch {
		case err == nil:
			c.tokens.accepted(a.name, with)
		case err.Kind == providers.TokenRejected:
			c.tokens.refusedTwice(a.name, with, err)
		}
		return id, err, again
	}
	return call.Do(ctx, c.quick, attempt)
}

func (c *Client) send(ctx context.Context, call *apicall.Call, a api, names []string, token string,
	request func(token string) apicall.Request,
) (string, *providers.Error, bool) {
	call.Clean = apicall.NewCleaner([]string{token, c.secret.Load().Reveal()}, names)
	answer, err, again := call.Send(ctx, c.wire, func() apicall.Request { return request(token) })
	if err != nil {
		return "", err, again
	}
	return judge(c.now(), call, a, answer)
}

// withToken builds a request for the new host, with the token in a header.
func withToken(a api, body []byte) func(string) apicall.Request {
	return func(token string) apicall.Request {
		return apicall.Request{
			URL: a.url, ContentType: jsonType, Body: body,
			Header: http.Header{tokenHeader: {token}},
		}
	}
}

// inQuery builds a request for the legacy host, which requires the token in the query
// and answers 41001 to a token in the body.
func inQuery(a api, form url.Values) func(string) apicall.Request {
	body := []byte(form.Encode())
	return func(token string) apicall.Request {
		return apicall.Request{URL: a.url + "?access_token=" + url.QueryEscape(token), ContentType: formType, Body: body}
	}
}

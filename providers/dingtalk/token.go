package dingtalk

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/sync/singleflight"

	"rollcall/internal/secret"
	"rollcall/providers"
	"rollcall/providers/internal/apicall"
)

const (
	// earlier is how long before its end a token is replaced, as the vendor
	// advises.
	earlier = 10 * time.Minute
	// usualLife is the documented life of a token. It is used if the answer contains no
	// life or an invalid one.
	usualLife = 2 * time.Hour
	// pause keeps a refresh that went wrong from being tried by every call
	// while the old token still serves.
	pause = 30 * time.Second
	// remembered is how long refused credentials are not tried again: nothing but
	// a person must correct them, and the token call is throttled as well.
	remembered = 5 * time.Minute
)

var errClosed = errors.New("the client is closed")

// tokens keeps one app's access token at one host. Asking again within a
// token's life yields the same token, so several processes of one app do not
// disturb each other.
// See https://open.dingtalk.com/document/development/obtain-the-access-token-of-an-internal-app.
type tokens struct {
	client *Client
	api    api
	key    string

	life   context.Context //nolint:containedctx // ends with the Client: a fetch belongs to no single caller
	end    context.CancelFunc
	flight singleflight.Group
	under  sync.WaitGroup

	mu       sync.Mutex
	value    secret.Text
	fetched  int // how often the platform has handed out a token
	trust    trust
	refresh  time.Time // from then on one caller replaces it
	expires  time.Time
	fetching bool
	secrets  int              // how often the secret was replaced
	refusal  *providers.Error // the platform's last word on the credentials; nil if it took them
	until    time.Time        // the refusal answers for the platform up to then
}

func newTokens(c *Client, cfg Config, base, host string) *tokens {
	t := &tokens{client: c, key: cfg.AppKey}
	t.api = newAPI(apiToken, host, base+"/v1.0/oauth2/accessToken", func(o apicall.Object) bool { return o.Text("accessToken") != "" })
	t.life, t.end = context.WithCancel(context.Background())
	return t
}

// call returns a call for a token, which is not metered and passes no gate.
func (t *tokens) call() *apicall.Call { return t.api.call(t.client.tenant, nil) }

func (t *tokens) close() {
	t.mu.Lock()
	t.end() // under the lock, so that no fetch begins between this and the wait
	t.mu.Unlock()
	t.under.Wait()
}

// forget drops what the platform answered about an app secret that was replaced. No
// call joins a running fetch any more, and its result is not kept.
func (t *tokens) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.secrets++
	t.value, t.refresh, t.expires, t.fetching = secret.Text{}, time.Time{}, time.Time{}, false
	t.refusal, t.until = nil, time.Time{}
	t.flight.Forget(joined)
	t.flight.Forget(checked)
	t.flight.Forget(asked)
}

// get returns a token that is good for a while yet. From ten minutes before a
// token's end one caller fetches the next; the others go on with it.
func (t *tokens) get(ctx context.Context, call *apicall.Call) (token, *providers.Error) {
	now := t.client.now()
	t.mu.Lock()
	current, valid := t.current(), now.Before(t.expires)
	mine := !now.Before(t.refresh) && !t.fetching
	if valid && !mine {
		t.mu.Unlock()
		return current, nil
	}
	t.fetching = true
	t.mu.Unlock()

	next, err := t.fetch(ctx, call, joined)
	if err != nil && valid {
		return current, nil
	}
	return next, err
}

// token is an access token as the platform handed it out.
type token struct {
	value string
	nth   int // of all that this client was handed
}

// current returns the last token. The caller holds mu.
func (t *tokens) current() token { return token{t.value.Reveal(), t.fetched} }

// renew replaces a rejected token, unless another caller has already received a new
// one: of many calls that are rejected at once, one requests. The platform may return
// the same token again.
func (t *tokens) renew(ctx context.Context, call *apicall.Call, rejected token) (token, *providers.Error) {
	t.mu.Lock()
	if current := t.current(); current.nth > rejected.nth && t.client.now().Before(t.expires) {
		t.mu.Unlock()
		return current, nil
	}
	if t.fetched <= rejected.nth {
		t.expires = time.Time{}
	}
	t.mu.Unlock()
	return t.fetch(ctx, call, joined)
}

// check requests a token unless a valid one is cached, regardless of earlier refusals.
func (t *tokens) check(ctx context.Context, call *apicall.Call) *providers.Error {
	t.mu.Lock()
	valid := t.client.now().Before(t.expires)
	t.mu.Unlock()
	if valid {
		return nil
	}
	_, err := t.fetch(ctx, call, checked)
	return err
}

// The kinds of fetch. They do not join each other: a call's may end without
// asking, on a refusal that is remembered, a check's on a token that is at hand.
const (
	joined  = "call"
	checked = "check"
	asked   = "ask"
)

// fetch joins the running fetch of its kind or starts one. A caller that gives up
// leaves it running for the others.
func (t *tokens) fetch(ctx context.Context, call *apicall.Call, kind string) (token, *providers.Error) {
	request := func() (any, error) { return t.request(kind) }
	select {
	case <-ctx.Done():
		return token{}, call.Unsent(apicall.Ended(ctx))
	case result := <-t.flight.DoChan(kind, request):
		if failure, ok := errors.AsType[*providers.Error](result.Err); ok {
			own := *failure // the others get the same one
			return token{}, &own
		}
		return result.Val.(token), nil
	}
}

// request requests a token, with two quick retries on connection faults, and stores it.
// It is not metered and passes no gate.
func (t *tokens) request(kind string) (any, error) {
	c := t.client
	call := t.call()
	current, refusal, ask := t.begin(kind)
	replaced, appSecret := t.appSecret()
	switch {
	case !ask && t.life.Err() != nil:
		return nil, call.Unsent(errClosed)
	case !ask && refusal != nil:
		return nil, refusal
	case !ask:
		return current, nil
	}
	defer t.under.Done()

	call.Clean = apicall.NewCleaner([]string{appSecret, current.value}, nil)
	var value string
	var life time.Duration
	_, err := call.Do(t.life, c.quick, func(ctx context.Context) (string, *providers.Error, bool) {
		body, err := json.Marshal(map[string]string{"appKey": t.key, "appSecret": appSecret})
		if err != nil {
			return "", call.Error(providers.Misconfigured, providers.ScopeTenant), false
		}
		answer, failure, again := call.Send(ctx, c.wire, func() apicall.Request {
			return apicall.Request{URL: t.api.url, ContentType: jsonType, Body: body}
		})
		if failure != nil {
			return "", failure, again
		}
		id, failure, _ := judge(c.now(), call, t.api, answer)
		if failure == nil {
			object, _ := apicall.ParseObject(answer.Body)
			value, life = object.Text("accessToken"), lifetime(object.Text("expireIn"))
		}
		return id, failure, false
	})
	if failure, ok := errors.AsType[*providers.Error](err); ok {
		failure = notTheTasks(failure)
		if !t.keepFailure(failure, replaced) {
			return t.request(checked) // with the secret that was set since
		}
		return nil, failure
	}
	return t.keep(value, life, replaced), nil
}

// begin reports whether a request is needed: the fetch that a caller wanted to join may
// just have ended, with a token or a refusal.
func (t *tokens) begin(kind string) (current token, refusal *providers.Error, ask bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.client.now()
	current = t.current()
	switch {
	case t.life.Err() != nil, now.Before(t.expires) && now.Before(t.refresh) && kind != asked:
	case t.refusal != nil && now.Before(t.until) && kind == joined:
		refusal = t.refusal
	default:
		t.under.Add(1)
		return current, nil, true
	}
	t.fetching = false
	return current, refusal, false
}

// appSecret returns the secret, and how often it was replaced before.
func (t *tokens) appSecret() (replaced int, value string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.secrets, t.client.secret.Load().Reveal()
}

// keepFailure remembers a failure that only a person can fix. A temporary fault is no
// evidence about the credentials, and changes nothing about a refusal. It returns
// false, and remembers nothing, if the secret was replaced since.
func (t *tokens) keepFailure(failure *providers.Error, replaced int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if replaced != t.secrets {
		return false
	}
	t.fetching = false
	now := t.client.now()
	t.refresh = now.Add(pause)
	if failure.Kind == providers.Misconfigured {
		t.refusal, t.until = failure, now.Add(remembered)
	}
	return true
}

// keep keeps a token, unless the secret that it was fetched with was replaced.
func (t *tokens) keep(value string, life time.Duration, replaced int) token {
	t.mu.Lock()
	defer t.mu.Unlock()
	if replaced != t.secrets {
		return token{value, t.fetched}
	}
	t.fetching, t.refusal = false, nil
	now := t.client.now()
	if value != t.value.Reveal() {
		t.trust = trust{}
	}
	t.fetched++
	t.value, t.expires = secret.New(value), now.Add(life)
	t.refresh = t.expires.Add(-min(earlier, life/2))
	return t.current()
}

// lifetime reads expireIn, in seconds.
func lifetime(expireIn string) time.Duration {
	seconds, err := strconv.ParseInt(expireIn, 10, 32)
	if err != nil || seconds <= 0 {
		return usualLife
	}
	return min(time.Duration(seconds)*time.Second, 24*time.Hour)
}

// notTheTasks makes a failed token call the tenant's matter: no task of it can
// go out, and none is at fault.
func notTheTasks(e *providers.Error) *providers.Error {
	if e.Kind == providers.TokenRejected || e.Kind == providers.Rejected {
		e.Kind = providers.Misconfigured
	}
	if e.Kind != providers.Unsent && !e.Suspect {
		e.Scope = max(e.Scope, providers.ScopeTenant)
	}
	e.MaybeApplied, e.Sends = false, 0
	e.Credentials = e.Kind == providers.Misconfigured
	e.Unmetered = false // a send before this, if any, was answered, and that counts
	return e
}

// Package classin calls the ClassIn (EEO) APIs that set the names of students in the
// institution's console and in its courses, with one institution's credentials, and
// reads from each answer whether the call succeeded.
//
// It must not know tasks, queues, Redis or rates: its caller passes a gate through
// which every send goes.
package classin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"rollcall/internal/secret"
	"rollcall/providers"
	"rollcall/providers/internal/apicall"
)

const (
	platform = "classin"
	apiSync  = "modifyGroupMemberNickname"
	formType = "application/x-www-form-urlencoded;charset=utf-8"
)

// DefaultTimeout bounds one HTTP exchange if the configuration does not. A call renames
// every student of a course, which takes time.
const DefaultTimeout = 60 * time.Second

// maxSkew is how far our clock may be off before a refused signature is blamed
// on it. The platform itself tolerates 20 minutes.
const maxSkew = time.Minute

// Config is one tenant: a school.
type Config struct {
	Tenant  string // its name in our configuration, for errors
	SID     string
	Secret  secret.Text
	BaseURL string // https://api.eeo.cn
	// Timeout bounds one HTTP exchange. 0: [DefaultTimeout].
	Timeout time.Duration
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Quick is the longest wait before the first quick try; the second may wait
	// twice as long. 0: 200 ms.
	Quick time.Duration
}

// Client calls the API for one tenant. It is not known beforehand whether the
// credentials are right: the platform has no call that costs and changes
// nothing, so they are judged by the calls alone. It is safe for concurrent use.
type Client struct {
	tenant, sid string
	secret      atomic.Pointer[secret.Text] // never nil
	base, host  string
	wire        *apicall.Wire
	quick       time.Duration
	now         func() time.Time
	// skew is what must be added to our clock, in nanoseconds, as learned from
	// a signature that only passed with the platform's time.
	skew atomic.Int64
}

// New checks cfg and returns a Client. It sends nothing. Call Close when done.
func New(cfg Config) (*Client, error) {
	refuse := func(err error) (*Client, error) {
		return nil, fmt.Errorf("classin tenant %q: %w", cfg.Tenant, err)
	}
	switch {
	case cfg.Tenant == "":
		return refuse(errors.New("the tenant has no name; give it one"))
	case cfg.SID == "":
		return refuse(errors.New("the SID is missing; copy it from the school's console"))
	case cfg.Secret.IsZero():
		return refuse(errors.New("the secret is missing; copy it from the school's console"))
	case cfg.Timeout < 0:
		return refuse(fmt.Errorf("the timeout is %v; it must not be negative", cfg.Timeout))
	}
	base, host, err := apicall.Base(cfg.BaseURL)
	if err != nil {
		return refuse(err)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Client{
		tenant: cfg.Tenant, sid: cfg.SID, quick: cfg.Quick, now: cfg.Now,
		host: host, base: base, wire: apicall.NewWire(cmp.Or(cfg.Timeout, DefaultTimeout)),
	}
	c.secret.Store(&cfg.Secret)
	return c, nil
}

// SetSecret makes secret the school's, after it was rotated at the platform.
// Requests that leave from then on are signed with it.
func (c *Client) SetSecret(secret secret.Text) { c.secret.Store(&secret) }

// Close closes idle connections. Running calls are not cancelled: their contexts belong
// to their callers.
func (c *Client) Close() { c.wire.Close() }

// SyncCourseNicknames sets the nicknames of all students and auditors in a course's
// group to their names in the school's console. It sends no names, returns nothing
// about single members, and may be repeated. It overwrites what teachers edited by
// hand. See https://docs.eeo.cn/api/zh-hans/group/modifyGroupMemberNickname.html.
func (c *Client) SyncCourseNicknames(ctx context.Context, gate providers.Gate, courseID string) (providers.Receipt, error) {
	call := c.call(apiSync, gate)
	if courseID == "" {
		return providers.Receipt{}, call.Refuse("the course id is empty", "correct the task; nothing was sent")
	}
	return c.do(ctx, call, c.form(apiSync, url.Values{"courseId": {courseID}}))
}

// exchange is how an API is called, and how its answer is read.
type exchange struct {
	// request returns a request that is signed for a time, and its signature.
	request func(key secret.Text, at time.Time) (r apicall.Request, signature string)
	// read returns the code of an answer, and the platform's message.
	read    func(answer apicall.Object) (code, message string)
	rows    []providers.Code
	refused string   // the code of a refused signature
	names   []string // personal data in the request
}

func (c *Client) call(api string, gate providers.Gate) *apicall.Call {
	return &apicall.Call{Platform: platform, Tenant: c.tenant, API: api, Host: c.host, Gate: gate}
}

// form is the exchange of an API of version 1: a form with a signature in it, and an
// answer with error_info.
func (c *Client) form(api string, fields url.Values, names ...string) exchange {
	return exchange{
		rows: rowsOf(api), refused: codeSignature, names: names,
		request: func(key secret.Text, at time.Time) (apicall.Request, string) {
			stamp, safeKey := sign(key, at)
			form := url.Values{"SID": {c.sid}, "safeKey": {safeKey}, "timeStamp": {stamp}}
			maps.Copy(form, fields)
			return apicall.Request{
				URL: c.base + "/partner/api/course.api.php?action=" + api, ContentType: formType, Body: []byte(form.Encode()),
			}, safeKey
		},
		read: func(answer apicall.Object) (code, message string) {
			info := answer.Object("error_info")
			return info.Text("errno"), info.Text("error")
		},
	}
}

// do makes a call: with a clock that is off, the request is signed again, once, with the
// platform's own time.
func (c *Client) do(ctx context.Context, call *apicall.Call, x exchange) (providers.Receipt, error) {
	if call.Gate == nil {
		return providers.Receipt{}, call.NoGate()
	}
	skew, resigned := time.Duration(c.skew.Load()), false
	return call.Do(ctx, c.quick, func(ctx context.Context) (string, *providers.Error, bool) {
		header, err, again := c.send(ctx, call, x, skew)
		off := c.behind(header, skew)
		if err != nil && err.Code == x.refused && !resigned && off.Abs() > maxSkew {
			skew, resigned = skew+off, true
			_, err, again = c.send(ctx, call, x, skew)
		}
		switch {
		case err == nil && resigned:
			c.skew.Store(int64(skew))
		case err != nil && err.Code == x.refused && resigned:
			err.Fix += fmt.Sprintf("; the clock is off by %v, but the platform's own time was refused too", skew.Round(time.Second))
		}
		return "", err, again
	})
}

// send signs each request when the gate has let it through: the gate may make a call
// wait for longer than a signature is good for.
func (c *Client) send(ctx context.Context, call *apicall.Call, x exchange, skew time.Duration) (http.Header, *providers.Error, bool) {
	answer, err, again := call.Send(ctx, c.wire, func() apicall.Request {
		current := *c.secret.Load()
		request, signature := x.request(current, c.now().Add(skew))
		call.Clean = apicall.NewCleaner([]string{current.Reveal(), signature}, x.names)
		return request
	})
	if err == nil {
		err, again = c.judge(call, x, answer)
	}
	return answer.Header, err, again
}

// behind returns how much later the platform's time is than our corrected clock; 0 if
// the answer has no time.
func (c *Client) behind(header http.Header, skew time.Duration) time.Duration {
	theirs, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return 0
	}
	return theirs.Sub(c.now().Add(skew))
}

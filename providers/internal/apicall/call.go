package apicall

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sethvargo/go-retry"

	"rollcall/providers"
)

const (
	// quickTries are the tries after the first. More would spend metered calls
	// on what the queue's own, longer waits mend better.
	quickTries = 2
	maxQuick   = 2 * time.Second
	// DefaultQuick is the longest wait before the first quick try.
	DefaultQuick = 200 * time.Millisecond
)

// Call is one call of a client from its first send to its verdict. It belongs
// to one goroutine.
type Call struct {
	Platform, Tenant, API string
	Host                  string // that is called, for errors
	// Gate is passed before each send. Nil only for calls that are not metered.
	Gate  providers.Gate
	Clean Cleaner
	// Once means that the call must not be repeated unless it provably did not
	// leave: a fault after the write is Ambiguous then, else Transient.
	Once bool

	sends   int
	doubt   bool             // a send left whose effect is not known
	late    bool             // one may still be carried out
	earlier *providers.Error // the verdict on the last send that was answered
}

// Error starts an error of this call.
func (c *Call) Error(kind providers.Kind, scope providers.Scope) *providers.Error {
	return &providers.Error{Platform: c.Platform, Tenant: c.Tenant, API: c.API, Host: c.Host, Kind: kind, Scope: scope}
}

// Refuse ends the call before it begins: what it asks for cannot succeed.
func (c *Call) Refuse(why, fix string) error {
	e := c.Error(providers.Rejected, providers.ScopeTask)
	e.Message, e.Fix = why, fix
	return e
}

// NoGate refuses a call that comes without a gate: its sends would be counted
// by nobody.
func (c *Call) NoGate() error {
	e := c.Error(providers.Misconfigured, providers.ScopeLane)
	e.Message, e.Fix = "the call was made without a send gate", "this is a fault of rollcall: report it"
	return e
}

// Send passes the gate and exchanges once. The request is built when the gate
// has let it through, so that a signature is fresh however long that took.
// again tells whether the failure is worth a quick try.
func (c *Call) Send(ctx context.Context, wire *Wire, request func() Request) (answer Answer, err *providers.Error, again bool) {
	if ctx.Err() != nil {
		return Answer{}, c.Unsent(Ended(ctx)), false
	}
	if c.Gate != nil {
		if err := c.Gate(ctx); err != nil {
			return Answer{}, c.Unsent(err), false
		}
	}
	answer, fault := c.exchange(ctx, wire, request)
	if fault == nil {
		c.sends++
		return answer, nil, false
	}
	if fault.Written {
		c.sends++
	}
	unmetered := !fault.Written && c.Gate != nil
	if fault.Ended && !fault.Written {
		e := c.Unsent(fault.Err)
		e.Unmetered = unmetered
		return Answer{}, e, false
	}
	e := c.Error(providers.Transient, providers.ScopeTask)
	e.HTTPStatus, e.Err, e.MaybeApplied, e.Unmetered = fault.Status, fault.Err, fault.Written, unmetered
	if fault.Written && c.Once {
		e.Kind = providers.Ambiguous
		e.Fix = "look at the platform whether it was applied before anything else is sent"
	}
	_, distrust := errors.AsType[*tls.CertificateVerificationError](fault.Err)
	if distrust {
		e.Fix = "the platform's certificate is not trusted: check the base URL, the clock and any proxy on the way"
	}
	if proxy, ok := errors.AsType[*ProxyError](fault.Err); ok {
		e.HTTPStatus, e.Host = proxy.Status, proxy.Host
		if proxy.Status < 500 {
			e.Kind, e.Scope = providers.Misconfigured, providers.ScopeTenant
			e.Fix = "check HTTPS_PROXY and NO_PROXY in the worker's environment, and what the proxy allows"
			return Answer{}, e, false
		}
	}
	quick := !fault.Timeout && !fault.Ended && !distrust && (!fault.Written || !c.Once)
	return Answer{}, e, quick
}

func (c *Call) exchange(ctx context.Context, wire *Wire, request func() Request) (Answer, *Fault) {
	r := request() // may set c.Clean
	return wire.Exchange(ctx, r, c.Clean)
}

// Unsent says that nothing left. If an earlier send of this call was answered,
// that verdict stands instead, still unwrapping to cause: the attempt did
// cost a call, and its code must not be lost.
func (c *Call) Unsent(cause error) *providers.Error {
	if c.earlier != nil {
		e := *c.earlier
		if e.Err != nil {
			cause = fmt.Errorf("%w (after %w)", cause, e.Err)
		}
		e.Err = cause
		return &e
	}
	e := c.Error(providers.Unsent, providers.ScopeTask)
	e.Err = cause
	return e
}

// Do runs attempt, and up to twice more while it says again. No wait goes past
// ctx's deadline: the last verdict is returned before it. first is the longest
// wait before the first quick try; 0 means [DefaultQuick].
func (c *Call) Do(ctx context.Context, first time.Duration,
	attempt func(context.Context) (requestID string, err *providers.Error, again bool),
) (providers.Receipt, error) {
	if first <= 0 {
		first = DefaultQuick
	}
	var id string
	var last *providers.Error
	var again bool
	// go-retry forgets the attempt's error when ctx ends during a wait, so it
	// is kept here.
	err := retry.Do(ctx, c.backoff(ctx, first), func(ctx context.Context) error {
		id, last, again = attempt(ctx)
		if last == nil {
			return nil
		}
		c.doubt = c.doubt || last.MaybeApplied
		c.late = c.late || unanswered(last)
		c.earlier = last
		if again {
			return retry.RetryableError(last)
		}
		return last
	})
	if err == nil {
		return providers.Receipt{RequestID: id, Sends: c.sends, Late: c.late}, nil
	}
	if last == nil {
		last = c.Unsent(Ended(ctx))
	}
	if again && last.Err == nil && ctx.Err() != nil {
		last.Err = Ended(ctx)
	}
	last.Sends, last.MaybeApplied, last.Late = c.sends, c.doubt, c.late
	return providers.Receipt{}, last
}

// unanswered reports whether a send may still be carried out.
func unanswered(e *providers.Error) bool {
	return e.MaybeApplied && (e.HTTPStatus == 0 || e.HTTPStatus == http.StatusBadGateway || e.HTTPStatus == http.StatusGatewayTimeout)
}

func (c *Call) backoff(ctx context.Context, first time.Duration) retry.Backoff {
	waits := retry.WithCappedDuration(maxQuick, retry.WithFullJitter(retry.NewExponential(first)))
	return retry.WithMaxRetries(quickTries, retry.BackoffFunc(func() (time.Duration, bool) {
		wait, stop := waits.Next()
		deadline, bounded := ctx.Deadline()
		return wait, stop || bounded && time.Until(deadline) <= wait
	}))
}

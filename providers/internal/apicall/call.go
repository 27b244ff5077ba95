package apicall

import (
	"cmp"
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
	// quickTries is the number of retries after the first try. More would spend metered
	// calls on faults for which the queue's longer waits are better.
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
	unknown bool             // a send left and its effect is unknown
	late    bool             // one may still be carried out
	earlier *providers.Error // the verdict on the last send that was answered
}

// Error starts an error of this call.
func (c *Call) Error(kind providers.Kind, scope providers.Scope) *providers.Error {
	return &providers.Error{Platform: c.Platform, Tenant: c.Tenant, API: c.API, Host: c.Host, Kind: kind, Scope: scope}
}

// Refuse ends the call before it starts, because it cannot succeed.
func (c *Call) Refuse(why, fix string) error {
	e := c.Error(providers.Rejected, providers.ScopeTask)
	e.Message, e.Fix = why, fix
	return e
}

// NoGate rejects a call without a gate: its sends would not be counted.
func (c *Call) NoGate() error {
	e := c.Error(providers.Misconfigured, providers.ScopeLane)
	e.Message, e.Fix = "the call was made without a send gate", "this is a fault of rollcall: report it"
	return e
}

// Failure returns the error of an answer that is not the success, as its row classifies it.
// again reports whether a quick retry makes sense.
func (c *Call) Failure(answer Answer, row providers.Code, code, message string, now time.Time) (failure *providers.Error, again bool) {
	e := c.Error(row.Kind, row.Scope)
	e.HTTPStatus, e.Tries, e.Period, e.Fix = answer.Status, row.Tries, row.Period, row.Fix
	e.Code, e.Message = c.Clean.Word(code), cmp.Or(c.Clean.Message(message), row.Meaning)
	e.Suspect = answer.Suspect()
	if answer.page() && !e.Suspect {
		e.Message += " (an HTML page, not the platform's own answer)"
	}
	if answer.Note != "" {
		e.Message = c.Clean.Message(answer.Note)
	}
	said := RetryAfter(answer.Header, now)
	e.RetryAfter = cmp.Or(said, row.Wait)
	e.MaybeApplied = row.Kind.Unclear() || answer.Status >= 500
	e.Unmetered = row.Unmetered && !e.MaybeApplied
	return e, row.Quick && said == 0
}

// Send passes the gate and makes one exchange. The request is built after the gate, so
// that its signature is fresh after any wait. again reports whether a quick retry makes
// sense.
func (c *Call) Send(ctx context.Context, wire *Wire, request func() Request) (answer Answer, err *providers.Error, again bool) {
	if ctx.Err() != nil {
		return Answer{}, c.Unsent(Ended(ctx)), false
	}
	if c.Gate != nil {
		if err := c.Gate(ctx); err != nil {
			return Answer{}, c.Unsent(err), false
		}
	}
	r := request() // may set c.Clean
	answer, fault := wire.Exchange(ctx, r, c.Clean)
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

// Unsent reports that nothing left. If an earlier send of this call was answered, that
// verdict is returned instead, still unwrapping to cause: the attempt cost a call, and
// its code must not be lost.
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

// Do runs attempt, and up to twice more while it asks for a retry. No wait exceeds
// ctx's deadline: Do then returns the last verdict. first is the longest wait before
// the first quick retry; 0 means [DefaultQuick].
func (c *Call) Do(ctx context.Context, first time.Duration,
	attempt func(context.Context) (requestID string, err *providers.Error, again bool),
) (providers.Receipt, error) {
	if first <= 0 {
		first = DefaultQuick
	}
	var id string
	var last *providers.Error
	var again bool
	// go-retry drops the attempt's error when ctx ends during a wait, so it is kept
	// here.
	err := retry.Do(ctx, c.backoff(ctx, first), func(ctx context.Context) error {
		id, last, again = attempt(ctx)
		if last == nil {
			return nil
		}
		c.unknown = c.unknown || last.MaybeApplied
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
	last.Sends, last.MaybeApplied, last.Late = c.sends, c.unknown, c.late
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

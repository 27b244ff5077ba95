// Package providers defines what can go wrong at a platform: one error type, a closed
// list of kinds, and the send gate.
//
// It must not know any platform, any task or any queue. The platforms' packages are
// below it (dingtalk, classin). Only internal/lane decides what a kind means for a
// task.
package providers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Gate is called just before every metered send: the first one, quick retries, and the
// resend after a token refresh. It blocks until the send may leave. After an error
// nothing may be sent; the client then returns an [Error] of kind [Unsent] that unwraps
// to it. If the error comes at a quick retry, an earlier send did leave: the client
// returns that send's verdict, which unwraps to the gate's error as well. A nil Gate is
// a programming error, which clients reject.
type Gate func(ctx context.Context) error

// Kind is what a caller can do about a failure. The set is closed: a new Kind needs a
// verdict in internal/lane.
type Kind uint8

const (
	// Unknown is an answer that no table lists: a few tries, then a person looks.
	Unknown Kind = iota
	// Transient is temporary: system busy, network faults, 5xx.
	Transient
	// Throttled means too fast. The request was not processed.
	Throttled
	// QuotaSpent means the organisation's calls of this month are used up.
	QuotaSpent
	// TokenRejected means that the access token is stale. A client renews it once by
	// itself; after that it returns Misconfigured.
	TokenRejected
	// Misconfigured means credentials, permissions or our own code are wrong:
	// no task will pass until a person changes something.
	Misconfigured
	// Rejected means this task is wrong and stays wrong.
	Rejected
	// Partial means that some members were changed and others not.
	Partial
	// Ambiguous means the platform may or may not have applied a change that
	// must not be repeated.
	Ambiguous
	// Unsent means that the gate or the context ended the call before anything left.
	Unsent
)

var kindNames = [...]string{
	Unknown: "unknown", Transient: "transient", Throttled: "throttled", QuotaSpent: "quota_spent",
	TokenRejected: "token_rejected", Misconfigured: "misconfigured", Rejected: "rejected",
	Partial: "partial", Ambiguous: "ambiguous", Unsent: "unsent",
}

// String returns the kind's name in logs and docs.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Unclear reports whether an answer of this kind leaves the outcome unknown.
func (k Kind) Unclear() bool { return k == Unknown || k == Transient || k == Partial || k == Ambiguous }

// Kinds lists every Kind, so that a test can prove that each has a verdict.
func Kinds() []Kind {
	all := make([]Kind, len(kindNames))
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

// Scope is what a failure affects. The zero value is only the task.
type Scope uint8

const (
	// ScopeTask concerns this task and no other.
	ScopeTask Scope = iota
	// ScopeLane concerns every call of this tenant to this API.
	ScopeLane
	// ScopeTenant concerns every call of this tenant.
	ScopeTenant
	// ScopeOrganisation concerns every metered call of the organisation.
	ScopeOrganisation
	// ScopeAPI concerns every tenant of ours at this API.
	ScopeAPI
	// ScopeAddress concerns everything that leaves from our address.
	ScopeAddress
)

var scopeNames = [...]string{
	ScopeTask: "task", ScopeLane: "lane", ScopeTenant: "tenant",
	ScopeOrganisation: "organisation", ScopeAPI: "api", ScopeAddress: "address",
}

// String returns the scope's name in logs and docs.
func (s Scope) String() string {
	if int(s) < len(scopeNames) {
		return scopeNames[s]
	}
	return fmt.Sprintf("scope(%d)", uint8(s))
}

// Error is the only error that a platform's client returns.
type Error struct {
	Platform   string // "dingtalk" or "classin"
	Tenant     string // as named in the configuration
	API        string // the call, as the vendor spells it: "updategroupnick"
	Kind       Kind
	Scope      Scope
	Code       string // the platform's own code, verbatim; empty for a transport fault
	HTTPStatus int    // 0 when no answer arrived
	Host       string // that was called, or the proxy that refused the way there; no port
	Message    string // the platform's own words, bounded and free of secrets
	RequestID  string // the platform's, for its support; may be empty
	Fix        string // what to do about it, for a person; may be empty

	// RetryAfter is how long the platform asks to wait. 0: neither the platform nor our
	// table gives a time; with a Period, only the platform can.
	RetryAfter time.Duration
	// Period is, for a Throttled, the length of the exceeded window: a second, a
	// minute. 0: unknown, or not a rate window.
	Period time.Duration
	// Tries bounds how often this answer is worth an attempt, if the platform documents
	// a number. 0: the kind's own bound applies.
	Tries int
	// MaybeApplied means that the request left and the platform may have applied it,
	// regardless of its answer.
	MaybeApplied bool
	// Late means that a request left and got no answer of the platform itself, at most
	// of a gateway that gave up: it may still be applied minutes later.
	Late bool
	// Sends counts the metered requests that left during this call. The gate
	// may have been passed more often: a dial that fails sends nothing.
	Sends int
	// Unmetered means that the last send that passed the gate is not counted against
	// the organisation's month: it was refused for the rate or for the month itself, or
	// there was no connection (then it is not in Sends either). False if that is
	// uncertain, and if no send passed the gate. See
	// https://open.dingtalk.com/document/development/dingtalk-application-development-platform-billing-model.
	Unmetered bool
	// Suspect means that the answer is an HTML page whose status does not explain it: a
	// banned address gets one, but so does a network that requires a login. Only
	// another call from the same address can confirm a ban.
	Suspect bool
	// Credentials means that an unmetered token call was refused: the same call can
	// check whether they are valid again.
	Credentials bool
	// Err is the cause underneath, if any: a transport fault, the gate's
	// refusal, the context's error.
	Err error
}

// Error has the form: platform API: kind: answer.
func (e *Error) Error() string {
	return e.Platform + " " + e.API + ": " + e.Kind.String() + ": " + e.answer()
}

// Brief is Error without the kind, for texts that already contain it.
func (e *Error) Brief() string { return e.Platform + " " + e.API + ": " + e.answer() }

func (e *Error) answer() string {
	var parts []string
	switch {
	case e.Code != "":
		parts = append(parts, e.Code)
	case e.HTTPStatus != 0:
		parts = append(parts, strings.TrimSuffix(fmt.Sprintf("HTTP %d from %s", e.HTTPStatus, e.Host), " from "))
	}
	if e.Message != "" {
		parts = append(parts, e.Message)
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	text := strings.Join(parts, ": ")
	if e.RequestID != "" {
		text += " [request " + e.RequestID + "]"
	}
	return text
}

// Unwrap returns the cause, so that errors.Is sees a cancelled context or the
// gate's own error through it.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the first [Error] in err's chain, else Unknown.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Unknown
}

// Receipt is the result of a successful call.
type Receipt struct {
	RequestID string // the platform's own; may be empty
	Sends     int    // metered requests that left, quick retries included
	// Late means that one of them was given up without an answer of the platform
	// itself: it may still be applied, after the one that succeeded.
	Late bool
}

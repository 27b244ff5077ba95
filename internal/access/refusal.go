package access

import (
	"net/http"
	"time"

	"rollcall/internal/problem"
)

// The reasons of refused requests: labels of a metric.
const (
	noToken         = "no-token"
	unknownToken    = "unknown-token"
	expiredToken    = "expired-token"
	tooManyWrong    = "too-many-wrong-tokens"
	severalTokens   = "several-tokens"
	tokenInURL      = "token-in-url" //nolint:gosec // a reason
	foreignOrigin   = "foreign-origin"
	plainConnection = "plain-connection"
	bodyTooLarge    = "body-too-large"
	badMethod       = "method-not-allowed"
)

// refusals are the answers: a type of problem, and what to do.
var refusals = map[string]struct{ problem, why string }{
	noToken:         {problem.Unauthorized, "send the header Authorization: Bearer TOKEN"},
	unknownToken:    {problem.Unauthorized, "the configuration of this worker has no such token"},
	expiredToken:    {problem.Unauthorized, "the token has expired: an operator makes a new one with: worker token new"},
	severalTokens:   {problem.Unauthorized, "the header Authorization must be sent once, as: Bearer TOKEN"},
	tooManyWrong:    {problem.RateLimited, "too many wrong tokens from your address: retry later; a valid token is accepted at any time"},
	tokenInURL:      {problem.TokenInQuery, "logs keep URLs: send the token in the header Authorization, and have a token that was sent in a URL replaced"},
	foreignOrigin:   {problem.CrossOrigin, "the API is for services: pages of other sites may not use it"},
	plainConnection: {problem.Plain, "anyone on the network could read the token: use the address of http.tls, a proxy of http.proxy, or a loopback address"},
	bodyTooLarge:    {problem.TooLarge, "the body is too large: send it in parts"},
	badMethod:       {problem.Method, "CONNECT and TRACE are not served"},
}

// Reasons lists all reasons for which a Guard refuses requests.
func Reasons() []string {
	return []string{
		noToken, unknownToken, expiredToken, tooManyWrong, severalTokens, tokenInURL, foreignOrigin, plainConnection, bodyTooLarge, badMethod,
	}
}

// refusal is why a request is refused.
type refusal struct {
	reason string
	wait   time.Duration // until the client may retry; 0: not said
}

func refuse(reason string) *refusal { return &refusal{reason: reason} }

// write answers with problem details. Nothing in them comes from the request.
func (n *refusal) write(w http.ResponseWriter) {
	what := refusals[n.reason]
	p := problem.New(what.problem, what.why)
	if what.problem == problem.Unauthorized {
		challenge := `Bearer realm="rollcall"`
		if n.reason != noToken {
			challenge += `, error="invalid_token"`
		}
		p = p.With("WWW-Authenticate", challenge)
	}
	if n.wait > 0 {
		p = p.After(n.wait)
	}
	p.Write(w)
}

package access

import (
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
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

// refusals are the answers. Their types and titles are those of the API's own problems.
var refusals = map[string]struct {
	status              int
	problem, title, why string
}{
	noToken:       {http.StatusUnauthorized, "unauthorized", "No valid token", "send the header Authorization: Bearer TOKEN"},
	unknownToken:  {http.StatusUnauthorized, "unauthorized", "No valid token", "the configuration of this worker has no such token"},
	expiredToken:  {http.StatusUnauthorized, "unauthorized", "No valid token", "the token has expired: an operator makes a new one with: worker token new"},
	severalTokens: {http.StatusUnauthorized, "unauthorized", "No valid token", "the header Authorization must be sent once, as: Bearer TOKEN"},
	tooManyWrong: {
		http.StatusTooManyRequests, "rate-limited", "Too many requests",
		"too many wrong tokens from your address: retry later; a valid token is accepted at any time",
	},
	tokenInURL: {
		http.StatusBadRequest, "token-in-query", "Token in the query",
		"logs keep URLs: send the token in the header Authorization, and have a token that was sent in a URL replaced",
	},
	foreignOrigin: {http.StatusForbidden, "cross-origin", "Request of another site", "the API is for services: pages of other sites may not use it"},
	plainConnection: {
		http.StatusForbidden, "plain-connection", "Connection without TLS",
		"anyone on the network could read the token: use the address of http.tls, a proxy of http.proxy, or a loopback address",
	},
	bodyTooLarge: {http.StatusRequestEntityTooLarge, "too-large", "Too large", "the body is too large: send it in parts"},
	badMethod:    {http.StatusMethodNotAllowed, "method-not-allowed", "Method not allowed", "CONNECT and TRACE are not served"},
}

// Reasons lists all reasons for which a Guard refuses requests.
func Reasons() []string {
	return []string{
		noToken, unknownToken, expiredToken, tooManyWrong, severalTokens, tokenInURL, foreignOrigin, plainConnection, bodyTooLarge, badMethod,
	}
}

// problemPath is where the API has a page about each type of problem.
const problemPath = "/v1/problems/"

// refusal is why a request is refused.
type refusal struct {
	reason string
	wait   time.Duration // until the client may retry; 0: not said
}

func refuse(reason string) *refusal { return &refusal{reason: reason} }

// write answers with problem details (RFC 9457). Nothing in them comes from the request.
func (n *refusal) write(w http.ResponseWriter) {
	what := refusals[n.reason]
	if what.status == http.StatusUnauthorized {
		challenge := `Bearer realm="rollcall"`
		if n.reason != noToken {
			challenge += `, error="invalid_token"`
		}
		w.Header().Set("WWW-Authenticate", challenge)
	}
	if n.wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(n.wait/time.Second)+1))
	}
	body, _ := json.Marshal(struct { // texts and a number always have a JSON
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{problemPath + what.problem, what.title, what.status, what.why})
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Connection", "close") // a body is not read
	w.WriteHeader(what.status)
	_, _ = w.Write(body) // the client may have left
}

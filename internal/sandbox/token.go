package sandbox

import (
	"time"

	"github.com/go-json-experiment/json"
)

// tokenHeader is in Go's spelling; the vendor writes it in lower case.
const tokenHeader = "X-Acs-Dingtalk-Access-Token" //nolint:gosec // a header's name

// tokenOrder is the body of the token call.
type tokenOrder struct {
	AppKey    string `json:"appKey"`
	AppSecret string `json:"appSecret"`
}

// tokenEndpoint is the token call of internal apps. A repeated fetch renews the
// existing token; a new one is issued only after the old one has expired.
// open.dingtalk.com/document/development/obtain-the-access-token-of-an-internal-app
func tokenEndpoint() *endpoint {
	return &endpoint{
		api: APIToken, path: "/v1.0/oauth2/accessToken", dialect: newDialect(),
		read: func(x *exchange) *refusal {
			var order tokenOrder
			if err := json.Unmarshal(x.body, &order); err != nil {
				return &refusal{code: codeIllegalBody, message: "the body is no JSON object"}
			}
			x.order = order
			return nil
		},
		identify: func(s *Sandbox, x *exchange) {
			if order, ok := x.order.(tokenOrder); ok {
				s.know(x, s.platform.apps[order.AppKey])
			}
		},
		authenticate: func(_ *Sandbox, x *exchange) *refusal {
			if x.broken != nil {
				return x.broken
			}
			order, _ := x.order.(tokenOrder)
			if x.app == nil || order.AppSecret != x.app.Secret {
				return &refusal{code: "invalidClientIdOrSecret"}
			}
			return nil
		},
		run: func(s *Sandbox, x *exchange) outcome {
			return outcome{body: struct {
				AccessToken string `json:"accessToken"`
				ExpireIn    int64  `json:"expireIn"`
			}{s.issueToken(x.app), int64(s.limits.TokenLifetime / time.Second)}}
		},
	}
}

// know records the caller. A nil app is an unknown caller.
func (s *Sandbox) know(x *exchange, a *app) {
	if a == nil {
		return
	}
	x.app, x.org, x.tenant = a, a.org, a.Key
}

// identifyByToken knows lapsed tokens too, so that a fault or the log can name
// the app whose token has run out.
func identifyByToken(s *Sandbox, x *exchange) { s.know(x, s.platform.tokens[x.token]) }

// tokenIsLive reports whether the token that x carries is in force.
func (s *Sandbox) tokenIsLive(x *exchange) bool {
	return x.app != nil && x.token == x.app.token && s.clock().Before(x.app.expires)
}

func (s *Sandbox) issueToken(a *app) string {
	now := s.clock()
	if a.token == "" || !now.Before(a.expires) {
		a.token = s.draw(32, lowerHex)
		s.platform.tokens[a.token] = a
	}
	a.expires = now.Add(s.limits.TokenLifetime)
	return a.token
}

// revoke makes the app's token invalid; the next fetch issues another.
func (p *platform) revoke(a *app) { a.token, a.expires = "", time.Time{} }

// ExpireTokens makes every access token invalid at once and returns how many
// were in force.
func (s *Sandbox) ExpireTokens() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	live := 0
	for _, a := range s.platform.apps {
		if a.token != "" && s.clock().Before(a.expires) {
			live++
		}
		s.platform.revoke(a)
	}
	return live
}

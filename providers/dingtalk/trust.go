package dingtalk

import "rollcall/providers"

// inARow is the number of consecutive renewals after which an API counts as refusing a
// token that other APIs accept.
const inARow = 5

// trust is what the calls have learned about the current token. The platform sometimes
// refuses a valid one, on some of its machines and for a moment. A token with which a
// call succeeded proves the credentials valid.
type trust struct {
	proven  bool                // a call has succeeded with it
	refused map[string]refusals // by API
}

// refusals are the refusals of one API since its last success.
type refusals struct {
	renewals int // after which the token was refused all the same
	nth      int // of the token at the last of them: calls refused together are one
}

// accepted records that a call of an API succeeded with a token.
func (t *tokens) accepted(api string, with token) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if with.value == t.value.Reveal() {
		t.trust.proven = true
		delete(t.trust.refused, api)
	}
}

// refusedTwice classifies a call whose token was refused, and whose next token was
// refused as well.
func (t *tokens) refusedTwice(api string, with token, e *providers.Error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e.Kind = providers.Misconfigured
	if with.value != t.value.Reveal() || !t.trust.proven {
		return
	}
	if t.trust.refused == nil {
		t.trust.refused = map[string]refusals{}
	}
	r := t.trust.refused[api]
	if r.nth != with.nth {
		r = refusals{r.renewals + 1, with.nth}
		t.trust.refused[api] = r
	}
	if r.renewals < inARow {
		e.Kind, e.Scope = providers.Transient, providers.ScopeTask
		e.Fix = "nothing: other calls succeed with this token, so the credentials are right; the call is tried again"
		return
	}
	e.Scope = providers.ScopeLane
	e.Fix = "the credentials are right, other calls succeed with them, but this API refuses their token: " +
		"check the permissions of the app and the base URL of this API; " + e.Fix
}

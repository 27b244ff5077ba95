package providertest

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"rollcall/providers"
)

const page = "<!DOCTYPE html><html><body>denied</body></html>"

// bans checks that {"status":1111} is a ban of the address at once, at a
// platform that is known to ban so.
func bans(t *testing.T, s Subject) {
	for _, c := range []struct {
		status     int
		kind, body string
	}{
		{200, "application/json", `{"status":1111,"wait":5,"source":"x5","punish":"deny","uuid":"u-1"}`},
		{200, "text/html", `{"status":"1111","wait":5}`},
		{403, "application/json", `{"status":1111,"wait":5}`},
		{502, "application/json", `{"status":1111,"wait":5}`},
	} {
		t.Run(fmt.Sprint(c.status, " ", c.kind), func(t *testing.T) {
			_, err := newRig(t, s, body(c.status, c.kind, c.body)).do(t)
			switch {
			case err == nil:
				t.Fatal("it passed for a success")
			case err.Suspect:
				t.Error("only suspected: no page was answered")
			case !s.Bans:
				if err.Scope == providers.ScopeAddress {
					t.Errorf("scope %v; this platform is not known to ban addresses so", err.Scope)
				}
			case err.Kind != providers.Throttled || err.Scope != providers.ScopeAddress || err.RetryAfter != 5*time.Minute:
				t.Errorf("kind %v, scope %v, wait %v; want throttled, address, 5m0s", err.Kind, err.Scope, err.RetryAfter)
			case err.MaybeApplied || !err.Unmetered || err.Sends != 1:
				t.Errorf("maybe applied %v, not counted %v, %d sends; a ban processes and counts nothing, and one send is enough",
					err.MaybeApplied, err.Unmetered, err.Sends)
			}
		})
	}
}

// pages checks that an HTML page is classified by its status first. No page alone
// affects another tenant.
func pages(t *testing.T, s Subject) { //nolint:gocognit // one table, one judgement
	for _, c := range []struct {
		status  int
		kind    string
		text    string
		suspect bool
		want    providers.Kind
		scope   []providers.Scope
	}{
		{502, "text/html", page, false, s.unknown(), task},
		{503, "text/html", page, false, s.unknown(), task},
		{504, "text/html; charset=gbk", page, false, s.unknown(), task},
		{500, "", page, false, s.unknown(), task},
		{301, "text/html", page, false, providers.Misconfigured, tenant},
		{302, "text/html", page, false, providers.Misconfigured, tenant},
		{404, "text/html", page, false, providers.Misconfigured, tenant},
		{405, "text/html", page, false, providers.Misconfigured, tenant},
		{407, "text/html", page, false, providers.Misconfigured, tenant},
		{429, "text/html", page, false, providers.Throttled, lane},
		{200, "text/html", page, true, s.notProven(), lane},
		{200, "application/json", "\ufeff \n" + page, true, s.notProven(), lane},
		{403, "text/html; charset=gbk", page, true, providers.Throttled, lane},
		{403, "text/html", "denied", true, providers.Throttled, lane},
		{400, "", page, true, providers.Throttled, lane},
		{418, "text/html", page, true, providers.Throttled, lane},
	} {
		t.Run(fmt.Sprint(c.status, " ", c.kind), func(t *testing.T) {
			r := newRig(t, s, body(c.status, c.kind, c.text))
			_, err := r.do(t)
			if err == nil {
				t.Fatal("it passed for a success")
			}
			if err.Kind != c.want || err.Suspect != c.suspect || err.Scope < c.scope[0] || err.Scope > c.scope[1] {
				t.Errorf("kind %v, suspected ban %v, scope %v; want %v, %v and between %v: %v", err.Kind, err.Suspect, err.Scope, c.want, c.suspect, c.scope, err)
			}
			if u, _ := url.Parse(r.server.URL); err.Host != u.Hostname() || err.HTTPStatus != c.status {
				t.Errorf("host %q and status %d; a person has to know both", err.Host, err.HTTPStatus)
			}
			if c.suspect && (err.Unmetered || err.RetryAfter > 5*time.Second) {
				t.Errorf("not counted %v, wait %v; one page proves no ban", err.Unmetered, err.RetryAfter)
			}
			if s.Once && err.MaybeApplied != (c.status == 200 || c.status >= 500) {
				t.Errorf("maybe applied %v", err.MaybeApplied)
			}
			if (s.Once || c.suspect || c.want == providers.Misconfigured) && err.Sends != 1 {
				t.Errorf("%d sends, want 1", err.Sends)
			}
		})
	}
}

var (
	task   = []providers.Scope{providers.ScopeTask, providers.ScopeTask}
	lane   = []providers.Scope{providers.ScopeLane, providers.ScopeLane}
	tenant = []providers.Scope{providers.ScopeLane, providers.ScopeTenant}
)

// notProven is the kind of a suspected ban in place of a success.
func (s Subject) notProven() providers.Kind {
	if s.Once {
		return providers.Ambiguous
	}
	return providers.Throttled
}

func body(status int, kind, text string) answer {
	return func(w http.ResponseWriter, _ *http.Request, _ int) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}
}

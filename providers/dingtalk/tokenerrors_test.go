package dingtalk_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"rollcall/providers"
	"rollcall/providers/dingtalk"
)

// A token that cannot be fetched stops the tenant and is no task's fault. Its errors
// name the token call, pass no gate and have a known outcome.
func TestTokenErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		status int
		body   string
		kind   providers.Kind
		scope  providers.Scope
	}{
		{400, `{"code":"invalidClientIdOrSecret","message":"bad ECHO"}`, providers.Misconfigured, providers.ScopeTenant},
		{401, `{"code":"unauthorized.client","message":"bad ECHO"}`, providers.Misconfigured, providers.ScopeTenant},
		{400, `{"code":"invalid.client"}`, providers.Misconfigured, providers.ScopeTenant},
		{400, `{"code":"InvalidAuthentication"}`, providers.Misconfigured, providers.ScopeTenant},
		{400, `{"code":"never.seen","message":"bad ECHO"}`, providers.Misconfigured, providers.ScopeTenant},
		{400, ``, providers.Misconfigured, providers.ScopeTenant},
		{401, ``, providers.Misconfigured, providers.ScopeTenant},
		{404, ``, providers.Misconfigured, providers.ScopeTenant},
		{200, `{"errcode":40096,"errmsg":"bad ECHO"}`, providers.Misconfigured, providers.ScopeTenant},
		{200, `{"errcode":40089}`, providers.Misconfigured, providers.ScopeTenant},
		{200, `{"errcode":400002}`, providers.Misconfigured, providers.ScopeTenant},
		{403, `{"code":"Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"}`, providers.Throttled, providers.ScopeTenant},
		{403, `{"code":"Forbidden.AccessDenied.QpsLimitForApi"}`, providers.Throttled, providers.ScopeAPI},
		{429, ``, providers.Throttled, providers.ScopeTenant},
		{200, `{"status":1111,"wait":5}`, providers.Throttled, providers.ScopeAddress},
		{200, `<html>`, providers.Throttled, providers.ScopeLane}, // suspected: no other lane yet
		{502, `<html>`, providers.Transient, providers.ScopeTenant},
		{407, `<html>`, providers.Misconfigured, providers.ScopeTenant},
		{200, `{"accessToken":""}`, providers.Transient, providers.ScopeTenant},
		{200, ``, providers.Transient, providers.ScopeTenant},
		{500, `{"code":"unknownError"}`, providers.Transient, providers.ScopeTenant},
		{503, ``, providers.Transient, providers.ScopeTenant},
	} {
		a := newAuthority(t)
		a.give = func(int) (int, string) { return test.status, test.body }
		passes := 0
		_, err := a.ChangeID(context.Background(), func(context.Context) error { passes++; return nil },
			dingtalk.IDChange{UserID: "u", DingTalkID: "abc123"})
		e, ok := errors.AsType[*providers.Error](err)
		if !ok || e.Kind != test.kind || e.Scope != test.scope || e.API != "oauth2/accessToken" || e.MaybeApplied || e.Sends != 0 {
			t.Errorf("HTTP %d %s: %+v; want %v, %v of the token's call, nothing sent", test.status, test.body, err, test.kind, test.scope)
			continue
		}
		if passes != 0 || a.sends.Load() != 0 || a.asked.Load() != 1 {
			t.Errorf("HTTP %d %s: %d passes of the gate, %d sends, %d token requests; want 0, 0, 1",
				test.status, test.body, passes, a.sends.Load(), a.asked.Load())
		}
		if strings.Contains(fmt.Sprintf("%v %+v", err, *e), appSecret) {
			t.Errorf("HTTP %d %s: the error shows the secret: %v", test.status, test.body, err)
		}
	}
}

// A connection that breaks during a token call is retried twice. The outcome is known
// in any case: a token call changes nothing.
func TestATokenCallIsRetriedOnConnectionFaults(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.give = func(n int) (int, string) {
		if n < 3 {
			panic(http.ErrAbortHandler)
		}
		return 200, `{"accessToken":"t","expireIn":"7200"}`
	}
	a.mustRename(t, 3)

	b := newAuthority(t)
	b.give = func(int) (int, string) { panic(http.ErrAbortHandler) }
	_, err := b.rename(context.Background())
	e, ok := errors.AsType[*providers.Error](err)
	if !ok || e.Kind != providers.Transient || e.MaybeApplied || e.Sends != 0 || b.asked.Load() != 3 {
		t.Errorf("%+v after %d requests; want transient after 3, with a known outcome", err, b.asked.Load())
	}
}

// A closed port is reported as such.
func TestAClosedPortIsAnErrorOfTheTokenCall(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	a := &authority{}
	a.Client = a.open(t, server.URL)
	if _, err := a.rename(context.Background()); !errors.Is(err, syscall.ECONNREFUSED) || strings.Contains(err.Error(), appSecret) {
		t.Errorf("%v; want a refused connection and no secret", err)
	}
}

// A closed client sends nothing, and Close ends a running fetch.
func TestCloseEndsAFetch(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.hold()
	failed := make(chan error, 1)
	go func() { _, err := a.rename(context.Background()); failed <- err }()
	<-a.arrived
	a.Close()
	if err := <-failed; err == nil || a.sends.Load() != 0 {
		t.Errorf("%v after %d sends; want an error and none", err, a.sends.Load())
	}
	if _, err := a.rename(context.Background()); providers.KindOf(err) != providers.Unsent {
		t.Errorf("after Close: %v, want unsent", err)
	}
}

package dingtalk_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/providers"
)

const noSuchApp = `{"code":"invalidClientIdOrSecret","requestid":"r-7","message":"no such app"}`

// refused has the platform refuse the credentials from now on.
func (a *authority) refused() {
	a.give = func(int) (int, string) { return 400, noSuchApp }
}

func (a *authority) accepted() {
	a.give = func(n int) (int, string) { return 200, fmt.Sprintf(`{"accessToken":"%s%d","expireIn":7200}`, token, n) }
}

// mustBeRefused makes a call that has to end in the refusal of the credentials,
// after so many token requests in all.
func (a *authority) mustBeRefused(t *testing.T, asked int64) {
	t.Helper()
	_, err := a.rename(context.Background())
	isNoSuchApp(t, err)
	if got := a.asked.Load(); got != asked {
		t.Fatalf("%d token requests so far, want %d", got, asked)
	}
}

func isNoSuchApp(t *testing.T, err error) {
	t.Helper()
	e, ok := errors.AsType[*providers.Error](err)
	if !ok {
		t.Fatalf("%v, want the platform's refusal", err)
	}
	got := *e
	got.Sends, got.Fix = 0, ""
	want := providers.Error{
		Host:     "127.0.0.1",
		Platform: "dingtalk", Tenant: "school", API: "oauth2/accessToken", Kind: providers.Misconfigured, Scope: providers.ScopeTenant,
		Code: "invalidClientIdOrSecret", HTTPStatus: 400, Message: "no such app", RequestID: "r-7", Credentials: true,
	}
	if diff := cmp.Diff(want, got); diff != "" || e.Fix == "" {
		t.Errorf("not the platform's refusal, or nothing to do about it (%q):\n%s", e.Fix, diff)
	}
}

// Half of the calls learn that their token is revoked before another was requested, the
// other half after the platform refused the credentials. All get that refusal, from a
// single request.
func TestRefusedCredentialsCostOneTokenCall(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.mustRename(t, 1)
	a.refused()
	const calls = 50
	var arrived atomic.Int64
	early, late := make(chan struct{}), make(chan struct{})
	a.valid = func(string) bool {
		switch n := arrived.Add(1); {
		case n == calls: // all are under way with the revoked token
			close(early)
			<-late
		case n <= calls/2:
			<-early
		default:
			<-late
		}
		return false
	}
	failed := make(chan error, calls)
	for range calls {
		go func() { _, err := a.rename(context.Background()); failed <- err }()
	}
	for n := range calls {
		if n == calls/2 {
			close(late)
		}
		isNoSuchApp(t, <-failed)
	}
	if asked, sends := a.asked.Load(), a.sends.Load(); asked != 2 || sends != calls+1 {
		t.Errorf("%d token requests and %d calls left, want 2 and %d: one of each went well, then one token was refused", asked, sends, calls+1)
	}
	a.mustBeRefused(t, 2)
	if sends := a.sends.Load(); sends != calls+1 {
		t.Errorf("%d calls left, want %d: without a token nothing leaves", sends, calls+1)
	}
}

// A person who has fixed the credentials need not wait: CheckToken always requests, and
// its success applies to all calls.
func TestCheckTokenRequestsAgainAfterARefusal(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.refused()
	a.mustBeRefused(t, 1)
	a.mustBeRefused(t, 1)
	for n := range int64(3) {
		isNoSuchApp(t, a.CheckToken(t.Context()))
		a.mustBeRefused(t, 2+n)
	}
	a.accepted()
	a.mustBeRefused(t, 4)
	if err := a.CheckToken(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.mustRename(t, 5)
	a.mustRename(t, 5)
	a.refused()
	if err := a.CheckToken(t.Context()); err != nil {
		t.Errorf("with a good token at hand: %v", err)
	}
	a.mustRename(t, 5)
	isNoSuchApp(t, a.AskToken(t.Context())) // asks all the same
	a.mustRename(t, 6)                      // with the token at hand, which still serves
}

// A refusal is cached for five minutes from when it was received.
func TestARefusalIsForgottenAfterFiveMinutes(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.refused()
	a.mustBeRefused(t, 1)
	a.pass(5*time.Minute - time.Second)
	a.mustBeRefused(t, 1)
	a.pass(time.Second)
	a.mustBeRefused(t, 2)
	a.pass(4 * time.Minute)
	isNoSuchApp(t, a.CheckToken(t.Context())) // and the five minutes start again
	a.pass(4 * time.Minute)
	a.mustBeRefused(t, 3)
	a.accepted()
	a.pass(time.Minute)
	a.mustRename(t, 4)
	a.valid = func(got string) bool { return got != token+"4" }
	a.mustRename(t, 5) // nothing of the refusal is left
}

// A fault is no evidence about the credentials: every call requests again, and an
// earlier refusal stays valid.
func TestAFaultOfTheTokenCallIsNotRemembered(t *testing.T) {
	t.Parallel()
	for _, fault := range []struct {
		status int
		body   string
		kind   providers.Kind
	}{
		{500, `{"code":"system.error"}`, providers.Transient},
		{200, `{"accessToken":""}`, providers.Transient},
		{429, ``, providers.Throttled},
		{403, `{"code":"Forbidden.AccessDenied.QpmLimitForAppkeyAndApi"}`, providers.Throttled},
		{200, `<html>`, providers.Throttled},
	} {
		a := newAuthority(t)
		broken := func(int) (int, string) { return fault.status, fault.body }
		a.give = broken
		for n := range int64(3) {
			if _, err := a.rename(context.Background()); providers.KindOf(err) != fault.kind || a.asked.Load() != n+1 {
				t.Errorf("HTTP %d %s: %v after %d token requests, want %v after %d", fault.status, fault.body, err, a.asked.Load(), fault.kind, n+1)
			}
		}
		a.refused()
		a.mustBeRefused(t, 4)
		a.give = broken
		if err := a.CheckToken(t.Context()); providers.KindOf(err) != fault.kind {
			t.Errorf("HTTP %d %s: %v, want %v", fault.status, fault.body, err, fault.kind)
		}
		a.mustBeRefused(t, 5)
	}
}

// While the old token is valid, a refusal of the next one stops no call, and is not
// requested again.
func TestAnAgeingTokenOutlivesARefusal(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.mustRename(t, 1)
	a.refused()
	a.pass(111 * time.Minute)
	a.mustRename(t, 2)
	a.pass(4 * time.Minute)
	a.mustRename(t, 2)
	a.pass(time.Minute)
	a.mustRename(t, 3)
	a.pass(4 * time.Minute)
	a.mustBeRefused(t, 3) // the old one is at its end
}

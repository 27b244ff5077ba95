package dingtalk_test

import (
	"errors"
	"testing"

	"rollcall/providers"
)

func TestCheckTokenRequestsATokenAndSendsNothingElse(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	if err := a.CheckToken(t.Context()); err != nil {
		t.Fatal(err)
	}
	if asked, sends := a.asked.Load(), a.sends.Load(); asked != 1 || sends != 0 {
		t.Errorf("%d token requests and %d calls left, want 1 and 0", asked, sends)
	}
	a.mustRename(t, 1) // with the token that is at hand
}

func TestCheckTokenReportsRefusedCredentials(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.give = func(int) (int, string) {
		return 400, `{"code":"invalidClientIdOrSecret","message":"no such app"}`
	}
	err := a.CheckToken(t.Context())
	refused, ok := errors.AsType[*providers.Error](err)
	if !ok || refused.Kind != providers.Misconfigured || refused.Tenant != "school" {
		t.Errorf("CheckToken() = %v, want the tenant's misconfiguration", err)
	}
}

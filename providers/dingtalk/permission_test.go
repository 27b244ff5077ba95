package dingtalk_test

import (
	"errors"
	"testing"

	"rollcall/providers"
)

// A permission is granted for one API: only its lane stops. The error names the
// permission and where to request it, in every form of the platform's answer.
func TestAMissingPermissionIsNamedWithWhereToRequestIt(t *testing.T) {
	t.Parallel()
	const (
		apply  = "https://open-dev.dingtalk.com/appscope/apply?content=ding-key%23qyapi_chat_manage"
		ask    = "应用尚未开通所需的权限：[qyapi_chat_manage]，点击链接申请并开通即可：" + apply
		nicks  = "grant the app the permission qyapi_chat_manage"
		denied = "Forbidden.AccessDenied.AccessTokenPermissionDenied"
	)
	s := newStage(t)
	for _, test := range []struct {
		name   string
		call   func() error
		status int
		body   string
		fix    string
	}{
		{
			"flat, with the scopes in a list", s.setNick, 200,
			`{"errcode":60011,"errmsg":"没有调用该接口的权限, {requiredScopes=[qyapi_chat_manage]} ` + apply + `"}`, nicks + " " + apply,
		},
		{
			"flat, several", s.setNick, 200,
			`{"errcode":60011,"errmsg":"m, {requiredScopes=[qyapi_a, qyapi_b]}"}`, "grant the app the permission qyapi_a, qyapi_b",
		},
		{"flat, named in the sentence", s.setNick, 200, `{"errcode":60011,"errmsg":"应用未开通此接口权限：[qyapi_chat_manage]"}`, nicks},
		{"flat, without a name", s.setNick, 200, `{"errcode":60011,"errmsg":"no permission"}`, nicks},
		{
			"nested, with the scopes behind the link", s.setNick, 200,
			`{"errcode":88,"sub_code":"60011","sub_msg":"` + ask + `","errmsg":"ding talk error[subcode=60011,submsg=` + ask +
				`, {requiredScopes=[qyapi_chat_manage]}]","request_id":"r"}`, nicks + " " + apply,
		},
		{
			"nested, in the sub message alone", s.setNick, 200,
			`{"errcode":88,"sub_code":"60011","sub_msg":"` + ask + `","errmsg":"ding talk error"}`, nicks + " " + apply,
		},
		{
			"nested, in the message alone", s.setNick, 200,
			`{"errcode":88,"errmsg":"ding talk error[subcode=60011,submsg=x, {requiredScopes=[qyapi_x]}]"}`, "grant the app the permission qyapi_x",
		},
		{
			"nested, on the new host", s.rename, 200,
			`{"errcode":88,"sub_code":"60011","errmsg":"ding talk error[subcode=60011,submsg=` + ask + `]"}`, nicks + " " + apply,
		},
		{
			"new, in the detail", s.rename, 403,
			`{"code":"` + denied + `","requestid":"r","message":"m","accessdenieddetail":{"requiredScopes":["Chat.Write","Chat.Read"]}}`,
			"grant the app the permission Chat.Write, Chat.Read",
		},
		{
			"new, in the detail, with a link", s.changeID, 403,
			`{"code":"` + denied + `","message":"` + ask + `","accessdenieddetail":{"requiredScopes":["qyapi_manage_addresslist"]}}`,
			"grant the app the permission qyapi_manage_addresslist " + apply,
		},
		{
			"new, with an empty detail", s.changeID, 403,
			`{"code":"` + denied + `","message":"` + ask + `","accessdenieddetail":{"requiredScopes":[]}}`, nicks + " " + apply,
		},
		{
			"new, without a name", s.changeID, 403, `{"code":"` + denied + `","message":"m"}`,
			"grant the app the permission that the call's page names, in the developer console",
		},
		{
			"a stranger's link", s.setNick, 200,
			`{"errcode":60011,"errmsg":"m {requiredScopes=[qyapi_x]} https://open-dev.dingtalk.com.example/apply"}`, "grant the app the permission qyapi_x",
		},
	} {
		s.status, s.body = test.status, test.body
		e, ok := errors.AsType[*providers.Error](test.call())
		if !ok || e.Kind != providers.Misconfigured || e.Scope != providers.ScopeLane || e.Fix != test.fix {
			t.Errorf("%s: %+v\nwant misconfigured for the lane, and: %s", test.name, e, test.fix)
		}
	}
}

// A fault of the app, the organisation or our address affects every call of the tenant.
func TestAFaultOfEveryCallHasTheScopeOfTheTenant(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for _, test := range []struct {
		call   func() error
		status int
		codes  []string
	}{
		{s.setNick, 200, []string{"60020", "88/60020", "50003", "50005", "70001", "70003", "70004"}},
		{s.rename, 403, []string{"Forbidden.AccessDenied.IpNotInWhiteList", "forbidden.accessDenied.realmControl"}},
		{s.changeID, 403, []string{"Forbidden.AccessDenied.IpNotInWhiteList", "unauthorized.client"}},
	} {
		for _, code := range test.codes {
			s.status, s.body = test.status, refusal(code, "m")
			e, ok := errors.AsType[*providers.Error](test.call())
			if !ok || e.Kind != providers.Misconfigured || e.Scope != providers.ScopeTenant || e.Fix == "" {
				t.Errorf("%s: %+v; want misconfigured for the tenant, and what to do", code, e)
			}
		}
	}
}

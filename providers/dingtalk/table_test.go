package dingtalk_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/providers"
	"rollcall/providers/dingtalk"
	"rollcall/providers/providertest"
)

// verdict is the expected classification of an answer.
type verdict struct {
	kind  providers.Kind
	scope providers.Scope
}

// The lines below are written out from the vendor's documents and not from the
// client's tables: kind, scope, and the codes that have them.
const legacyTable = `
transient      task          -1 400001
throttled      lane          90018 90005 90006 45009
throttled      api           90002
throttled      tenant        90003 90004 90007 90008 90009 90010 90011 90012 90013 90014 90019
throttled      address       90001
quota_spent    organisation  90020
misconfigured  address       90017
misconfigured  tenant        40014 42001 40001 43007
misconfigured  lane          41001
misconfigured  tenant        33001 40013 41002 52010 40089 40096 60020 50003 50005 70001 70003 70004
misconfigured  lane          60011 48002
misconfigured  lane          22 404 43001 43002 43003 43004 43005 43008 43009 44002 47001
rejected       task          40003 33012 60111 60121 46004 60120 60124 50002
rejected       task          34001 34013 40016 49000 49003 41049 60022
rejected       task          400002 40035 40038 41101 41102 40033 400020
unknown        task          1234567
`

// New ones carry their HTTP status in front.
const commonTable = `
misconfigured  tenant        400:InvalidAuthentication 400:invalidToken 400:invalidAccessToken 400:accesstoken.expired
misconfigured  lane          400:AuthenticationFailed.MissingParameter 400:commonParamIllegal
misconfigured  tenant        400:invalidClientIdOrSecret 401:unauthorized.client
misconfigured  tenant        403:Forbidden.AccessDenied.IpNotInWhiteList
misconfigured  lane          403:Forbidden.AccessDenied.AccessTokenPermissionDenied 403:Forbidden.AccessDenied.SomethingNew
misconfigured  lane          403:permissions.error 403:permissionDenied 400:apiPermissionDenied
misconfigured  tenant        403:orgAuthLevelNotEnough 403:no.priviledge 403:forbidden.accessDenied.realmControl
throttled      lane          403:Forbidden.AccessDenied.QpsLimitForAppkeyAndApi 403:Forbidden.AccessDenied.QpmLimitForAppkeyAndApi
throttled      api           403:Forbidden.AccessDenied.QpsLimitForApi
throttled      lane          403:Forbidden.AccessDenied.QpsLimitForSuitekeyAndOrgAndApi 403:Forbidden.AccessDenied.QpmLimitForSuitekeyAndOrgAndApi
throttled      lane          403:Forbidden.AccessDenied.QpsLimitForSomethingNew 403: 429: 429:system.busy 429:systemBusy 429:any-code
throttled      lane          400:daily.call.limit 400:integrated.qps.exceed
quota_spent    organisation  403:Forbidden.AccessDenied.ApiCountLimitForOrg
misconfigured  lane          404: 405:
misconfigured  tenant        401: 307:
`

const groupTable = `
rejected       task          400:parameter.invalid 400:permession.checkFailed 400:something.else
transient      task          500:system.error 400:system.error 500:systemError 500:innerSystemError 500:service.error 500:unknownError 500:
transient      task          503: 503:serviceBusy 503:operationTimeout 502: 504: 504:service.timeout 200: 503:ServiceUnavailable
throttled      lane          400:system.busy 500:system.busy 400:qps.exceed.limit 400:request.too.fast 400:request.overlimit 500:systemError.busy 400:Throttling.User
`

const changeTable = `
rejected       task          400:incorrect.format 400:incorrect.length 400:incorrect.reserved 400:have.been.set 400:emp.not.exist
rejected       task          400:internalenterpriseaccount.limit 400:something.else 403:something.else 409:something.else
ambiguous      task          500:system.busy 400:system.busy 400:system.error 500:systemError 500:innerSystemError 400:innerSystemError
ambiguous      task          400:unknownError 500:service.error 400:serviceBusy 400:fooBusy 400:fooSystemError 503:operationTimeout
ambiguous      task          500: 502: 503: 504: 200: 201: 400: 418: 500:have.been.set 200:have.been.set
ambiguous      task          400:qps.exceed.limit 500:request.too.fast 400:request.overlimit 500:systemError.busy 504:service.timeout
throttled      lane          403:system.busy 429:qps.exceed.limit 403:request.too.fast 429:request.overlimit 403:systemError.busy
`

// readTable returns the verdict of each code of a table.
func readTable(t *testing.T, tables ...string) map[string]verdict {
	t.Helper()
	all := map[string]verdict{}
	for line := range strings.Lines(strings.Join(tables, "")) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		kind := slices.IndexFunc(providers.Kinds(), func(k providers.Kind) bool { return k.String() == words[0] })
		scope := slices.IndexFunc([]providers.Scope{0, 1, 2, 3, 4, 5}, func(s providers.Scope) bool { return s.String() == words[1] })
		if kind < 0 || scope < 0 {
			t.Fatalf("the test's own line is wrong: %q", line)
		}
		for _, code := range words[2:] {
			all[code] = verdict{providers.Kind(kind), providers.Scope(scope)}
		}
	}
	return all
}

// stage plays the platform: it answers every metered request alike.
type stage struct {
	*dingtalk.Client
	status int
	body   string
	header http.Header
	tokens atomic.Int64
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{header: http.Header{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/accessToken") {
			fmt.Fprintf(w, `{"accessToken":"t%d","expireIn":7200}`, s.tokens.Add(1))
			return
		}
		maps.Copy(w.Header(), s.header)
		w.WriteHeader(s.status)
		_, _ = io.WriteString(w, s.body)
	}))
	t.Cleanup(server.Close)
	s.Client = open(t, providertest.Setting{URL: server.URL, Timeout: 30 * time.Second, Quick: time.Millisecond})
	return s
}

func free(context.Context) error { return nil }

func (s *stage) setNick() error {
	_, err := s.UpdateGroupNick(context.Background(), free, dingtalk.GroupNick{ChatID: "c", UserID: "u", Nick: "n"})
	return err
}

func (s *stage) rename() error {
	name := "n"
	_, err := s.UpdateGroup(context.Background(), free, dingtalk.GroupUpdate{ChatID: "c", Name: &name})
	return err
}

func (s *stage) changeID() error {
	_, err := s.ChangeID(context.Background(), free, dingtalk.IDChange{UserID: "u", DingTalkID: "abc123"})
	return err
}

func judged(t *testing.T, what string, err error, want verdict, code string) {
	t.Helper()
	e, ok := errors.AsType[*providers.Error](err)
	if !ok {
		t.Errorf("%s: %v, want %v", what, err, want.kind)
		return
	}
	if e.Kind != want.kind || e.Scope != want.scope || e.Code != code {
		t.Errorf("%s: %v, %v, code %q; want %v, %v, %q", what, e.Kind, e.Scope, e.Code, want.kind, want.scope, code)
	}
}

// Every code of the legacy host, as a number and as text, flat and inside a
// gateway's error, and inside nothing but its message.
func TestLegacyCodes(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.status = 200
	for code, want := range readTable(t, legacyTable) {
		for _, body := range []string{
			`{"errcode":` + code + `,"errmsg":"m"}`,
			`{"errcode":"` + code + `","errmsg":"m"}`,
			`{"errcode":88,"sub_code":"` + code + `","sub_msg":"m","errmsg":"ding talk error[subcode=` + code + `,submsg=m]"}`,
			`{"errcode":"88","sub_code":` + code + `,"errmsg":"m"}`,
			`{"errcode":88,"errmsg":"ding talk error[subcode=` + code + `,submsg=m]"}`,
		} {
			s.body = body
			judged(t, body, s.setNick(), want, code)
		}
	}
	s.body = `{"errcode":40000,"errmsg":"m"}`
	judged(t, "40000 flat", s.setNick(), verdict{providers.Rejected, providers.ScopeTask}, "40000")
	s.body = `{"errcode":88,"sub_code":"40000","sub_msg":"access_token is blank"}`
	judged(t, "40000 nested", s.setNick(), verdict{providers.Misconfigured, providers.ScopeLane}, "40000")
	s.body = `{"errcode":0,"errmsg":"ok","success":false}`
	judged(t, s.body, s.setNick(), verdict{providers.Transient, providers.ScopeTask}, "0")
	s.body = `{"errcode":88,"errmsg":"m"}`
	judged(t, s.body, s.setNick(), verdict{providers.Unknown, providers.ScopeTask}, "88")
}

// Every code of the new host, for both of its calls, with the keys in either
// case.
func TestNewCodes(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for _, c := range []struct {
		name  string
		call  func() error
		table map[string]verdict
	}{
		{"group/update", s.rename, readTable(t, commonTable, groupTable)},
		{"dingTalkIds/change", s.changeID, readTable(t, commonTable, changeTable)},
	} {
		for line, want := range c.table {
			status, code, _ := strings.Cut(line, ":")
			if _, err := fmt.Sscan(status, &s.status); err != nil {
				t.Fatal(err)
			}
			bodies := []string{
				`{"code":"` + code + `","requestid":"r-1","message":"m"}`,
				`{"Code":"` + code + `","RequestId":"r-1","Message":"m"}`,
			}
			if code == "" {
				bodies = []string{"", "{}", `{"code":"","message":"m"}`, `{"code":null}`}
			}
			for _, body := range bodies {
				s.body = body
				err := c.call()
				judged(t, c.name+" HTTP "+status+" "+body, err, want, code)
				if e, ok := errors.AsType[*providers.Error](err); ok && code != "" && (e.RequestID != "r-1" || e.Message != "m") {
					t.Errorf("%s %s: request id %q, message %q are not read", c.name, body, e.RequestID, e.Message)
				}
			}
		}
	}
	s.status = 200
	for body, want := range map[string]verdict{
		`{"errcode":404,"errmsg":"m"}`:                          {providers.Misconfigured, providers.ScopeLane},
		`{"errcode":88,"sub_code":"90018","errmsg":"m"}`:        {providers.Throttled, providers.ScopeLane},
		`{"errcode":0,"errmsg":"ok"}`:                           {providers.Transient, providers.ScopeTask},
		`{"success":false}`:                                     {providers.Transient, providers.ScopeTask},
		`{"success":"true"}`:                                    {providers.Transient, providers.ScopeTask},
		`{"Success":true}`:                                      {providers.Transient, providers.ScopeTask},
		`{"status":1111,"wait":5,"source":"x5","uuid":"u"}`:     {providers.Throttled, providers.ScopeAddress},
		`{"success":false,"success":true,"code":"contradicts"}`: {providers.Transient, providers.ScopeTask},
	} {
		s.body = body
		e, ok := errors.AsType[*providers.Error](s.rename())
		if !ok || e.Kind != want.kind || e.Scope != want.scope {
			t.Errorf("group/update HTTP 200 %s: %v, want %v, %v", body, e, want.kind, want.scope)
		}
	}
	for _, body := range []string{`{"result":false}`, `{"result":"true"}`, `{"errcode":404}`, `{"success":true}`, `{"errcode":90018}`} {
		s.body = body
		if got := providers.KindOf(s.changeID()); got != providers.Ambiguous {
			t.Errorf("dingTalkIds/change HTTP 200 %s is %v, want ambiguous", body, got)
		}
	}
}

// No answer may lead to a second send of the ID change as if nothing had happened: it
// is never Transient, Unknown or Partial, and an outcome that a server error leaves
// open is Ambiguous.
func TestAnIDChangeIsNeverRetryable(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	codes := []string{""}
	for _, row := range dingtalk.Codes() {
		codes = append(codes, strings.ReplaceAll(strings.TrimPrefix(row.Code, "88/"), "*", "x"))
	}
	statuses := []int{200, 204, 400, 401, 403, 404, 408, 409, 429, 500, 502, 503, 599}
	if testing.Short() { // each is a call for every code
		statuses = []int{200, 403, 502}
	}
	for _, s.status = range statuses {
		for _, code := range codes {
			s.body = refusal(code, "m")
			switch kind := providers.KindOf(s.changeID()); kind {
			case providers.Transient, providers.Unknown, providers.Partial, providers.TokenRejected, providers.Unsent:
				t.Errorf("HTTP %d %s is %v", s.status, s.body, kind)
			case providers.Ambiguous:
			default:
				if s.status == 200 || s.status >= 500 {
					t.Errorf("HTTP %d %s is %v, want ambiguous", s.status, s.body, kind)
				}
			}
		}
	}
}

// The rows are tried in order, so a row behind a wider one would be dead data.
func TestNoRowHidesAnother(t *testing.T) {
	t.Parallel()
	for _, table := range dingtalk.Tables() {
		seen := map[string]bool{}
		for _, row := range table.Codes {
			key := strings.ToLower(row.HTTP + " " + row.Code)
			if seen[key] {
				t.Errorf("table %s holds %q twice", table.Name, key)
			}
			seen[key] = true
			if row.Meaning == "" {
				t.Errorf("table %s: %q has no meaning", table.Name, key)
			}
		}
	}
}

package dingtalk_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/secret"
	"rollcall/providers"
	"rollcall/providers/dingtalk"
	"rollcall/providers/providertest"
)

type seen struct {
	Path, Query, Type, Token, Body string
}

// recorder answers success to everything and keeps the last metered request.
func recorder(t *testing.T) (*dingtalk.Client, *seen) {
	t.Helper()
	var last seen
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/accessToken") {
			_, _ = io.WriteString(w, `{"accessToken":"`+token+`","expireIn":7200}`)
			return
		}
		body, _ := io.ReadAll(r.Body)
		last = seen{r.URL.Path, r.URL.RawQuery, r.Header.Get("Content-Type"), r.Header.Get("x-acs-dingtalk-access-token"), string(body)}
		_, _ = io.WriteString(w, `{"errcode":"0","errmsg":"ok","success":true,"result":true,"request_id":"id1aatxt9mco"}`)
	}))
	t.Cleanup(server.Close)
	return open(t, providertest.Setting{URL: server.URL}), &last
}

// Names travel as they are, even where they look like JSON or need escaping.
func TestGroupNickIsSentLiterally(t *testing.T) {
	t.Parallel()
	c, last := recorder(t)
	for _, nick := range []string{"张三", "[monitor]", `{"a":1}`, "😀 a&b=c+d%20", "", "a\u2028b<>\"'"} {
		receipt, err := c.UpdateGroupNick(context.Background(), free, dingtalk.GroupNick{ChatID: "chat/1", UserID: "u&1", Nick: nick})
		if err != nil || receipt != (providers.Receipt{RequestID: "id1aatxt9mco", Sends: 1}) {
			t.Fatalf("%+v, %v", receipt, err)
		}
		form, err := url.ParseQuery(last.Body)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(url.Values{"chatid": {"chat/1"}, "userid": {"u&1"}, "group_nick": {nick}}, form); diff != "" {
			t.Error(diff)
		}
		query, err := url.ParseQuery(last.Query)
		if diff := cmp.Diff(url.Values{"access_token": {token}}, query); diff != "" || err != nil {
			t.Error(err, diff)
		}
		want := seen{"/topapi/chat/updategroupnick", last.Query, "application/x-www-form-urlencoded;charset=utf-8", "", last.Body}
		if diff := cmp.Diff(want, *last); diff != "" {
			t.Error(diff)
		}
	}
}

// A nil field is not sent, a zero is, and texts are raw UTF-8.
func TestGroupUpdateSendsWhatIsSetAndNothingElse(t *testing.T) {
	t.Parallel()
	c, last := recorder(t)
	name, none, zero, one := "<三年级> & \u2028", "", 0, 1
	for _, test := range []struct {
		update dingtalk.GroupUpdate
		want   string
	}{
		{dingtalk.GroupUpdate{Name: &name}, `{"chatid":"c","name":"` + name + `"}`},
		{dingtalk.GroupUpdate{Name: &none}, `{"chatid":"c","name":""}`},
		{
			dingtalk.GroupUpdate{Owner: &none, OwnerType: &none, Icon: &none, Options: &dingtalk.GroupOptions{}},
			`{"chatid":"c","owner":"","ownerType":"","icon":""}`,
		},
		{
			dingtalk.GroupUpdate{AddUsers: []string{"a"}, DelUsers: []string{}, AddExternal: []string{"x", "y"}, DelExternal: []string{"z"}},
			`{"chatid":"c","add_useridlist":["a"],"add_extidlist":["x","y"],"del_extidlist":["z"]}`,
		},
		{
			dingtalk.GroupUpdate{Options: &dingtalk.GroupOptions{MentionAllAuthority: &zero, Searchable: &one}},
			`{"chatid":"c","managementOptions":{"mentionAllAuthority":0,"searchable":1}}`,
		},
		{
			dingtalk.GroupUpdate{Options: &dingtalk.GroupOptions{ShowHistoryType: &zero, ValidationType: &one, ChatBannedType: &zero, ManagementType: &one}},
			`{"chatid":"c","managementOptions":{"showHistoryType":0,"validationType":1,"chatBannedType":0,"managementType":1}}`,
		},
	} {
		test.update.ChatID = "c"
		if _, err := c.UpdateGroup(context.Background(), free, test.update); err != nil {
			t.Fatal(err)
		}
		want := seen{"/v1.0/im/group/update", "", "application/json; charset=utf-8", token, test.want}
		if diff := cmp.Diff(want, *last); diff != "" {
			t.Error(diff)
		}
	}
	if _, err := c.ChangeID(context.Background(), free, dingtalk.IDChange{UserID: "u1", DingTalkID: "abc123"}); err != nil {
		t.Fatal(err)
	}
	want := seen{
		"/v1.0/contact/orgAccounts/dingTalkIds/change", "", "application/json; charset=utf-8", token,
		`{"userId":"u1","dingTalkId":"abc123"}`,
	}
	if diff := cmp.Diff(want, *last); diff != "" {
		t.Error(diff)
	}
}

// A refusal costs a metered call, so a request that would certainly be refused is not
// sent.
func TestSureRefusalsAreNotSent(t *testing.T) {
	t.Parallel()
	c, last := recorder(t)
	bad, ctx := "\xff", context.Background()
	for i, call := range []func() (providers.Receipt, error){
		func() (providers.Receipt, error) {
			return c.UpdateGroupNick(ctx, free, dingtalk.GroupNick{UserID: "u", Nick: "n"})
		},
		func() (providers.Receipt, error) {
			return c.UpdateGroupNick(ctx, free, dingtalk.GroupNick{ChatID: "c", Nick: "n"})
		},
		func() (providers.Receipt, error) {
			return c.UpdateGroupNick(ctx, free, dingtalk.GroupNick{ChatID: "c", UserID: "u", Nick: bad})
		},
		func() (providers.Receipt, error) { return c.UpdateGroup(ctx, free, dingtalk.GroupUpdate{Name: &bad}) },
		func() (providers.Receipt, error) {
			return c.UpdateGroup(ctx, free, dingtalk.GroupUpdate{ChatID: "c", Name: &bad})
		},
		func() (providers.Receipt, error) {
			return c.UpdateGroup(ctx, free, dingtalk.GroupUpdate{ChatID: "c", AddUsers: []string{}, Options: &dingtalk.GroupOptions{}})
		},
		func() (providers.Receipt, error) {
			return c.ChangeID(ctx, free, dingtalk.IDChange{DingTalkID: "abc123"})
		},
		func() (providers.Receipt, error) { return c.ChangeID(ctx, free, dingtalk.IDChange{UserID: "u"}) },
	} {
		_, err := call()
		e, ok := errors.AsType[*providers.Error](err)
		if !ok || e.Kind != providers.Rejected || e.Sends != 0 || e.MaybeApplied || e.Message == "" {
			t.Errorf("call %d: %+v, want rejected without a send", i, err)
		}
	}
	if *last != (seen{}) {
		t.Errorf("something was sent: %+v", *last)
	}
}

// If an answer contains more than a code, the error passes it to the person who has to
// act.
func TestTheErrorContainsWhatTheAnswerHasBesidesItsCode(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	now := time.Now()
	var midnight time.Duration
	{
		y, m, d := now.In(time.FixedZone("", 8*60*60)).Date()
		midnight = time.Date(y, m, d+1, 0, 0, 0, 0, time.FixedZone("", 8*60*60)).Sub(now)
	}
	inBeijing := now.Add(40 * time.Minute).In(time.FixedZone("", 8*60*60)).Format(time.DateTime)
	for _, test := range []struct {
		name     string
		call     func() error
		status   int
		body     string
		fix      string
		from, to time.Duration
		tries    int
	}{
		{
			name: "the missing scope and where to ask for it", call: s.setNick, status: 200,
			body: `{"errcode":88,"sub_code":"60011","errmsg":"ding talk error[subcode=60011,submsg=没有调用该接口的权限, {requiredScopes=[qyapi_x]} ` +
				`https://evil.example/x https://open-dev.dingtalk.com/appscope/apply?content=ding#qyapi_x]"}`,
			fix: "grant the app the permission qyapi_x https://open-dev.dingtalk.com/appscope/apply?content=ding#qyapi_x",
		},
		{
			name: "the scopes of the new host", call: s.changeID, status: 403,
			body: `{"code":"Forbidden.AccessDenied.AccessTokenPermissionDenied","message":"m","accessdenieddetail":{"requiredScopes":["A.Read","B.Write"]}}`,
			fix:  "grant the app the permission A.Read, B.Write",
		},
		{
			name: "the end of a ban in Beijing", call: s.setNick, status: 200,
			body: `{"errcode":90018,"errmsg":"请求总次数超过了 20 次, 处罚将在 ` + inBeijing + ` 结束"}`, from: 39 * time.Minute, to: 40 * time.Minute,
		},
		{
			name: "a shut-out that is over", call: s.setNick, status: 200,
			body: `{"errcode":90004,"errmsg":"限制将在 2019-01-01 00:00:00 结束"}`, from: 5 * time.Minute, to: 5 * time.Minute,
		},
		{name: "today's limit", call: s.rename, status: 400, body: `{"code":"daily.call.limit"}`, from: midnight - time.Minute, to: midnight},
		{name: "-1 is worth three tries", call: s.setNick, status: 200, body: `{"errcode":-1}`, tries: 3},
	} {
		s.status, s.body = test.status, test.body
		e, ok := errors.AsType[*providers.Error](test.call())
		if !ok {
			t.Fatalf("%s: no error", test.name)
		}
		if test.fix != "" && strings.TrimSpace(e.Fix) != test.fix {
			t.Errorf("%s: fix is %q, want %q", test.name, e.Fix, test.fix)
		}
		if test.to > 0 && (e.RetryAfter < test.from || e.RetryAfter > test.to) {
			t.Errorf("%s: wait is %v, want %v to %v", test.name, e.RetryAfter, test.from, test.to)
		}
		if e.Tries != test.tries {
			t.Errorf("%s: %d tries, want %d", test.name, e.Tries, test.tries)
		}
	}
}

// A configuration that cannot work, or that would expose credentials, is rejected
// before anything is sent. No error repeats a password.
func TestNewRejectsUnusableSettings(t *testing.T) {
	t.Parallel()
	good := dingtalk.Config{
		Tenant: "school", AppKey: "k", AppSecret: secret.New("s"),
		API: "https://api.dingtalk.com", OAPI: "https://oapi.dingtalk.com/",
	}
	c, err := dingtalk.New(good)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	for name, spoil := range map[string]func(*dingtalk.Config){
		"no tenant":         func(c *dingtalk.Config) { c.Tenant = "" },
		"no key":            func(c *dingtalk.Config) { c.AppKey = "" },
		"no secret":         func(c *dingtalk.Config) { c.AppSecret = secret.Text{} },
		"no api":            func(c *dingtalk.Config) { c.API = "" },
		"no oapi":           func(c *dingtalk.Config) { c.OAPI = "" },
		"two regions":       func(c *dingtalk.Config) { c.OAPI = "https://OAPI.dingtalk.io" },
		"plain http":        func(c *dingtalk.Config) { c.API = "http://api.dingtalk.com" },
		"no scheme":         func(c *dingtalk.Config) { c.API = "api.dingtalk.com" },
		"another scheme":    func(c *dingtalk.Config) { c.API = "ftp://api.dingtalk.com" },
		"a password":        func(c *dingtalk.Config) { c.API = "https://me:passw0rd@api.dingtalk.com" },
		"a query":           func(c *dingtalk.Config) { c.OAPI = "https://oapi.dingtalk.com?access_token=passw0rd" },
		"a fragment":        func(c *dingtalk.Config) { c.OAPI = "https://oapi.dingtalk.com/#passw0rd" },
		"nonsense":          func(c *dingtalk.Config) { c.API = "https://passw0rd:%zz" },
		"negative timeout":  func(c *dingtalk.Config) { c.Timeout = -1 },
		"a look-alike host": func(c *dingtalk.Config) { c.API = "http://localhost.dingtalk.com" },
	} {
		cfg := good
		spoil(&cfg)
		c, err := dingtalk.New(cfg)
		if err == nil {
			c.Close()
			t.Errorf("%s is accepted", name)
		} else if strings.Contains(err.Error(), "passw0rd") {
			t.Errorf("%s: the refusal shows it: %v", name, err)
		}
	}
	for _, local := range []string{"http://127.0.0.1:8080/dingtalk/", "http://localhost:1", "http://[::1]:1"} {
		cfg := good
		cfg.API, cfg.OAPI = local, local
		c, err := dingtalk.New(cfg)
		if err != nil {
			t.Errorf("%s is refused: %v", local, err)
			continue
		}
		c.Close()
	}
}

// A handshake that fails before a request has left is a known outcome, even for an ID
// change.
func TestAnUntrustedCertificateIsAKnownOutcome(t *testing.T) {
	t.Parallel()
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"accessToken":"t","expireIn":7200}`)
	}))
	t.Cleanup(tokens.Close)
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = nil
	untrusted.StartTLS()
	t.Cleanup(untrusted.Close)
	c, err := dingtalk.New(dingtalk.Config{Tenant: "school", AppKey: "k", AppSecret: secret.New(appSecret), API: tokens.URL, OAPI: untrusted.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	_, err = c.UpdateGroupNick(context.Background(), free, dingtalk.GroupNick{ChatID: "c", UserID: "u", Nick: "n"})
	e, ok := errors.AsType[*providers.Error](err)
	if !ok || e.Kind != providers.Transient || e.MaybeApplied || e.Sends != 0 || e.Fix == "" {
		t.Errorf("%+v; want transient, not applied, no send, and what to look at", err)
	}
}

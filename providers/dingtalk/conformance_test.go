package dingtalk_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"rollcall/internal/secret"
	"rollcall/providers"
	"rollcall/providers/dingtalk"
	"rollcall/providers/providertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	appSecret = "app-s3cr3t-value"
	token     = "t0ken+with/odd=characters"
	nick      = "张 [monitor] {\"a\":1} 😀"
)

// Each of the three calls passes all conformance tests.
func TestConformance(t *testing.T) {
	t.Parallel()
	name := nick
	for _, s := range []struct {
		subject providertest.Subject
		call    func(*dingtalk.Client) providertest.Call
	}{
		{providertest.Subject{
			API: "updategroupnick", Path: "/topapi/chat/updategroupnick", Status: 200,
			Done:     `{"errcode":0,"errmsg":"ok","success":true,"request_id":"r-1"}`,
			Throttle: "90018", Quick: "400001",
		}, func(c *dingtalk.Client) providertest.Call {
			return func(ctx context.Context, gate providers.Gate) (providers.Receipt, error) {
				return c.UpdateGroupNick(ctx, gate, dingtalk.GroupNick{ChatID: "chat1", UserID: "u1", Nick: nick})
			}
		}},
		{providertest.Subject{
			API: "group/update", Path: "/v1.0/im/group/update", Status: 400, Done: `{"success":true}`,
			Throttle: "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi", Quick: "system.error",
		}, func(c *dingtalk.Client) providertest.Call {
			return func(ctx context.Context, gate providers.Gate) (providers.Receipt, error) {
				return c.UpdateGroup(ctx, gate, dingtalk.GroupUpdate{ChatID: "chat1", Name: &name})
			}
		}},
		{providertest.Subject{
			API: "dingTalkIds/change", Path: "/v1.0/contact/orgAccounts/dingTalkIds/change", Status: 400,
			Done: `{"result":true}`, Throttle: "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi", Once: true,
		}, func(c *dingtalk.Client) providertest.Call {
			return func(ctx context.Context, gate providers.Gate) (providers.Receipt, error) {
				return c.ChangeID(ctx, gate, dingtalk.IDChange{UserID: "u1", DingTalkID: "abc123"})
			}
		}},
	} {
		t.Run(s.subject.API, func(t *testing.T) {
			t.Parallel()
			var tokens atomic.Int64
			subject := s.subject
			subject.Platform, subject.Bans = "dingtalk", true
			subject.Rows = dingtalk.CodesFor(subject.API)
			subject.Refusal = refusal
			subject.Secrets = []string{appSecret, token, "t0ken%2Bwith"}
			if !subject.Once { // an ID change sends no name
				subject.Names = []string{nick, "张 [monitor]", "%E5%BC%A0", "😀"}
			}
			subject.Side = func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprintf(w, `{"accessToken":"%s%d","expireIn":7200}`, token, tokens.Add(1))
			}
			subject.Open = func(t testing.TB, setting providertest.Setting) providertest.Call {
				return s.call(open(t, setting))
			}
			providertest.Run(t, subject)
		})
	}
}

func open(t testing.TB, setting providertest.Setting) *dingtalk.Client {
	t.Helper()
	c, err := dingtalk.New(dingtalk.Config{
		Tenant: "school", AppKey: "ding-key", AppSecret: secret.New(appSecret),
		API: setting.URL, OAPI: setting.URL, Timeout: setting.Timeout, Quick: setting.Quick,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// refusal returns a code in the platform's form: numbers in the legacy shape, "88/"
// codes as a sub_code, words in the new shape.
func refusal(code, message string) string {
	body := map[string]any{"code": code, "message": message, "requestid": "r-1"}
	if sub, nested := strings.CutPrefix(code, "88/"); nested {
		body = map[string]any{"errcode": 88, "sub_code": sub, "errmsg": message, "request_id": "r-1"}
	} else if strings.Trim(code, "-0123456789") == "" {
		body = map[string]any{"errcode": json.Number(code), "errmsg": message, "request_id": "r-1"}
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return string(text)
}

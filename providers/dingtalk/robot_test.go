package dingtalk_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rollcall/internal/sandbox"
	"rollcall/internal/secret"
	"rollcall/providers"
	"rollcall/providers/dingtalk"
	"rollcall/providers/providertest"
)

const (
	robotToken  = "r0bot/token+odd"
	robotSecret = "SECabc123"
)

func robot(t testing.TB, url, token string, timeout time.Duration) *dingtalk.Robot {
	t.Helper()
	r, err := dingtalk.NewRobot(dingtalk.RobotConfig{
		Name: "ops", URL: secret.New(url + "/robot/send?access_token=" + token), Secret: secret.New(robotSecret), Timeout: timeout,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// A message passes all conformance tests of a call that must not be repeated.
func TestARobotsMessageConforms(t *testing.T) {
	t.Parallel()
	providertest.Run(t, providertest.Subject{
		Platform: "dingtalk", API: "robot/send", Path: "/robot/send", Status: 200, Done: `{"errcode":0,"errmsg":"ok"}`,
		Throttle: "130101", Once: true, Bans: true, Rows: dingtalk.CodesFor("robot/send"), Refusal: refusal,
		Secrets: []string{robotSecret, robotToken, "r0bot%2Ftoken"},
		Open: func(t testing.TB, s providertest.Setting) providertest.Call {
			r := robot(t, s.URL, "r0bot%2Ftoken%2Bodd", s.Timeout)
			return func(ctx context.Context, gate providers.Gate) (providers.Receipt, error) {
				return r.Send(ctx, gate, "title", "text")
			}
		},
	})
}

// The sandbox checks the signature as the vendor's page says, and keeps the message.
func TestARobotSignsItsMessages(t *testing.T) {
	t.Parallel()
	box, err := sandbox.New(sandbox.Config{World: sandbox.World{Organisations: []sandbox.Organisation{
		{Name: "lakeside", Robots: []sandbox.Robot{{Name: "ops", Token: "tok", Secret: robotSecret}}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(box.Close)
	server := httptest.NewServer(box)
	t.Cleanup(server.Close)
	if _, err := robot(t, server.URL, "tok", time.Minute).Send(t.Context(), free, "报告", "- 已完成"); err != nil {
		t.Fatal(err)
	}
	if all := box.Effects(); len(all) != 1 || all[0].Changes[0].New != "报告\n- 已完成" {
		t.Errorf("the platform has %+v", all)
	}
	_, err = robot(t, server.URL, "other", time.Minute).Send(t.Context(), free, "a", "b")
	judged(t, "another token", err, verdict{providers.Misconfigured, providers.ScopeTenant}, "300005")
}

func TestAMessageIsSentAsMarkdown(t *testing.T) {
	t.Parallel()
	var body map[string]any
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		_, _ = w.Write([]byte(`{"errcode":0,"errmsg":"ok"}`))
	}))
	t.Cleanup(server.Close)
	if _, err := robot(t, server.URL, "tok", time.Minute).Send(t.Context(), free, "a", "b"); err != nil {
		t.Fatal(err)
	}
	text, _ := body["markdown"].(map[string]any)
	if body["msgtype"] != "markdown" || text["title"] != "a" || text["text"] != "b" {
		t.Errorf("sent %v", body)
	}
}

// A webhook is accepted at DingTalk's own hosts, and on this machine for tests. No error
// quotes it.
func TestARobotsWebhookIsChecked(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"https://oapi.dingtalk.com/robot/send?access_token=hush":              "",
		"https://oapi.dingtalk.io/robot/send?access_token=hush":               "",
		"http://127.0.0.1:9090/robot/send?access_token=hush":                  "",
		"http://oapi.dingtalk.com/robot/send?access_token=hush":               "use https",
		"https://evil.example/robot/send?access_token=hush":                   "not at evil.example",
		"https://oapi.dingtalk.com.evil.example/robot/send?access_token=hush": "not at oapi.dingtalk.com.evil.example",
		"https://api.dingtalk.com/robot/send?access_token=hush":               "not at api.dingtalk.com",
		"https://oapi.dingtalk.com/robot/other?access_token=hush":             "its path must be /robot/send",
		"https://oapi.dingtalk.com/robot/send":                                "its query must be access_token",
		"https://oapi.dingtalk.com/robot/send?access_token=hush&sign=x":       "its query must be access_token",
		"https://u:hush@oapi.dingtalk.com/robot/send?access_token=hush":       "user name",
		"ftp://oapi.dingtalk.com/robot/send?access_token=hush":                "use https",
		"https://%zz/?access_token=hush":                                      "it is no URL",
	} {
		r, err := dingtalk.NewRobot(dingtalk.RobotConfig{Name: "ops", URL: secret.New(url), Secret: secret.New("SECx")})
		if r != nil {
			r.Close()
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush")) {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
	for _, text := range []string{"", "SEC x", "SECx\n"} {
		if _, err := dingtalk.NewRobot(dingtalk.RobotConfig{
			URL: secret.New("https://oapi.dingtalk.com/robot/send?access_token=hush"), Secret: secret.New(text),
		}); err == nil || !strings.HasPrefix(err.Error(), "secret: ") {
			t.Errorf("secret %q: %v", text, err)
		}
	}
}

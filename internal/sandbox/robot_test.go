package sandbox_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/internal/sandbox"
)

// robots is a sandbox with one robot.
func robots(t *testing.T, c *clock, quota int) (*sandbox.Sandbox, func(query url.Values, body string) string) {
	t.Helper()
	s, err := sandbox.New(sandbox.Config{Clock: c.Now, World: sandbox.World{Organisations: []sandbox.Organisation{
		{Name: "north", MessageQuota: quota, Robots: []sandbox.Robot{{Name: "ops", Token: "tok", Secret: "SECx"}}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, func(query url.Values, body string) string {
		answer, err := http.Post(server.URL+"/robot/send?"+query.Encode(), "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

// signed is a query as the vendor's page computes it.
func signed(token, key string, at time.Time) url.Values {
	ms := strconv.FormatInt(at.UnixMilli(), 10)
	mac := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(mac, "%s\n%s", ms, key)
	return url.Values{"access_token": {token}, "timestamp": {ms}, "sign": {base64.StdEncoding.EncodeToString(mac.Sum(nil))}}
}

const hello = `{"msgtype":"markdown","markdown":{"title":"hello","text":"- one"}}`

func TestARobotTakesSignedMessagesAlone(t *testing.T) {
	t.Parallel()
	c := &clock{now: morning()}
	s, post := robots(t, c, 0)
	for _, wrong := range []struct {
		query url.Values
		body  string
		code  string
	}{
		{url.Values{}, hello, "40035"},
		{signed("other", "SECx", c.now), hello, "300005"},
		{signed("tok", "SECy", c.now), hello, "310000"},
		{url.Values{"access_token": {"tok"}}, hello, "310000"},
		{signed("tok", "SECx", c.now.Add(-2*time.Hour)), hello, "310000"},
		{signed("tok", "SECx", c.now), `{"msgtype":"video"}`, "400105"},
		{signed("tok", "SECx", c.now), `{"msgtype":"markdown","markdown":{"title":"a"}}`, "40035"},
		{signed("tok", "SECx", c.now), `no JSON`, "47001"},
	} {
		if got := post(wrong.query, wrong.body); !strings.Contains(got, `"errcode":`+wrong.code) {
			t.Errorf("%v %s is answered with %s, want %s", wrong.query, wrong.body, got, wrong.code)
		}
	}
	if got := post(signed("tok", "SECx", c.now.Add(-30*time.Minute)), hello); got != `{"errcode":0,"errmsg":"ok"}` {
		t.Errorf("a signed message is answered with %s", got)
	}
	state, _ := s.State().Organisation("north")
	effects := s.Effects()
	if len(effects) != 1 || state.Messages != 1 || state.Spent != 0 || effects[0].Target.Robot != "ops" ||
		effects[0].Changes[0] != (sandbox.Change{Field: "message", New: "hello\n- one"}) {
		t.Errorf("%d messages, %d calls, effects %+v", state.Messages, state.Spent, effects)
	}
}

func TestARobotThatSendsTooMuchIsRefusedForTenMinutes(t *testing.T) {
	t.Parallel()
	c := &clock{now: morning()}
	_, post := robots(t, c, -1)
	send := func() string { return post(signed("tok", "SECx", c.Now()), hello) }
	for range 20 {
		if got := send(); !strings.Contains(got, `"errcode":0`) {
			t.Fatal(got)
		}
	}
	for range 10 {
		if got := send(); !strings.Contains(got, `"errcode":130101`) {
			t.Fatalf("the 21st message of a minute is answered with %s", got)
		}
		c.Advance(59 * time.Second)
	}
	c.Advance(11 * time.Second)
	if got := send(); !strings.Contains(got, `"errcode":0`) {
		t.Errorf("after ten minutes: %s", got)
	}
}

func TestMessagesHaveAMonthlyQuotaOfTheirOwn(t *testing.T) {
	t.Parallel()
	c := &clock{now: time.Date(2026, 3, 31, 23, 59, 0, 0, beijing)}
	_, post := robots(t, c, 1)
	send := func() string { return post(signed("tok", "SECx", c.Now()), hello) }
	if first, second := send(), send(); !strings.Contains(first, `"errcode":0`) || !strings.Contains(second, `"errcode":90030`) {
		t.Errorf("%s, then %s; want one message", first, second)
	}
	c.Advance(time.Minute)
	if got := send(); !strings.Contains(got, `"errcode":0`) {
		t.Errorf("in the next month: %s", got)
	}
}

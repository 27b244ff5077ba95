package dingtalk_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rollcall/providers"
	"rollcall/providers/dingtalk"
	"rollcall/providers/providertest"
)

// The list is taken from the vendor's pages: a call that was refused for the rate, for
// the month or by a ban is not counted; a call that may have passed is.
func TestACallRefusedForTheRateOrTheMonthIsNotCounted(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for _, test := range []struct {
		call    func() error
		status  int
		codes   []string
		counted bool
	}{
		{s.setNick, 200, []string{
			"90018", "88/90018", "90002", "90005", "90006", "45009", "90001", "90003", "90004", "90007", "90019", "90020", "88/90020",
		}, false},
		{s.rename, 403, []string{
			"Forbidden.AccessDenied.QpsLimitForAppkeyAndApi", "Forbidden.AccessDenied.QpmLimitForAppkeyAndApi",
			"Forbidden.AccessDenied.QpsLimitForApi", "Forbidden.AccessDenied.ApiCountLimitForOrg", "qps.exceed.limit", "request.too.fast",
		}, false},
		{s.changeID, 403, []string{"Forbidden.AccessDenied.QpsLimitForApi", "qps.exceed.limit", "request.overlimit"}, false},
		{s.rename, 429, []string{"", "any-code"}, false},
		{s.rename, 400, []string{"daily.call.limit"}, false},
		{s.setNick, 200, []string{"60124", "400001", "60011", "40014", "1234567"}, true},
		{s.rename, 403, []string{"", "system.busy", "Forbidden.AccessDenied.AccessTokenPermissionDenied"}, true},
		{s.rename, 400, []string{"InvalidAuthentication", "parameter.invalid", "system.busy"}, true},
		{s.rename, 500, []string{"Forbidden.AccessDenied.QpsLimitForAppkeyAndApi", "qps.exceed.limit", "system.error"}, true},
		{s.changeID, 400, []string{"have.been.set", "qps.exceed.limit"}, true},
	} {
		for _, code := range test.codes {
			s.status, s.body = test.status, refusal(code, "m")
			e, ok := errors.AsType[*providers.Error](test.call())
			if !ok || e.Unmetered == test.counted {
				t.Errorf("HTTP %d %s: %+v; want counted %v", s.status, s.body, e, test.counted)
			}
		}
	}
}

// Of a call with several sends only the last is uncounted: the first was answered, and
// the second never left.
func TestADialThatFailsAfterAnAnswerIsNotCounted(t *testing.T) {
	t.Parallel()
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/accessToken") {
			_, _ = io.WriteString(w, `{"accessToken":"t","expireIn":7200}`)
			return
		}
		_ = server.Listener.Close() // the next dial is not answered
		w.Header().Set("Connection", "close")
		_, _ = io.WriteString(w, `{"errcode":400001}`)
	}))
	t.Cleanup(server.Close)
	c := open(t, providertest.Setting{URL: server.URL, Quick: time.Millisecond})
	passes := 0
	_, err := c.UpdateGroupNick(context.Background(), func(context.Context) error { passes++; return nil },
		dingtalk.GroupNick{ChatID: "c", UserID: "u", Nick: "n"})
	e, ok := errors.AsType[*providers.Error](err)
	if !ok || e.Kind != providers.Transient || e.Sends != 1 || !e.MaybeApplied || !e.Unmetered || passes != 3 {
		t.Errorf("%+v after %d passes of the gate; want one send with unknown outcome, the last of three not counted", err, passes)
	}
}

// A failed token call does not affect the send before it: that send was answered, and
// counts.
func TestARefusedTokenDoesNotUncountTheSendBeforeIt(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{"code":"invalidClientIdOrSecret"}`, `{"code":"Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"}`} {
		a := newAuthority(t)
		a.mustRename(t, 1)
		a.valid = func(string) bool { return false }
		a.give = func(int) (int, string) { return 400, body }
		_, err := a.rename(context.Background())
		e, ok := errors.AsType[*providers.Error](err)
		if !ok || e.API != "oauth2/accessToken" || e.Sends != 1 || e.Unmetered {
			t.Errorf("%s: %+v; want the token's refusal after one send that counts", body, err)
		}
	}
}

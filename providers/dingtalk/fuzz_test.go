package dingtalk_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/providers"
	"rollcall/providers/dingtalk"
	"rollcall/providers/providertest"
)

// FuzzAnswer feeds whole answers to the three calls over HTTP: nothing but the
// documented success passes for one, and every error keeps the house rules.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		`{"errcode":0,"errmsg":"ok","success":true}`, `{"result":true}`, `{"success":true}`,
		`{"errcode":88,"sub_code":"40014","errmsg":"ding talk error[subcode=40014,submsg=x]"}`,
		`{"errcode":88,"errmsg":"subcode=60011 {requiredScopes=[a,b]} https://open.dingtalk.com/x"}`,
		`{"code":"Forbidden.AccessDenied.QpsLimitForApi","requestid":"r","accessdenieddetail":{"requiredScopes":["a"]}}`,
		`{"status":1111}`, `<html>`, `{"errcode":90018,"errmsg":"将在 2026-09-01 00:00:00 结束"}`, `{"errcode":1e400}`, "\xff", "",
	} {
		f.Add(200, body)
		f.Add(400, body)
		f.Add(500, body)
	}
	type reply struct {
		status int
		body   string
	}
	var current atomic.Pointer[reply]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/accessToken") {
			_, _ = w.Write([]byte(`{"accessToken":"` + token + `","expireIn":7200}`))
			return
		}
		now := current.Load()
		w.WriteHeader(now.status)
		_, _ = w.Write([]byte(now.body))
	}))
	f.Cleanup(server.Close)
	c := open(f, providertest.Setting{URL: server.URL, Timeout: 30 * time.Second, Quick: time.Nanosecond})
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 999 {
			return
		}
		current.Store(&reply{status, body})
		ctx, name := context.Background(), "n"
		for i, call := range []func() (providers.Receipt, error){
			func() (providers.Receipt, error) {
				return c.UpdateGroupNick(ctx, free, dingtalk.GroupNick{ChatID: "c", UserID: "u", Nick: name})
			},
			func() (providers.Receipt, error) {
				return c.UpdateGroup(ctx, free, dingtalk.GroupUpdate{ChatID: "c", Name: &name})
			},
			func() (providers.Receipt, error) {
				return c.ChangeID(ctx, free, dingtalk.IDChange{UserID: "u", DingTalkID: "abc123"})
			},
		} {
			_, err := call()
			if err == nil {
				if status != 200 || !answers(body, i) {
					t.Errorf("call %d: HTTP %d %q passed for a success", i, status, body)
				}
				continue
			}
			e, ok := errors.AsType[*providers.Error](err)
			if !ok || e.RetryAfter < 0 || e.RetryAfter > 24*time.Hour || strings.Contains(e.Error(), token) {
				t.Errorf("call %d: %+v", i, err)
			}
			if kind := providers.KindOf(err); i == 2 && (kind == providers.Transient || kind == providers.Unknown) {
				t.Errorf("an ID change answered HTTP %d %q is %v", status, body, kind)
			}
		}
	})
}

// answers reports whether a body is the documented success of the nth call, as a
// plain decoder reads it.
func answers(body string, call int) bool {
	var answer map[string]any
	if json.Unmarshal([]byte(body), &answer) != nil {
		return false
	}
	switch call {
	case 0:
		code := answer["errcode"]
		return (code == 0.0 || code == "0") && answer["success"] == true
	case 1:
		return answer["success"] == true
	default:
		return answer["result"] == true
	}
}

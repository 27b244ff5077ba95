package classin_test

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
	"rollcall/providers/classin"
)

// FuzzAnswer feeds whole answers to the call over HTTP: nothing but errno 1
// passes for a success, and every error keeps the house rules.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		`{"error_info":{"errno":1,"error":"ok"}}`, `{"error_info":{"errno":"104"}}`, `{"error_info":[]}`,
		`{"error_info":{"errno":842,"errno":1}}`, `{"errno":1}`, "<html>", "\xff", "",
	} {
		f.Add(200, body)
		f.Add(503, body)
	}
	type reply struct {
		status int
		body   string
	}
	var current atomic.Pointer[reply]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		now := current.Load()
		w.WriteHeader(now.status)
		_, _ = w.Write([]byte(now.body))
	}))
	f.Cleanup(server.Close)
	c := open(f, classin.Config{BaseURL: server.URL, Timeout: 30 * time.Second, Quick: time.Nanosecond})
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 999 {
			return
		}
		current.Store(&reply{status, body})
		_, err := c.SyncCourseNicknames(context.Background(), free, "1")
		if err == nil {
			var answer struct {
				Info map[string]any `json:"error_info"`
			}
			plain := json.Unmarshal([]byte(body), &answer) == nil
			if errno := answer.Info["errno"]; status != 200 || !plain || (errno != 1.0 && errno != "1") {
				t.Errorf("HTTP %d %q passed for a success", status, body)
			}
			return
		}
		e, ok := errors.AsType[*providers.Error](err)
		if !ok || e.RetryAfter < 0 || e.RetryAfter > time.Hour || strings.Contains(e.Error(), schoolSecret) {
			t.Errorf("%+v", err)
		}
	})
}

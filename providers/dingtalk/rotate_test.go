package dingtalk_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"rollcall/internal/secret"
	"rollcall/providers/dingtalk"
)

// The secret is replaced while a token is fetched with the old one, which the platform
// no longer accepts. A call that waits for the token gets one of the new secret.
func TestASecretThatIsReplacedDuringATokenCallIsUsedAtOnce(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var asked []string
	arrived, wait := make(chan struct{}, 8), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			AppSecret string `json:"appSecret"`
		}
		_ = json.NewDecoder(r.Body).Decode(&body)
		mu.Lock()
		asked = append(asked, body.AppSecret)
		mu.Unlock()
		if body.AppSecret == "old" {
			arrived <- struct{}{}
			<-wait
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprint(w, `{"code":"invalidClientIdOrSecret","requestid":"r","message":"no such app"}`)
			return
		}
		_, _ = fmt.Fprintf(w, `{"accessToken":"token-%s","expireIn":7200}`, body.AppSecret)
	}))
	t.Cleanup(server.Close)
	c, err := dingtalk.New(dingtalk.Config{
		Tenant: "school", AppKey: "k", AppSecret: secret.New("old"), API: server.URL, OAPI: server.URL, Timeout: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)

	first := make(chan error, 1)
	go func() { first <- c.CheckToken(t.Context()) }()
	<-arrived
	c.SetSecret(secret.New("new"))
	// CheckToken does not join the running request.
	if err := c.CheckToken(t.Context()); err != nil {
		t.Errorf("CheckToken after SetSecret: %v", err)
	}
	close(wait)
	if err := <-first; err != nil {
		t.Errorf("CheckToken that was under way: %v", err)
	}
	if err := c.CheckToken(t.Context()); err != nil {
		t.Errorf("the refusal of the old secret was kept: %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(asked) != 2 || asked[0] != "old" || asked[1] != "new" {
		t.Errorf("secrets of the token calls: %q, want old, new", asked)
	}
}

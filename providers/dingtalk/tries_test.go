package dingtalk_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/internal/secret"
	"rollcall/providers"
	"rollcall/providers/dingtalk"
)

type turn struct {
	status     int
	body       string
	retryAfter string
}

// script answers the metered requests in order, and repeats the last answer.
func script(t *testing.T, now func() time.Time, quick time.Duration, turns ...turn) *dingtalk.Client {
	t.Helper()
	var n atomic.Int64 // An aborted request may end after the next one has begun.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/accessToken") {
			_, _ = io.WriteString(w, `{"accessToken":"t","expireIn":7200}`)
			return
		}
		now := turns[min(int(n.Add(1)), len(turns))-1]
		if now.status == 0 {
			panic(http.ErrAbortHandler)
		}
		if now.retryAfter != "" {
			w.Header().Set("Retry-After", now.retryAfter)
		}
		w.WriteHeader(now.status)
		_, _ = io.WriteString(w, now.body)
	}))
	t.Cleanup(server.Close)
	c, err := dingtalk.New(dingtalk.Config{
		Tenant: "school", AppKey: "k", AppSecret: secret.New(appSecret),
		API: server.URL, OAPI: server.URL, Now: now, Quick: quick,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// A send with an unknown outcome stays unknown, regardless of the answer to a later
// send of the same call: a refusal of the second is no evidence about the first.
func TestAnUnknownOutcomeStaysUnknownAfterALaterRefusal(t *testing.T) {
	t.Parallel()
	for _, first := range []turn{{200, `{"errcode":400001}`, ""}, {503, "", ""}, {}} {
		c := script(t, nil, time.Millisecond, first, turn{200, `{"errcode":60124,"errmsg":"m"}`, ""})
		_, err := c.UpdateGroupNick(context.Background(), free, dingtalk.GroupNick{ChatID: "c", UserID: "u", Nick: "n"})
		e, ok := errors.AsType[*providers.Error](err)
		if !ok || e.Kind != providers.Rejected || e.Code != "60124" || !e.MaybeApplied || e.Sends != 2 {
			t.Errorf("first %+v: %+v; want the refusal, with the outcome of the first send unknown", first, err)
		}
	}
}

// A gateway's fault is retried at once, unless it asks for a wait.
func TestGatewayFaultsAreRetriedUnlessTheyAskForAWait(t *testing.T) {
	t.Parallel()
	for _, status := range []int{500, 502, 503, 504} {
		for retryAfter, want := range map[string]int{"": 3, "2": 1} {
			if status == 500 {
				want = 1 // a bare 500 is not a passing fault of a gateway
			}
			c := script(t, nil, time.Millisecond, turn{status, "", retryAfter})
			name := "n"
			_, err := c.UpdateGroup(context.Background(), free, dingtalk.GroupUpdate{ChatID: "c", Name: &name})
			e, ok := errors.AsType[*providers.Error](err)
			if !ok || e.Kind != providers.Transient || e.Sends != want {
				t.Errorf("HTTP %d, Retry-After %q: %+v; want transient after %d sends", status, retryAfter, err, want)
			}
		}
	}
}

// If the context ends during the wait for a quick retry, the caller gets the platform's
// verdict, which wraps the cancellation.
func TestACancelledWaitKeepsTheVerdict(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	sent := false
	clock := func() time.Time {
		if sent {
			cancel() // the answer is being judged: nothing but the wait comes after
		}
		return time.Now()
	}
	c := script(t, clock, 1000*time.Hour, turn{200, `{"errcode":400001}`, ""})
	_, err := c.UpdateGroupNick(ctx, func(context.Context) error { sent = true; return nil },
		dingtalk.GroupNick{ChatID: "c", UserID: "u", Nick: "n"})
	e, ok := errors.AsType[*providers.Error](err)
	if !ok || e.Code != "400001" || e.Kind != providers.Transient || !errors.Is(err, context.Canceled) || e.Sends != 1 {
		t.Errorf("%+v; want 400001, unwrapping to the cancellation", err)
	}
}

// A token whose life is short, missing or absurd is kept for a sensible time.
func TestOddLivesOfTokens(t *testing.T) {
	t.Parallel()
	for life, want := range map[string]time.Duration{
		`600`:    5 * time.Minute, // half of it, since ten minutes early would be at once
		`"7200"`: 110 * time.Minute,
		`0`:      110 * time.Minute,
		`null`:   110 * time.Minute,
		`1e300`:  110 * time.Minute,
		`999999`: 23*time.Hour + 50*time.Minute,
	} {
		a := newAuthority(t)
		a.give = func(n int) (int, string) { return 200, fmt.Sprintf(`{"accessToken":"t%d","expireIn":%s}`, n, life) }
		a.mustRename(t, 1)
		a.pass(want - time.Second)
		a.mustRename(t, 1)
		a.pass(2 * time.Second)
		a.mustRename(t, 2)
	}
}

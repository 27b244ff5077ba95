package sandbox_test

import (
	"regexp"
	"testing"
	"time"

	"rollcall/internal/sandbox"
)

func TestARepeatedFetchRenewsTheExistingToken(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	first := r.northToken()
	r.clock.Advance(7199 * time.Second)
	if again := r.northToken(); again != first {
		t.Errorf("a fetch inside the validity gave %s, want the same %s", again, first)
	}
	r.clock.Advance(7199 * time.Second)
	if got := r.nick(first, "chat1", "ann", "A"); code(got) != "0" {
		t.Errorf("the renewed token was refused: %s", got.Body)
	}
	r.clock.Advance(time.Second)
	if got := r.nick(first, "chat1", "ann", "B"); code(got) != "88/40014" {
		t.Errorf("the lapsed token: %s, want 88/40014", got.Body)
	}
	if next := r.northToken(); next == first {
		t.Error("after the expiry the same token came back")
	}
}

func TestTheTokenAnswerNamesItsLifetimeInSeconds(t *testing.T) {
	t.Parallel()
	for lifetime, want := range map[time.Duration]string{0: "7200", 90 * time.Second: "90"} {
		r := start(t, func(c *sandbox.Config) { c.Limits.TokenLifetime = lifetime })
		got := r.must("POST", "/v1.0/oauth2/accessToken", "application/json", `{"appKey":"ding-north","appSecret":"n-secret"}`)
		if !regexp.MustCompile(`^\{"accessToken":"[0-9a-f]{32}","expireIn":`+want+`\}$`).MatchString(got.Body) || got.Status != 200 {
			t.Errorf("answer %d %s, want a token for %s s", got.Status, got.Body, want)
		}
	}
}

func TestBadCredentialsAreRefusedWithoutSayingWhichHalfIsWrong(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	for _, body := range []string{
		`{"appKey":"ding-north","appSecret":"wrong"}`, `{"appKey":"unknown","appSecret":"n-secret"}`,
		`{}`, `{"appkey":"ding-north","appsecret":"n-secret"}`,
	} {
		answers(t, r.must("POST", "/v1.0/oauth2/accessToken", "application/json", body), 400,
			`{"code":"invalidClientIdOrSecret","requestid":"ID","message":"invalid clientId or clientSecret"}`)
	}
	if got := r.must("POST", "/v1.0/oauth2/accessToken", "application/json", `appKey=x`); code(got) != "commonParamIllegal" {
		t.Errorf("a body that is no JSON: %s", got.Body)
	}
}

func TestEachAppHasATokenOfItsOwnAndItWorksOnBothHosts(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	north, south := r.northToken(), r.fetchToken("ding-south", "s-secret")
	if north == south {
		t.Fatal("two apps share a token")
	}
	if got := r.nick(north, "chat1", "ann", "A"); code(got) != "0" {
		t.Errorf("old host: %s", got.Body)
	}
	if got := r.group(north, `{"chatid":"chat1","name":"N"}`); code(got) != "ok" {
		t.Errorf("new host: %s", got.Body)
	}
	if got := r.nick(south, "chat1", "ann", "A"); code(got) != "34001" {
		t.Errorf("the other organisation reached chat1: %s", got.Body)
	}
}

func TestExpiringTokensByHandMakesAppsFetchNewOnes(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	old := r.northToken()
	answers(t, r.must("POST", "/_sandbox/tokens/expire", "", ""), 200, "{\n  \"expired\": 1\n}\n")
	if got := r.group(old, `{"chatid":"chat1","name":"N"}`); code(got) != "InvalidAuthentication" {
		t.Errorf("the revoked token: %s", got.Body)
	}
	if next := r.northToken(); next == old {
		t.Error("the revoked token came back")
	}
	if n := r.box.ExpireTokens(); n != 1 {
		t.Errorf("ExpireTokens = %d, want 1", n)
	}
}

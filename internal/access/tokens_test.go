package access_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"rollcall/internal/access"
)

func TestANewTokenIsLongRandomAndRecognisable(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^rct_[A-Za-z0-9_-]{43}$`)
	seen := map[string]bool{}
	for range 100 {
		s := access.NewSecret().Reveal()
		if !form.MatchString(s) || seen[s] {
			t.Fatalf("%q", s)
		}
		seen[s] = true
	}
}

func TestTwoTokensOfOneNameAreValidDuringARotation(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	before, after := access.NewSecret().Reveal(), access.NewSecret().Reveal()
	grant := func(text string) access.Grant {
		hashes, err := access.ParseHashes(text)
		if err != nil {
			t.Fatal(err)
		}
		return access.Grant{Principal: access.Principal{Token: "grades"}, Expires: now.Add(time.Hour), Hashes: hashes}
	}
	all := access.NewTokens(grant(access.HashOf(before).String()))
	check := func(step string, validBefore, validAfter bool) {
		t.Helper()
		for s, want := range map[string]bool{before: validBefore, after: validAfter} {
			p, err := all.Identify(s, now)
			if (err == nil) != want || want && p.Token != "grades" || !want && !errors.Is(err, access.ErrUnknown) {
				t.Errorf("%s: %+v, %v, want it valid: %t", step, p, err, want)
			}
		}
	}
	check("at first", true, false)
	all.Replace([]access.Grant{grant(access.HashOf(before).String() + "\n" + access.HashOf(after).String() + "\n")})
	check("during the rotation", true, true)
	all.Replace([]access.Grant{grant(access.HashOf(after).String())})
	check("after it", false, true)
	if _, err := all.Identify(after, now.Add(time.Hour)); !errors.Is(err, access.ErrExpired) {
		t.Errorf("at its end: %v", err)
	}
	all.Replace(nil)
	if _, err := all.Identify(after, now); !errors.Is(err, access.ErrUnknown) {
		t.Errorf("without tokens: %v", err)
	}
	if _, err := new(access.Tokens).Identify(after, now); !errors.Is(err, access.ErrUnknown) {
		t.Errorf("zero value: %v", err)
	}
}

func TestHashesThatCannotBeOneAreRefusedWithoutShowingThem(t *testing.T) {
	t.Parallel()
	good := access.HashOf(token).String()
	for text, want := range map[string]string{
		"":                                "has 0 hashes",
		good + " " + good + " " + good:    "has 3 hashes",
		token:                             "contains a token itself",
		"sha256:" + token:                 "contains a token itself",
		good[7:]:                          "is not a hash",
		"md5:" + good[7:]:                 "is not a hash",
		good[:len(good)-2]:                "is not a hash",
		strings.Replace(good, ":", "", 1): "is not a hash",
	} {
		_, err := access.ParseHashes(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), token[4:]) || strings.Contains(err.Error(), good[7:20]) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if hashes, err := access.ParseHashes(" " + good + "\r\n"); err != nil || len(hashes) != 1 || hashes[0] != access.HashOf(token) {
		t.Errorf("%v %v", hashes, err)
	}
}

func TestOnlyNamedProxiesSayWhoTheClientIs(t *testing.T) {
	t.Parallel()
	proxies, err := access.ParseProxies([]string{"10.0.0.5", "10.1.0.0/16", "::1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		remote, want string
		forwarded    []string
	}{
		{"198.51.100.7:5000", "198.51.100.7", []string{"127.0.0.1"}}, // its own claim
		{"10.0.0.5:5000", "198.51.100.7", []string{"198.51.100.7"}},
		{"10.0.0.5:5000", "198.51.100.7", []string{"127.0.0.1, 198.51.100.7"}}, // the client sent the first
		{"10.0.0.5:5000", "198.51.100.7", []string{"127.0.0.1", "198.51.100.7, 10.1.0.9"}},
		{"10.0.0.5:5000", "10.0.0.5", nil},
		{"10.0.0.5:5000", "10.0.0.5", []string{"unknown"}},
		{"10.0.0.5:5000", "10.1.0.9", []string{"198.51.100.7, x, 10.1.0.9"}},
		{"[::1]:5000", "2001:db8::7", []string{"2001:db8::7"}},
		{"[::ffff:10.0.0.5]:5000", "198.51.100.7", []string{"::ffff:198.51.100.7"}},
		{"@", "invalid IP", []string{"198.51.100.7"}},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.RemoteAddr, r.Header["X-Forwarded-For"] = c.remote, c.forwarded
		if got := proxies.Client(r).String(); got != c.want {
			t.Errorf("%s %q: %s, want %s", c.remote, c.forwarded, got, c.want)
		}
	}
	if _, err := access.ParseProxies([]string{"proxy.internal"}); err == nil || !strings.Contains(err.Error(), "is no address") {
		t.Errorf("a name: %v", err)
	}
}

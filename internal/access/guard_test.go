package access_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/access"
	"rollcall/internal/logtest"
)

var (
	token   = access.NewSecret().Reveal()
	expired = access.NewSecret().Reveal()
)

func tokens() *access.Tokens {
	return access.NewTokens(
		access.Grant{
			Principal: access.Principal{Token: "grades", Scopes: []access.Scope{access.Enqueue, access.Read}, Tenants: []string{"lakeside-dt"}},
			Expires:   time.Now().Add(24 * time.Hour), Hashes: []access.Hash{access.HashOf(token)},
		},
		access.Grant{Principal: access.Principal{Token: "old"}, Expires: time.Now().Add(-time.Second), Hashes: []access.Hash{access.HashOf(expired)}},
	)
}

// seen is what got through a guard, and what the guard reported.
type seen struct {
	log logtest.Buffer

	mu      sync.Mutex
	reached []string // method, URL and token's name
	refused map[string]int
	changes []access.Change
}

func (s *seen) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	p, _ := access.From(r.Context())
	_, _ = io.Copy(io.Discard, r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reached = append(s.reached, r.Method+" "+r.URL.String()+" "+p.Token)
}

func (s *seen) RequestRefused(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused == nil {
		s.refused = map[string]int{}
	}
	s.refused[reason]++
}

func (s *seen) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reached
}

func (s *seen) guard() access.Guard {
	return access.Guard{
		Tokens: tokens(), Guesses: new(access.Guesses), Observer: s, Log: s.log.Logger(),
		Record: func(_ context.Context, c access.Change) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.changes = append(s.changes, c)
		},
	}
}

// serve serves what a guard lets through, on a loopback address.
func serve(t *testing.T, g access.Guard, next http.Handler) (url string) {
	t.Helper()
	server := httptest.NewServer(g.Handler(next))
	t.Cleanup(server.Close)
	return server.URL
}

func ask(t *testing.T, method, url, body string, headers ...string) (status int, answer string, header http.Header) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(content), response.Header
}

func TestOnlyAValidTokenGetsIn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		headers []string
		status  int
		reason  string // "": it gets in
	}{
		"none":                       {nil, 401, "no-token"},
		"an empty one":               {[]string{"Authorization", "Bearer "}, 401, "no-token"},
		"a password":                 {[]string{"Authorization", "Basic " + token}, 401, "no-token"},
		"without a scheme":           {[]string{"Authorization", token}, 401, "no-token"},
		"in another header":          {[]string{"X-Api-Key", token}, 401, "no-token"},
		"in a cookie":                {[]string{"Cookie", "token=" + token}, 401, "no-token"},
		"a wrong one":                {[]string{"Authorization", "Bearer " + access.NewSecret().Reveal()}, 401, "unknown-token"},
		"a shorter one":              {[]string{"Authorization", "Bearer " + token[:len(token)-1]}, 401, "unknown-token"},
		"in capitals":                {[]string{"Authorization", "Bearer " + strings.ToUpper(token)}, 401, "unknown-token"},
		"its hash":                   {[]string{"Authorization", "Bearer " + access.HashOf(token).String()}, 401, "unknown-token"},
		"after two blanks":           {[]string{"Authorization", "Bearer  " + token}, 401, "unknown-token"},
		"an expired one":             {[]string{"Authorization", "Bearer " + expired}, 401, "expired-token"},
		"two":                        {[]string{"Authorization", "Bearer " + token, "Authorization", "Bearer " + token}, 401, "several-tokens"},
		"two in one header":          {[]string{"Authorization", "Bearer " + token + ", Bearer " + token}, 401, "unknown-token"},
		"a valid one":                {[]string{"Authorization", "Bearer " + token}, 200, ""},
		"a valid one, other letters": {[]string{"authorization", "bearer " + token}, 200, ""},
	} {
		var s seen
		status, answer, header := ask(t, http.MethodPost, serve(t, s.guard(), &s)+"/v1/tasks", "{}", c.headers...)
		if status != c.status || (len(s.all()) == 1) != (c.reason == "") || c.reason != "" && s.refused[c.reason] != 1 {
			t.Errorf("%s: status %d, %v got in, refused %v", name, status, s.all(), s.refused)
		}
		if c.reason != "" && (header.Get("WWW-Authenticate") == "" || header.Get("Content-Type") != "application/problem+json" || !strings.Contains(answer, `"detail":`)) {
			t.Errorf("%s: %v %s", name, header, answer)
		}
		for _, secret := range []string{token, expired} {
			if strings.Contains(s.log.String()+answer+fmt.Sprint(header), secret[4:]) {
				t.Errorf("%s: the token is in the log or the answer:\n%s\n%s", name, s.log.String(), answer)
			}
		}
	}
}

func TestThePrincipalHasTheScopesAndTenantsOfItsToken(t *testing.T) {
	t.Parallel()
	var s seen
	var p access.Principal
	url := serve(t, s.guard(), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { p, _ = access.From(r.Context()) }))
	ask(t, http.MethodGet, url+"/v1/runs", "", "Authorization", "Bearer "+token)
	want := access.Principal{Token: "grades", Scopes: []access.Scope{access.Enqueue, access.Read}, Tenants: []string{"lakeside-dt"}}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("principal (-want +got):\n%s", diff)
	}
	if !p.MayTenant("lakeside-dt") || p.MayTenant("hillside-ci") || p.MayTenant("") || !p.May(access.Read) || p.May(access.Approve) {
		t.Error("another tenant or another scope than its own is allowed")
	}
	if all := (access.Principal{}); !all.MayTenant("hillside-ci") || all.May(access.Read) {
		t.Error("without tenants all are meant, and without scopes none")
	}
	if _, found := access.From(t.Context()); found {
		t.Error("a request that passed no guard has a principal")
	}
}

func TestATokenInAURLIsRefusedAndItsNameIsLogged(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"/v1/runs?access_token=" + token, "/v1/runs?x=" + token, "/v1/runs?" + token, "/v1/runs?a=1;token=" + token, "/v1/" + token + "/runs",
		"/v1/runs?Token=other", "/v1/runs?API_KEY=", "/v1/runs?x=%72ct_" + token[4:], "/v1/%72ct_" + token[4:],
	} {
		var s seen
		status, answer, _ := ask(t, http.MethodGet, serve(t, s.guard(), &s)+url, "", "Authorization", "Bearer "+token)
		if status != http.StatusBadRequest || len(s.all()) > 0 || s.refused["token-in-url"] != 1 {
			t.Errorf("%s: status %d, %v got in", url, status, s.all())
		}
		if strings.Contains(s.log.String()+answer, token[4:]) {
			t.Errorf("%s: the token is in the log or the answer", url)
		}
		if strings.Contains(url, token[4:]) && !strings.Contains(s.log.String(), "token=grades") {
			t.Errorf("%s: the log does not name the token that must be replaced:\n%s", url, s.log.String())
		}
	}
}

func TestPublicPathsAreReadWithoutATokenAndWithoutRights(t *testing.T) {
	t.Parallel()
	var s seen
	g := s.guard()
	g.Public = func(path string) bool { return strings.HasPrefix(path, "/v1/problems/") }
	url := serve(t, g, &s)
	for request, want := range map[string]int{
		"GET /v1/problems/state": 200, "POST /v1/problems/state": 401, "GET /v1/problems/../runs": 401, "GET /v1/problems/%2e%2e/runs": 401, "GET /v1/runs": 401,
		"GET /v1/problems/state?token=x": 400,
	} {
		method, path, _ := strings.Cut(request, " ")
		if status, _, _ := ask(t, method, url+path, ""); status != want {
			t.Errorf("%s: status %d, want %d", request, status, want)
		}
	}
	if diff := cmp.Diff([]string{"GET /v1/problems/state "}, s.all()); diff != "" {
		t.Errorf("got in (-want +got):\n%s", diff)
	}
}

func TestPagesOfOtherSitesGetNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method  string
		headers []string
		status  int
	}{
		"a foreign origin":            {http.MethodGet, []string{"Origin", "https://evil.example"}, 403},
		"a null origin":               {http.MethodPost, []string{"Origin", "null"}, 403},
		"a browser says cross-site":   {http.MethodGet, []string{"Sec-Fetch-Site", "cross-site"}, 403},
		"another host of the domain":  {http.MethodPost, []string{"Sec-Fetch-Site", "same-site"}, 403},
		"a preflight has no token":    {http.MethodOptions, []string{"Access-Control-Request-Method", "POST", "No-Token", "1"}, 401},
		"a service sends none of all": {http.MethodPost, nil, 200},
	} {
		var s seen
		headers := c.headers
		if c.status != 401 {
			headers = append(headers, "Authorization", "Bearer "+token)
		}
		status, _, header := ask(t, c.method, serve(t, s.guard(), &s)+"/v1/runs", "", headers...)
		if status != c.status || (len(s.all()) > 0) != (c.status == 200) {
			t.Errorf("%s: status %d, %v got in", name, status, s.all())
		}
		for h := range header {
			if strings.HasPrefix(h, "Access-Control-") {
				t.Errorf("%s: answered with %s", name, h)
			}
		}
	}
}

// raw sends bytes on a connection, and returns the statuses of all answers.
func raw(t *testing.T, url, request string) (statuses []int) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	_ = conn.(*net.TCPConn).CloseWrite()
	answers := bufio.NewReader(conn)
	for {
		response, err := http.ReadResponse(answers, nil)
		if err != nil {
			return statuses
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		statuses = append(statuses, response.StatusCode)
	}
}

func TestSmuggledHeadersAndRequestsGetNothingIn(t *testing.T) {
	t.Parallel()
	bearer := "Authorization: Bearer " + token + "\r\n"
	second := "POST /v1/smuggled HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
	for name, c := range map[string]struct {
		request string
		most    int // requests that may get in: those with a token of their own
	}{
		"a request within a body":          {"POST /v1/a HTTP/1.1\r\nHost: x\r\n" + bearer + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(second)) + second, 1},
		"a length and chunks":              {"POST /v1/a HTTP/1.1\r\nHost: x\r\n" + bearer + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + second, 1},
		"two lengths":                      {"POST /v1/a HTTP/1.1\r\nHost: x\r\n" + bearer + "Content-Length: 0\r\nContent-Length: 9\r\n\r\n" + second, 0},
		"chunks by another name":           {"POST /v1/a HTTP/1.1\r\nHost: x\r\n" + bearer + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + second, 0},
		"a request after one with a token": {"GET /v1/a HTTP/1.1\r\nHost: x\r\n" + bearer + "\r\n" + second, 1},
		"a folded header":                  {"GET /v1/a HTTP/1.1\r\nHost: x\r\nX: y\r\n Authorization: Bearer " + token + "\r\n\r\n", 0},
		"a blank before the colon":         {"GET /v1/a HTTP/1.1\r\nHost: x\r\nAuthorization : Bearer " + token + "\r\n\r\n", 0},
		"a line end in a header":           {"GET /v1/a HTTP/1.1\r\nHost: x\r\nX: y\rAuthorization: Bearer " + token + "\r\n\r\n", 0},
		"a zero byte":                      {"GET /v1/a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + "\x00\r\n\r\n", 0},
		"an underscore":                    {"GET /v1/a HTTP/1.1\r\nHost: x\r\nHTTP_AUTHORIZATION: Bearer " + token + "\r\n\r\n", 0},
		"a proxy's header":                 {"GET /v1/a HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Bearer " + token + "\r\nX-Forwarded-For: 127.0.0.1\r\nX-Original-URL: /v1/a\r\n\r\n", 0},
		"a trailer":                        {"POST /v1/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: Authorization\r\n\r\n0\r\nAuthorization: Bearer " + token + "\r\n\r\n", 0},
	} {
		var s seen
		statuses := raw(t, serve(t, s.guard(), &s), c.request)
		if got := s.all(); len(got) > c.most || strings.Contains(fmt.Sprint(got), "smuggled") {
			t.Errorf("%s: %v got in", name, got)
		}
		if len(statuses) == 0 {
			t.Errorf("%s: no answer", name)
		}
	}
}

func TestWrongTokensAreSlowedDownAndAValidOneIsNot(t *testing.T) {
	t.Parallel()
	var s seen
	g := s.guard()
	start := time.Now()
	g.Now = func() time.Time { return start } // no guess is free again
	url := serve(t, g, &s) + "/v1/runs"
	var got []int
	for range 15 {
		status, _, header := ask(t, http.MethodGet, url, "", "Authorization", "Bearer "+access.NewSecret().Reveal())
		if (status == http.StatusTooManyRequests) != (header.Get("Retry-After") != "") {
			t.Errorf("status %d with Retry-After %q", status, header.Get("Retry-After"))
		}
		got = append(got, status)
	}
	want := []int{401, 401, 401, 401, 401, 401, 401, 401, 401, 401, 429, 429, 429, 429, 429}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"unknown-token": 10, "too-many-wrong-tokens": 5}, s.refused); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
	// A service with an old token does not lock out the others at its address.
	if status, _, _ := ask(t, http.MethodGet, url, "", "Authorization", "Bearer "+token); status != http.StatusOK {
		t.Errorf("a valid token in between: %d", status)
	}
	if n := len(s.log.Lines("request to the API refused")); n != 2 {
		t.Errorf("%d lines for 15 refusals:\n%s", n, s.log.String())
	}
}

func TestTheAPINeedsAConnectionThatNobodyElseCanRead(t *testing.T) {
	t.Parallel()
	proxies, err := access.ParseProxies([]string{"10.0.0.5", "10.1.0.0/16"})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		tls           bool
		local, remote string
		status        int
	}{
		"TLS":                      {true, "192.0.2.1:8443", "198.51.100.7:5000", 200},
		"this machine":             {false, "127.0.0.1:8080", "127.0.0.1:5000", 200},
		"this machine, IPv6":       {false, "[::1]:8080", "[::1]:5000", 200},
		"a named proxy":            {false, "192.0.2.1:8080", "10.0.0.5:5000", 200},
		"a proxy of a network":     {false, "192.0.2.1:8080", "[::ffff:10.1.2.3]:5000", 200},
		"the network":              {false, "192.0.2.1:8080", "198.51.100.7:5000", 403},
		"another host":             {false, "192.0.2.1:8080", "10.0.0.6:5000", 403},
		"a remote that is no host": {false, "192.0.2.1:8080", "@", 403},
	} {
		var s seen
		g := s.guard()
		g.Proxies = proxies
		local, err := net.ResolveTCPAddr("tcp", c.local)
		if err != nil {
			t.Fatal(err)
		}
		target := "http://x/v1/runs"
		if c.tls {
			target = "https://x/v1/runs"
		}
		request := httptest.NewRequestWithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, net.Addr(local)), http.MethodGet, target, nil)
		request.RemoteAddr = c.remote
		request.Header.Set("Authorization", "Bearer "+token)
		request.Header.Set("X-Forwarded-Proto", "https") // proves nothing
		answer := httptest.NewRecorder()
		g.Handler(&s).ServeHTTP(answer, request)
		if answer.Code != c.status || (len(s.all()) > 0) != (c.status == 200) {
			t.Errorf("%s: status %d", name, answer.Code)
		}
	}
}

func TestABodyThatIsTooLargeIsRefused(t *testing.T) {
	t.Parallel()
	var s seen
	g := s.guard()
	g.MaxBody = 1000
	var got int
	var fault error
	url := serve(t, g, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(r.Body)
		got, fault = len(content), err
	}))
	if status, _, _ := ask(t, http.MethodPost, url, strings.Repeat("x", 1001), "Authorization", "Bearer "+token); status != http.StatusRequestEntityTooLarge || got > 0 {
		t.Errorf("a length of 1001 bytes: %d, %d read", status, got)
	}
	chunked := "POST /v1/a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + "\r\nTransfer-Encoding: chunked\r\n\r\n" +
		strings.Repeat("100\r\n"+strings.Repeat("x", 256)+"\r\n", 8) + "0\r\n\r\n"
	raw(t, url, chunked)
	if _, large := errors.AsType[*http.MaxBytesError](fault); !large || got > 1000 {
		t.Errorf("2048 bytes in chunks: %d read, %v", got, fault)
	}
	if ask(t, http.MethodPost, url, strings.Repeat("x", 1000), "Authorization", "Bearer "+token); got != 1000 || fault != nil {
		t.Errorf("1000 bytes: %d read, %v", got, fault)
	}
}

func TestChangesAreReportedWithTheirToken(t *testing.T) {
	t.Parallel()
	var s seen
	url := serve(t, s.guard(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/bad") {
			w.WriteHeader(http.StatusUnprocessableEntity)
		}
	}))
	for _, request := range []string{"GET /v1/runs", "POST /v1/runs/r1/apply", "POST /v1/runs/bad", "DELETE /v1/dead-letters/x"} {
		method, path, _ := strings.Cut(request, " ")
		ask(t, method, url+path, "", "Authorization", "Bearer "+token)
	}
	var got []string
	for _, c := range s.changes {
		got = append(got, fmt.Sprint(c.Token, " ", c.Method, " ", c.Path, " ", c.Status, " ", c.Client))
	}
	want := []string{"grades POST /v1/runs/r1/apply 200 127.0.0.1", "grades DELETE /v1/dead-letters/x 200 127.0.0.1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzTheTokenHeader(f *testing.F) {
	for _, header := range []string{"", "Bearer " + token, "bearer " + token, "Bearer " + expired, "Bearer", "Basic " + token, "Bearer " + token + " ", "Bearer\t" + token} {
		f.Add(header, "")
		f.Add(header, header)
	}
	guard := access.Guard{Tokens: tokens(), Guesses: new(access.Guesses)}
	f.Fuzz(func(t *testing.T, one, two string) {
		reached := false
		handler := guard.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://x/v1/runs", nil)
		request.Header["Authorization"] = []string{one}
		if two != "" {
			request.Header["Authorization"] = []string{one, two}
		}
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		want := two == "" && len(one) > 7 && strings.EqualFold(one[:7], "Bearer ") && one[7:] == token
		if reached != want {
			t.Errorf("%q %q: got in: %t", one, two, reached)
		}
		if !reached && answer.Code != http.StatusUnauthorized && answer.Code != http.StatusTooManyRequests {
			t.Errorf("%q %q: status %d", one, two, answer.Code)
		}
	})
}

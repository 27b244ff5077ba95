package ui_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"rollcall/internal/access"
	"rollcall/internal/redistest"
)

func TestEachPageNeedsItsRole(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	browsers := map[access.Role]*browser{}
	for _, role := range access.Roles() {
		browsers[role] = r.as(role)
	}
	if len(r.ui.Routes()) < 4 {
		t.Fatalf("pages: %v", r.ui.Routes())
	}
	for pattern, needed := range r.ui.Routes() {
		method, path, _ := strings.Cut(pattern, " ")
		path = strings.NewReplacer("{$}", "", "{", "", "}", "").Replace(path)
		var form url.Values
		if method == http.MethodPost {
			form = url.Values{}
		}
		if p := r.browser().do(method, path, form, nil); !strings.HasPrefix(p.path, "/login") {
			t.Errorf("%s without a login leads to %s", pattern, p.path)
		}
		for _, role := range access.Roles() {
			if form != nil {
				form.Set("csrf", browsers[role].token("/"))
			}
			p := browsers[role].do(method, path, form, nil)
			refused := p.status == http.StatusForbidden
			if refused == role.Covers(needed) {
				t.Errorf("%s of %s: %d: %s", pattern, role, p.status, p.text("main"))
			}
		}
	}
}

func TestFormsNeedTheTokenOfTheirSession(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	b, other := r.as(access.Operator), r.as(access.Administrator)
	hold := func(token string) page {
		return b.post("/lanes/hold", url.Values{"scope": {lane}, "reason": {"test"}, "csrf": {token}})
	}
	for _, token := range []string{"", "x", other.token("/"), r.browser().token("/login")} {
		if p := hold(token); p.status != http.StatusForbidden {
			t.Errorf("with the token %q: %d", token, p.status)
		}
	}
	if n := r.rdb.HLen(t.Context(), "rollcall:holds").Val(); n != 0 {
		t.Fatalf("%d holds", n)
	}
	if p := hold(b.token("/")); p.status != http.StatusOK || r.rdb.HLen(t.Context(), "rollcall:holds").Val() != 1 {
		t.Errorf("with its own token: %d %s", p.status, p.text("main"))
	}
	for _, path := range []string{"/login", "/logout", "/language"} {
		if p := b.post(path, url.Values{"name": {"viewer"}, "password": {password}, "lang": {"zh-CN"}}); p.status != http.StatusForbidden {
			t.Errorf("%s without a token: %d", path, p.status)
		}
	}
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	b := r.as(access.Operator)
	form := url.Values{"scope": {lane}, "reason": {"test"}, "csrf": {b.token("/")}}
	for _, header := range []map[string]string{
		{"Origin": "https://evil.example"},
		{"Origin": "null"},
		{"Sec-Fetch-Site": "cross-site"},
		{"Sec-Fetch-Site": "same-site"},
	} {
		if p := b.do(http.MethodPost, "/lanes/hold", form, header); p.status != http.StatusForbidden {
			t.Errorf("with %v: %d", header, p.status)
		}
	}
	if n := r.rdb.HLen(t.Context(), "rollcall:holds").Val(); n != 0 {
		t.Errorf("%d holds", n)
	}
}

func TestALoginHasANewSessionAndALogoutEndsIt(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	b := r.browser()
	at, _ := url.Parse(r.url)
	id := func() string {
		for _, c := range b.client.Jar.Cookies(at) {
			if c.Name == access.Cookie {
				return c.Value
			}
		}
		return ""
	}
	planted := strings.Repeat("A", 43)
	b.client.Jar.SetCookies(at, []*http.Cookie{{Name: access.Cookie, Value: planted}})
	if p := b.get("/"); p.path != "/login" {
		t.Errorf("a planted session leads to %s", p.path)
	}
	b.login("viewer", password)
	first := id()
	if p := b.get("/"); p.path != "/" || first == planted || first == "" {
		t.Errorf("after the login: %s, the session is %q", p.path, first)
	}
	b.login("viewer", password)
	second := id()
	if second == first {
		t.Error("a second login keeps the session")
	}
	if p := b.submit("/logout"); p.path != "/login" || id() != "" {
		t.Errorf("after the logout: %s, the session is %q", p.path, id())
	}
	for _, old := range []string{first, second} {
		b.client.Jar.SetCookies(at, []*http.Cookie{{Name: access.Cookie, Value: old}})
		if p := b.get("/"); p.path != "/login" {
			t.Error("a session that has ended is valid")
		}
	}
}

func TestWrongLoginsAtTheFormAreSlowedDown(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	b := r.browser()
	token := b.token("/login")
	try := func(password string) page {
		return b.post("/login", url.Values{"name": {"operator"}, "password": {password}, "csrf": {token}})
	}
	slowed := 0
	for range 30 {
		switch p := try("wrong"); p.status {
		case http.StatusUnauthorized:
		case http.StatusTooManyRequests:
			if slowed++; p.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		default:
			t.Fatalf("a wrong login: %d", p.status)
		}
	}
	if slowed < 10 {
		t.Errorf("%d of 30 wrong logins were slowed down", slowed)
	}
}

func TestTheLoginLeadsOnlyToPagesOfThisServer(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	for next, want := range map[string]string{
		"/?x=1": "/?x=1", "/monitor/": "/monitor/", "https://evil.example/": "/", "//evil.example/": "/", "/\\evil.example": "/", "javascript:alert(1)": "/",
		"": "/", "/login": "/", "\t//evil.example": "/",
	} {
		b := r.browser()
		b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		p := b.post("/login", url.Values{"name": {"viewer"}, "password": {password}, "next": {next}, "csrf": {b.token("/login")}})
		if got := p.header.Get("Location"); got != want || p.status != http.StatusSeeOther {
			t.Errorf("next=%q leads to %q (%d), want %q", next, got, p.status, want)
		}
	}
}

func TestBasicAuthenticationOpensThePages(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	b := r.browser()
	b.basic = "operator"
	if p := b.get("/"); p.status != http.StatusOK || !strings.Contains(p.text(""), "operator") {
		t.Errorf("%d %s", p.status, p.text(""))
	}
	if p := b.submit("/lanes/hold", "scope", lane, "reason", "test"); p.status != http.StatusOK {
		t.Errorf("a form: %d %s", p.status, p.text("main"))
	}
	b.basic = "stranger"
	if p := b.get("/"); p.status != http.StatusUnauthorized || p.header.Get("WWW-Authenticate") == "" {
		t.Errorf("a wrong login: %d", p.status)
	}
}

func TestThePagesCannotBeFramed(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	for _, path := range []string{"/", "/login", "/nosuch", "/static/ui.css"} {
		p := r.as(access.Viewer).get(path)
		policy := p.header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "frame-ancestors 'none'") || p.header.Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s may be framed: %v", path, p.header)
		}
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") {
			t.Errorf("%s: %s", path, policy)
		}
	}
}

// Nothing inline: the policy forbids it, and a browser would leave it out.
func TestNoPageHasInlineCode(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	hold(t, r, "test")
	b := r.as(access.Administrator)
	for pattern := range r.ui.Routes() {
		method, path, _ := strings.Cut(pattern, " ")
		if method != http.MethodGet {
			continue
		}
		p := b.get(strings.NewReplacer("{$}", "", "{", "", "}", "").Replace(path))
		for n := range p.doc.Descendants() {
			if n.Type != html.ElementNode {
				continue
			}
			if n.Data == "style" || n.Data == "script" && attribute(n, "src") == "" {
				t.Errorf("%s has an inline %s", pattern, n.Data)
			}
			for _, a := range n.Attr {
				if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
					t.Errorf("%s has %s=%q", pattern, a.Key, a.Val)
				}
				if (a.Key == "src" || a.Key == "href" || a.Key == "action") && !strings.HasPrefix(a.Val, "/") && !strings.HasPrefix(a.Val, "#") {
					t.Errorf("%s leads elsewhere: %s", pattern, a.Val)
				}
			}
		}
	}
}

func TestTextOfOthersIsNoMarkup(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	const attack = `"><script>alert(1)</script><img src=x onerror=alert(1)>`
	hold(t, r, attack)
	b := r.as(access.Operator)
	for name, p := range map[string]page{
		"the reason of a hold": b.get("/"),
		"a path":               b.get("/" + url.PathEscape(attack)),
		"a query":              b.get("/?" + url.QueryEscape(attack)),
		"the next page":        r.browser().get("/login?next=" + url.QueryEscape("/"+attack)),
		"a form":               b.submit("/lanes/hold", "scope", attack, "reason", attack),
	} {
		if strings.Contains(p.body, "<script>alert") || strings.Contains(p.body, "<img") {
			t.Errorf("%s is markup:\n%s", name, p.body)
		}
	}
	if p := b.get("/"); !strings.Contains(p.text(""), attack) {
		t.Errorf("the reason is not shown as it is: %s", p.text(""))
	}
	anonymous := r.browser()
	if p := anonymous.login(attack, "wrong"); strings.Contains(p.body, "<script>alert") {
		t.Error("the name of a login is markup")
	}
}

func TestAForgedNoticeIsNotShown(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	b := r.as(access.Viewer)
	for _, value := range []string{"x", "eyJrZXkiOiI8Yj5jYWxsIHVzPC9iPiJ9", "e30"} { // the second: {"key":"<b>call us</b>"}
		p := b.do(http.MethodGet, "/", nil, map[string]string{"Cookie": cookies(r, b) + "; rollcall_notice=" + value})
		if strings.Contains(p.body, "call us") || strings.Contains(p.body, `class="notice"`) {
			t.Errorf("a forged notice is shown: %s", p.text(""))
		}
	}
}

func cookies(r *rig, b *browser) string {
	at, _ := url.Parse(r.url)
	var all []string
	for _, c := range b.client.Jar.Cookies(at) {
		all = append(all, c.Name+"="+c.Value)
	}
	return strings.Join(all, "; ")
}

package ui_test

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/net/html"

	"rollcall/internal/access"
	"rollcall/internal/enqueue"
	"rollcall/internal/ledger"
	"rollcall/internal/logtest"
	"rollcall/internal/overview"
	"rollcall/internal/redistest"
	"rollcall/internal/registry"
	"rollcall/internal/run"
	"rollcall/internal/secret"
	"rollcall/internal/ui"
	"rollcall/tasks"
)

func TestMain(m *testing.M) { redistest.Main(m) }

const (
	organisation = "lakeside"
	tenant       = "lakeside-dt"
	lane         = "lakeside-dt.nickname"
	password     = "correct horse"
)

// rig is the pages on a Redis with served lanes. A user is there for each role, with its name.
type rig struct {
	t        *testing.T
	redis    *redistest.Server
	rdb      redis.UniversalClient
	runs     *run.Service
	producer *enqueue.Client
	state    *overview.Reader
	users    *access.Users
	ui       *ui.UI
	url      string
	log      *logtest.Buffer
}

func newRig(t *testing.T, s *redistest.Server) *rig {
	t.Helper()
	r := &rig{t: t, redis: s, rdb: s.Client(t), log: &logtest.Buffer{}, users: access.NewUsers()}
	var accounts []access.Account
	for _, role := range access.Roles() {
		accounts = append(accounts, access.Account{Name: string(role), Password: secret.New(password), Role: role})
	}
	r.users = access.NewUsers(accounts...)
	var lanes []registry.Lane
	for _, kind := range []tasks.Kind{tasks.KindNickname, tasks.KindGroup} {
		lanes = append(lanes, registry.Lane{Organisation: organisation, Tenant: tenant, Kind: kind})
	}
	if err := registry.Publish(t.Context(), r.rdb, lanes); err != nil {
		t.Fatal(err)
	}
	var err error
	if r.producer, err = enqueue.New(enqueue.Config{Redis: &redis.UniversalOptions{Addrs: []string{s.Addr}}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.producer.Close() })
	record := ledger.New(r.rdb)
	r.runs = run.New(run.Config{Redis: r.rdb, Ledger: record})
	r.state = overview.NewReader(overview.Config{Redis: r.rdb, Ledger: record, Runs: r.runs, Within: time.Minute})
	r.ui = ui.New(ui.Config{
		Login: access.NewLogin(access.LoginConfig{Users: r.users, Sessions: access.NewSessions(r.rdb, time.Now)}),
		Redis: r.rdb, Ledger: record, Runs: r.runs, Producer: r.producer, State: r.state,
		Zone: time.FixedZone("Asia/Shanghai", 8*60*60), Log: r.log.Logger(),
	})
	server := httptest.NewServer(r.ui)
	t.Cleanup(r.ui.Close)
	t.Cleanup(server.Close)
	r.url = server.URL
	r.alive("host-a", 1)
	return r
}

// alive writes the sign of life of a worker, as asynq does.
func (r *rig) alive(host string, pid int) { r.beat(host, pid, time.Now()) }

func (r *rig) beat(host string, pid int, at time.Time) {
	r.t.Helper()
	key := "asynq:servers:{" + host + ":" + itoa(pid) + ":id}"
	if err := r.rdb.ZAdd(r.t.Context(), "asynq:servers", redis.Z{Score: float64(at.Add(10 * time.Second).Unix()), Member: key}).Err(); err != nil {
		r.t.Fatal(err)
	}
}

func itoa(n int) string { return string(rune('0' + n)) }

// browser is a browser without JavaScript, in a language.
type browser struct {
	r      *rig
	client *http.Client
	lang   string
	basic  string // user of basic authentication; empty: none
}

func (r *rig) browser() *browser {
	jar, _ := cookiejar.New(nil)
	client := &http.Client{Jar: jar, Transport: &http.Transport{}}
	r.t.Cleanup(client.CloseIdleConnections)
	return &browser{r: r, client: client, lang: "en"}
}

// as returns a browser in which a user is logged in.
func (r *rig) as(role access.Role) *browser {
	r.t.Helper()
	b := r.browser()
	if p := b.login(string(role), password); p.status != http.StatusOK || !strings.Contains(p.body, string(role)) {
		r.t.Fatalf("login of %s: %d %s", role, p.status, p.body)
	}
	return b
}

func (b *browser) login(name, password string) page {
	b.r.t.Helper()
	return b.post("/login", url.Values{"name": {name}, "password": {password}, "csrf": {b.token("/login")}})
}

// page is an answer.
type page struct {
	status int
	path   string // where the redirections led
	header http.Header
	body   string
	doc    *html.Node
}

func (b *browser) do(method, path string, form url.Values, header map[string]string) page {
	b.r.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	request, err := http.NewRequestWithContext(context.WithoutCancel(b.r.t.Context()), method, b.r.url+path, body)
	if err != nil {
		b.r.t.Fatal(err)
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	request.Header.Set("Accept-Language", b.lang)
	for name, value := range header {
		request.Header.Set(name, value)
	}
	if b.basic != "" {
		request.SetBasicAuth(b.basic, password)
	}
	response, err := b.client.Do(request)
	if err != nil {
		b.r.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		b.r.t.Fatal(err)
	}
	doc, err := html.Parse(strings.NewReader(string(content)))
	if err != nil {
		b.r.t.Fatal(err)
	}
	return page{response.StatusCode, response.Request.URL.RequestURI(), response.Header, string(content), doc}
}

func (b *browser) get(path string) page {
	b.r.t.Helper()
	return b.do(http.MethodGet, path, nil, nil)
}

func (b *browser) post(path string, form url.Values) page {
	b.r.t.Helper()
	return b.do(http.MethodPost, path, form, nil)
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// token returns the token of the forms on a page.
func (b *browser) token(path string) string {
	b.r.t.Helper()
	m := csrfField.FindStringSubmatch(b.get(path).body)
	if m == nil {
		b.r.t.Fatalf("%s has no form with a token", path)
	}
	return m[1]
}

// submit posts a form with the token of the first page.
func (b *browser) submit(path string, pairs ...string) page {
	b.r.t.Helper()
	form := url.Values{"csrf": {b.token("/")}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return b.post(path, form)
}

// text returns the text of a page's element with an id, with single spaces; of the whole page
// for an empty id.
func (p page) text(id string) string {
	var out strings.Builder
	var walk func(n *html.Node, within bool)
	walk = func(n *html.Node, within bool) {
		if n.Type == html.ElementNode && (n.Data == "script" || n.Data == "style" || n.Data == "noscript") {
			return
		}
		within = within || attribute(n, "id") == id
		if n.Type == html.TextNode && within {
			out.WriteString(n.Data + " ")
		}
		for c := range n.ChildNodes() {
			walk(c, within)
		}
	}
	walk(p.doc, id == "")
	return strings.Join(strings.Fields(out.String()), " ")
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

package ui_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/net/html"

	"rollcall/internal/access"
	"rollcall/internal/audit"
	"rollcall/internal/enqueue"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/registry"
	"rollcall/internal/secret"
	"rollcall/internal/ui"
	"rollcall/tasks"
)

// formToken is the token of the forms of the users in these tests.
var formToken = strings.Repeat("A", 43)

// office is the pages on a Redis, with a user of each role whose password is their name.
type office struct {
	t        *testing.T
	rdb      redis.UniversalClient
	ledger   *ledger.Ledger
	producer *enqueue.Client
	pages    http.Handler
	now      time.Time
	commands atomic.Int64 // that the pages sent
}

// counter counts the commands of a client, also those of pipelines.
type counter struct{ n *atomic.Int64 }

func (counter) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c counter) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.n.Add(1)
		return next(ctx, cmd)
	}
}

func (c counter) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.n.Add(int64(len(cmds)))
		return next(ctx, cmds)
	}
}

func newOffice(t *testing.T, s *redistest.Server) *office {
	t.Helper()
	rdb := s.Client(t)
	o := &office{t: t, rdb: s.Client(t), now: time.Now()}
	rdb.AddHook(counter{&o.commands})
	producer, err := enqueue.New(enqueue.Config{Redis: &redis.UniversalOptions{Addrs: []string{s.Addr}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = producer.Close() })
	o.ledger, o.producer = ledger.New(o.rdb), producer
	var accounts []access.Account
	for _, role := range access.Roles() {
		accounts = append(accounts, access.Account{Name: string(role), Password: secret.New(string(role)), Role: role})
	}
	accounts = append(accounts, access.Account{Name: "registrar", Password: secret.New("registrar"), Role: access.Viewer, Names: true})
	o.pages = ui.New(ui.Config{
		Login: access.NewLogin(access.LoginConfig{Users: access.NewUsers(accounts...)}),
		Redis: rdb, Ledger: ledger.New(rdb), Producer: producer, Zone: time.FixedZone("UTC+08:00", 8*3600), Now: func() time.Time { return o.now },
	})
	o.publish("lakeside-dt", "lakeside", tasks.KindNickname, tasks.KindGroup, tasks.KindID)
	o.publish("lakeside-ci", "lakeside", tasks.KindCourse, tasks.KindStudent)
	return o
}

func (o *office) publish(tenant, organisation string, of ...tasks.Kind) {
	o.t.Helper()
	var lanes []registry.Lane
	for _, kind := range of {
		lanes = append(lanes, registry.Lane{Organisation: organisation, Tenant: tenant, Kind: kind})
	}
	if err := registry.Publish(o.t.Context(), o.rdb, lanes); err != nil {
		o.t.Fatal(err)
	}
}

// answer is what a page answered.
type answer struct {
	status int
	body   string
	to     string // of a redirection
	notice string
}

func (o *office) do(user, method, target string, form url.Values, change func(*http.Request)) answer {
	o.t.Helper()
	var body *strings.Reader
	if form == nil {
		form = url.Values{}
	}
	body = strings.NewReader(form.Encode())
	request := httptest.NewRequestWithContext(o.t.Context(), method, "https://rollcall.example"+target, body)
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	request.SetBasicAuth(user, user)
	request.AddCookie(&http.Cookie{Name: "rollcall_form", Value: formToken})
	if change != nil {
		change(request)
	}
	recorder := httptest.NewRecorder()
	o.pages.ServeHTTP(recorder, request)
	return answer{status: recorder.Code, body: recorder.Body.String(), to: recorder.Header().Get("Location"), notice: noticeOf(recorder.Result())}
}

func noticeOf(r *http.Response) string {
	defer r.Body.Close()
	for _, c := range r.Cookies() {
		if c.Name == "rollcall_notice" && c.MaxAge > 0 {
			return c.Value
		}
	}
	return ""
}

// get returns a page, which must be there.
func (o *office) get(user, target string) string {
	o.t.Helper()
	a := o.do(user, http.MethodGet, target, nil, nil)
	if a.status != http.StatusOK {
		o.t.Fatalf("GET %s by %s: %d\n%s", target, user, a.status, text(o.t, a.body))
	}
	return a.body
}

// chinese returns a page in Chinese.
func (o *office) chinese(user, target string) string {
	o.t.Helper()
	return o.do(user, http.MethodGet, target, nil, func(r *http.Request) { r.Header.Set("Accept-Language", "zh-CN,zh;q=0.9") }).body
}

// post sends a form as a page has it.
func (o *office) post(user, target string, form url.Values) answer {
	o.t.Helper()
	whole := maps.Clone(form)
	if whole == nil {
		whole = url.Values{}
	}
	whole.Set("csrf", formToken)
	return o.do(user, http.MethodPost, target, whole, nil)
}

// after follows a form's answer to the next page, with its notice.
func (o *office) after(user string, a answer) string {
	o.t.Helper()
	if a.status != http.StatusSeeOther {
		o.t.Fatalf("the form was answered with %d\n%s", a.status, text(o.t, a.body))
	}
	return o.do(user, http.MethodGet, a.to, nil, func(r *http.Request) {
		r.AddCookie(&http.Cookie{Name: "rollcall_notice", Value: a.notice})
	}).body
}

func parse(t *testing.T, body string) *html.Node {
	t.Helper()
	root, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// text returns what is to be read on a page.
func text(t *testing.T, body string) string {
	t.Helper()
	var b strings.Builder
	for n := range parse(t, body).Descendants() {
		if n.Type == html.TextNode && n.Parent.Data != "script" && n.Parent.Data != "style" {
			b.WriteString(n.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// elements returns the elements of a name with an attribute.
func elements(t *testing.T, body, name, attribute string) (values []string) {
	t.Helper()
	for n := range parse(t, body).Descendants() {
		if n.Type != html.ElementNode || n.Data != name {
			continue
		}
		for _, a := range n.Attr {
			if a.Key == attribute {
				values = append(values, a.Val)
			}
		}
	}
	return values
}

// link returns the address of the first link whose text or address has a part.
func link(t *testing.T, body, part string) string {
	t.Helper()
	i := slices.IndexFunc(elements(t, body, "a", "href"), func(href string) bool { return strings.Contains(href, part) })
	if i < 0 {
		t.Fatalf("no link to %s:\n%s", part, text(t, body))
	}
	return elements(t, body, "a", "href")[i]
}

func (o *office) wants(body string, texts ...string) {
	o.t.Helper()
	all := text(o.t, body)
	for _, want := range texts {
		if !strings.Contains(all, want) {
			o.t.Errorf("%q is not on the page:\n%s", want, all)
		}
	}
}

func (o *office) lacks(body string, texts ...string) {
	o.t.Helper()
	for _, never := range texts {
		if strings.Contains(body, never) || strings.Contains(body, url.QueryEscape(never)) {
			o.t.Errorf("%q is on the page:\n%s", never, body)
		}
	}
}

// hostile is a text that a careless page would execute.
const hostile = `<script>alert(1)</script>"><img src=x onerror=alert(2)>'{{.}}`

// wantHarmless fails if a page has elements or attributes that it has not by itself.
func wantHarmless(t *testing.T, body string) {
	t.Helper()
	for n := range parse(t, body).Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if n.Data == "img" || n.Data == "iframe" || n.Data == "style" || n.Data == "script" && n.FirstChild != nil {
			t.Errorf("element <%s> on the page:\n%s", n.Data, body)
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" || strings.HasPrefix(strings.ToLower(strings.TrimSpace(a.Val)), "javascript:") {
				t.Errorf("attribute %s=%q of <%s>", a.Key, a.Val, n.Data)
			}
		}
	}
}

var messageKey = regexp.MustCompile(`\b(more|dead|search|target|schedule|night|audit|reveal|class|kind|field|asynq|word|conclusion|tick|event|subject|detail)\.[a-z][a-z.]*\b|%!`)

// wantTranslated fails if a page shows the key of a message, or an argument that was not used.
func wantTranslated(t *testing.T, body string) {
	t.Helper()
	for n := range parse(t, body).Descendants() {
		if n.Type == html.TextNode && n.Parent.Data != "code" {
			if found := messageKey.FindString(n.Data); found != "" {
				t.Errorf("untranslated: %q in %q", found, n.Data)
			}
		}
	}
}

// dies adds the dead letter of a nickname, and returns it.
func (o *office) dies(id string, at time.Time, change func(*ledger.DeadLetter)) ledger.DeadLetter {
	o.t.Helper()
	typename, payload, err := kinds.Encode(tasks.NicknameSync{Tenant: "lakeside-dt", ChatID: "chat1", UserID: "u-" + id, Nickname: "王小明" + id}, at.UnixMicro())
	if err != nil {
		o.t.Fatal(err)
	}
	d := ledger.DeadLetter{
		ID: "task-" + id, Lane: "lakeside-dt.nickname", Tenant: "lakeside-dt", Kind: "nickname", Organisation: "lakeside", Type: typename, Payload: payload,
		Target: "chat1/u-" + id, Revision: at.UnixMicro(), Class: "rejected", Code: "40035", Message: "no such user", First: at.Add(-time.Minute), Last: at,
		RequestID: "req-" + id, Attempts: map[string]int{"busy": 2},
	}
	if change != nil {
		change(&d)
	}
	if _, err := o.ledger.AddDeadLetterOnce(o.t.Context(), d); err != nil {
		o.t.Fatal(err)
	}
	return d
}

func (o *office) events(event string) (found []audit.Event) {
	o.t.Helper()
	all, err := audit.Read(o.t.Context(), o.rdb, 1000)
	if err != nil {
		o.t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(e audit.Event) bool { return e.Event != event })
}

func (o *office) deadLetters() (n int64) {
	o.t.Helper()
	counts, err := o.ledger.DeadCauses(o.t.Context(), "lakeside-dt.nickname")
	if err != nil {
		o.t.Fatal(err)
	}
	for _, c := range counts["lakeside-dt.nickname"] {
		n += c.DeadLetters
	}
	return n
}

// A form without its token, and one of another site, change nothing; neither does a role that
// may only look.
func TestPagesOfOperatorsRefuseOthersAndForgedForms(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		o := newOffice(t, s)
		o.dies("1", o.now, nil)
		o.schedule("nightly")
		one := url.Values{"lane": {"lakeside-dt.nickname"}, "id": {"task-1"}, "reason": {"r"}, "set.nickname": {"B"}, "was.nickname": {""}}
		for _, target := range []string{
			"/dead-letters/replay", "/dead-letters/discard", "/dead-letters/correct", "/schedules/nightly/run", "/schedules/nightly/pause", "/schedules/nightly/resume",
		} {
			for _, user := range []string{"viewer", "registrar"} {
				if a := o.post(user, target, one); a.status != http.StatusForbidden {
					t.Errorf("%s by %s: %d", target, user, a.status)
				}
			}
			for name, change := range map[string]func(*http.Request){
				"no token": func(*http.Request) {},
				"another token": func(r *http.Request) {
					r.AddCookie(&http.Cookie{Name: "rollcall_form", Value: strings.Repeat("B", 43)})
				},
				"another site":    func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
				"another origin":  func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
				"get with a form": func(r *http.Request) { r.Method = http.MethodGet },
			} {
				form := maps.Clone(one)
				if name != "no token" {
					form.Set("csrf", formToken)
				}
				if name == "another token" {
					form.Set("csrf", strings.Repeat("C", 43))
				}
				if a := o.do("operator", http.MethodPost, target, form, change); a.status != http.StatusForbidden && a.status != http.StatusNotFound && a.status != http.StatusMethodNotAllowed {
					t.Errorf("%s, %s: %d", target, name, a.status)
				}
			}
		}
		if a := o.do("viewer", http.MethodGet, "/dead-letters/confirm?do=discard&lane=lakeside-dt.nickname&class=rejected&code=40035", nil, nil); a.status != http.StatusForbidden {
			t.Errorf("the confirmation is shown to a viewer: %d", a.status)
		}
		if n := o.deadLetters(); n != 1 || len(o.events("dead.replayed"))+len(o.events("dead.discarded"))+len(o.events("schedule.run"))+len(o.events("schedule.paused")) > 0 {
			t.Errorf("%d dead letters are left, or an event was written", n)
		}
		for _, page := range []string{"/dead-letters", "/dead-letters/cause?lane=lakeside-dt.nickname&class=rejected&code=40035", "/dead-letters/task?lane=lakeside-dt.nickname&id=task-1", "/schedules", "/schedules/nightly"} {
			body := o.get("viewer", page)
			for _, action := range elements(t, body, "form", "action") {
				if strings.Contains(action, "replay") || strings.Contains(action, "discard") || strings.Contains(action, "correct") || strings.HasPrefix(action, "/schedules/") {
					t.Errorf("%s offers %s to a viewer", page, action)
				}
			}
		}
	})
}

func TestNamesAreMaskedUntilAUserWhoMaySeeThemAsks(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		o := newOffice(t, s)
		d := o.dies("12345678", o.now, func(d *ledger.DeadLetter) { d.Message = "user u-12345678 is not in the chat" })
		o.applied("chat1/u-12345678", "王小明12345678")
		target := link(t, o.get("viewer", "/search?q=12345678"), "/targets/")
		for _, page := range []string{
			"/dead-letters/cause?lane=lakeside-dt.nickname&class=rejected&code=40035", "/dead-letters/task?lane=lakeside-dt.nickname&id=" + d.ID, "/search?q=%E5%B0%8F%E6%98%8E", target,
		} {
			before := len(o.events("names.revealed"))
			for _, user := range []string{"viewer", "registrar", "administrator"} {
				o.lacks(o.get(user, page), "u-12345678", "王小明12345678")
			}
			for _, user := range []string{"viewer", "operator"} {
				a := o.post(user, page, nil)
				if a.status != http.StatusForbidden {
					t.Errorf("%s: %s sees names: %d", page, user, a.status)
				}
				o.lacks(a.body, "u-12345678", "王小明12345678")
			}
			if n := len(o.events("names.revealed")); n != before {
				t.Errorf("%s: %d events though nothing was shown", page, n-before)
			}
			a := o.post("registrar", page, nil)
			if a.status != http.StatusOK || !strings.Contains(a.body, "u-12345678") || strings.Contains(a.body, "data-live") {
				t.Errorf("%s: %d, in clear: %t", page, a.status, strings.Contains(a.body, "u-12345678"))
			}
			events := o.events("names.revealed")
			if len(events) != before+1 || events[before].By != "registrar" || strings.Contains(fmt.Sprint(events), "u-12345678") {
				t.Errorf("%s: events %+v", page, events)
			}
		}
	})
}

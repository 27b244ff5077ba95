package monitor_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/hibiken/asynq"

	"rollcall/internal/access"
	"rollcall/internal/monitor"
	"rollcall/internal/redistest"
	"rollcall/internal/secret"
)

func TestMain(m *testing.M) { redistest.Main(m) }

const queue = "lakeside-dt.nickname"

var ann = monitor.User{Name: "ann", Password: secret.New("correct horse"), Role: access.Operator}

func TestAReadOnlyWebUIShowsQueuesAndRejectsChanges(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		put(t, s, "nickname:sync", `{"v":1}`)
		url := serve(t, s, monitor.Config{})

		if status, body := ask(t, get(url+"/monitor/api/queues")); status != http.StatusOK || !strings.Contains(body, queue) {
			t.Errorf("queues: %d %s", status, body)
		}
		for _, method := range []string{http.MethodPost, http.MethodDelete, http.MethodPut, http.MethodPatch} {
			r := request{method: method, url: url + "/monitor/api/queues/" + queue + ":pause"}
			if status, _ := ask(t, r); status != http.StatusMethodNotAllowed {
				t.Errorf("%s answered %d, want 405", method, status)
			}
		}
		if status, _ := ask(t, get(url+"/")); status != http.StatusOK {
			t.Errorf("the root answered %d, want a redirect to the page", status)
		}
		if status, _ := ask(t, get(url+"/elsewhere")); status != http.StatusNotFound {
			t.Errorf("a page that does not exist answered %d", status)
		}
	})
}

func TestAWritableWebUIAcceptsChangesOnlyFromItsOwnPages(t *testing.T) {
	t.Parallel()
	s := redistest.One(t)
	put(t, s, "nickname:sync", `{"v":1}`)
	url := serve(t, s, monitor.Config{Users: []monitor.User{ann}, Writable: true})
	pause := request{method: http.MethodPost, url: url + "/monitor/api/queues/" + queue + ":pause", user: ann}
	paused := func() bool {
		info, err := asynq.NewInspectorFromRedisClient(s.Client(t)).GetQueueInfo(queue)
		if err != nil {
			t.Fatal(err)
		}
		return info.Paused
	}

	for _, foreign := range []map[string]string{
		{"Origin": "https://evil.example"},
		{"Origin": "null"},
		{"Sec-Fetch-Site": "cross-site"},
		{"Sec-Fetch-Site": "same-site"},
		{"Origin": "https://evil.example", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
	} {
		if status, _ := ask(t, pause.with(foreign)); status != http.StatusForbidden || paused() {
			t.Errorf("with %v: %d, paused %t; want 403 and nothing done", foreign, status, paused())
		}
	}
	if status, body := ask(t, pause.with(map[string]string{"Sec-Fetch-Site": "same-origin"})); status >= 300 || !paused() {
		t.Errorf("the page's own request: %d %s, paused %t", status, body, paused())
	}
}

func TestAViewerChangesNothingInAsynqsPages(t *testing.T) {
	t.Parallel()
	s := redistest.One(t)
	put(t, s, "nickname:sync", `{"v":1}`)
	viewer := monitor.User{Name: "bob", Password: secret.New("battery staple")}
	url := serve(t, s, monitor.Config{Users: []monitor.User{ann, viewer}, Writable: true, Level: new(slog.LevelVar)})
	for _, r := range []request{
		{method: http.MethodPost, url: url + "/monitor/api/queues/" + queue + ":pause"},
		{method: http.MethodDelete, url: url + "/monitor/api/queues/" + queue + "/pending_tasks:delete_all"},
		{method: http.MethodPut, url: url + "/log/level", body: "debug"},
	} {
		r.user = viewer
		if status, body := ask(t, r); status != http.StatusForbidden {
			t.Errorf("%s %s of a viewer: %d %s", r.method, r.url, status, body)
		}
		r.user = ann
		if status, body := ask(t, r); status >= http.StatusMultipleChoices {
			t.Errorf("%s %s of an operator: %d %s", r.method, r.url, status, body)
		}
	}
	if status, _ := ask(t, request{method: http.MethodGet, url: url + "/monitor/api/queues", user: viewer}); status != http.StatusOK {
		t.Errorf("a viewer sees nothing: %d", status)
	}
}

func TestOurPagesAreAtTheRootAndAsynqsLinkToThem(t *testing.T) {
	t.Parallel()
	ours := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ours "+r.URL.Path) })
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "metrics") })
	server := strings.TrimSuffix(serve(t, redistest.One(t), monitor.Config{UI: ours, Metrics: metrics}), "/")
	for path, want := range map[string]string{
		"/": "ours /", "/runs": "ours /runs", "/metrics": "metrics", "/healthz": "alive", "/monitor/": `<a href="/"`, "/monitor/queues/x": `<a href="/"`,
		"/monitor": `<a href="/"`, "/monitor/api/queues": "queues",
	} {
		if status, body := ask(t, get(server+path)); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.200s, want %q", path, status, body, want)
		}
	}
}

func TestPagesOfOtherSitesCanReadNothing(t *testing.T) {
	t.Parallel()
	s := redistest.One(t)
	url := serve(t, s, monitor.Config{Users: []monitor.User{ann}})
	page := request{method: http.MethodGet, url: url + "/monitor/", user: ann}
	if status, _ := ask(t, page.with(map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"})); status != http.StatusForbidden {
		t.Errorf("a script of another site got %d, want 403", status)
	}
	link := map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
	if status, _ := ask(t, page.with(link)); status != http.StatusOK {
		t.Errorf("a link that was followed got %d, want the page", status)
	}
	link["Sec-Fetch-Dest"] = "iframe"
	if status, _ := ask(t, page.with(link)); status != http.StatusForbidden {
		t.Errorf("a frame in another page got %d, want 403", status)
	}
}

func TestARequestWithAForeignHostNameIsRejected(t *testing.T) {
	t.Parallel()
	url := serve(t, redistest.One(t), monitor.Config{})
	r := get(url + "/monitor/")
	r.host = "evil.example"
	if status, _ := ask(t, r); status != http.StatusForbidden {
		t.Errorf("a foreign host name answered %d, want 403", status)
	}
}

func TestEverythingButTheProbesNeedsALogin(t *testing.T) {
	t.Parallel()
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "metrics") })
	bob := monitor.User{Name: "bob", Password: secret.New("battery staple")}
	s := redistest.One(t)
	page := func() string {
		return serve(t, s, monitor.Config{Users: []monitor.User{ann, bob}, Metrics: metrics, Level: new(slog.LevelVar)})
	}
	for _, path := range []string{"/", "/monitor/", "/monitor/api/queues", "/metrics", "/log/level"} {
		url := page() // none has had a wrong login
		for who, want := range map[monitor.User]int{
			{}:  http.StatusUnauthorized,
			ann: http.StatusOK,
			bob: http.StatusOK,
			{Name: "ann", Password: secret.New("wrong")}:        http.StatusUnauthorized,
			{Name: "ann", Password: secret.Text{}}:              http.StatusUnauthorized,
			{Name: "ann", Password: bob.Password}:               http.StatusUnauthorized,
			{Name: "eve", Password: ann.Password}:               http.StatusUnauthorized,
			{Name: "", Password: ann.Password}:                  http.StatusUnauthorized,
			{Name: "ann", Password: secret.New("correct hors")}: http.StatusUnauthorized,
		} {
			if status, _ := ask(t, request{method: http.MethodGet, url: url + path, user: who}); status != want {
				t.Errorf("%s for %s: %d, want %d", path, who.Name, status, want)
			}
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		r := get(page() + path)
		r.host = "10.0.0.7:8080" // a kubelet uses the pod's address
		if status, body := ask(t, r); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

func TestWithoutUsersOnlyThisMachineIsServed(t *testing.T) {
	t.Parallel()
	s := redistest.One(t)
	for _, address := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0"} {
		_, err := config(s, monitor.Config{Address: address}).Listen(t.Context())
		if err == nil || !strings.Contains(err.Error(), "name users under http") {
			t.Errorf("Listen at %s = %v", address, err)
		}
	}
	_, err := config(s, monitor.Config{Users: []monitor.User{{Name: "ann"}}}).Listen(t.Context())
	if err == nil || !strings.Contains(err.Error(), `"ann" has no name or no password`) {
		t.Errorf("a user without a password: %v", err)
	}
}

func TestAnAddressInUseIsReportedWithAdvice(t *testing.T) {
	t.Parallel()
	s := redistest.One(t)
	_, err := config(s, monitor.Config{Address: s.Addr}).Listen(t.Context())
	if err == nil || !strings.Contains(err.Error(), "choose another address") {
		t.Errorf("Listen() = %v", err)
	}
}

func TestThePageLoadsNothingFromOtherSites(t *testing.T) {
	t.Parallel()
	url := serve(t, redistest.One(t), monitor.Config{})
	response, err := http.Get(url + "/monitor/")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	policy := response.Header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'self'") || strings.Contains(policy, "googleapis") {
		t.Errorf("policy %q", policy)
	}
	if response.Header.Get("X-Content-Type-Options") != "nosniff" || response.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", response.Header)
	}
}

type request struct {
	method, url, host, body string
	user                    monitor.User
	header                  map[string]string
}

func get(url string) request { return request{method: http.MethodGet, url: url} }

func (r request) with(header map[string]string) request {
	r.header = header
	return r
}

func ask(t *testing.T, r request) (status int, body string) {
	t.Helper()
	asked, err := http.NewRequestWithContext(t.Context(), r.method, r.url, strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	asked.Host = r.host
	for name, value := range r.header {
		asked.Header.Set(name, value)
	}
	if r.user != (monitor.User{}) {
		asked.SetBasicAuth(r.user.Name, r.user.Password.Reveal())
	}
	response, err := http.DefaultClient.Do(asked)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(content)
}

func config(s *redistest.Server, c monitor.Config) monitor.Config {
	if c.Address == "" {
		c.Address = "127.0.0.1:0"
	}
	c.Redis = asynq.RedisClientOpt{Addr: s.Addr}
	if c.Login == nil {
		c.Login = access.NewLogin(access.LoginConfig{Users: access.NewUsers(c.Users...), Log: c.Log})
	}
	return c
}

// serve returns the address of a server that runs until the test ends.
func serve(t *testing.T, s *redistest.Server, c monitor.Config) string {
	t.Helper()
	server, err := config(s, c).Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run(t, server)
	return strings.TrimSuffix(server.URL(), "/monitor/")
}

// run serves until the test ends.
func run(t *testing.T, server *monitor.Server) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- server.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
}

func put(t *testing.T, s *redistest.Server, typename, payload string, options ...asynq.Option) {
	t.Helper()
	client := asynq.NewClientFromRedisClient(s.Client(t))
	if _, err := client.Enqueue(asynq.NewTask(typename, []byte(payload)), append(options, asynq.Queue(queue))...); err != nil {
		t.Fatal(err)
	}
}

package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"rollcall/internal/logtest"
	"rollcall/internal/redistest"
	"rollcall/internal/secret"
	"rollcall/internal/webhook"
)

func TestMain(m *testing.M) { redistest.Main(m) }

const (
	one = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAAAAAAAAAAA="
	two = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDAAAAAAAAAAA="
	// patience bounds how long a test waits for an expected event. No test depends on how
	// long it took.
	patience = 2 * time.Minute
)

func event(id string) webhook.Event {
	return webhook.Event{
		ID: id, Type: "run.ended", Time: time.Date(2026, 11, 29, 2, 0, 0, 0, time.UTC), Tenants: []string{"lakeside-dt"},
		Data: map[string]string{"run": "r1"},
	}
}

func endpoint(name, url string, secrets ...string) webhook.Endpoint {
	e := webhook.Endpoint{Name: name, URL: secret.New(url)}
	if len(secrets) == 0 {
		secrets = []string{one}
	}
	for _, s := range secrets {
		e.Secrets = append(e.Secrets, secret.New(s))
	}
	return e
}

// receiver is a URL that is called.
type receiver struct {
	*httptest.Server

	mu     sync.Mutex
	ids    []string
	bodies []string
	heads  []http.Header
	answer func(n int, w http.ResponseWriter, r *http.Request) // nil: 204
}

func receive(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) *receiver {
	t.Helper()
	r := &receiver{answer: answer}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	r.mu.Lock()
	r.ids, r.bodies, r.heads = append(r.ids, request.Header.Get("webhook-id")), append(r.bodies, string(body)), append(r.heads, request.Header)
	n := len(r.ids)
	r.mu.Unlock()
	if r.answer != nil {
		r.answer(n, w, request)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (r *receiver) got() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ids)
}

func TestCallsAreSignedAsStandardWebhooksSays(t *testing.T) {
	t.Parallel()
	r := receive(t, nil)
	if err := endpoint("grades", r.URL, one, two).Send(t.Context(), event("run-r1-done-1")); err != nil {
		t.Fatal(err)
	}
	if want := `{"type":"run.ended","timestamp":"2026-11-29T02:00:00Z","data":{"run":"r1"}}`; r.bodies[0] != want {
		t.Errorf("body %s, want %s", r.bodies[0], want)
	}
	// Each of the two secrets suffices, and another one does not.
	for s, valid := range map[string]bool{one: true, two: true, "whsec_" + strings.Repeat("A", 44): false} {
		hook, err := standardwebhooks.NewWebhook(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := hook.Verify([]byte(r.bodies[0]), r.heads[0]); (err == nil) != valid {
			t.Errorf("verified with %s: %v", s, err)
		}
		if err := hook.Verify([]byte(r.bodies[0]+" "), r.heads[0]); err == nil {
			t.Error("another body is verified")
		}
	}
	if got := r.heads[0].Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
}

// The receiver in docs/webhooks.md, as a reader would run it.
func TestTheReceiverOfTheDocumentationVerifiesCalls(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3")
	}
	page, err := os.ReadFile("../../docs/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	code := regexp.MustCompile("(?s)```python\n(.*?)```").FindSubmatch(page)
	if code == nil {
		t.Fatal("docs/webhooks.md has no example in Python")
	}
	example, err := os.ReadFile("../../examples/http/rename.py")
	if err != nil {
		t.Fatal(err)
	}
	if _, verify, _ := strings.Cut(string(code[1]), "def verify"); verify == "" || !strings.Contains(string(example), "def verify"+verify) {
		t.Error("examples/http/rename.py verifies in another way than the page")
	}
	r := receive(t, nil)
	if err := endpoint("grades", r.URL, two, one).Send(t.Context(), event("run-r1-done-1")); err != nil {
		t.Fatal(err)
	}
	head, body := r.heads[0], r.bodies[0]
	id, timestamp, signatures := head.Get("webhook-id"), head.Get("webhook-timestamp"), head.Get("webhook-signature")
	cases := []struct {
		name                                    string
		secret, id, timestamp, signatures, body string
		want                                    string
	}{
		{"the first secret", two, id, timestamp, signatures, body, "r1"},
		{"the second secret", one, id, timestamp, signatures, body, "r1"},
		{"another secret", "whsec_" + strings.Repeat("A", 44), id, timestamp, signatures, body, "ValueError"},
		{"another id", one, "x", timestamp, signatures, body, "ValueError"},
		{"an old time", one, id, "1700000000", signatures, body, "ValueError"},
		{"no signature", one, id, timestamp, "", body, "ValueError"},
		{"another body", one, id, timestamp, signatures, strings.Replace(body, "r1", "r2", 1), "ValueError"},
	}
	const use = `
import sys
for line in sys.stdin:
    secret, id, timestamp, signatures, body = json.loads(line)
    headers = {"webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signatures}
    try:
        print(verify(secret, headers, body.encode())["data"]["run"])
    except Exception as e:
        print(type(e).__name__)
`
	var input strings.Builder
	for _, c := range cases {
		line, err := json.Marshal([]string{c.secret, c.id, c.timestamp, c.signatures, c.body})
		if err != nil {
			t.Fatal(err)
		}
		input.Write(append(line, '\n'))
	}
	command := exec.CommandContext(t.Context(), python, "-I", "-c", string(code[1])+use)
	command.Stdin = strings.NewReader(input.String())
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got := strings.Fields(string(out))
	for i, c := range cases {
		if len(got) != len(cases) || got[i] != c.want {
			t.Errorf("%s: want %s, all are %v", c.name, c.want, got)
		}
	}
}

func TestRedirectsAreNotFollowedAndAnswersAreNotShown(t *testing.T) {
	t.Parallel()
	inner := receive(t, nil)
	for name, c := range map[string]struct {
		answer func(int, http.ResponseWriter, *http.Request)
		want   string
	}{
		"a redirect": {func(_ int, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, inner.URL, http.StatusTemporaryRedirect)
		}, "HTTP 307: redirects are not followed"},
		"an error with a name": {func(_ int, w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "no such student: Zhang San", http.StatusInternalServerError)
		}, "HTTP 500"},
		"an endless answer": {func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			for {
				if _, err := w.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		}, "HTTP 502"},
	} {
		r := receive(t, c.answer)
		err := endpoint("grades", r.URL+"/?key=hush").Send(t.Context(), event("e"))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "Zhang") || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if len(inner.got()) > 0 {
		t.Error("a redirect was followed")
	}
	dead := receive(t, nil)
	dead.Close()
	if err := endpoint("grades", dead.URL+"/?key=hush").Send(t.Context(), event("e")); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("the error of a dead endpoint contains the URL: %v", err)
	}
}

// The address is judged when it is dialled: the name says nothing.
func TestAddressesThatAreNotPublicAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		url, address string
		allow        string
		allowed      bool
	}{
		{"https://hooks.example.edu/", "93.184.215.14", "", true},
		{"https://hooks.example.edu/", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "", true},
		{"https://hooks.example.edu/", "127.0.0.1", "", false}, // a name that resolves to this machine
		{"https://hooks.example.edu/", "::1", "", false},
		{"https://hooks.example.edu/", "::ffff:127.0.0.1", "", false},
		{"https://hooks.example.edu/", "0.0.0.0", "", false},
		{"https://hooks.example.edu/", "10.0.0.1", "", false},
		{"https://hooks.example.edu/", "172.16.9.1", "", false},
		{"https://hooks.example.edu/", "192.168.1.1", "", false},
		{"https://hooks.example.edu/", "100.64.0.1", "", false},
		{"https://hooks.example.edu/", "169.254.169.254", "", false}, // metadata of clouds
		{"https://hooks.example.edu/", "198.18.0.1", "", false},
		{"https://hooks.example.edu/", "224.0.0.1", "", false},
		{"https://hooks.example.edu/", "255.255.255.255", "", false},
		{"https://hooks.example.edu/", "fe80::1", "", false},
		{"https://hooks.example.edu/", "fd00::1", "", false},
		{"https://hooks.example.edu/", "fec0::1", "", false},
		{"https://hooks.example.edu/", "64:ff9b::7f00:1", "", false}, // IPv4 within IPv6
		{"https://hooks.example.edu/", "2002:7f00:1::", "", false},
		{"https://hooks.example.edu/", "2001:0:7f00:1::", "", false},
		{"https://hooks.example.edu/", "10.2.3.4", "10.2.0.0/16", true},
		{"https://hooks.example.edu/", "10.3.3.4", "10.2.0.0/16", false},
		{"http://hooks.example.edu/", "93.184.215.14", "", false},
		{"http://127.0.0.1:9000/", "127.0.0.1", "", true},
		{"http://localhost:9000/", "::1", "", true},
		{"http://localhost:9000/", "10.0.0.1", "", false}, // a strange entry in /etc/hosts
	} {
		e := endpoint("grades", c.url)
		if c.allow != "" {
			e.Allow = []netip.Prefix{netip.MustParsePrefix(c.allow)}
		}
		if err := e.Check(netip.MustParseAddr(c.address)); (err == nil) != c.allowed {
			t.Errorf("%s at %s, allow %q: %v", c.url, c.address, c.allow, err)
		}
	}
	// The same on a real connection: localhost by another name of this machine.
	r := receive(t, nil)
	port := r.URL[strings.LastIndexByte(r.URL, ':'):]
	for _, host := range []string{"https://0.0.0.0", "https://[::]"} {
		err := endpoint("grades", host+port).Send(t.Context(), event("e"))
		if _, refused := errors.AsType[*webhook.AddressError](err); !refused {
			t.Errorf("%s: %v", host, err)
		}
	}
	if len(r.got()) > 0 {
		t.Error("a refused address was called")
	}
}

// counts counts the results of calls.
type counts struct {
	mu  sync.Mutex
	all map[string]int
}

func (c *counts) WebhookCalled(name string, result webhook.Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[string]int{}
	}
	c.all[name+" "+string(result)]++
}

func (c *counts) of(what string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all[what]
}

// work runs a service until stop is called.
func work(t *testing.T, s *webhook.Service) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

func TestEachEndpointIsCalledOnceAboutTheEventsThatItWants(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		all, other, held := receive(t, nil), receive(t, nil), receive(t, nil)
		otherTenant, onlyHeld := endpoint("other", other.URL), endpoint("held", held.URL)
		otherTenant.Tenants, onlyHeld.Events = []string{"hillside-ci"}, []string{"run.held"}
		var c counts
		endpoints := []webhook.Endpoint{endpoint("all", all.URL), otherTenant, onlyHeld}
		rdb := s.Client(t)
		service := webhook.New(webhook.Config{Redis: rdb, Observer: &c})
		work(t, service) // it waits for an endpoint
		service.Set(endpoints)
		second := webhook.New(webhook.Config{Redis: rdb, Endpoints: endpoints}) // another worker, which finds the same
		address := event("address")
		address.Tenants = nil // it concerns all
		unknown := event("unknown")
		unknown.Tenants = []string{} // not planned yet
		for _, e := range []webhook.Event{event("a"), address, unknown} {
			for _, by := range []*webhook.Service{service, second, service} {
				if err := by.Announce(t.Context(), e); err != nil {
					t.Fatal(err)
				}
			}
		}
		eventually(t, "all calls", func() bool { return len(all.got()) == 3 && len(other.got()) == 1 })
		if err := service.Announce(t.Context(), event("a")); err != nil { // after its delivery
			t.Fatal(err)
		}
		if err := service.Announce(t.Context(), event("last")); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the last call", func() bool { return slices.Contains(all.got(), "last") })
		got := all.got()
		slices.Sort(got)
		if diff := cmp.Diff([]string{"a", "address", "last", "unknown"}, got); diff != "" {
			t.Errorf("called about (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"address"}, other.got()); diff != "" {
			t.Errorf("another tenant's endpoint was called about (-want +got):\n%s", diff)
		}
		if len(held.got()) > 0 {
			t.Errorf("an endpoint for held runs was called about %v", held.got())
		}
		eventually(t, "all counts", func() bool { return c.of("all delivered") == 4 && c.of("other delivered") == 1 })
	})
}

func TestADeadEndpointDelaysNoOther(t *testing.T) {
	t.Parallel()
	s := redistest.One(t)
	release := make(chan struct{})
	dead := receive(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		select { // it hangs, as long as its caller waits
		case <-release:
		case <-r.Context().Done():
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	well := receive(t, nil)
	wants := endpoint("well", well.URL)
	wants.Events = []string{"run.held"}
	service := webhook.New(webhook.Config{Redis: s.Client(t), Endpoints: []webhook.Endpoint{endpoint("dead", dead.URL), wants}})
	const events = 70 // more than a worker calls at the same time
	for i := range events {
		e := event(fmt.Sprint("e", i))
		if i == events-1 {
			e.Type = "run.held"
		}
		if err := service.Announce(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	work(t, service)
	eventually(t, "the call of the endpoint that works", func() bool { return len(well.got()) == 1 })
	if n := len(dead.got()); n > 2 {
		t.Errorf("%d calls of the dead endpoint at the same time", n)
	}
	close(release)
}

func TestAFailedCallIsRepeatedWithTheSameIDAndBody(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a repetition: make test-long")
	}
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := receive(t, func(n int, w http.ResponseWriter, _ *http.Request) {
			if n == 1 {
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
		var c counts
		var log logtest.Buffer
		service := webhook.New(webhook.Config{Redis: s.Client(t), Observer: &c, Log: log.Logger(), Endpoints: []webhook.Endpoint{endpoint("grades", r.URL+"/?key=hush")}})
		if err := service.Announce(t.Context(), event("e")); err != nil {
			t.Fatal(err)
		}
		work(t, service)
		eventually(t, "the repetition", func() bool { return c.of("grades delivered") == 1 })
		if len(r.ids) != 2 || r.ids[0] != "e" || r.ids[1] != "e" || r.bodies[0] != r.bodies[1] || c.of("grades failed") != 1 {
			t.Errorf("ids %v, bodies %v, counts %v", r.ids, r.bodies, c.all)
		}
		lines := log.Lines("call of a webhook failed")
		if len(lines) != 1 || !strings.Contains(lines[0], "webhook=grades") || strings.Contains(log.String(), "hush") {
			t.Errorf("logged:\n%s", log.String())
		}
	})
}

func TestACallIsGivenUpAfterADayAndReported(t *testing.T) {
	t.Parallel()
	s := redistest.One(t)
	rdb := s.Client(t)
	refuses := receive(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	closed := receive(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	var c counts
	var log logtest.Buffer
	var mu sync.Mutex
	var reported []string
	var late time.Duration
	service := webhook.New(webhook.Config{
		Redis: rdb, Observer: &c, Log: log.Logger(), Endpoints: []webhook.Endpoint{endpoint("refuses", refuses.URL), endpoint("closed", closed.URL)},
		GivenUp: func(_ context.Context, name, what string) error {
			mu.Lock()
			defer mu.Unlock()
			reported = append(reported, name+": "+what)
			return nil
		},
		Now: func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return time.Now().Add(late)
		},
	})
	if err := service.Announce(t.Context(), event("e")); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	late = 24 * time.Hour // less 5 s, in which the next attempt would be
	mu.Unlock()
	work(t, service)
	eventually(t, "both reports", func() bool { return c.of("refuses given_up") == 1 && c.of("closed given_up") == 1 })
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(reported)
	want := []string{
		"closed: e, after 1 attempts: HTTP 410: the endpoint wants no more calls; remove the webhook", "refuses: e, after 1 attempts: HTTP 403",
	}
	if diff := cmp.Diff(want, reported); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if lines := log.Lines("call of a webhook given up"); len(lines) != 2 || !strings.Contains(lines[0], "level=ERROR") {
		t.Errorf("logged:\n%s", log.String())
	}
	eventually(t, "archived tasks, from where a person can run them again", func() bool {
		archived, err := asynq.NewInspectorFromRedisClient(rdb).ListArchivedTasks(webhook.Queue)
		return err == nil && len(archived) == 2
	})
}

// A worker that was killed while it called leaves an active task whose lease ends.
func TestACallOfAKilledWorkerIsMadeByAnother(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := receive(t, nil)
		rdb, endpoints := s.Client(t), []webhook.Endpoint{endpoint("grades", r.URL)}
		service := webhook.New(webhook.Config{Redis: rdb, Endpoints: endpoints})
		if err := service.Announce(t.Context(), event("e")); err != nil {
			t.Fatal(err)
		}
		const queue, task = "asynq:{" + webhook.Queue + "}:", "e:grades"
		_, err := rdb.Pipelined(t.Context(), func(p redis.Pipeliner) error {
			p.RPopLPush(t.Context(), queue+"pending", queue+"active")
			p.HSet(t.Context(), queue+"t:"+task, "state", "active")
			p.ZAdd(t.Context(), queue+"lease", redis.Z{Score: float64(time.Now().Add(-time.Minute).Unix()), Member: task})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var c counts
		work(t, webhook.New(webhook.Config{Redis: rdb, Endpoints: endpoints, Observer: &c}))
		eventually(t, "the call by the other worker", func() bool { return c.of("grades delivered") == 1 })
		if diff := cmp.Diff([]string{"e"}, r.got()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

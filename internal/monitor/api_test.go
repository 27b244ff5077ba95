package monitor_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/internal/access"
	"rollcall/internal/monitor"
	"rollcall/internal/redistest"
)

// counter is an API that counts what reaches it.
type counter struct {
	mu   sync.Mutex
	urls []string
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.urls = append(c.urls, r.Method+" "+r.RequestURI)
	_, _ = io.WriteString(w, "api")
}

func (c *counter) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	urls := c.urls
	c.urls = nil
	return urls
}

// answerTo sends a request whose target is not cleaned, and returns status and body.
func answerTo(t *testing.T, address, method, target, header string) (int, string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n%s\r\n", method, target, header); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, ""
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(body)
}

func TestPathTricksReachTheAPIOnlyThroughItsGuardAndNothingElse(t *testing.T) {
	t.Parallel()
	token := access.NewSecret().Reveal()
	var api counter
	guard := access.Guard{
		Tokens: access.NewTokens(access.Grant{
			Principal: access.Principal{Token: "grades"}, Expires: time.Now().Add(time.Hour), Hashes: []access.Hash{access.HashOf(token)},
		}),
		Guesses: new(access.Guesses),
	}
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the page") })
	at := serve(t, redistest.One(t), monitor.Config{Users: []monitor.User{ann}, API: guard.Handler(&api), Metrics: page})
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{
		"/v1/tasks", "//v1/tasks", "/./v1/tasks", "/v1/../v1/tasks", "/metrics/../v1/tasks", "/v1//tasks", "/v1/./tasks", "/%76%31/tasks", "/v1%2ftasks", "/v1/%2e%2e/v1/tasks",
		"/V1/tasks", "/v1;x/tasks", "/v1/tasks;token=1", "/v1/tasks%00", "/healthz/../v1/tasks", "http://127.0.0.1/v1/tasks", "http://evil.example/v1/tasks",
		"/v1/../metrics", "/v1/..%2fmetrics", "/v1/%2e%2e/metrics", "/v1/..;/metrics", "/v1/%252e%252e/metrics", "*", "/v1",
	} {
		for _, method := range []string{"GET", "POST", "CONNECT", "TRACE", "PROPFIND"} {
			if status, body := answerTo(t, u.Host, method, target, ""); len(api.take()) > 0 || strings.Contains(body, "the page") || status == http.StatusOK && target != "*" {
				t.Errorf("%s %s without a token: %d %s", method, target, status, body)
			}
			// A token opens the API alone: no page of the web UI.
			status, body := answerTo(t, u.Host, method, target, "Authorization: Bearer "+token+"\r\n")
			if strings.Contains(body, "the page") {
				t.Errorf("%s %s with a token: %d %s", method, target, status, body)
			}
			if (method == "CONNECT" || method == "TRACE") && len(api.take()) > 0 {
				t.Errorf("%s %s reached the API", method, target)
			}
			api.take()
		}
	}
	if status, body := answerTo(t, u.Host, "GET", "/v1/tasks", "Authorization: Bearer "+token+"\r\n"); status != http.StatusOK || body != "api" {
		t.Errorf("the plain path: %d %s", status, body)
	}
	// A password of the web UI is no token.
	if status, _ := ask(t, request{method: http.MethodGet, url: at + "/v1/tasks", user: ann}); status != http.StatusUnauthorized {
		t.Errorf("a password at the API: %d", status)
	}
}

func TestPathTricksReachNoPageOfAsynqWithoutALogin(t *testing.T) {
	t.Parallel()
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the page") })
	ours := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ours") })
	for name, ui := range map[string]http.Handler{"without our pages": nil, "with our pages": ours} {
		at := serve(t, redistest.One(t), monitor.Config{Users: []monitor.User{ann}, UI: ui, Metrics: page})
		u, err := url.Parse(at)
		if err != nil {
			t.Fatal(err)
		}
		for _, target := range []string{
			"/monitor", "/monitor/", "/monitor/api/queues", "/monitor/static/css/", "//monitor/", "/./monitor/", "/monitor//api/queues", "/%6donitor/", "/monitor%2fapi/queues",
			"/healthz/../monitor/", "/healthz/%2e%2e/monitor/api/queues", "/healthz/..%2fmonitor/", "/readyz/..;/monitor/", "/Monitor/", "/monitor;x/",
			"/monitor/../metrics", "/monitor/%2e%2e/metrics", "/monitor/..%2fmetrics", "/monitor/../log/level", "http://evil.example/monitor/", "/static/../monitor/api/queues",
		} {
			for _, method := range []string{"GET", "HEAD", "POST", "CONNECT", "TRACE"} {
				status, body := answerTo(t, u.Host, method, target, "")
				if strings.Contains(body, "the page") || status == http.StatusOK && (ui == nil || method != "HEAD" && body != "ours") {
					t.Errorf("%s: %s %s without a login: %d %.80s", name, method, target, status, body)
				}
			}
		}
	}
}

func certificate(t *testing.T, number int64) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(number), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestTheListenerWithTLSTakesANewCertificateAndProbesStayWhereTheyAre(t *testing.T) {
	t.Parallel()
	secure := monitor.NewTLS("127.0.0.1:0", certificate(t, 1))
	server, err := config(redistest.One(t), monitor.Config{TLS: secure, API: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, "api ", r.Proto, " ", r.TLS != nil)
	})}).Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run(t, server)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true, DisableKeepAlives: true}}
	get := func(url string) (string, int64) {
		t.Helper()
		response, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		if response.TLS == nil {
			return string(body), 0
		}
		return string(body), response.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	if body, number := get(server.SecureURL() + "/v1/runs"); body != "api HTTP/2.0 true" || number != 1 {
		t.Errorf("%s, certificate %d", body, number)
	}
	secure.SetCertificate(certificate(t, 2))
	if body, number := get(server.SecureURL() + "/v1/runs"); body != "api HTTP/2.0 true" || number != 2 {
		t.Errorf("after the change: %s, certificate %d", body, number)
	}
	if body, _ := get(strings.TrimSuffix(server.URL(), "/monitor/") + "/healthz"); body != "alive\n" {
		t.Errorf("the probe without TLS: %q", body)
	}
}

// Without users the web UI is for this machine alone, and the client chooses the Host.
func TestTheWebUIWithoutUsersIsNotServedToOtherMachinesByTLS(t *testing.T) {
	t.Parallel()
	address := outside(t)
	secure := monitor.NewTLS(net.JoinHostPort(address, "0"), certificate(t, 1))
	server, err := config(redistest.One(t), monitor.Config{TLS: secure}).Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run(t, server)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.SecureURL()+"/monitor/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "localhost"
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("status %d", response.StatusCode)
	}
}

// outside returns an address of this machine that is not a loopback one.
func outside(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if network, ok := a.(*net.IPNet); ok && !network.IP.IsLoopback() && network.IP.To4() != nil {
			return network.IP.String()
		}
	}
	t.Skip("this machine has no other address")
	return ""
}

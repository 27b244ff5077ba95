package access_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/access"
	"rollcall/internal/redistest"
	"rollcall/internal/secret"
)

// door is a login with two users, on a clock that the test moves.
type door struct {
	*access.Login

	now   time.Time
	users *access.Users
}

func newDoor(t *testing.T, rdb redis.UniversalClient, of *door) *door {
	t.Helper()
	d := &door{now: time.Now()}
	if of != nil {
		d.now = of.now
	}
	d.users = access.NewUsers(
		access.Account{Name: "ann", Password: secret.New("correct horse"), Role: access.Operator},
		access.Account{Name: "bob", Password: secret.New("battery staple")},
	)
	now := func() time.Time { return d.now }
	d.Login = access.NewLogin(access.LoginConfig{Users: d.users, Sessions: access.NewSessions(rdb, now), Now: now})
	return d
}

// enter logs ann in, and returns the cookie of the session.
func (d *door) enter(t *testing.T, cookies ...*http.Cookie) *http.Cookie {
	t.Helper()
	r := from(t, cookies...)
	a, err := d.Check(r, "ann", "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	d.Enter(w, r, a)
	all := w.Result().Cookies()
	if len(all) != 1 || all[0].Name != access.Cookie || !all[0].HttpOnly || all[0].SameSite != http.SameSiteLaxMode {
		t.Fatalf("cookies: %v", all)
	}
	return all[0]
}

func from(t *testing.T, cookies ...*http.Cookie) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://192.0.2.1/", nil)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return r
}

func (d *door) in(t *testing.T, c *http.Cookie) bool {
	t.Helper()
	v, err := d.Identify(from(t, c))
	if err != nil && !errors.Is(err, access.ErrNoLogin) {
		t.Fatal(err)
	}
	if err == nil && (v.Name != "ann" || v.Role != access.Operator || v.Names || v.Token == "") {
		t.Errorf("the visitor is %+v", v)
	}
	return err == nil
}

func TestASessionIsSharedByWorkers(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		one := newDoor(t, s.Client(t), nil)
		two := newDoor(t, s.Client(t), one)
		c := one.enter(t)
		if !one.in(t, c) || !two.in(t, c) {
			t.Fatal("a worker does not know the session")
		}
		if err := two.Leave(httptest.NewRecorder(), from(t, c)); err != nil {
			t.Fatal(err)
		}
		if one.in(t, c) || two.in(t, c) {
			t.Error("the session is valid after the logout at another worker")
		}
	})
}

func TestRedisHoldsNoIDOfASession(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	c := newDoor(t, s.Client(t), nil).enter(t)
	dump := s.Mini.Dump()
	if !strings.Contains(dump, "rollcall:session:") {
		t.Fatal(dump)
	}
	for _, word := range []string{c.Value, "correct horse"} {
		if strings.Contains(dump, word) {
			t.Errorf("Redis holds %q:\n%s", word, dump)
		}
	}
}

func TestASessionEnds(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	d := newDoor(t, s.Client(t), nil)
	pass := func(by time.Duration) { d.now = d.now.Add(by); s.Mini.FastForward(by) }

	c := d.enter(t)
	for range 11 { // in use, up to its longest life
		if pass(time.Hour); !d.in(t, c) {
			t.Fatal("a session in use has ended early")
		}
	}
	if pass(61 * time.Minute); d.in(t, c) {
		t.Error("a session is valid after 12 hours")
	}

	c = d.enter(t)
	if pass(access.Idle + time.Second); d.in(t, c) {
		t.Error("a session is valid after two hours without a request")
	}

	c = d.enter(t)
	for range 5 { // an open page refreshes itself
		pass(30 * time.Minute)
		r := from(t, c)
		r.Header.Set(access.LiveHeader, "1")
		_, _ = d.Identify(r)
	}
	if d.in(t, c) {
		t.Error("an open page keeps its session")
	}

	c = d.enter(t)
	d.users.SetPasswords([]access.Account{{Name: "ann", Password: secret.New("another one")}})
	if d.in(t, c) {
		t.Error("a session is valid with the old password")
	}
}

func TestALoginHasANewSession(t *testing.T) {
	t.Parallel()
	d := newDoor(t, redistest.Mini(t).Client(t), nil)
	planted := &http.Cookie{Name: access.Cookie, Value: strings.Repeat("A", 43)}
	if d.in(t, planted) {
		t.Error("an id that no login made is a session")
	}
	first := d.enter(t, planted)
	second := d.enter(t, first)
	if first.Value == planted.Value || second.Value == first.Value {
		t.Error("a login keeps the id")
	}
	if d.in(t, planted) || d.in(t, first) || !d.in(t, second) {
		t.Error("after a second login another session than the new one is valid")
	}
}

func TestASessionStaysKnownWhileRedisIsUnavailable(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	rdb := redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1, DialTimeout: time.Second})
	t.Cleanup(func() { _ = rdb.Close() })
	d := newDoor(t, rdb, nil)
	c := d.enter(t)
	s.Mini.SetError("LOADING Redis is loading the dataset in memory")
	if !d.in(t, c) {
		t.Error("without Redis a session that was just checked is unknown")
	}
	during := d.enter(t)
	if !d.in(t, during) {
		t.Error("without Redis a login is no session of this worker")
	}
	if _, err := d.Identify(from(t, &http.Cookie{Name: access.Cookie, Value: strings.Repeat("A", 43)})); err == nil || errors.Is(err, access.ErrNoLogin) {
		t.Errorf("without Redis an id that is not known gives %v, want the error of Redis", err)
	}
	d.now = d.now.Add(11 * time.Minute)
	if d.in(t, c) || d.in(t, during) {
		t.Error("a session is believed without Redis for more than 10 minutes")
	}
}

func TestBasicAuthenticationIsKept(t *testing.T) {
	t.Parallel()
	d := newDoor(t, redistest.Mini(t).Client(t), nil)
	r := from(t)
	r.SetBasicAuth("bob", "battery staple")
	if v, err := d.Identify(r); err != nil || v.Name != "bob" || v.Role != access.Viewer || v.Token != "" {
		t.Errorf("%+v, %v", v, err)
	}
	r.SetBasicAuth("bob", "correct horse")
	if _, err := d.Identify(r); err == nil || errors.Is(err, access.ErrNoLogin) {
		t.Errorf("another user's password: %v", err)
	}
}

func TestWithoutUsersThisMachineIsTheAdministrator(t *testing.T) {
	t.Parallel()
	login := access.NewLogin(access.LoginConfig{Users: access.NewUsers()})
	for _, c := range []struct {
		host, at string
		want     bool
	}{
		{"127.0.0.1:8080", "127.0.0.1:8080", true},
		{"localhost:8080", "[::1]:8080", true},
		{"evil.example", "127.0.0.1:8080", false},
		{"localhost:8080", "192.0.2.7:8080", false},
	} {
		at, err := net.ResolveTCPAddr("tcp", c.at)
		if err != nil {
			t.Fatal(err)
		}
		r := from(t)
		r.Host = c.host
		v, err := login.Identify(r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(at))))
		if (err == nil) != c.want || c.want && (v.Role != access.Administrator || !v.Names) {
			t.Errorf("%+v: %+v, %v", c, v, err)
		}
	}
}

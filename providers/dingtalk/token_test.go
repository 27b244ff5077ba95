package dingtalk_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rollcall/internal/secret"
	"rollcall/providers"
	"rollcall/providers/dingtalk"
)

// authority issues tokens and accepts those in valid.
type authority struct {
	*dingtalk.Client
	give  func(n int) (status int, body string) // the n-th token request, from 1
	valid func(token string) bool

	asked, sends atomic.Int64
	wait         chan struct{} // token requests wait for it to be closed; nil: they do not
	released     sync.Once
	arrived      chan struct{} // one for each token request

	mu  sync.Mutex
	now time.Time
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{
		give: func(n int) (int, string) {
			return 200, fmt.Sprintf(`{"accessToken":"%s%d","expireIn":7200}`, token, n)
		},
		valid:   func(string) bool { return true },
		arrived: make(chan struct{}, 64),
		now:     time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC),
	}
	server := httptest.NewServer(http.HandlerFunc(a.serve))
	t.Cleanup(server.Close)
	a.Client = a.open(t, server.URL)
	t.Cleanup(a.release)
	return a
}

// hold keeps token requests waiting until release.
func (a *authority) hold() { a.wait = make(chan struct{}) }

func (a *authority) release() {
	if a.wait != nil {
		a.released.Do(func() { close(a.wait) })
	}
}

func (a *authority) open(t *testing.T, url string) *dingtalk.Client {
	t.Helper()
	c, err := dingtalk.New(dingtalk.Config{
		Tenant: "school", AppKey: "ding-key", AppSecret: secret.New(appSecret),
		API: url, OAPI: url, Timeout: time.Hour, Quick: time.Millisecond, Now: a.clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func (a *authority) serve(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/v1.0/oauth2/accessToken") {
		n := int(a.asked.Add(1))
		a.arrived <- struct{}{}
		if a.wait != nil {
			<-a.wait
		}
		body, _ := io.ReadAll(r.Body)
		if string(body) != `{"appKey":"ding-key","appSecret":"`+appSecret+`"}` && string(body) != `{"appSecret":"`+appSecret+`","appKey":"ding-key"}` {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"code":"invalidClientIdOrSecret","message":"test: `+fmt.Sprintf("%q", body)+`"}`)
			return
		}
		status, answer := a.give(n)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, strings.ReplaceAll(answer, "ECHO", appSecret))
		return
	}
	a.sends.Add(1)
	if got := r.Header.Get("x-acs-dingtalk-access-token"); !a.valid(got) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"code":"InvalidAuthentication","requestid":"r-1","message":"token %s is not valid"}`, got)
		return
	}
	_, _ = io.WriteString(w, `{"success":true,"result":true}`)
}

func (a *authority) clock() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.now
}

func (a *authority) pass(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now = a.now.Add(d)
}

func (a *authority) rename(ctx context.Context) (providers.Receipt, error) {
	name := "n"
	return a.UpdateGroup(ctx, free, dingtalk.GroupUpdate{ChatID: "c", Name: &name})
}

func (a *authority) mustRename(t *testing.T, asked int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel() // a call that waits for what it should not ends so
	if _, err := a.rename(ctx); err != nil {
		t.Fatal(err)
	}
	if a.asked.Load() != asked {
		t.Fatalf("%d token requests so far, want %d", a.asked.Load(), asked)
	}
}

// A token is requested once and used until ten minutes before its end.
func TestATokenIsKeptUntilTenMinutesBeforeItsEnd(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.mustRename(t, 1)
	a.pass(110*time.Minute - time.Second)
	a.mustRename(t, 1)
	a.pass(time.Second)
	a.mustRename(t, 2)
	a.mustRename(t, 2)
}

// While one caller replaces an ageing token, the others go on with it; and if
// that fails, the old one serves on and is not replaced by every call.
func TestAnAgeingTokenStaysInUse(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.mustRename(t, 1)
	a.pass(115 * time.Minute)
	a.hold()
	first := make(chan error, 1)
	<-a.arrived
	a.give = func(int) (int, string) { return 500, `{"code":"system.error"}` }
	go func() { _, err := a.rename(context.Background()); first <- err }()
	<-a.arrived
	a.mustRename(t, 2) // and does not wait
	a.mustRename(t, 2)
	a.release()
	if err := <-first; err != nil {
		t.Errorf("a refresh that failed early spoils the call: %v", err)
	}
	a.mustRename(t, 2)
	a.pass(31 * time.Second)
	a.mustRename(t, 3)
	a.pass(5 * time.Minute)
	if _, err := a.rename(context.Background()); providers.KindOf(err) != providers.Transient {
		t.Errorf("with the old token at its end: %v, want the token call's error", err)
	}
}

// A rejected token is replaced once, and both sends pass the gate.
func TestARejectedTokenIsReplacedOnce(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.valid = func(got string) bool { return got == token+"2" }
	passes := 0
	receipt, err := a.ChangeID(context.Background(), func(context.Context) error { passes++; return nil },
		dingtalk.IDChange{UserID: "u", DingTalkID: "abc123"})
	if err != nil || receipt.Sends != 2 || passes != 2 || a.asked.Load() != 2 {
		t.Errorf("%+v, %v after %d passes of the gate and %d tokens; want 2 of each and no error", receipt, err, passes, a.asked.Load())
	}
}

// A second request may return the same token, and a new one may be rejected as well:
// either ends the call, for a person to check.
func TestATokenThatStaysRejectedNeedsAPerson(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		body  string
		sends int
	}{
		"the same token again": {`{"accessToken":"` + token + `","expireIn":7200}`, 1},
		"another token":        {"", 2},
	} {
		a := newAuthority(t)
		a.valid = func(string) bool { return false }
		if test.body != "" {
			a.give = func(int) (int, string) { return 200, test.body }
		}
		_, err := a.rename(context.Background())
		e, ok := errors.AsType[*providers.Error](err)
		if !ok || e.Kind != providers.Misconfigured || e.Scope != providers.ScopeTenant || e.Code != "InvalidAuthentication" ||
			e.Sends != test.sends || e.MaybeApplied || e.Fix == "" {
			t.Errorf("%s: %+v; want misconfigured for the tenant, the code verbatim, %d sends", name, err, test.sends)
		}
		if strings.Contains(err.Error(), token) {
			t.Errorf("%s: the error shows the token: %v", name, err)
		}
		if a.asked.Load() != 2 {
			t.Errorf("%s: %d token requests, want 2", name, a.asked.Load())
		}
	}
}

// One refresh is all that a call gets, its quick tries included.
func TestAQuickRetryGetsNoSecondRefresh(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	fault := true
	a.valid = func(got string) bool {
		if got == token+"2" && fault {
			fault = false
			panic(http.ErrAbortHandler) // a broken connection, so that a quick try follows
		}
		return false
	}
	_, err := a.rename(context.Background())
	e, ok := errors.AsType[*providers.Error](err)
	if !ok || e.Kind != providers.Misconfigured || e.Sends != 3 || a.asked.Load() != 2 {
		t.Errorf("%+v after %d token requests; want misconfigured after 3 sends, 2 token requests", err, a.asked.Load())
	}
}

// Many calls that find their token rejected at the same time replace it once.
func TestCallsShareARefresh(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.mustRename(t, 1)
	var rejected sync.WaitGroup
	rejected.Add(8)
	a.valid = func(got string) bool {
		if got == token+"1" {
			rejected.Done()
			rejected.Wait() // all eight are under way with the old token
			return false
		}
		return true
	}
	var calls sync.WaitGroup
	for range 8 {
		calls.Go(func() {
			if receipt, err := a.rename(context.Background()); err != nil || receipt.Sends != 2 {
				t.Errorf("%+v, %v", receipt, err)
			}
		})
	}
	calls.Wait()
	if a.asked.Load() != 2 {
		t.Errorf("%d token requests, want one more than the first", a.asked.Load())
	}
}

// A call that learns late that its token is stale continues with the token that another
// call has fetched since.
func TestALateRejectionUsesTheCachedToken(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.valid = func(got string) bool { return got != token+"1" }
	inGate, open, late := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		first := true
		_, err := a.ChangeID(context.Background(), func(context.Context) error {
			if first { // with the stale token in hand
				first = false
				close(inGate)
				<-open
			}
			return nil
		}, dingtalk.IDChange{UserID: "u", DingTalkID: "abc123"})
		late <- err
	}()
	<-inGate
	a.mustRename(t, 2)
	close(open)
	if err := <-late; err != nil || a.asked.Load() != 2 {
		t.Errorf("%v after %d token requests, want 2", err, a.asked.Load())
	}
}

// Calls that wait for the same failed token have separate errors, because each writes
// its own counts into its error.
func TestCallsDoNotShareAnError(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.hold()
	a.give = func(int) (int, string) { return 400, `{"code":"invalidClientIdOrSecret"}` }
	failed := make(chan error, 8)
	for range cap(failed) {
		go func() { _, err := a.rename(context.Background()); failed <- err }()
	}
	<-a.arrived
	a.release()
	seen := map[error]bool{}
	for range cap(failed) {
		err := <-failed
		if seen[err] || providers.KindOf(err) != providers.Misconfigured {
			t.Errorf("%v is no error of its own", err)
		}
		seen[err] = true
	}
}

// A caller that gives up while a token is fetched leaves the fetch to the others, and
// has sent nothing.
func TestACancelledCallerDoesNotCancelTheRefresh(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.hold()
	ctx, cancel := context.WithCancel(context.Background())
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { _, err := a.rename(ctx); first <- err }()
	go func() { _, err := a.rename(context.Background()); second <- err }()
	<-a.arrived
	cancel()
	err := <-first
	e, ok := errors.AsType[*providers.Error](err)
	if !ok || e.Kind != providers.Unsent || !errors.Is(err, context.Canceled) || e.Sends != 0 {
		t.Errorf("the cancelled caller: %+v; want unsent", err)
	}
	a.release()
	if err := <-second; err != nil {
		t.Errorf("the other caller: %v", err)
	}
	if a.asked.Load() != 1 {
		t.Errorf("%d token requests, want 1", a.asked.Load())
	}
}

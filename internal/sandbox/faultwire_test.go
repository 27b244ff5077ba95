package sandbox_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rollcall/internal/sandbox"
)

func TestAResetComesBeforeOrAfterTheEffect(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind    sandbox.FaultKind
		applied bool
	}{{sandbox.FaultReset, false}, {sandbox.FaultReset, true}, {sandbox.FaultRefused, false}} {
		r, token := faulty(t, sandbox.Fault{Name: "cut", API: sandbox.APIChangeID, Kind: c.kind, Applied: c.applied})
		_, err := r.send("POST", "/v1.0/contact/orgAccounts/dingTalkIds/change", "application/json",
			`{"userId":"ann","dingTalkId":"annnorth1"}`, "x-acs-dingtalk-access-token", token)
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s, applied %v: %v, want the connection reset", c.kind, c.applied, err)
		}
		if changed := r.employee("north", "ann").DingTalkID == "annnorth1"; changed != c.applied {
			t.Errorf("%s, applied %v: the ID was changed: %v", c.kind, c.applied, changed)
		}
		call := r.lastCall()
		if call.Status != 0 || call.Code != "" || call.Fault != "cut" || (call.Effect != 0) != c.applied || call.Metered != c.applied {
			t.Errorf("%s, applied %v: call %+v", c.kind, c.applied, call)
		}
	}
}

// background sends a call that may never be answered and hands over its error.
func (r *rig) background(ctx context.Context, token, body string) <-chan error {
	r.t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.server.URL+groupPath, strings.NewReader(body))
	if err != nil {
		r.t.Fatalf("request: %v", err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Acs-Dingtalk-Access-Token", token)
	ended := make(chan error, 1)
	go func() {
		response, err := r.client.Do(request)
		if err == nil {
			response.Body.Close()
		}
		ended <- err
	}()
	return ended
}

func TestACallThatHangsEndsWithTheClientsPatienceOrWithClose(t *testing.T) {
	t.Parallel()
	for _, applied := range []bool{false, true} {
		r, token := faulty(t, sandbox.Fault{API: sandbox.APIGroupUpdate, Kind: sandbox.FaultHang, Applied: applied})
		ctx, giveUp := context.WithCancel(t.Context())
		ended := r.background(ctx, token, `{"chatid":"chat1","name":"Hung"}`)
		if err := r.box.WaitCalls(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		giveUp()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("applied %v: %v, want the client's own cancellation", applied, err)
		}
		if changed := r.chat1().Name == "Hung"; changed != applied {
			t.Errorf("applied %v: the name was changed: %v", applied, changed)
		}
		ended = r.background(t.Context(), token, `{"chatid":"chat1","name":"Hung"}`)
		if err := r.box.WaitCalls(t.Context(), 3); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-ended:
			t.Errorf("a call that should hang ended: %v", err)
		default:
		}
		r.box.Close()
		if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("after Close: %v, want the connection reset", err)
		}
	}
}

func TestACallThatWasGivenUpIsCarriedOutLate(t *testing.T) {
	t.Parallel()
	const latency = time.Hour // longer than any wait to land, so that it is known by its length
	arrived, land := make(chan struct{}), make(chan struct{})
	r := start(t, func(cfg *sandbox.Config) {
		cfg.Sleep = func(ctx context.Context, d time.Duration) error {
			if d == latency {
				close(arrived)
				return nil
			}
			if d < 0 || d > time.Minute {
				t.Errorf("it lands after %s, want a minute at most", d)
			}
			select {
			case <-land:
			case <-ctx.Done():
			}
			return nil
		}
	})
	token := r.northToken()
	if _, err := r.box.Arm(sandbox.Fault{API: sandbox.APIGroupUpdate, Kind: sandbox.FaultHang, Applied: true, Lands: time.Minute, Latency: latency, First: 1}); err != nil {
		t.Fatal(err)
	}
	ctx, giveUp := context.WithCancel(t.Context())
	ended := r.background(ctx, token, `{"chatid":"chat1","name":"Late"}`)
	<-arrived // a client that gives up before that sends nothing
	giveUp()
	<-ended
	if r.group(token, `{"chatid":"chat1","name":"Newer"}`); r.chat1().Name != "Newer" {
		t.Errorf("the chat is called %q before the late call lands", r.chat1().Name)
	}
	close(land)
	if err := r.box.WaitCalls(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if got := r.chat1().Name; got != "Late" {
		t.Errorf("the chat is called %q, want the late name", got)
	}
}

func TestWaitingForCallsEndsWithItsContext(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.box.WaitCalls(ctx, 1); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "waited for 1 calls, saw 0") {
		t.Errorf("WaitCalls: %v", err)
	}
}

func TestATruncatedAnswerHidesACallThatWasCarriedOut(t *testing.T) {
	t.Parallel()
	r, token := faulty(t, sandbox.Fault{API: sandbox.APIGroupUpdate, Kind: sandbox.FaultTruncated, Headers: map[string]string{"Retry-After": "3"}})
	got := r.group(token, `{"chatid":"chat1","name":"N"}`)
	answers(t, got, 200, `{"succes`)
	if got.RetryAfter != "3" {
		t.Errorf("Retry-After %q, want the fault's 3", got.RetryAfter)
	}
	if r.chat1().Name != "N" {
		t.Error("the call was not carried out")
	}
}

func TestAnOddBodyIsNoSuccessAndMayHideOne(t *testing.T) {
	t.Parallel()
	r, token := faulty(t,
		sandbox.Fault{API: sandbox.APIGroupUpdate, Kind: sandbox.FaultOddBody, At: 1},
		sandbox.Fault{API: sandbox.APIGroupUpdate, Kind: sandbox.FaultOddBody, At: 2, Applied: true, Body: `{"errcode":88}`})
	answers(t, r.group(token, `{"chatid":"chat1","name":"First"}`), 200, `{}`)
	if name := r.chat1().Name; name != "Class 1" {
		t.Errorf("the chat is called %q", name)
	}
	answers(t, r.group(token, `{"chatid":"chat1","name":"Second"}`), 200, `{"errcode":88}`)
	if name := r.chat1().Name; name != "Second" {
		t.Errorf("the chat is called %q", name)
	}
}

func TestAnExpiredTokenIsInvalid(t *testing.T) {
	t.Parallel()
	r, token := faulty(t, sandbox.Fault{API: sandbox.APIGroupUpdate, Kind: sandbox.FaultExpiredToken, First: 1})
	for range 2 {
		if got := r.group(token, `{"chatid":"chat1","name":"N"}`); code(got) != "InvalidAuthentication" {
			t.Errorf("answer %s", got.Body)
		}
	}
	if next := r.northToken(); next == token {
		t.Error("the expired token came back")
	} else if got := r.group(next, `{"chatid":"chat1","name":"N"}`); code(got) != "ok" {
		t.Errorf("the next token: %s", got.Body)
	}
}

func TestAGatewaysPageComesBeforeOrAfterTheEffect(t *testing.T) {
	t.Parallel()
	for status, title := range map[int]string{
		0: "502 Bad Gateway", 503: "503 Service Unavailable", 504: "504 Gateway Timeout", 200: "200 OK", 403: "403 Forbidden", 404: "404 Not Found",
	} {
		for _, applied := range []bool{false, true} {
			r, token := faulty(t, sandbox.Fault{Name: "page", API: sandbox.APIChangeID, Kind: sandbox.FaultOutage, Status: status, Applied: applied})
			got := r.changeID(token, "ann", "annnorth1")
			if !strings.HasPrefix(title, strconv.Itoa(got.Status)) || got.Type != "text/html" || !strings.Contains(got.Body, "<h1>"+title+"</h1>") {
				t.Errorf("status %d, applied %v: answer %d %s %s", status, applied, got.Status, got.Type, got.Body)
			}
			if changed := r.employee("north", "ann").DingTalkID == "annnorth1"; changed != applied {
				t.Errorf("status %d, applied %v: the ID was changed: %v", status, applied, changed)
			}
			call := r.lastCall()
			if call.Status != got.Status || call.Code != "" || call.Fault != "page" || (call.Effect != 0) != applied || call.Metered != applied {
				t.Errorf("status %d, applied %v: call %+v", status, applied, call)
			}
		}
	}
}

func TestAValidTokenThatIsRefusedOnceStaysValid(t *testing.T) {
	t.Parallel()
	r, token := faulty(t,
		sandbox.Fault{API: sandbox.APIGroupNick, Kind: sandbox.FaultAnswer, Code: "40014", First: 1},
		sandbox.Fault{API: sandbox.APIGroupUpdate, Kind: sandbox.FaultAnswer, Code: "InvalidAuthentication", First: 1})
	for _, want := range []string{"40014", "0"} {
		if got := r.nick(token, "chat1", "ann", "A"); r.lastCall().Code != want {
			t.Errorf("a nickname: %s, want code %s", got.Body, want)
		}
	}
	for _, want := range []string{"InvalidAuthentication", "ok"} {
		if got := r.group(token, `{"chatid":"chat1","name":"N"}`); code(got) != want {
			t.Errorf("a group: %s, want code %s", got.Body, want)
		}
	}
	if again := r.northToken(); again != token {
		t.Error("the token call gives another token, though the first is valid")
	}
}

func TestLatenciesAddUpAndDelayNoOtherCall(t *testing.T) {
	t.Parallel()
	slept, release := make(chan time.Duration), make(chan struct{})
	r := start(t, func(c *sandbox.Config) {
		c.Sleep = func(_ context.Context, d time.Duration) error { slept <- d; <-release; return nil }
		c.Scenario.Faults = []sandbox.Fault{
			{API: sandbox.APIGroupNick, User: "ann", Kind: sandbox.FaultLatency, Latency: 80 * time.Millisecond},
			{API: sandbox.APIGroupNick, User: "ann", Kind: sandbox.FaultAnswer, Code: "400001", Latency: time.Second, Jitter: 10 * time.Millisecond},
		}
	})
	token := r.northToken()
	var slow [2]reply
	var callers sync.WaitGroup
	for i := range slow {
		callers.Go(func() { slow[i] = r.nick(token, "chat1", "ann", "A") })
		if d := <-slept; d < 1080*time.Millisecond || d > 1090*time.Millisecond {
			t.Errorf("slept %s, want 1.08 s to 1.09 s", d)
		}
	}
	if got := r.nick(token, "chat1", "bob", "B"); code(got) != "0" {
		t.Errorf("a concurrent call of another client: %s", got.Body)
	}
	close(release)
	callers.Wait()
	var overlapping []int
	for _, c := range r.box.Calls() {
		if c.Target.User == "ann" {
			overlapping = append(overlapping, c.Overlapping)
		}
	}
	if overlapping[0]+overlapping[1] != 1 || code(slow[0]) != "400001" || code(slow[1]) != "400001" {
		t.Errorf("overlaps %v, answers %s and %s", overlapping, slow[0].Body, slow[1].Body)
	}
}

func TestACallIsAppliedEvenIfItsClientGivesUp(t *testing.T) {
	t.Parallel()
	ctx, giveUp := context.WithCancel(t.Context())
	r := start(t, func(c *sandbox.Config) {
		c.Sleep = func(server context.Context, _ time.Duration) error {
			giveUp()
			<-server.Done() // the server notices that the client has disconnected
			return server.Err()
		}
		c.Scenario.Faults = []sandbox.Fault{{API: sandbox.APIGroupUpdate, Kind: sandbox.FaultLatency, Latency: time.Hour}}
	})
	ended := r.background(ctx, r.northToken(), `{"chatid":"chat1","name":"Late"}`)
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the client: %v", err)
	}
	if err := r.box.WaitCalls(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if name := r.chat1().Name; name != "Late" {
		t.Errorf("the chat is called %q: the platform dropped what it had received", name)
	}
}

func TestALatencyOnTheRealClockIsWaitedOut(t *testing.T) {
	t.Parallel()
	r, token := faulty(t, sandbox.Fault{API: sandbox.APIGroupUpdate, Kind: sandbox.FaultLatency, Latency: time.Millisecond})
	if got := r.group(token, `{"chatid":"chat1","name":"N"}`); code(got) != "ok" {
		t.Errorf("answer %s", got.Body)
	}
}

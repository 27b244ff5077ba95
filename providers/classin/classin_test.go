package classin_test

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/secret"
	"rollcall/providers"
	"rollcall/providers/classin"
)

// school plays the platform: it checks the signature like the real one, and
// then answers with its code.
type school struct {
	*classin.Client
	code string
	then []string  // the codes of the first requests that are signed well
	here time.Time // the platform's clock
	date string    // its Date header; empty: none

	mu    sync.Mutex
	forms []url.Values
	now   time.Time // our clock
}

func newSchool(t *testing.T) *school {
	t.Helper()
	at := time.Date(2026, 9, 1, 3, 0, 0, 0, time.UTC)
	s := &school{code: "1", here: at, now: at, date: at.Format(http.TimeFormat)}
	server := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(server.Close)
	s.Client = open(t, classin.Config{BaseURL: server.URL, Quick: time.Millisecond, Now: func() time.Time { return s.now }})
	return s
}

func (s *school) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	form, _ := url.ParseQuery(string(body))
	s.mu.Lock()
	s.forms = append(s.forms, form)
	s.mu.Unlock()
	w.Header()["Date"] = nil
	if s.date != "" {
		w.Header().Set("Date", s.date)
	}
	stamp, _ := strconv.ParseInt(form.Get("timeStamp"), 10, 64)
	code := s.code
	if s.here.Sub(time.Unix(stamp, 0)).Abs() > 20*time.Minute ||
		form.Get("safeKey") != fmt.Sprintf("%x", md5.Sum([]byte(schoolSecret+form.Get("timeStamp")))) {
		code = "102"
	} else if len(s.then) > 0 {
		code, s.then = s.then[0], s.then[1:]
	}
	if code == "" {
		panic(http.ErrAbortHandler)
	}
	fmt.Fprintf(w, `{"error_info":{"errno":%s,"error":"safeKey %s"}}`, code, form.Get("safeKey"))
}

func free(context.Context) error { return nil }

func (s *school) sync() (providers.Receipt, error) {
	return s.SyncCourseNicknames(context.Background(), free, "561294")
}

// The request matches the vendor's page, with a signature of the time now.
func TestRequest(t *testing.T) {
	t.Parallel()
	var got *http.Request
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, body = r, nil
		body, _ = io.ReadAll(r.Body)
		_, _ = io.WriteString(w, `{"error_info":{"errno":"1","error":"程序正常执行"}}`)
	}))
	t.Cleanup(server.Close)
	c := open(t, classin.Config{BaseURL: server.URL + "/", Now: func() time.Time { return time.Unix(1484719085, 999) }})
	receipt, err := c.SyncCourseNicknames(context.Background(), free, "561294&x")
	if err != nil || receipt.Sends != 1 {
		t.Fatalf("%+v, %v", receipt, err)
	}
	if got.RequestURI != "/partner/api/course.api.php?action=modifyGroupMemberNickname" ||
		got.Header.Get("Content-Type") != "application/x-www-form-urlencoded;charset=utf-8" {
		t.Errorf("%s with content type %q", got.RequestURI, got.Header.Get("Content-Type"))
	}
	form, err := url.ParseQuery(string(body))
	want := url.Values{
		"SID": {"1000082"}, "timeStamp": {"1484719085"}, "courseId": {"561294&x"},
		"safeKey": {fmt.Sprintf("%x", md5.Sum([]byte(schoolSecret+"1484719085")))},
	}
	if diff := cmp.Diff(want, form); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

// Written out from the vendor's documents and not from the client's table.
func TestCodes(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	for _, row := range []struct {
		code  string
		kind  providers.Kind
		scope providers.Scope
		sends int
		tries int
		wait  time.Duration // 0 for a rate window: it is not the platform's word
	}{
		{"100", providers.Rejected, providers.ScopeTask, 1, 0, 0},
		{"102", providers.Misconfigured, providers.ScopeTenant, 1, 0, 0},
		{"104", providers.Transient, providers.ScopeTask, 3, 3, 0},
		{"114", providers.Transient, providers.ScopeTask, 3, 3, 0},
		{"144", providers.Rejected, providers.ScopeTask, 1, 0, 0},
		{"147", providers.Rejected, providers.ScopeTask, 1, 0, 0},
		{"149", providers.Rejected, providers.ScopeTask, 1, 0, 0},
		{"153", providers.Rejected, providers.ScopeTask, 1, 0, 0},
		{"842", providers.Partial, providers.ScopeTask, 1, 3, time.Minute},
		{"843", providers.Transient, providers.ScopeTask, 1, 3, time.Minute},
		{"21323", providers.Rejected, providers.ScopeTask, 1, 0, 0},
		{"901", providers.Transient, providers.ScopeTask, 1, 0, 30 * time.Minute},
		{"101003001", providers.Throttled, providers.ScopeLane, 1, 0, 0},
		{"101003002", providers.Throttled, providers.ScopeTask, 1, 0, 5 * time.Second},
		{"7777", providers.Unknown, providers.ScopeTask, 1, 2, 0},
	} {
		for _, s.code = range []string{row.code, `"` + row.code + `"`} {
			_, err := s.sync()
			e, ok := errors.AsType[*providers.Error](err)
			if !ok || e.Kind != row.kind || e.Scope != row.scope || e.Code != row.code || e.Sends != row.sends || e.Tries != row.tries || e.RetryAfter != row.wait {
				t.Errorf("%s: %+v; want %+v", s.code, err, row)
			}
		}
	}
}

// The platform documents one rate, by the minute; the rule about the same
// request twice is not a rate.
func TestARateRefusalNamesTheExceededMinute(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	for code, want := range map[string]time.Duration{"101003001": time.Minute, "101003002": 0, "842": 0} {
		s.code = code
		_, err := s.sync()
		if e, ok := errors.AsType[*providers.Error](err); !ok || e.Period != want {
			t.Errorf("%s: %+v; want a window of %v", code, err, want)
		}
	}
}

// Maintenance may also be an HTTP status; HTTP has no status 901.
func TestMaintenanceAsAStatus(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(901) }))
	t.Cleanup(server.Close)
	c := open(t, classin.Config{BaseURL: server.URL})
	_, err := c.SyncCourseNicknames(context.Background(), free, "1")
	if e, ok := errors.AsType[*providers.Error](err); !ok || e.Kind != providers.Transient || e.RetryAfter != 30*time.Minute {
		t.Errorf("%+v; want transient, again in half an hour", err)
	}
}

// A gate may keep a call waiting for longer than a signature is good for.
func TestTheSignatureIsCreatedAfterTheGate(t *testing.T) {
	t.Parallel()
	s := newSchool(t)
	_, err := s.SyncCourseNicknames(context.Background(), func(context.Context) error {
		s.now = s.now.Add(time.Hour)
		s.here = s.now
		return nil
	}, "1")
	if err != nil {
		t.Error(err)
	}
}

// With a clock that is off the signature is made again from the platform's own
// time, once, and the difference is remembered.
func TestAClockThatIsOff(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{-3 * time.Hour, 21 * time.Minute} {
		s := newSchool(t)
		s.now = s.here.Add(off)
		passes := 0
		gate := func(context.Context) error { passes++; return nil }
		receipt, err := s.SyncCourseNicknames(context.Background(), gate, "1")
		if err != nil || receipt.Sends != 2 || passes != 2 {
			t.Errorf("off by %v: %+v, %v after %d passes of the gate; want a success with 2 sends", off, receipt, err, passes)
		}
		if receipt, err = s.sync(); err != nil || receipt.Sends != 1 {
			t.Errorf("off by %v, the next call: %+v, %v; want the difference remembered", off, receipt, err)
		}
	}
}

// A quick try after the signature was made again keeps to the platform's time,
// and it is made again once a call, not once a try.
func TestAQuickRetryKeepsThePlatformsTime(t *testing.T) {
	t.Parallel()
	for _, hiccup := range []string{"104", ""} {
		s := newSchool(t)
		s.now, s.then = s.here.Add(3*time.Hour), []string{hiccup}
		if receipt, err := s.sync(); err != nil || receipt.Sends != 3 {
			t.Errorf("then %q: %+v, %v; want a success with 3 sends", hiccup, receipt, err)
		}
		if receipt, err := s.sync(); err != nil || receipt.Sends != 1 {
			t.Errorf("then %q, the next call: %+v, %v; want the difference remembered", hiccup, receipt, err)
		}
	}
	s := newSchool(t)
	s.now, s.then = s.here.Add(3*time.Hour), []string{"104", "102", "1"}
	gate := func(context.Context) error {
		s.date = s.here.Add(time.Duration(len(s.forms)) * time.Hour).Format(http.TimeFormat) // a Date that wanders
		return nil
	}
	_, err := s.SyncCourseNicknames(context.Background(), gate, "1")
	if e, ok := errors.AsType[*providers.Error](err); !ok || e.Code != "102" || e.Sends != 3 {
		t.Errorf("%+v; want 102 after 3 sends: one refused, one signed again, one quick try", err)
	}
}

// A refusal that no clock explains is not tried again.
func TestARefusedSignature(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		off   time.Duration
		date  string
		sends int
	}{
		"the clock is right":            {0, "Tue, 01 Sep 2026 03:00:00 GMT", 1},
		"the clock is nearly right":     {50 * time.Second, "Tue, 01 Sep 2026 03:00:00 GMT", 1},
		"the platform sends no time":    {3 * time.Hour, "", 1},
		"the platform's time is broken": {3 * time.Hour, "yesterday", 1},
		"its own time does not help":    {3 * time.Hour, "Tue, 01 Sep 2026 03:00:00 GMT", 2},
	} {
		s := newSchool(t)
		s.code, s.date, s.now = "102", test.date, s.here.Add(test.off)
		_, err := s.sync()
		e, ok := errors.AsType[*providers.Error](err)
		if !ok || e.Kind != providers.Misconfigured || e.Scope != providers.ScopeTenant || e.Code != "102" || e.Sends != test.sends || e.MaybeApplied {
			t.Errorf("%s: %+v; want misconfigured after %d sends", name, err, test.sends)
			continue
		}
		if said := strings.Contains(e.Fix, "the clock is off by"); said != (test.sends == 2) {
			t.Errorf("%s: the fix is %q", name, e.Fix)
		}
		for _, form := range s.forms {
			if strings.Contains(err.Error(), form.Get("safeKey")) {
				t.Errorf("%s: the error shows the signature: %v", name, err)
			}
		}
	}
}

// A configuration that cannot work, or that would expose credentials, is rejected
// before anything is sent.
func TestNewRejectsUnusableSettings(t *testing.T) {
	t.Parallel()
	good := classin.Config{Tenant: "school", SID: "1", Secret: secret.New("s"), BaseURL: "https://api.eeo.cn"}
	c, err := classin.New(good)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for name, spoil := range map[string]func(*classin.Config){
		"no tenant":        func(c *classin.Config) { c.Tenant = "" },
		"no SID":           func(c *classin.Config) { c.SID = "" },
		"no secret":        func(c *classin.Config) { c.Secret = secret.Text{} },
		"no URL":           func(c *classin.Config) { c.BaseURL = "" },
		"plain http":       func(c *classin.Config) { c.BaseURL = "http://api.eeo.cn" },
		"a password":       func(c *classin.Config) { c.BaseURL = "https://me:passw0rd@api.eeo.cn" },
		"negative timeout": func(c *classin.Config) { c.Timeout = -time.Second },
	} {
		cfg := good
		spoil(&cfg)
		if _, err := classin.New(cfg); err == nil || strings.Contains(err.Error(), "passw0rd") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.SyncCourseNicknames(context.Background(), free, ""); providers.KindOf(err) != providers.Rejected {
		t.Errorf("an empty course id: %v, want rejected without a send", err)
	}
}

package providertest

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/providers"
)

func success(t *testing.T, s Subject) {
	r := newRig(t, s, respond(200, s.Done))
	if receipt, err := r.do(t); err != nil || receipt.Sends != 1 {
		t.Fatalf("the documented success gave %+v, %v; want one send and no error", receipt, err)
	}
	for _, body := range []string{
		"", "{}", "[]", "null", "true", `"ok"`, "ok", "{", strings.Replace(s.Done, "true", "false", 1) + " ",
		s.Done + s.Done, s.Done[:len(s.Done)-1], "[" + s.Done + "]",
	} {
		if strings.TrimSpace(body) == s.Done {
			continue // the success has no truth value in it
		}
		r.plays(respond(200, body))
		_, err := r.do(t)
		if err == nil {
			t.Errorf("HTTP 200 with %q passed for a success", body)
			continue
		}
		if err.Kind != s.unknown() || !err.MaybeApplied {
			t.Errorf("HTTP 200 with %q is %v, maybe applied %v; want %v, true", body, err.Kind, err.MaybeApplied, s.unknown())
		}
	}
}

func throttledByABrokenServer(t *testing.T, s Subject, r *rig) {
	r.plays(s.refuse(500, s.Throttle))
	_, err := r.do(t)
	if err == nil {
		t.Errorf("%s with HTTP 500 passed for a success", s.Throttle)
		return
	}
	checkUnknown(t, s, err)
	if err.Unmetered {
		t.Errorf("%s with HTTP 500 is said not to be counted; a server error settles nothing", s.Throttle)
	}
}

func codes(t *testing.T, s Subject) {
	r := newRig(t, s, nil)
	throttledByABrokenServer(t, s, r)
	tried := 0
	for _, row := range s.Rows {
		if row.Code == "" || strings.Contains(row.Code, "*") {
			continue
		}
		tried++
		status := s.Status
		if first, _, _ := strings.Cut(row.HTTP, " "); first != "" && !strings.Contains(first, "x") {
			status, _ = strconv.Atoi(first)
		}
		r.plays(s.refuse(status, row.Code))
		_, err := r.do(t)
		if err == nil {
			t.Errorf("code %s passed for a success", row.Code)
			continue
		}
		want := row.Kind
		if want == providers.TokenRejected {
			want = providers.Misconfigured
		}
		// A row of the platform may be judged more carefully for a call that
		// must not be repeated.
		careful := s.Once && err.Kind == providers.Ambiguous && (want == providers.Transient || want == providers.Throttled)
		if err.Kind != want && !careful {
			t.Errorf("code %s at HTTP %d is %v, its row says %v", row.Code, status, err.Kind, want)
		}
		checkRate(t, row, status, err)
		if code := row.Code[strings.Index(row.Code, "/")+1:]; err.Code != code || err.HTTPStatus != status {
			t.Errorf("the error has code %q at HTTP %d, want %q at %d", err.Code, err.HTTPStatus, code, status)
		}
		if err.Kind != providers.Transient && err.Kind != providers.Unsent && err.Fix == "" {
			t.Errorf("code %s is %v and does not say what to do about it", row.Code, err.Kind)
		}
		checkUnknown(t, s, err)
	}
	if tried == 0 {
		t.Fatal("the subject's table has no codes")
	}
}

// checkRate checks that an error has the exceeded window and whether the send was
// counted, as its row has.
func checkRate(t *testing.T, row providers.Code, status int, err *providers.Error) {
	t.Helper()
	if err.Kind == row.Kind && err.Period != row.Period {
		t.Errorf("code %s has a window of %v, its row %v", row.Code, err.Period, row.Period)
	}
	if err.Period != 0 && (err.Kind != providers.Throttled || err.RetryAfter != 0) {
		t.Errorf("code %s is %v with a window of %v, and asks for %v, which the platform did not say", row.Code, err.Kind, err.Period, err.RetryAfter)
	}
	if want := row.Unmetered && err.Kind == row.Kind && status < 500; err.Unmetered != want {
		t.Errorf("code %s at HTTP %d: not counted %v, want %v", row.Code, status, err.Unmetered, want)
	}
}

// checkUnknown checks that a definite refusal is a known outcome, and that an unknown
// outcome is reported as one.
func checkUnknown(t *testing.T, s Subject, err *providers.Error) {
	t.Helper()
	if err.HTTPStatus >= 500 && !err.MaybeApplied {
		t.Errorf("%v at HTTP %d is said not to have been applied; a server error never settles that", err.Code, err.HTTPStatus)
	}
	switch err.Kind {
	case providers.Rejected, providers.Misconfigured, providers.QuotaSpent, providers.Throttled:
		if err.MaybeApplied && err.HTTPStatus < 500 {
			t.Errorf("%v at HTTP %d was refused, and is said to be maybe applied", err.Code, err.HTTPStatus)
		}
	default:
		if !err.MaybeApplied {
			t.Errorf("%v (%v) at HTTP %d may have been applied, and is said not to be", err.Code, err.Kind, err.HTTPStatus)
		}
	}
	if s.Once && (err.Kind == providers.Transient || err.Kind == providers.Unknown) {
		t.Errorf("code %s at HTTP %d is %v: that would be sent again", err.Code, err.HTTPStatus, err.Kind)
	}
}

func statuses(t *testing.T, s Subject) {
	r := newRig(t, s, nil)
	for status := 200; status <= 599; status++ {
		bodies := []string{"", "{}", s.Done}
		if testing.Short() { // in turn: each is a call of a server
			bodies = bodies[status%3:][:1]
		}
		for _, body := range bodies {
			if status == 200 && body == s.Done {
				continue
			}
			judgeStatus(t, s, r, status, body)
		}
	}
}

// judgeStatus checks the error that a client makes of a status and a body.
func judgeStatus(t *testing.T, s Subject, r *rig, status int, body string) {
	t.Helper()
	r.plays(respond(status, body))
	_, err := r.do(t)
	if err == nil {
		t.Errorf("HTTP %d with body %q passed for a success", status, body)
		return
	}
	if wantUnmetered := status == 429; err.Unmetered != wantUnmetered {
		t.Errorf("HTTP %d with body %q: not counted %v, want %v", status, body, err.Unmetered, wantUnmetered)
	}
	if !saneKind(s, status, err.Kind) {
		t.Errorf("HTTP %d with body %q is %v", status, body, err.Kind)
	}
	if status >= 500 && !err.MaybeApplied {
		t.Errorf("HTTP %d is said not to have been applied", status)
	}
	if status == 403 && (err.Tries == 0 || err.Tries > 5 || err.RetryAfter == 0 || err.RetryAfter > time.Minute) {
		t.Errorf("a bare 403 is worth %d tries, %v apart; want few and soon, then a person", err.Tries, err.RetryAfter)
	}
}

func saneKind(s Subject, status int, kind providers.Kind) bool {
	switch {
	case status >= 500 || status < 300:
		return kind == s.unknown()
	case status < 400, status == 401, status == 404, status == 405, status == 407:
		return kind == providers.Misconfigured
	case status == 403, status == 429:
		return kind == providers.Throttled
	case s.Once:
		return kind == providers.Ambiguous || kind == providers.Rejected
	default:
		return kind == providers.Unknown || kind == providers.Rejected || kind == providers.Transient
	}
}

func retryAfter(t *testing.T, s Subject) {
	date := time.Date(2026, 9, 1, 3, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"7":     7 * time.Second,
		" 90 ":  90 * time.Second, //nolint:gocritic // a header may be padded
		"99999": time.Hour,
		date.Add(50 * time.Second).Format(http.TimeFormat):  50 * time.Second,
		date.Add(50 * time.Second).Format(time.RFC850):      50 * time.Second,
		date.Add(500 * time.Hour).Format(http.TimeFormat):   time.Hour,
		date.Add(-50 * time.Second).Format(http.TimeFormat): -1,
		"soon": -1,
		"-5":   -1,
	} {
		r := newRig(t, s, func(w http.ResponseWriter, req *http.Request, n int) {
			w.Header().Set("Date", date.Format(http.TimeFormat))
			w.Header().Set("Retry-After", header)
			s.refuse(429, s.Throttle)(w, req, n)
		})
		_, err := r.do(t)
		if err == nil || err.Kind != providers.Throttled {
			t.Fatalf("Retry-After %q: %v, want throttled", header, err)
		}
		if row := s.throttleRow(t); err.Period != row.Period {
			t.Errorf("Retry-After %q: the window is %v, want %v regardless of the header", header, err.Period, row.Period)
		} else if want < 0 && err.RetryAfter != row.Wait {
			t.Errorf("Retry-After %q: the wait is %v, want the table's %v", header, err.RetryAfter, row.Wait)
		} else if want > 0 && err.RetryAfter != want {
			t.Errorf("Retry-After %q: the wait is %v, want %v", header, err.RetryAfter, want)
		}
	}
}

// throttleRow is the row of the subject's Throttle.
func (s Subject) throttleRow(t *testing.T) providers.Code {
	t.Helper()
	i := slices.IndexFunc(s.Rows, func(row providers.Code) bool { return row.Code == s.Throttle })
	if i < 0 {
		t.Fatalf("the subject's table has no row for %s", s.Throttle)
	}
	return s.Rows[i]
}

func bodies(t *testing.T, s Subject) {
	r := newRig(t, s, nil)
	for _, kind := range []string{"text/plain", "text/html;charset=utf-8", "application/JSON", "nonsense/", ""} {
		r.plays(func(w http.ResponseWriter, _ *http.Request, _ int) {
			w.Header()["Content-Type"] = []string{kind}
			_, _ = io.WriteString(w, s.Done)
		})
		if _, err := r.do(t); err != nil {
			t.Errorf("content type %q hides a success: %v", kind, err)
		}
	}
	huge := strings.Repeat(" ", 2<<20)
	for _, body := range []string{huge + s.Done, s.Done + huge} {
		r.plays(respond(200, body))
		if _, err := r.do(t); err == nil || err.Kind != s.unknown() || !err.MaybeApplied || !strings.Contains(err.Message, "1 MiB") {
			t.Errorf("a body of 2 MiB: %v", err)
		}
	}
	r.plays(respond(s.Status, s.Refusal(s.Throttle, strings.Repeat("很", 1000))))
	if _, err := r.do(t); err == nil || !strings.HasSuffix(err.Message, "…") {
		t.Errorf("a message of 1000 runes is not cut off: %v", err)
	}
	long := strings.Repeat("x", 5000)
	r.plays(respond(400, s.Refusal(long, "m")))
	if _, err := r.do(t); err == nil || len(err.Code) > 500 {
		t.Errorf("a code of 5000 characters is not cut off: %.200v", err)
	}
}

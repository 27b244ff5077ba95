package apicall_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"rollcall/internal/buildinfo"
	"rollcall/providers"
	"rollcall/providers/internal/apicall"
)

// A wait is accepted in both forms, is bounded, and is never derived from an invalid
// value.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 9, 1, 3, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		value, date string
		want        time.Duration
	}{
		{"", "", 0},
		{"0", "", 0},
		{"120", "", 2 * time.Minute},
		{"3600", "", time.Hour},
		{"3601", "", time.Hour},
		{"99999999999999999999", "", time.Hour},
		{"-1", "", 0},
		{"1.5", "", 0},
		{"soon", "", 0},
		{"Tue, 01 Sep 2026 03:00:30 GMT", "", 30 * time.Second},
		{"Tue, 01 Sep 2026 02:00:00 GMT", "", 0},
		{"Tue, 01 Sep 2026 03:00:30 GMT", "Tue, 01 Sep 2026 03:00:20 GMT", 10 * time.Second},
		{"Tue, 01 Sep 2026 03:00:30 GMT", "nonsense", 30 * time.Second},
	} {
		header := http.Header{"Retry-After": {c.value}, "Date": {c.date}}
		if got := apicall.RetryAfter(header, now); got != c.want {
			t.Errorf("Retry-After %q with Date %q is %v, want %v", c.value, c.date, got, c.want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"7", "-7", "Tue, 01 Sep 2026 03:00:30 GMT", "1e9", "٣", "99999999999999999999"} {
		f.Add(seed, "")
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, value, date string) {
		got := apicall.RetryAfter(http.Header{"Retry-After": {value}, "Date": {date}}, time.Unix(0, 0))
		if got < 0 || got > apicall.MaxRetryAfter {
			t.Errorf("%q is %v, outside 0..1h", value, got)
		}
	})
}

// A secret is never visible, in any form in which a platform returns it.
func TestCleaner(t *testing.T) {
	t.Parallel()
	c := apicall.NewCleaner([]string{"se+cret/ä", "se"}, []string{`张"三`, "x"})
	for in, want := range map[string]string{
		"token se+cret/ä is bad":            "token [redacted] is bad",
		"?access_token=se%2Bcret%2F%C3%A4&": "?access_token=[redacted]&",
		"?access_token=se%2bcret%2f%c3%a4&": "?access_token=[redacted]&",
		"se+cr\x00et/ä":                     "[redacted]",
		"se+cr\u200bet/ä":                   "[redacted]",
		"name 张\"三 x":                       "name [name] x",
		`{"nick":"张\"三"}`:                   `{"nick":"[name]"}`,
		"nick=%E5%BC%A0%22%E4%B8%89":        "nick=[name]",
		" a\x1b[31m\r\nb\u202e ":            "a[31m  b",
		"bad \xff byte":                     "bad \uFFFD byte",
	} {
		if got := c.Message(in); got != want {
			t.Errorf("Message(%q) = %q, want %q", in, got, want)
		}
	}
	long := c.Message(strings.Repeat("钉", 299) + "se+cret/ä")
	if utf8.RuneCountInString(long) != 300 || strings.Contains(long, "se+") {
		t.Errorf("a long message is cut to %d runes: %q", utf8.RuneCountInString(long), long)
	}
}

// An error keeps its cause but not the secret parts of its text.
func TestCleanerError(t *testing.T) {
	t.Parallel()
	c := apicall.NewCleaner([]string{"s3cret"}, nil)
	err := c.Error(errors.Join(syscall.ECONNRESET, errors.New("at /?t=s3cret")))
	if !errors.Is(err, syscall.ECONNRESET) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("%v", err)
	}
	if c.Error(nil) != nil {
		t.Error("no error became one")
	}
}

func FuzzCleaner(f *testing.F) {
	f.Add("token s3cret-word", "s3cret-word")
	f.Add("\x00\xff", "%41")
	f.Fuzz(func(t *testing.T, text, secret string) {
		got := apicall.NewCleaner([]string{secret}, nil).Message(text)
		if n := utf8.RuneCountInString(got); n > 300 || !utf8.ValidString(got) {
			t.Errorf("%d runes of %q", n, got)
		}
		if len(secret) > 12 && strings.Contains(got, secret) {
			t.Errorf("%q is shown in %q", secret, got)
		}
	})
}

// The first fitting row counts, and a row can be about a status, a code, the
// beginning or end or middle of one, or an answer without one.
func TestFind(t *testing.T) {
	t.Parallel()
	rows := []providers.Code{
		{HTTP: "403 429", Code: "busy", Meaning: "busy at the gateway"},
		{Code: "system.*", Meaning: "begins"},
		{Code: "*Busy", Meaning: "ends"},
		{Code: "*Limit*", Meaning: "holds"},
		{HTTP: "5xx", Code: "", Meaning: "bare 5xx"},
		{HTTP: "5xx", Code: "*", Meaning: "any 5xx"},
	}
	for _, c := range []struct {
		status int
		code   string
		want   string
	}{
		{403, "busy", "busy at the gateway"},
		{429, "BUSY", "busy at the gateway"},
		{400, "system.error", "begins"},
		{400, "System.Error", "begins"},
		{400, "fooBusy", "ends"},
		{400, "aLimitB", "holds"},
		{500, "", "bare 5xx"},
		{599, "foo", "any 5xx"},
		{400, "foo", ""},
		{400, "", ""},
		{50, "", ""},
	} {
		row, ok := apicall.Find(rows, c.status, c.code)
		if row.Meaning != c.want || ok != (c.want != "") {
			t.Errorf("HTTP %d %q found %q, want %q", c.status, c.code, row.Meaning, c.want)
		}
	}
}

// A field is read as text whether the platform wrote a number or a string, and
// an answer that is no object, or contradicts itself, is not read at all.
func TestObject(t *testing.T) {
	t.Parallel()
	o, ok := apicall.ParseObject([]byte(`{"n":-1,"s":" 88 ","e":"","t":true,"w":"true","z":null,"o":{"a":["x","y"]},"gbk":"` + "\xb0\xa1" + `"}`))
	if !ok {
		t.Fatal("the object is not read")
	}
	if o.Text("missing", "z", "e", "n") != "-1" || o.Text("s") != "88" || o.Text("t") != "" || o.Text("gbk") == "" {
		t.Errorf("texts are %q, %q, %q, %q", o.Text("missing", "z", "e", "n"), o.Text("s"), o.Text("t"), o.Text("gbk"))
	}
	if !o.True("t") || o.True("w") || o.True("missing") || o.True("n") {
		t.Error("true is the literal alone")
	}
	if got := o.Object("missing", "o").Texts("a"); len(got) != 2 || got[1] != "y" {
		t.Errorf("list is %q", got)
	}
	if o.Object("n") != nil || o.Texts("n") != nil || apicall.Object(nil).Text("a") != "" {
		t.Error("what is not there is read")
	}
	for _, body := range []string{"", "null", "[]", `{"a":1`, `{"a":1}{}`, `{"a":1,"a":2}`, "<html>", `"a"`} {
		if _, ok := apicall.ParseObject([]byte(body)); ok {
			t.Errorf("%q is read as an object", body)
		}
	}
}

// A request that cannot be built gives an error without the address.
func TestExchangeHidesABrokenAddress(t *testing.T) {
	t.Parallel()
	wire := apicall.NewWire(time.Second)
	defer wire.Close()
	_, fault := wire.Exchange(context.Background(), apicall.Request{URL: "http://127.0.0.1:%zz/?token=s3cret"}, apicall.Cleaner{})
	if fault == nil || fault.Written || strings.Contains(fault.Err.Error(), "s3cret") {
		t.Errorf("%+v", fault)
	}
}

func TestEveryCallNamesTheVersion(t *testing.T) {
	t.Parallel()
	seen := make(chan http.Header, 1)
	platform := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header }))
	defer platform.Close()
	wire := apicall.NewWire(10 * time.Second)
	defer wire.Close()
	_, fault := wire.Exchange(t.Context(), apicall.Request{URL: platform.URL}, apicall.Cleaner{})
	if fault != nil {
		t.Fatal(fault.Err)
	}
	if got, want := (<-seen).Get("User-Agent"), "rollcall/"+buildinfo.Read().Version; got != want {
		t.Errorf("User-Agent %q, want %q", got, want)
	}
}

package source_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/secret"
	"rollcall/internal/source"
)

// serve starts a server with TLS, and returns the settings of a source that reads it.
func serve(t *testing.T, handler http.HandlerFunc) (*httptest.Server, source.HTTPSSpec) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return server, source.HTTPSSpec{URL: secret.New(server.URL + "/roster?token=in-the-url"), CA: ca}
}

func https(t *testing.T, spec source.HTTPSSpec) *source.HTTPS {
	t.Helper()
	s, err := source.NewHTTPS(spec)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sending(content string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, content) }
}

func TestEveryFormatIsReadFromAServerOfAnyType(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"utf8": people, "gb18030": gb18030(t, people),
		"xlsx": workbook(t, []any{"学号", "姓名"}, []any{1, "张三"}, []any{"2", "李四"}),
	} {
		for _, kind := range []string{"text/csv; charset=utf-8", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "application/octet-stream", "wrong;;"} {
			t.Run(name+" as "+kind, func(t *testing.T) {
				t.Parallel()
				_, spec := serve(t, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", kind)
					w.Header().Set("Last-Modified", "Sun, 01 Mar 2026 18:30:00 GMT")
					_, _ = io.WriteString(w, content)
				})
				got := read(t, https(t, spec))
				if diff := cmp.Diff(twoPeople, got.records); diff != "" {
					t.Error(diff)
				}
				if !got.Complete || !got.Modified.Equal(time.Date(2026, 3, 1, 18, 30, 0, 0, time.UTC)) {
					t.Errorf("%+v", got.Reading)
				}
			})
		}
	}
}

func TestTheCredentialsAreSent(t *testing.T) {
	t.Parallel()
	_, spec := serve(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, basic := r.BasicAuth()
		if r.Header.Get("Authorization") != "Bearer b3arer" && (!basic || user != "sis" || password != "pa:ss") {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		sending(people)(w, r)
	})
	fails(t, https(t, spec), source.Refused, "HTTP 401")
	withToken, withPassword := spec, spec
	withToken.Bearer = secret.New("b3arer")
	withPassword.Username, withPassword.Password = "sis", secret.New("pa:ss")
	for _, spec := range []source.HTTPSSpec{withToken, withPassword} {
		if got := read(t, https(t, spec)); len(got.records) != 2 {
			t.Errorf("%v", got.records)
		}
	}
}

// tagged is a server whose content has an ETag, and counts what it sends.
type tagged struct {
	content, etag string
	modified      time.Time
	sent, saved   atomic.Int64 // answers with content and without
}

func (c *tagged) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c.etag != "" {
		w.Header().Set("ETag", c.etag)
	}
	if asked := r.Header.Get("If-None-Match"); asked != "" && asked == c.etag {
		c.saved.Add(1)
	} else {
		c.sent.Add(1)
	}
	http.ServeContent(w, r, "roster.csv", c.modified, strings.NewReader(c.content))
}

func (c *tagged) want(t *testing.T, sent, saved int64) {
	t.Helper()
	if c.sent.Load() != sent || c.saved.Load() != saved {
		t.Errorf("the content was sent %d times and %d times not; want %d and %d", c.sent.Load(), c.saved.Load(), sent, saved)
	}
}

// A content with the same ETag is not downloaded again. The reading has all its rows, and is
// neither empty nor incomplete.
func TestAnUnchangedRosterCostsNoDownload(t *testing.T) {
	t.Parallel()
	for _, etag := range []string{`"v1"`, `W/"v1"`} {
		c := &tagged{content: people, etag: etag, modified: time.Date(2026, 3, 1, 18, 30, 0, 0, time.UTC)}
		_, spec := serve(t, c.ServeHTTP)
		s := https(t, spec)
		first := read(t, s)
		for range 3 {
			if diff := cmp.Diff(first, read(t, s), cmp.AllowUnexported(got{})); diff != "" {
				t.Errorf("%s (-first +again):\n%s", etag, diff)
			}
		}
		c.want(t, 1, 3)

		c.content, c.etag = people+"3,王五\n", `"v2"`
		if next := read(t, s); len(next.records) != 3 || !next.Complete || next.Version == first.Version {
			t.Errorf("%s: the changed content is %+v", etag, next)
		}
		if next := read(t, s); len(next.records) != 3 || !next.Complete {
			t.Errorf("%s: the changed content again is %+v", etag, next)
		}
		c.want(t, 2, 4)
		if read(t, https(t, spec)); c.sent.Load() != 3 { // another worker has nothing yet
			t.Errorf("%s: another source did not download", etag)
		}
	}
}

// A content that did not change is read, also if another reading of the same source kept a
// newer one in between.
func TestAnUnchangedRosterIsReadWhileANewerOneIsKept(t *testing.T) {
	t.Parallel()
	var s *source.HTTPS
	var requests atomic.Int64
	_, spec := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch requests.Add(1) {
		case 1:
			w.Header().Set("ETag", `"v1"`)
			_, _ = io.WriteString(w, people)
		case 2:
			if _, err := s.Read(r.Context(), func([]string, source.Record) error { return nil }); err != nil {
				t.Errorf("the other reading: %v", err)
			}
			w.WriteHeader(http.StatusNotModified)
		default:
			w.Header().Set("ETag", `"v2"`)
			_, _ = io.WriteString(w, people+"3,王五\n")
		}
	})
	s = https(t, spec)
	first := read(t, s)
	if again := read(t, s); again.Version != first.Version || requests.Load() != 3 {
		t.Errorf("after %d requests %+v, want %+v", requests.Load(), again, first)
	}
}

// Without an ETag, with a content that is too large to be kept, or one that may have been
// cut, nothing is asked and everything is read.
func TestAContentThatIsNotKeptIsDownloadedEachTime(t *testing.T) {
	t.Parallel()
	var large strings.Builder
	large.WriteString("学号,姓名\n")
	for i := range 10_000 { // their digits cannot be compressed to 4 MiB
		fmt.Fprintf(&large, "%d,", i)
		for part := range 16 {
			fmt.Fprintf(&large, "%x", sha256.Sum256([]byte{byte(i), byte(i >> 8), byte(part)}))
		}
		large.WriteString("\n")
	}
	for name, c := range map[string]*tagged{
		"no ETag": {content: people}, "too large": {content: large.String(), etag: `"v1"`},
	} {
		_, spec := serve(t, c.ServeHTTP)
		s := https(t, spec)
		first, again := read(t, s), read(t, s)
		if len(first.records) < 2 || len(again.records) != len(first.records) || !again.Complete || c.sent.Load() != 2 || c.saved.Load() != 0 {
			t.Errorf("%s: %d and %d rows, sent %d times", name, len(first.records), len(again.records), c.sent.Load())
		}
	}
	var asked atomic.Int64
	_, spec := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") != "" {
			asked.Add(1)
		}
		connection, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = fmt.Fprintf(connection, "HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nConnection: close\r\n\r\n%s", people)
		_ = connection.Close()
	})
	s := https(t, spec)
	if first, again := read(t, s), read(t, s); first.Complete || again.Complete || asked.Load() > 0 {
		t.Errorf("a content without an end: %+v, then %+v; asked %d times", first.Reading, again.Reading, asked.Load())
	}
}

// A content that cannot be read replaces nothing, and is not kept.
func TestAContentThatCannotBeReadIsNotKept(t *testing.T) {
	t.Parallel()
	c := &tagged{content: people, etag: `"v1"`}
	_, spec := serve(t, c.ServeHTTP)
	s := https(t, spec)
	read(t, s)
	c.content, c.etag = "学号,姓名\n", `"v2"`
	fails(t, s, source.Empty, "there is no row")
	fails(t, s, source.Empty, "there is no row")
	c.want(t, 3, 0)
	c.content, c.etag = people, `"v1"` // as it was kept
	if got := read(t, s); len(got.records) != 2 || !got.Complete {
		t.Errorf("%+v", got)
	}
	c.want(t, 3, 1)
}

// Servers make new ETags when they restart.
func TestTheSameContentHasTheSameVersionUnderAnotherETag(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	_, spec := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", fmt.Sprintf(`"%d"`, calls.Add(1)))
		sending(people)(w, r)
	})
	s := https(t, spec)
	first, again := read(t, s), read(t, s)
	if len(again.records) != 2 || again.Version != first.Version || calls.Load() != 2 {
		t.Errorf("%+v, then %+v", first.Reading, again.Reading)
	}
}

func TestARedirectIsFollowedAtTheSameHostAlone(t *testing.T) {
	t.Parallel()
	var called atomic.Int32
	other, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		called.Add(1)
		sending(people)(w, r)
	})
	_, spec := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/roster":
			http.Redirect(w, r, "/moved", http.StatusFound)
		case "/elsewhere":
			http.Redirect(w, r, other.URL+"/login?secret=yes", http.StatusFound)
		case "/plain":
			http.Redirect(w, r, "http://"+r.Host+"/moved", http.StatusMovedPermanently)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		default:
			if r.Header.Get("Authorization") != "Bearer t0ken" {
				w.WriteHeader(http.StatusUnauthorized)
			}
			sending(people)(w, r)
		}
	})
	spec.Bearer = secret.New("t0ken")
	if got := read(t, https(t, spec)); len(got.records) != 2 {
		t.Errorf("%v", got.records)
	}
	for path, want := range map[string]struct {
		cause source.Cause
		words string
	}{
		"/elsewhere": {source.Refused, "redirects to " + other.URL + ","},
		"/plain":     {source.Refused, "redirects to http://"},
		"/loop":      {source.Malformed, "more than 5 times"},
	} {
		at := spec
		at.URL = secret.New(strings.Replace(spec.URL.Reveal(), "/roster", path, 1))
		fails(t, https(t, at), want.cause, want.words)
	}
	if called.Load() != 0 {
		t.Error("the other host was called")
	}
}

func TestAnAnswerWithoutARosterIsAnError(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]source.Cause{
		202: source.NotReady, 204: source.Empty, 206: source.Malformed, 304: source.Malformed, 400: source.Malformed, 401: source.Refused,
		403: source.Refused, 404: source.Missing, 410: source.Missing, 418: source.Malformed, 429: source.Down, 500: source.Down, 503: source.Down,
	} {
		_, spec := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		fails(t, https(t, spec), want, fmt.Sprintf("HTTP %d", status))
	}
	for name, c := range map[string]struct {
		content, kind string
		spec          source.HTTPSSpec
		cause         source.Cause
		words         string
	}{
		"nothing":       {"", "text/csv", source.HTTPSSpec{}, source.Empty, "empty"},
		"a header":      {"id,name\n", "text/csv", source.HTTPSSpec{}, source.Empty, "no row"},
		"a login page":  {people, "text/html; charset=utf-8", source.HTTPSSpec{}, source.Malformed, "web page"},
		"a page as csv": {"<html>log in</html>", "text/csv", source.HTTPSSpec{}, source.Malformed, ""},
		"wrong columns": {people, "text/csv", source.HTTPSSpec{Form: source.Form{Columns: []string{"班级"}}}, source.Malformed, `no column "班级"`},
		"too much":      {people, "text/csv", source.HTTPSSpec{MaxSize: 10}, source.TooLarge, "the limit is 10"},
		"a cut row":     {"id,name,class\n1,A,7\n2,B", "text/csv", source.HTTPSSpec{}, source.Malformed, "line 3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, spec := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.kind)
				_, _ = io.WriteString(w, c.content)
			})
			c.spec.URL, c.spec.CA = spec.URL, spec.CA
			fails(t, https(t, c.spec), c.cause, c.words, "https source "+strings.TrimPrefix(server.URL, "https://"))
		})
	}
}

func TestTheSizeIsBoundedWhenItIsNotKnownBefore(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	for range 1 << 10 {
		_, _ = z.Write(bytes.Repeat([]byte("1,2\n"), 1<<10))
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	_, spec := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/packed" {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(packed.Bytes())
			return
		}
		w.(http.Flusher).Flush()
		sending(strings.Repeat("1,2\n", 20_000))(w, r)
	})
	spec.MaxSize = 50_000
	fails(t, https(t, spec), source.TooLarge, "more than 50000 bytes")
	spec.URL = secret.New(strings.Replace(spec.URL.Reveal(), "/roster", "/packed", 1))
	fails(t, https(t, spec), source.TooLarge, "more than 50000 bytes")
}

// half begins an answer and drops the connection.
func half(length bool, size int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if length {
			w.Header().Set("Content-Length", strconv.Itoa(size*2))
		}
		_, _ = io.WriteString(w, strings.Repeat("1,张三\n", size)[:size])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

func TestHalfAnAnswerIsNotUsed(t *testing.T) {
	t.Parallel()
	for _, length := range []bool{true, false} {
		for _, size := range []int{16, 100_000} { // less and more than is looked at first
			_, spec := serve(t, half(length, size))
			fails(t, https(t, spec), source.Down, "safe to retry")
		}
	}
}

// Only the connection's end ends such an answer.
func TestAnAnswerWithoutAnEndIsNotComplete(t *testing.T) {
	t.Parallel()
	_, spec := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, buffered, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		_, _ = buffered.WriteString("HTTP/1.0 200 OK\r\nContent-Type: text/csv\r\n\r\n" + people)
		_ = buffered.Flush()
		_ = conn.Close()
	})
	got := read(t, https(t, spec))
	if len(got.records) != 2 || got.Complete || !strings.HasPrefix(got.Why, "the server does not say where the content ends") {
		t.Errorf("%+v", got)
	}
}

func TestASlowServerIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	for _, begins := range []bool{false, true} {
		_, spec := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if begins {
				sending("id,name\n")(w, r)
				w.(http.Flusher).Flush()
			}
			<-r.Context().Done()
		})
		spec.Timeout = 300 * time.Millisecond
		fails(t, https(t, spec), source.Slow, "time limit")
	}
}

func TestACancelledReadingIsNoFailureOfTheServer(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	_, spec := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	_, err := try(ctx, https(t, spec))
	if _, ok := errors.AsType[*source.Error](err); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestAServerThatIsDown(t *testing.T) {
	t.Parallel()
	server, spec := serve(t, sending(people))
	server.Close()
	fails(t, https(t, spec), source.Down, "safe to retry", "connection refused")
}

func TestOnlyATrustedCertificateIsAccepted(t *testing.T) {
	t.Parallel()
	_, spec := serve(t, sending(people))
	spec.CA = nil
	fails(t, https(t, spec), source.Refused, "certificate")
}

func TestPlainHTTPIsForLoopbackAlone(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(sending(people))
	t.Cleanup(server.Close)
	if got := read(t, https(t, source.HTTPSSpec{URL: secret.New(server.URL)})); len(got.records) != 2 {
		t.Errorf("%v", got.records)
	}
	_, err := source.NewHTTPS(source.HTTPSSpec{URL: secret.New("http://roster.example.com/x?token=secret")})
	if err == nil || !strings.Contains(err.Error(), "plain http to roster.example.com") || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}

func TestYesterdaysAnswerIsNotReady(t *testing.T) {
	t.Parallel()
	modified := time.Now().Add(-30 * time.Hour)
	_, spec := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "roster.csv", modified, strings.NewReader(people))
	})
	spec.MaxAge = 31 * time.Hour
	if got := read(t, https(t, spec)); !got.Complete {
		t.Errorf("%+v", got)
	}
	spec.MaxAge = 20 * time.Hour
	fails(t, https(t, spec), source.NotReady, "more than 20h0m0s ago")
	modified = time.Time{}
	fails(t, https(t, spec), source.NotReady, "remove max_age")

	// Also if the server says that the content has not changed since.
	_, spec = serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		if r.Header.Get("If-None-Match") == "" {
			w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
			sending(people)(w, r)
			return
		}
		w.Header().Set("Last-Modified", time.Now().Add(-30*time.Hour).UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusNotModified)
	})
	spec.MaxAge = 20 * time.Hour
	s := https(t, spec)
	read(t, s)
	fails(t, s, source.NotReady, "more than 20h0m0s ago")
}

// Neither the URL, which may hold a token, nor the credentials are in an error.
func TestErrorsHoldNoSecret(t *testing.T) {
	t.Parallel()
	stopped, spec := serve(t, nil)
	stopped.Close()
	_, refusing := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, r.Header.Get("Authorization")+r.URL.String())
	})
	for _, spec := range []source.HTTPSSpec{spec, refusing} {
		spec.Username, spec.Password = "sis", secret.New("s3cret")
		_, err := try(t.Context(), https(t, spec))
		if err == nil {
			t.Fatal("it was read")
		}
		for _, word := range []string{"in-the-url", "s3cret", "c2lzOn"} {
			if strings.Contains(err.Error(), word) {
				t.Errorf("%q holds %q", err, word)
			}
		}
	}
}

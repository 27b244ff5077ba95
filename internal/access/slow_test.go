package access_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/access"
	"rollcall/internal/logtest"
)

// pipes is a listener whose connections are in memory, so that synctest's clock rules them.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

// local is a connection of this machine.
type local struct{ net.Conn }

func (local) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }
func (local) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5000} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- local{server}
	return client
}

// inMemory serves a handler behind a guard, as the worker does.
func inMemory(t *testing.T, next http.Handler) (dial func() net.Conn) {
	t.Helper()
	var s seen
	p := newPipes()
	server := access.NewServer(s.guard().Handler(next), slog.New(slog.DiscardHandler))
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(p) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
	})
	return p.dial
}

func head(length int) string {
	return fmt.Sprintf("POST /v1/runs/r1/rows HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n", token, length)
}

func TestASlowBodyIsCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		type end struct {
			after time.Duration
			err   error
		}
		read := make(chan end, 1)
		dial := inMemory(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, err := io.Copy(io.Discard, r.Body)
			read <- end{time.Since(began), err}
		}))
		conn := dial()
		var wg sync.WaitGroup
		defer wg.Wait()
		defer conn.Close()
		if _, err := io.WriteString(conn, head(100_000)); err != nil {
			t.Fatal(err)
		}
		closed := make(chan time.Duration, 1)
		wg.Go(func() {
			for { // one byte a second
				if _, err := conn.Write([]byte("x")); err != nil {
					closed <- time.Since(began)
					return
				}
				time.Sleep(time.Second) //nolint:forbidigo // in a synctest bubble
			}
		})
		wg.Go(func() { _, _ = io.Copy(io.Discard, conn) })
		got := <-read
		if after := <-closed; after > 12*time.Second { // a client that has used up its time gets no more
			t.Errorf("disconnected after %s", after)
		}
		if !errors.Is(got.err, access.ErrSlow) || !errors.Is(got.err, os.ErrDeadlineExceeded) || got.after < 10*time.Second || got.after > 11*time.Second {
			t.Errorf("cut after %s with %v", got.after, got.err)
		}
	})
}

// The server reads the rest of a body before it answers.
func TestASlowBodyThatTheHandlerDoesNotReadIsCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dial := inMemory(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }))
		conn := dial()
		began := time.Now()
		var wg sync.WaitGroup
		defer wg.Wait()
		defer conn.Close()
		if _, err := io.WriteString(conn, head(100_000)); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { _, _ = io.Copy(io.Discard, conn) })
		for { // one byte a second
			if _, err := conn.Write([]byte("x")); err != nil {
				break
			}
			time.Sleep(time.Second) //nolint:forbidigo // in a synctest bubble
		}
		if took := time.Since(began); took > 12*time.Second {
			t.Errorf("cut after %s", took)
		}
	})
}

// A client that was fast has gained time, but not for the rest of a body that no handler
// reads.
func TestTheRestOfABodyThatTheHandlerLeavesIsCutInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const read = 50_000 // worth 48 s
		left := make(chan time.Time, 1)
		dial := inMemory(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.ReadFull(r.Body, make([]byte, read)); err != nil {
				t.Error(err)
			}
			w.WriteHeader(http.StatusNotFound)
			left <- time.Now()
		}))
		conn := dial()
		var wg sync.WaitGroup
		defer wg.Wait()
		defer conn.Close()
		if _, err := io.WriteString(conn, head(100_000)); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { _, _ = io.Copy(io.Discard, conn) })
		if _, err := io.WriteString(conn, strings.Repeat("x", read)); err != nil {
			t.Fatal(err)
		}
		for { // one byte a second
			if _, err := conn.Write([]byte("x")); err != nil {
				break
			}
			time.Sleep(time.Second) //nolint:forbidigo // in a synctest bubble
		}
		if took := time.Since(<-left); took > 12*time.Second {
			t.Errorf("cut after %s", took)
		}
	})
}

// An upload of half an hour is fine, and so is a handler that is slow itself.
func TestAClientThatKeepsSendingIsNotCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type end struct {
			n   int64
			err error
			ctx error
		}
		read := make(chan end, 1)
		dial := inMemory(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			time.Sleep(2 * time.Hour) //nolint:forbidigo // in a synctest bubble
			read <- end{n, err, r.Context().Err()}
			_, _ = io.WriteString(w, "done")
		}))
		conn := dial()
		var wg sync.WaitGroup
		defer wg.Wait()
		defer conn.Close()
		const seconds = 1800
		if _, err := io.WriteString(conn, head(seconds*2048)); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for range seconds {
				if _, err := io.WriteString(conn, strings.Repeat("x", 2048)); err != nil {
					return
				}
				time.Sleep(time.Second) //nolint:forbidigo // in a synctest bubble
			}
		})
		answered := make(chan string, 1)
		wg.Go(func() {
			b := make([]byte, 1024)
			n, _ := conn.Read(b)
			answered <- string(b[:n])
		})
		if got := <-read; got.n != seconds*2048 || got.err != nil || got.ctx != nil {
			t.Errorf("%+v", got)
		}
		if got := <-answered; !strings.HasPrefix(got, "HTTP/1.1 200 ") {
			t.Errorf("answered %q", got)
		}
	})
}

// A deadline for the rest of a body must not end the requests that follow.
func TestARequestAfterAnAnswerThatIsReadLateIsServed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dial := inMemory(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil || r.Context().Err() != nil {
				t.Errorf("%v, %v", err, r.Context().Err())
			}
			_, _ = io.WriteString(w, "done")
		}))
		conn := dial()
		defer conn.Close()
		answers := bufio.NewReader(conn)
		for range 2 {
			if _, err := io.WriteString(conn, head(3)+"abc"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Second) //nolint:forbidigo // in a synctest bubble
			response, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatal(err)
			}
			if content, err := io.ReadAll(response.Body); err != nil || string(content) != "done" {
				t.Errorf("answered %q, %v", content, err)
			}
			_ = response.Body.Close()
		}
	})
}

func TestAClientThatDoesNotReadItsAnswerIsCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		after := make(chan time.Duration, 1)
		dial := inMemory(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 1<<10)); err != nil {
					after <- time.Since(began)
					return
				}
			}
		}))
		conn := dial()
		defer conn.Close()
		if _, err := io.WriteString(conn, head(0)); err != nil {
			t.Fatal(err)
		}
		if got := <-after; got < 30*time.Second || got > time.Minute {
			t.Errorf("cut after %s", got)
		}
	})
}

func TestHeadersThatComeTooSlowlyAreCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dial := inMemory(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("got in") }))
		conn := dial()
		defer conn.Close()
		began := time.Now()
		if _, err := io.WriteString(conn, "GET /v1/runs HTTP/1.1\r\nHost: x\r\n"); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		defer wg.Wait()
		defer conn.Close()
		wg.Go(func() { _, _ = io.Copy(io.Discard, conn) })
		for { // one header a second
			time.Sleep(time.Second) //nolint:forbidigo // in a synctest bubble
			if _, err := io.WriteString(conn, "X: y\r\n"); err != nil {
				break
			}
		}
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("cut after %s", took)
		}
	})
}

func TestTheTrailCountsTasksAndRecordsOtherChangesAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log logtest.Buffer
		var mu sync.Mutex
		var got []string
		fail := false
		trail := &access.Trail{Log: log.Logger(), Write: func(_ context.Context, token, what string) error {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, token+": "+what)
			if fail {
				return errors.New("Redis is full")
			}
			return nil
		}}
		recorded := func() []string {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(got)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { trail.Run(ctx); close(ended) }()
		for range 1000 {
			trail.Record(ctx, access.Change{Token: "grades", Method: "POST", Path: "/v1/tasks"})
		}
		trail.Record(ctx, access.Change{Token: "grades", Method: "POST", Path: "/v1/runs/r1/rows"})
		trail.Record(ctx, access.Change{Token: "boss", Method: "POST", Path: "/v1/runs/r1/approve"})
		want := []string{"boss: POST /v1/runs/r1/approve"}
		if diff := cmp.Diff(want, recorded()); diff != "" {
			t.Errorf("at once (-want +got):\n%s", diff)
		}
		time.Sleep(time.Minute + time.Second) //nolint:forbidigo // in a synctest bubble
		want = append(want, "grades: POST /v1/runs/r1/rows, 1 requests within a minute", "grades: POST /v1/tasks, 1000 requests within a minute")
		if diff := cmp.Diff(want, recorded()); diff != "" {
			t.Errorf("after a minute (-want +got):\n%s", diff)
		}
		mu.Lock()
		fail = true
		mu.Unlock()
		trail.Record(ctx, access.Change{Token: "grades", Method: "POST", Path: "/v1/tasks"})
		stop()
		<-ended // what was counted is not lost at the end
		if want = append(want, "grades: POST /v1/tasks, 1 requests within a minute"); !cmp.Equal(want, recorded()) {
			t.Errorf("at the end: %v", recorded())
		}
		if len(log.Lines("change through the API not among the events")) != 1 {
			t.Errorf("a change that could not be recorded is not logged:\n%s", log.String())
		}
	})
}

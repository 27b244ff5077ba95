package providertest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"rollcall/providers"
)

func dead(t *testing.T, s Subject) {
	r := newRig(t, s, func(w http.ResponseWriter, req *http.Request, n int) {
		w.Header().Set("Connection", "close") // so that the next call has to dial
		respond(200, s.Done)(w, req, n)
	})
	if _, err := r.do(t); err != nil {
		t.Fatal(err)
	}
	r.server.Close()
	_, err := r.do(t)
	if err == nil || err.Kind != providers.Transient || err.MaybeApplied || err.Sends != 0 || !err.Unmetered {
		t.Fatalf("%+v; want transient, certainly not applied, no send, not counted", err)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the cause is lost: %v", err)
	}
	if r.passes.Load() != 3 {
		t.Errorf("the gate was passed %d times, want 3: a dial may be tried twice more", r.passes.Load())
	}
}

func breaks(t *testing.T, s Subject) {
	for name, play := range map[string]answer{
		"before the answer": func(w http.ResponseWriter, _ *http.Request, _ int) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0) // a reset, not an orderly end
			}
			_ = conn.Close()
		},
		"in the middle of the body": func(w http.ResponseWriter, _ *http.Request, _ int) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, s.Done)
		},
	} {
		r := newRig(t, s, play)
		_, err := r.do(t)
		if err == nil || err.Kind != s.unknown() || !err.MaybeApplied || err.Err == nil || err.Unmetered {
			t.Fatalf("%s: %+v; want %v, maybe applied and counted, with its cause", name, err, s.unknown())
		}
		want := 3
		if s.Once {
			want = 1
		}
		if err.Sends != want || int(r.passes.Load()) != want {
			t.Errorf("%s: %d sends, %d passes of the gate; want %d of both", name, err.Sends, r.passes.Load(), want)
		}
	}
}

func hangs(t *testing.T, s Subject) {
	for name, begin := range map[string]func(http.ResponseWriter){
		"no header": func(http.ResponseWriter) {},
		"after the header": func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
		},
	} {
		release := make(chan struct{})
		setting := Setting{Timeout: time.Second, Quick: time.Millisecond}
		r := newRigWith(t, s, setting, func(w http.ResponseWriter, _ *http.Request, _ int) {
			begin(w)
			<-release
		})
		_, err := r.do(t)
		close(release)
		if err == nil || err.Kind != s.unknown() || !err.MaybeApplied || !errors.Is(err, context.DeadlineExceeded) && !isTimeout(err) {
			t.Fatalf("%s: %+v; want %v after a timeout, maybe applied", name, err, s.unknown())
		}
		if err.Unmetered {
			t.Errorf("%s: said not to be counted, and the request did leave", name)
		}
		if err.Sends != 1 {
			t.Errorf("%s: %d sends; an immediate retry does not help with a server that hangs", name, err.Sends)
		}
	}
}

func isTimeout(err error) bool {
	n, ok := errors.AsType[net.Error](err)
	return ok && n.Timeout()
}

func redirect(t *testing.T, s Subject) {
	var strayed atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { strayed.Add(1) }))
	t.Cleanup(other.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		r := newRig(t, s, func(w http.ResponseWriter, req *http.Request, _ int) {
			http.Redirect(w, req, other.URL+req.URL.String(), status) //nolint:gosec // the test is that it is not followed
		})
		_, err := r.do(t)
		if err == nil || err.Kind != providers.Misconfigured || err.Sends != 1 || err.MaybeApplied || err.Unmetered {
			t.Errorf("HTTP %d: %+v; want misconfigured after one send, which counts", status, err)
		}
	}
	if strayed.Load() != 0 {
		t.Errorf("%d requests followed the redirect", strayed.Load())
	}
}

func cancelled(t *testing.T, s Subject) {
	r := newRig(t, s, respond(200, s.Done))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := r.doWith(t, ctx, r.gate)
	if err == nil || err.Kind != providers.Unsent || err.MaybeApplied || err.Sends != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("before the call: %+v; want unsent, by a cancelled context", err)
	}
	if r.passes.Load() != 0 || err.Unmetered {
		t.Errorf("before the call: the gate was passed %d times, and a slot is wasted; %+v", r.passes.Load(), err)
	}

	why := errors.New("the worker stops")
	ctx, abort := context.WithCancelCause(context.Background())
	release := make(chan struct{})
	r = newRig(t, s, func(http.ResponseWriter, *http.Request, int) {
		abort(why)
		<-release
	})
	_, err = r.doWith(t, ctx, r.gate)
	close(release)
	if err == nil || err.Kind != s.unknown() || !err.MaybeApplied || err.Sends != 1 || err.Unmetered {
		t.Errorf("during the call: %+v; want %v, maybe applied, one send that counts", err, s.unknown())
	}
	if !errors.Is(err, context.Canceled) || !errors.Is(err, why) {
		t.Errorf("during the call: %v; it must unwrap to the cancelled context and to its cause", err)
	}
}

package providertest

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"rollcall/providers"
)

func gates(t *testing.T, s Subject) {
	no := errors.New("no room")
	r := newRig(t, s, respond(200, s.Done))

	_, err := r.doWith(t, context.Background(), func(context.Context) error { return no })
	if err == nil || err.Kind != providers.Unsent || !errors.Is(err, no) || err.MaybeApplied || err.Unmetered || r.hits.Load() != 0 {
		t.Errorf("a gate that refuses: %+v after %d requests; want unsent, unwrapping to the gate's error, none", err, r.hits.Load())
	}

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_, err = r.doWith(t, ctx, func(ctx context.Context) error { cancel(); <-ctx.Done(); return ctx.Err() })
	if err == nil || err.Kind != providers.Unsent || !errors.Is(err, context.Canceled) || err.Unmetered || r.hits.Load() != 0 {
		t.Errorf("cancelled in the gate: %+v after %d requests; want unsent, none", err, r.hits.Load())
	}

	// The gate has counted a send that then never leaves: the slot can be returned.
	ctx, cancel = context.WithCancel(context.Background())
	defer cancel()
	_, err = r.doWith(t, ctx, func(context.Context) error { cancel(); return nil })
	if err == nil || err.Kind != providers.Unsent || !errors.Is(err, context.Canceled) || !err.Unmetered || r.hits.Load() != 0 {
		t.Errorf("cancelled behind the gate: %+v after %d requests; want unsent and not counted, none", err, r.hits.Load())
	}

	if _, err := r.call(context.Background(), nil); err == nil || r.hits.Load() != 0 {
		t.Errorf("without a gate: %v after %d requests; want a refusal", err, r.hits.Load())
	}

	if s.Quick == "" {
		return
	}
	r.plays(s.refuse(s.Status, s.Quick))
	passes := 0
	_, err = r.doWith(t, context.Background(), func(context.Context) error {
		if passes++; passes > 1 {
			return no
		}
		return nil
	})
	if err == nil || err.Kind == providers.Unsent || err.Code != s.Quick || !errors.Is(err, no) || !err.MaybeApplied || err.Sends != 1 || err.Unmetered {
		t.Errorf("a gate that refuses the second send: %+v; want the first answer's verdict, unwrapping to the gate's error", err)
	}
}

func quickTries(t *testing.T, s Subject) {
	r := newRig(t, s, s.refuse(429, s.Throttle))
	if _, err := r.do(t); err == nil || err.Sends != 1 || r.passes.Load() != 1 || !err.Unmetered {
		t.Errorf("throttled: %+v; a throttled call is not tried again at once, and not counted", err)
	}
	if s.Quick == "" {
		return
	}
	refuse := s.refuse(s.Status, s.Quick)
	for failures := range 4 {
		r.plays(func(w http.ResponseWriter, req *http.Request, n int) {
			if n <= failures {
				refuse(w, req, n)
				return
			}
			respond(200, s.Done)(w, req, n)
		})
		receipt, err := r.do(t)
		if failures < 3 && (err != nil || receipt.Sends != failures+1) {
			t.Errorf("%s %d times: %+v, %v; want a success after %d sends", s.Quick, failures, receipt, err, failures+1)
		}
		if failures == 3 && (err == nil || err.Sends != 3 || err.Code != s.Quick) {
			t.Errorf("%s without end: %+v; want an error after 3 sends", s.Quick, err)
		}
		if want := min(failures+1, 3); int(r.passes.Load()) != want {
			t.Errorf("%s %d times: the gate was passed %d times, want %d", s.Quick, failures, r.passes.Load(), want)
		}
	}

	// A wait that would exceed the deadline is not started, and the existing verdict is
	// kept.
	slow := newRigWith(t, s, Setting{Timeout: 30 * time.Second, Quick: 1000 * time.Hour}, refuse)
	ctx, cancel := context.WithTimeout(context.Background(), 1900*time.Millisecond)
	defer cancel()
	if _, err := slow.doWith(t, ctx, slow.gate); err == nil || err.Code != s.Quick || err.Sends != 1 || ctx.Err() != nil {
		t.Errorf("close to the deadline: %+v (context: %v); want the first verdict at once", err, ctx.Err())
	}
}

func parallel(t *testing.T, s Subject) {
	r := newRig(t, s, respond(200, s.Done))
	var calls sync.WaitGroup
	for range 32 {
		calls.Go(func() {
			if receipt, err := r.call(context.Background(), r.gate); err != nil || receipt.Sends != 1 {
				t.Errorf("%+v, %v", receipt, err)
			}
		})
	}
	calls.Wait()
	if r.hits.Load() != 32 || r.passes.Load() != 32 {
		t.Errorf("%d requests, %d passes of the gate; want 32 of both", r.hits.Load(), r.passes.Load())
	}
}

package handler_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/handler"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/sandbox"
	"rollcall/providers"
)

// failures reports when the first command has failed.
type failures struct {
	once  sync.Once
	first chan struct{}
}

func (f *failures) DialHook(next redis.DialHook) redis.DialHook { return next }

func (f *failures) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if _, answered := errors.AsType[redis.Error](err); err != nil && !answered {
			f.once.Do(func() { close(f.first) })
		}
		return err
	}
}

func (f *failures) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// The platform has accepted the change while Redis is unavailable. If the result is not
// recorded, the call is made twice.
func TestAnAnswerIsRecordedOnceRedisIsAvailableAgain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		watch := &failures{first: make(chan struct{})}
		r.rdb.AddHook(watch)
		called, away := make(chan struct{}), make(chan struct{})
		r.during = sync.OnceFunc(func() { close(called); <-away })
		revision := r.requestChange(nickname("A"))

		type result struct {
			report handler.Report
			err    error
		}
		ended := make(chan result, 1)
		go func() {
			report, err := r.attempt(nickname("A"), revision)
			ended <- result{report, err}
		}()
		<-called
		r.redis.Stop(t)
		close(away)
		<-watch.first
		r.redis.Start(t)
		if got := <-ended; got.err != nil || got.report.Outcome != handler.Applied {
			t.Fatalf("%+v, %v", got.report, got.err)
		}
		r.must(nickname("A"), handler.Unchanged)
		r.calls(1)
	})
}

// takenOver makes the lease of a nickname expire during the first call, and another
// worker acquire it.
func (r *rig) takenOver(s *redistest.Server) {
	r.during = sync.OnceFunc(func() {
		s.Mini.SetTime(time.Now().Add(time.Minute))
		target, fields := kinds.Change(nickname("B"), school)
		newer := r.requestChange(nickname("B"))
		if _, _, err := r.ledger.Begin(r.t.Context(), ledger.Delivery{TaskID: "other", Target: target, Revision: newer, Fields: fields}); err != nil {
			r.t.Errorf("the other worker: %v", err)
		}
	})
}

// The lease expired while the platform processed the call, and another worker acquired
// it. That worker now decides the target's state.
func TestAnAttemptThatLostItsLeaseDoesNotSettle(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	r := newRig(t, s)
	task := nickname("A")
	r.takenOver(s)
	if _, err := r.run(task); !errors.Is(err, ledger.ErrLeaseLost) {
		t.Fatalf("error %v, want %v", err, ledger.ErrLeaseLost)
	}
	r.changes(sandbox.Change{Field: "nick", New: "A"})
	s.Mini.SetTime(time.Now().Add(2 * time.Minute))
	// The platform may hold either name, so even the name that it holds is sent.
	r.must(nickname("A"), handler.Applied)
	r.calls(2)
}

// As above, but the platform refused the call permanently. The other worker's call may
// have succeeded, so the refusal must not make a dead letter.
func TestARefusalIsNotFinalIfTheLeaseWasLost(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	r := newRig(t, s)
	r.arm(sandbox.Fault{API: sandbox.APIGroupNick, Kind: sandbox.FaultAnswer, Code: "41049"})
	task := nickname("A")
	r.takenOver(s)
	_, err := r.run(task)
	if e, ok := errors.AsType[*providers.Error](err); !ok || e.Kind != providers.Rejected || !errors.Is(err, ledger.ErrLeaseLost) {
		t.Errorf("error %v, want a refusal and %v", err, ledger.ErrLeaseLost)
	}
}

// A send that hangs is cancelled once another worker holds the lease.
func TestASendIsCancelledWhenItsLeaseIsLost(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	r := newRig(t, s)
	r.arm(sandbox.Fault{API: sandbox.APIGroupNick, Kind: sandbox.FaultHang})
	r.takenOver(s)
	_, err := r.run(nickname("A"))
	if !errors.Is(err, ledger.ErrLeaseLost) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want %v and no timeout", err, ledger.ErrLeaseLost)
	}
}

// Redis lost its data while the platform processed the call.
func TestASendWhoseRecordRedisLostIsStoredAsUnknownOutcome(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	r := newRig(t, s)
	r.arm(sandbox.Fault{API: sandbox.APIGroupNick, Kind: sandbox.FaultHang})
	target, _ := kinds.Change(nickname("A"), school)
	r.during = sync.OnceFunc(func() {
		for _, key := range s.Mini.Keys() {
			if strings.HasSuffix(key, ":target:"+target.Key) {
				s.Mini.Del(key)
			}
		}
	})
	if _, err := r.run(nickname("A")); !errors.Is(err, ledger.ErrLeaseLost) {
		t.Fatalf("error %v, want %v", err, ledger.ErrLeaseLost)
	}
	if n, err := r.ledger.Recall(t.Context()); n != 1 || err != nil {
		t.Errorf("Recall() = %d, %v", n, err)
	}
	record, err := r.ledger.Look(t.Context(), target)
	if err != nil || record.Fields["nickname"].Unknown == 0 {
		t.Errorf("%+v, %v", record, err)
	}
}

func TestNothingIsSentWhileRedisIsUnavailable(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		revision := r.requestChange(nickname("A"))
		r.slot = func(context.Context) error { r.redis.Stop(t); return nil }
		if report, err := r.attempt(nickname("A"), revision); err == nil || report.Sends != 0 {
			t.Errorf("Redis failed before the last check: %+v, %v", report, err)
		}
		if _, err := r.attempt(nickname("A"), revision); err == nil {
			t.Error("the task succeeded although Redis is unavailable")
		}
		r.calls(0)
		if n := r.unused.Load(); n != 1 {
			t.Errorf("%d slots returned, want the one that the failed check left unused", n)
		}
	})
}

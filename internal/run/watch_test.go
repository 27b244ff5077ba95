package run_test

import (
	"log/slog"
	"sync"
	"testing"
	"time"

	"rollcall/internal/redistest"
	"rollcall/internal/run"
)

// watcher starts a Watcher that stops with the test.
func (r *rig) watcher() *run.Watcher {
	r.t.Helper()
	w := run.NewWatcher(r.client(r.t), slog.New(slog.NewTextHandler(r.log, nil)))
	ctx := r.t.Context()
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	r.t.Cleanup(running.Wait)
	return w
}

func TestAWorkerKnowsTheStateOfARunWithinASecond(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s, 3)
		w := r.watcher()
		p := r.plan(free(), nicknames("A", "B", "C"))
		sends := func(now, ended bool) {
			t.Helper()
			w.Await(t.Context(), p.ID)
			if gotNow, gotEnded := w.Sends(p.ID); gotNow != now || gotEnded != ended {
				t.Errorf("sends %v, ended %v, want %v and %v", gotNow, gotEnded, now, ended)
			}
		}
		r.must(r.service.Apply(t.Context(), p.ID, p.Plan.Digest, "ann"))
		sends(true, false)
		r.must(r.service.Pause(t.Context(), p.ID, "ann", ""))
		<-time.After(run.WatchFor)
		sends(false, false)
		if testing.Short() {
			return // each step waits for a second
		}
		r.must(r.service.Resume(t.Context(), p.ID, "ann"))
		<-time.After(run.WatchFor)
		sends(true, false)
		r.must(r.service.Cancel(t.Context(), p.ID, "ann", ""))
		<-time.After(run.WatchFor)
		sends(false, true)
	})
}

func TestWithoutAReadingNothingIsSent(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s, 3)
		w := r.watcher()
		if now, ended := w.Sends("raaaaaaaaaaaaaaaa"); now || ended {
			t.Error("a row of a run is sent before its state was read")
		}
		p := r.apply(free(), nicknames("A"))
		w.Await(t.Context(), p.ID)
		if now, _ := w.Sends(p.ID); !now {
			t.Fatal("an applied run is not sent")
		}
		s.Stop(t)
		<-time.After(run.WatchFor)
		if now, ended := w.Sends(p.ID); now || ended {
			t.Errorf("without Redis: sends %v, ended %v", now, ended)
		}
		s.Start(t)
		end := time.Now().Add(patience)
		for now := false; !now; now, _ = w.Sends(p.ID) {
			if w.Await(t.Context(), p.ID); time.Now().After(end) {
				t.Fatal("the run is not sent after Redis is back")
			}
		}
	})
}

func TestARunThatDoesNotExistIsCancelled(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t), 3)
	w := r.watcher()
	w.Await(t.Context(), "raaaaaaaaaaaaaaaa")
	if now, ended := w.Sends("raaaaaaaaaaaaaaaa"); now || !ended {
		t.Errorf("sends %v, ended %v", now, ended)
	}
}

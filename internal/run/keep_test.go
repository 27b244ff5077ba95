package run_test

import (
	"context"
	"testing"
	"time"

	"rollcall/internal/redistest"
	"rollcall/internal/run"
)

// Commands have no configuration: they keep runs as long as the workers do.
func TestRunsAreKeptAsLongAsTheWorkersSay(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s, 3)
		kept := func(id string) time.Duration { return r.rdb.PTTL(t.Context(), "rollcall:{run:"+id+"}:rows:0").Val() }
		near := func(got, want time.Duration) bool { return got > want-time.Hour && got <= want }
		if got := kept(r.plan(free(), nicknames("A")).ID); !near(got, run.DefaultKeep) {
			t.Errorf("kept for %s without a worker", got)
		}
		const keep = 30 * 24 * time.Hour
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		feeder := run.NewFeeder(run.FeederConfig{Service: run.New(run.Config{Redis: r.rdb, Ledger: r.ledger, Keep: keep}), Producer: r.producer()})
		go func() { ended <- feeder.Run(ctx) }()
		for end := time.Now().Add(patience); r.rdb.Exists(t.Context(), "rollcall:runs:keep").Val() == 0 && time.Now().Before(end); {
			<-time.After(10 * time.Millisecond)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		p := r.plan(free(), nicknames("B"))
		if got := kept(p.ID); !near(got, keep) {
			t.Errorf("kept for %s after a worker published %s", got, keep)
		}
		r.must(r.service.Reject(t.Context(), p.ID, "ann", ""))
		if got := r.rdb.PTTL(t.Context(), "rollcall:{run:"+p.ID+"}:run").Val(); !near(got, keep) {
			t.Errorf("a rejected run is kept for %s", got)
		}
		// Another program's value is ignored.
		r.rdb.Set(t.Context(), "rollcall:runs:keep", "soon", 0)
		if got := kept(r.plan(free(), nicknames("C")).ID); !near(got, keep) {
			t.Errorf("kept for %s after the value was damaged", got)
		}
	})
}

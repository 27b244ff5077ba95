package pace_test

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"rollcall/internal/pace"
)

var simulated = flag.Int("simulated", 100_000, "number of calls in the simulation of the safe rate; a million takes half a minute")

const second = 1_000_000

// platformOf is an emulated platform that allows 40 calls a second.
func platformOf(kind pace.Window) counter {
	switch kind {
	case pace.Fixed:
		return &fixedCounter{calls: 40, per: second}
	case pace.Bucket:
		return &bucketCounter{calls: 40, per: second}
	default:
		return &slidingCounter{calls: 40, per: second}
	}
}

// simulate returns a world whose workers are about to start.
func simulate(seed uint64, platform, configured pace.Window, workers int) *world {
	w := &world{
		random: rand.New(rand.NewPCG(seed, 1)), now: epoch.UnixMicro(), workers: workers, senders: 14,
		service: 40 * time.Millisecond, server: platformOf(platform),
		model: &pace.Model{Limits: []pace.Limit{{Calls: 40, Per: time.Second, Window: configured}}},
	}
	w.delay = func() int64 { return 5000 + w.spread(30*time.Millisecond) }
	w.start()
	return w
}

// between returns how many calls the platform accepted and refused between two seconds
// after the start.
func (w *world) between(from, to int64) (accepted, refused int) {
	for _, s := range w.sends {
		if s.at < epoch.UnixMicro()+from*second || s.at >= epoch.UnixMicro()+to*second {
			continue
		}
		if s.refused {
			refused++
		} else {
			accepted++
		}
	}
	return accepted, refused
}

func (w *world) goodput(from, to int64) float64 {
	accepted, _ := w.between(from, to)
	return float64(accepted) / float64(to-from) / 40
}

// delays are distributions of the one-way delay over 43 ms: with the inaccuracy of
// timers, the 45 ms that a lane starts with.
var delays = map[string]func(*rand.Rand) int64{
	"even":        func(r *rand.Rand) int64 { return 3000 + r.Int64N(43_000) },
	"two routes":  func(r *rand.Rand) int64 { return 3000 + r.Int64N(2)*40_000 + r.Int64N(3000) },
	"a long tail": func(r *rand.Rand) int64 { return 3000 + min(int64(r.ExpFloat64()*8000), 43_000) },
	"steady":      func(r *rand.Rand) int64 { return 20_000 + r.Int64N(500) },
}

func TestNothingIsRefusedAtTheSafeRate(t *testing.T) {
	t.Parallel()
	kinds := []pace.Window{pace.Sliding, pace.Fixed, pace.Bucket}
	each := *simulated / (len(delays) * len(kinds) * 8)
	made := 0
	for name, delay := range delays {
		for _, kind := range kinds {
			for workers := 1; workers <= 8; workers++ {
				w := simulate(uint64(workers), kind, pace.Unknown, workers)
				w.delay = func() int64 { return delay(w.random) }
				// It keeps its initial spread, at which a call is said to have been refused.
				w.model.Start, w.model.Spread, w.model.Bad, w.model.BadAt = 45_000, 45_000, 45_000, w.now
				w.run(w.now + int64(each)*second/38)
				accepted, refused := w.between(0, 1<<30)
				if made += accepted + refused; refused > 0 {
					t.Errorf("delay %q, %s, %d workers: %d of %d calls were refused", name, kind, workers, refused, accepted+refused)
				}
			}
		}
	}
	t.Logf("%d calls", made)
}

// The platform's rate is used except for the spread of the delay, and part of that is
// regained.
func TestTheRateIsUsedFromTheStart(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		platform, configured pace.Window
		workers              int
		least                float64
	}{
		{pace.Sliding, pace.Unknown, 4, 0.95},
		{pace.Fixed, pace.Unknown, 4, 0.95},
		{pace.Bucket, pace.Unknown, 4, 0.95},
		{pace.Fixed, pace.Fixed, 4, 0.97},
		{pace.Bucket, pace.Bucket, 4, 0.97},
		{pace.Sliding, pace.Sliding, 1, 0.95},
		{pace.Sliding, pace.Sliding, 8, 0.95},
	} {
		w := simulate(7, row.platform, row.configured, row.workers)
		w.run(w.now + 640*second)
		if got := w.goodput(10, 40); got < row.least {
			t.Errorf("%s configured as %s, %d workers: %.4f of the limit is used at first, want %.2f", row.platform, row.configured, row.workers, got, row.least)
		}
		if got := w.goodput(40, 640); got < row.least {
			t.Errorf("%s configured as %s, %d workers: %.4f of the limit is used later, want %.2f", row.platform, row.configured, row.workers, got, row.least)
		}
		if accepted, refused := w.between(0, 640); float64(refused) > 0.001*float64(accepted) {
			t.Errorf("%s configured as %s, %d workers: %d of %d calls were refused during learning",
				row.platform, row.configured, row.workers, refused, accepted)
		}
		// A few senders cost one round trip per call. With more senders than slots, a
		// worker asks at most eight times per second.
		if w.asks > len(w.sends) && w.asks > 640*8*row.workers {
			t.Errorf("%s, %d workers: %d round trips for %d calls", row.platform, row.workers, w.asks, len(w.sends))
		}
	}
}

func TestAWiderSpreadOfTheDelayIsLearned(t *testing.T) {
	t.Parallel()
	w := simulate(7, pace.Sliding, pace.Sliding, 4)
	w.delay = func() int64 { return 5000 + w.spread(150*time.Millisecond) }
	w.run(w.now + 1200*second)
	accepted, refused := w.between(600, 1200)
	if float64(refused) > 0.005*float64(accepted) {
		t.Errorf("%d of %d calls are still refused after ten minutes on a network that spreads over 150 ms (spread %d µs)",
			refused, accepted, w.model.Spread)
	}
	if got := w.goodput(600, 1200); got < 0.8 {
		t.Errorf("%.3f of the limit is used, want 0.8 of the 0.87 that can be had", got)
	}
}

func TestAnotherClientOnTheQuotaGetsItsShareAndNoMore(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		w := simulate(seed, pace.Sliding, pace.Unknown, 4)
		w.stranger(w.now+20*second, w.now+30*second, second/15)
		w.run(w.now + 60*second)
		if accepted, refused := w.between(20, 50); float64(refused) > 0.05*float64(accepted) {
			t.Errorf("seed %d: %d of our %d calls were refused", seed, refused, accepted+refused)
		}
		if got := w.goodput(25, 30); got < 0.4 {
			t.Errorf("seed %d: with another client %.3f of the limit is used, want 0.4 of the 0.625 that it leaves", seed, got)
		}
		if got := w.goodput(50, 60); got < 0.94 {
			t.Errorf("seed %d: 20 s after it stopped %.3f of the limit is used", seed, got)
		}
	}
}

func TestThePaceFollowsAQuotaThatIsHalvedAndRaisedAgain(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		w := simulate(seed, pace.Sliding, pace.Unknown, 4)
		w.run(w.now + 20*second)
		w.server.(*slidingCounter).calls = 20
		w.run(w.now + 60*second)
		w.server.(*slidingCounter).calls = 40
		w.run(w.now + 80*second)
		if accepted, refused := w.between(30, 80); float64(refused) > 0.05*float64(accepted) {
			t.Errorf("seed %d: after settling, %d of %d calls are refused", seed, refused, accepted+refused)
		}
		if got := 2 * w.goodput(30, 80); got < 0.8 {
			t.Errorf("seed %d: after settling, %.3f of the halved limit is used", seed, got)
		}
		if got := w.goodput(130, 160); got < 0.94 {
			t.Errorf("seed %d: 50 s after the limit was raised again %.3f of it is used", seed, got)
		}
	}
}

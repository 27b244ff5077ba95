package hold_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/hold"
	"rollcall/internal/redistest"
)

func TestAProbeIsHadByOneWhenItIsDue(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		h := put(t, hold.NewBoard(rdb), refused(lane), hold.Entered)
		if _, mine, err := hold.NewBoard(rdb).Claim(t.Context(), h, h.Next.Add(-time.Millisecond)); mine || err != nil {
			t.Errorf("it was had before it was due: %t, %v", mine, err)
		}
		var had atomic.Int64
		var workers sync.WaitGroup
		for range 10 {
			workers.Go(func() {
				b := hold.NewBoard(rdb)
				if err := b.Refresh(t.Context()); err != nil {
					t.Error(err)
					return
				}
				for _, h := range b.Of(lane) {
					if _, mine, err := b.Claim(t.Context(), h, began.Add(time.Minute)); err != nil {
						t.Error(err)
					} else if mine {
						had.Add(1)
					}
				}
			})
		}
		workers.Wait()
		if had.Load() != 1 {
			t.Errorf("%d have the probe", had.Load())
		}
		put(t, hold.NewBoard(rdb), operator(lane), hold.Entered)
		for _, h := range reread(t, rdb) {
			if _, mine, err := hold.NewBoard(rdb).Claim(t.Context(), h, began.Add(24*time.Hour)); mine != (h.Class == hold.Refused) || err != nil {
				t.Errorf("%s: the next probe is had: %t, %v", h.Class, mine, err)
			}
		}
	})
}

func TestProbesGetRarer(t *testing.T) {
	t.Parallel()
	for class, want := range map[hold.Class]string{
		hold.Refused: "1m0s 2m0s 4m0s 8m0s 16m0s 32m0s 1h0m0s 1h0m0s",
		hold.Failing: "15s 30s 1m0s 2m0s 4m0s 5m0s 5m0s",
	} {
		t.Run(string(class), func(t *testing.T) {
			t.Parallel()
			b := hold.NewBoard(redistest.Mini(t).Client(t))
			h := refused(lane)
			h.Class = class
			h = put(t, b, h, hold.Entered)
			at := began
			for i, wait := range strings.Fields(want) {
				if got := h.Next.Sub(at).String(); got != wait {
					t.Errorf("after %d probes the next comes in %s, want %s", i, got, wait)
				}
				at = h.Next
				var mine bool
				var err error
				if h, mine, err = b.Claim(t.Context(), h, at); err != nil || !mine || h.Tries != i+1 {
					t.Fatalf("probe %d: %t, %v, tries %d", i+1, mine, err, h.Tries)
				}
			}
		})
	}
	// However often, and whatever a stored hold says.
	for _, tries := range []int{-1, 1000} {
		if wait := hold.Refused.Wait(tries); wait < time.Minute || wait > time.Hour {
			t.Errorf("after %d probes the next comes in %s", tries, wait)
		}
	}
}

func TestAPersonCanHaveAHoldProbedAtOnce(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		b := hold.NewBoard(rdb)
		first := put(t, b, refused(lane), hold.Entered)
		claimed, _, err := b.Claim(t.Context(), first, first.Next)
		if err != nil {
			t.Fatal(err)
		}
		heard := rdb.Subscribe(t.Context(), hold.Channel)
		defer heard.Close()
		if _, err := heard.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
		now := began.Add(2 * time.Minute)
		if asked, err := hold.NewBoard(rdb).ProbeNow(t.Context(), first, now); asked || err != nil {
			t.Errorf("one that was changed meanwhile: %t, %v", asked, err)
		}
		if asked, err := b.ProbeNow(t.Context(), claimed, now); !asked || err != nil {
			t.Errorf("asked: %t, %v", asked, err)
		}
		if _, err := heard.ReceiveMessage(t.Context()); err != nil {
			t.Errorf("workers are not woken: %v", err)
		}
		want := first
		want.Next, want.Tries = now, 0
		if diff := cmp.Diff([]hold.Hold{want}, reread(t, rdb), likeness); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if _, mine, err := b.Claim(t.Context(), b.Of(lane)[0], now); !mine || err != nil {
			t.Errorf("the probe is not to be had: %t, %v", mine, err)
		}
	})
}

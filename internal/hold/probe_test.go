package hold_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/audit"
	"rollcall/internal/hold"
	"rollcall/internal/redistest"
)

func TestAProbeIsClaimedByOneWorkerWhenItIsDue(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		h := put(t, hold.NewStore(rdb), refused(lane), hold.Entered)
		if _, mine, err := hold.NewStore(rdb).Claim(t.Context(), h, h.Next.Add(-time.Millisecond), "early"); mine || err != nil {
			t.Errorf("claimed before it was due: %t, %v", mine, err)
		}
		var had atomic.Int64
		var workers sync.WaitGroup
		for range 10 {
			workers.Go(func() {
				b := hold.NewStore(rdb)
				if err := b.Refresh(t.Context()); err != nil {
					t.Error(err)
					return
				}
				for _, h := range b.Of(lane) {
					if _, mine, err := b.Claim(t.Context(), h, began.Add(time.Minute), "worker"); err != nil {
						t.Error(err)
					} else if mine {
						had.Add(1)
					}
				}
			})
		}
		workers.Wait()
		if had.Load() != 1 {
			t.Errorf("%d workers own the probe", had.Load())
		}
		put(t, hold.NewStore(rdb), operator(lane), hold.Entered)
		for _, h := range reread(t, rdb) {
			if _, mine, err := hold.NewStore(rdb).Claim(t.Context(), h, began.Add(24*time.Hour), "worker"); mine != (h.Class == hold.Refused) || err != nil {
				t.Errorf("%s: the next probe is claimed: %t, %v", h.Class, mine, err)
			}
		}
	})
}

// A worker that dies during a probe delays the next by its claim, but adds neither a
// probe nor a longer wait.
func TestAProbeOfADeadWorkerIsClaimedAfterItsClaimExpires(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		dead, other := hold.NewStore(rdb), hold.NewStore(rdb)
		h := put(t, dead, refused(lane), hold.Entered)
		at := h.Next
		claimed, mine, err := dead.Claim(t.Context(), h, at, "dead")
		if !mine || err != nil || claimed.Probing != "dead" || claimed.Tries != 0 {
			t.Fatalf("claimed %t, %v: %+v", mine, err, claimed)
		}
		at = at.Add(hold.Lease / 2)
		claimed, mine, err = dead.Renew(t.Context(), claimed, at)
		if !mine || err != nil {
			t.Fatalf("renewed %t, %v", mine, err)
		}
		known := reread(t, rdb)[0]
		if _, mine, err := other.Claim(t.Context(), known, at.Add(hold.Lease-time.Millisecond), "other"); mine || err != nil {
			t.Errorf("claimed while another worker owns the probe: %t, %v", mine, err)
		}
		at = at.Add(hold.Lease)
		taken, mine, err := other.Claim(t.Context(), known, at, "other")
		if !mine || err != nil || taken.Tries != 0 || taken.Probing != "other" {
			t.Errorf("after the claim expired: %t, %v, %+v", mine, err, taken)
		}
		// The first worker was only slow: its claim is lost.
		for what, try := range map[string]func() (hold.Hold, bool, error){
			"renewed": func() (hold.Hold, bool, error) { return dead.Renew(t.Context(), claimed, at) },
			"ended":   func() (hold.Hold, bool, error) { return dead.EndProbe(t.Context(), claimed, 1, at.Add(time.Hour)) },
		} {
			if _, mine, err := try(); mine || err != nil {
				t.Errorf("a lost claim was %s: %t, %v", what, mine, err)
			}
		}
		ended, mine, err := other.EndProbe(t.Context(), taken, 1, at.Add(taken.Wait(1)))
		if !mine || err != nil || ended.Tries != 1 || ended.Probing != "" || !ended.Next.Equal(at.Add(10*time.Second)) {
			t.Errorf("ended %t, %v: %+v", mine, err, ended)
		}
		if over, err := dead.End(t.Context(), claimed, "dead"); !over || err != nil {
			t.Errorf("a worker that knows an older probe of a hold does not end it: %t, %v", over, err)
		}
	})
}

func TestProbesGetRarerButDetectAnEndWithinThirtySeconds(t *testing.T) {
	t.Parallel()
	for want, h := range map[string]hold.Hold{
		"5s 10s 20s 40s 1m20s 2m40s 5m20s 10m40s 21m20s 42m40s 1h0m0s 1h0m0s": {Class: hold.Refused, Probe: hold.ByTask},
		"5s 10s 20s 25s 25s": {Class: hold.Refused, Probe: hold.ByToken},
		"2s 4s 8s 16s 25s":   {Class: hold.Failing, Probe: hold.ByTask},
		"1s 2s 4s 8s 16s":    {Class: hold.Suspected, Probe: hold.ByAddress},
		"25s 25s":            {Class: hold.Banned, Probe: hold.ByAddress},
		"10s 20s 25s":        {Class: hold.Suspected, Probe: hold.ByTask},
	} {
		for i, wait := range strings.Fields(want) {
			if got := h.Wait(i).String(); got != wait {
				t.Errorf("%s by %s: after %d probes the next comes in %s, want %s", h.Class, h.Probe, i, got, wait)
			}
		}
		// For any number of probes, and for any value in a stored hold.
		for _, tries := range []int{-1, 1000} {
			if wait := h.Wait(tries); wait < time.Second || wait > time.Hour {
				t.Errorf("after %d probes the next comes in %s", tries, wait)
			}
		}
	}
}

func TestAPersonCanMakeAProbeDueAtOnce(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		b := hold.NewStore(rdb)
		first := put(t, b, refused(lane), hold.Entered)
		claimed, _, err := b.Claim(t.Context(), first, first.Next, "worker-1")
		if err != nil {
			t.Fatal(err)
		}
		received := rdb.Subscribe(t.Context(), hold.Channel)
		defer received.Close()
		if _, err := received.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
		now := began.Add(2 * time.Minute)
		if asked, err := hold.NewStore(rdb).ProbeNow(t.Context(), first, now); asked || err != nil {
			t.Errorf("a hold that was changed since: %t, %v", asked, err)
		}
		if asked, err := b.ProbeNow(t.Context(), claimed, now); !asked || err != nil {
			t.Errorf("asked: %t, %v", asked, err)
		}
		if _, err := received.ReceiveMessage(t.Context()); err != nil {
			t.Errorf("workers are not woken: %v", err)
		}
		want := first
		want.Next, want.Tries = now, 0
		if diff := cmp.Diff([]hold.Hold{want}, reread(t, rdb), likeness); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if _, mine, err := b.Claim(t.Context(), b.Of(lane)[0], now, "worker-1"); !mine || err != nil {
			t.Errorf("the probe cannot be claimed: %t, %v", mine, err)
		}
	})
}

func TestSeenAccumulates(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		seen := func(status int, at time.Time) hold.Hold {
			h := refused(lane)
			h.Seen = hold.Seen{Host: "oapi.dingtalk.com", Status: status, Code: "40014", First: at, Last: at, Count: 1}
			return h
		}
		known := put(t, hold.NewStore(rdb), seen(200, began), hold.Entered)
		put(t, hold.NewStore(rdb), seen(400, began.Add(time.Second)), hold.Same)
		put(t, hold.NewStore(rdb), refused(lane), hold.Same) // of an older worker
		changed := seen(403, began.Add(2*time.Second))
		changed.Reason = "88: no permission"
		put(t, hold.NewStore(rdb), changed, hold.Changed)
		got := reread(t, rdb)[0].Seen
		want := hold.Seen{Host: "oapi.dingtalk.com", Status: 403, Code: "40014", First: began, Last: began.Add(2 * time.Second), Count: 3}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +stored:\n%s", diff)
		}
		beijing := time.FixedZone("Asia/Shanghai", 8*60*60)
		if text := got.Text(beijing); text != "HTTP 403, code 40014, from oapi.dingtalk.com, 3 times, first at 2026-03-01 11:12:00 (Asia/Shanghai), last at 2026-03-01 11:12:02 (Asia/Shanghai)" {
			t.Error(text)
		}
		b := hold.NewStore(rdb)
		if err := b.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		put(t, hold.NewStore(rdb), changed, hold.Same) // counts once more
		if ended, err := b.End(t.Context(), known, "worker-1"); ended || err != nil {
			t.Errorf("ended for a reason that has changed: %t, %v", ended, err)
		}
		if ended, err := b.End(t.Context(), b.Of(lane)[0], "worker-1"); !ended || err != nil {
			t.Errorf("a hold of which more was seen is not ended: %t, %v", ended, err)
		}
		events, err := audit.Read(t.Context(), rdb, 10)
		if err != nil || len(events) != 3 || hold.SeenIn(events[1]).Count != 3 || hold.SeenIn(events[1]).Status != 403 || !hold.SeenIn(events[1]).First.Equal(began) {
			t.Errorf("%v: %+v", err, events)
		}
	})
}

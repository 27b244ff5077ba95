package hold_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rollcall/internal/audit"
	"rollcall/internal/hold"
	"rollcall/internal/redistest"
)

func TestEachTransitionIsReportedOnce(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		b := hold.NewStore(rdb)
		put(t, b, refused(lane), hold.Entered)
		put(t, b, refused(lane), hold.Same)
		longer := refused(lane)
		longer.Until = began.Add(time.Hour)
		h := put(t, b, longer, hold.Same)
		h, _, err := b.Claim(t.Context(), h, h.Next, "worker-1")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.ProbeNow(t.Context(), h, began); err != nil {
			t.Fatal(err)
		}
		other := refused(lane)
		other.Reason, other.By = "88: no permission", "worker-2"
		h = put(t, b, other, hold.Changed)
		for range 2 { // the second has no effect
			if _, err := b.End(t.Context(), h, "worker-3"); err != nil {
				t.Fatal(err)
			}
		}
		events, err := audit.Read(t.Context(), rdb, 100)
		if err != nil {
			t.Fatal(err)
		}
		event := func(word, reason, by string) audit.Event {
			return audit.Event{Level: string(lane.Level), Name: lane.Name, Event: word, Class: string(hold.Refused), Reason: reason, By: by}
		}
		want := []audit.Event{
			event("hold.entered", "40014: the app secret is wrong", "worker-1"),
			event("hold.changed", "88: no permission", "worker-2"),
			event("hold.left", "88: no permission", "worker-3"),
		}
		if diff := cmp.Diff(want, events, cmpopts.IgnoreFields(audit.Event{}, "Time")); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		for _, e := range events {
			if age := time.Since(e.Time); age < -time.Minute || age > time.Hour {
				t.Errorf("an event that was just written is %s old", age)
			}
		}
		last, err := audit.Read(t.Context(), rdb, 2)
		if diff := cmp.Diff(events[1:], last); diff != "" || err != nil {
			t.Errorf("%v; the last two, -want +got:\n%s", err, diff)
		}
	})
}

func TestAChangeNotifiesListeners(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		ctx, stop := context.WithCancel(t.Context())
		received, ended := make(chan struct{}, 100), make(chan struct{})
		go func() {
			defer close(ended)
			hold.Listen(ctx, rdb, func() { received <- struct{}{} })
		}()
		b := hold.NewStore(rdb)
		h := operator(lane)
		for notified := false; !notified; {
			h.Reason += "!" // until the subscription is active
			if _, _, err := b.Put(t.Context(), h); err != nil {
				t.Fatal(err)
			}
			select {
			case <-received:
				notified = true
			case <-time.After(10 * time.Millisecond):
			}
		}
		stop()
		<-ended
	})
}

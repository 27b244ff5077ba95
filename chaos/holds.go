package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/hold"
)

const (
	// holdMost is how long a hold may outlast its cause. A fault of the platforms
	// ends with the call that it strikes, so this bounds a hold from its begin.
	holdMost = 30 * time.Second
	// drainMost is how long tasks may take to end after the last fault.
	drainMost = time.Minute
	// lateMost is how long they may take if requests take effect late, and until the
	// values that these overwrote are right again.
	lateMost = 10 * time.Minute
	// holdsEvery is how often the holds are read, and so the error of a measured end.
	holdsEvery = 500 * time.Millisecond
)

// endsSoon reports that how soon tasks end is checked.
func endsSoon(variant string) bool { return failing(variant) || variant == vandal }

func drainsWithin(variant string) time.Duration {
	if variant == late {
		return lateMost
	}
	return drainMost
}

// heldSpan is a hold and the time in which it was seen.
type heldSpan struct {
	hold.Hold

	seen time.Time // last
}

func (s heldSpan) String() string {
	const layout = "15:04:05.000"
	return fmt.Sprintf("%s was on hold from %s to %s or later, %s: class %s, set by %s, %d probes: %s",
		s.Scope, s.Since.Local().Format(layout), s.seen.Local().Format(layout),
		s.seen.Sub(s.Since).Round(100*time.Millisecond), s.Class, s.By, s.Tries, s.Reason)
}

// holdWatch records the holds that workers add. It reads the holds themselves instead
// of their events, because a worker that is killed right after it added a hold writes
// no event. Its methods are safe for concurrent use.
type holdWatch struct {
	holds *hold.Store

	mu    sync.Mutex
	spans []heldSpan
}

func newHoldWatch(rdb redis.UniversalClient) *holdWatch { return &holdWatch{holds: hold.NewStore(rdb)} }

// run reads the holds until ctx ends. While Redis is unavailable it sees none.
func (w *holdWatch) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := w.holds.Refresh(ctx); err == nil {
			w.see(w.holds.All(), time.Now())
		}
		pause(ctx, holdsEvery)
	}
}

// see records the holds at a time. An operator's hold ends when the operator ends it,
// and is left out.
func (w *holdWatch) see(holds []hold.Hold, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range holds {
		if h.Class == hold.Operator || !h.Until.IsZero() && !now.Before(h.Until) {
			continue
		}
		// Workers keep the start of a hold that continues, even if other fields change.
		i := slices.IndexFunc(w.spans, func(s heldSpan) bool { return s.Scope == h.Scope && s.Since.Equal(h.Since) })
		if i < 0 {
			w.spans = append(w.spans, heldSpan{h, now})
			continue
		}
		w.spans[i] = heldSpan{h, now}
	}
}

// held returns all holds that were seen, in the order of their start.
func (w *holdWatch) held() []heldSpan {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.spans)
}

// violations names every hold that was there for longer than holdMost.
func (w *holdWatch) violations() (all []violation) {
	for _, s := range w.held() {
		if s.seen.Sub(s.Since) > holdMost {
			all = append(all, violation{ruleHold, s.String()})
		}
	}
	return all
}

package schedule_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/schedule"
)

// All three workers are killed before a tick, and others start some seconds after it: a tick
// is executed once if its window is not over then, and not at all if it is. The time is that
// of a synctest bubble, in which Redis' clock is a minute ahead of the workers'.
func TestAMissedTickIsExecutedOnceWithinItsWindowAndNotAfter(t *testing.T) {
	t.Parallel()
	ticks := 8
	if testing.Short() {
		ticks = 3
	}
	const window = time.Minute
	// A worker needs some seconds to lead and to begin.
	after := rapid.SliceOfN(rapid.OneOf(rapid.IntRange(1, 35), rapid.IntRange(61, 110)), ticks, ticks).Example(2)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.entry.Cron, w.entry.MisfireWindow = "*/4 * * * *", window
		ctx, stop := context.WithCancel(t.Context())
		var clock sync.WaitGroup
		clock.Go(func() { w.clock(ctx) })
		for i := range w.workers {
			w.start(i)
		}
		pass(10 * time.Second) // the entry is known
		executed := 0
		for _, seconds := range after {
			now := time.Now().Add(w.ahead)
			next := now.Truncate(4 * time.Minute).Add(4 * time.Minute)
			pass(next.Sub(now) - 20*time.Second)
			for i := range w.workers {
				w.kill(i)
			}
			late := time.Duration(seconds) * time.Second
			pass(20*time.Second + late)
			for i := range w.workers {
				w.start(i)
			}
			pass(time.Minute)
			executed += w.judge(schedule.Tick{Schedule: w.entry.Name, At: next}, late <= window)
		}
		if executed == 0 || executed == ticks {
			t.Errorf("%d of %d ticks were executed: the test shows nothing", executed, ticks)
		}
		for i := range w.workers {
			w.workers[i].stop()
		}
		w.ending.Wait()
		stop()
		clock.Wait()
		_ = w.rdb.Close()
		w.mini.Close()
	})
}

// judge wants a tick to be executed once, or to be recorded as missed. It returns how often
// it was executed.
func (w *world) judge(tick schedule.Tick, within bool) int {
	w.t.Helper()
	past, err := schedule.NewStore(w.rdb).History(w.t.Context(), tick.Schedule, 1)
	if err != nil || len(past) == 0 {
		w.t.Fatalf("%d ticks are recorded, %v", len(past), err)
	}
	want, times := schedule.Missed, 0
	if within {
		want, times = schedule.Done, 1
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if last := past[len(past)-1]; last.ID != tick.ID() || last.State != want {
		w.t.Errorf("the last tick is %s, %s (%s%s), want %s %s", last.ID, last.State, last.Result, last.Reason, tick.ID(), want)
	}
	if n := w.executed[tick.ID()]; n != times {
		w.t.Errorf("%s was executed %d times, want %d", tick.ID(), n, times)
	}
	return w.executed[tick.ID()]
}

package pace_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/pace"
	"rollcall/internal/redistest"
)

// clockSteps are the steps that Redis' clock is set by.
func clockSteps() []time.Duration { return append(redistest.ClockSteps(), time.Minute, -time.Minute) }

// dropped collects what a lane reports as dropped.
type dropped struct {
	mu   sync.Mutex
	text []string
}

func (d *dropped) add(key, values string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.text = append(d.text, key+" "+values)
}

func (d *dropped) has(words string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Contains(strings.Join(d.text, "\n"), words)
}

func (d *dropped) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.text = nil
}

// window is the longest window of the lanes here.
const window = time.Second

func steadyLane(t *testing.T, rdb redis.UniversalClient, d *dropped) *pace.Lane {
	t.Helper()
	l := pace.New(rdb, pace.Config{
		Organisation: "lakeside", Name: "dt.nickname", Limits: []pace.Limit{{Calls: 20, Per: window}}, Dropped: d.add,
		Address: pace.NewAddress(rdb, "default", pace.Limit{Calls: 100, Per: time.Second}),
	})
	t.Cleanup(l.Close)
	if err := l.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

// send sends n calls. A pause of a window, which a step may cost, is waited for, and so
// is a Redis that gets no CPU time for seconds.
func send(t *testing.T, l *pace.Lane, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for sent := 0; sent < n; {
		slot, err := l.Wait(ctx, false)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			continue
		}
		if err != nil {
			t.Fatalf("call %d of %d: %v", sent, n, err)
		}
		left, err := l.Leave(ctx, slot)
		if err != nil {
			t.Fatalf("call %d of %d: %v", sent, n, err)
		}
		if left {
			sent++
		}
	}
}

// Without this, three tasks that were sent while the clock ran two hours ahead stopped
// all lanes of the address for two hours.
func TestAStepOfTheClockCostsAtMostOneWindow(t *testing.T) {
	t.Parallel()
	for _, by := range clockSteps() {
		t.Run(by.String(), func(t *testing.T) {
			t.Parallel()
			redistest.Stepped(t, func(t *testing.T, s *redistest.Server) {
				l := steadyLane(t, s.Client(t), &dropped{})
				send(t, l, 3)
				s.Step(by)
				send(t, l, 3)
				s.Step(-by)
				send(t, l, 3)
			})
		})
	}
}

// A sender that waits while the clock is set does not wait for the time that its slot has
// on the new clock.
func TestASenderThatWaitsDuringAStepIsNotForgotten(t *testing.T) {
	t.Parallel()
	for _, by := range clockSteps() {
		t.Run(by.String(), func(t *testing.T) {
			t.Parallel()
			redistest.Stepped(t, func(t *testing.T, s *redistest.Server) {
				l := steadyLane(t, s.Client(t), &dropped{})
				var senders sync.WaitGroup
				sent := make(chan struct{}, 8)
				for range 8 {
					senders.Go(func() {
						send(t, l, 1)
						sent <- struct{}{}
						send(t, l, 1)
					})
				}
				<-sent // others wait for their slots
				s.Step(by)
				senders.Wait()
			})
		})
	}
}

func TestAValueFurtherAheadThanAnyPauseIsDroppedAndReported(t *testing.T) {
	t.Parallel()
	lane, address := pace.LaneKey("lakeside", "dt.nickname"), pace.AddressKey("default")
	for _, c := range []struct{ key, field string }{{lane, "next:1000000"}, {lane, "pause"}, {address, "next"}, {address, "pause"}} {
		for _, ahead := range []time.Duration{2 * time.Hour, 365 * 24 * time.Hour} {
			redistest.Each(t, func(t *testing.T, s *redistest.Server) {
				rdb := s.Client(t)
				var d dropped
				l := steadyLane(t, rdb, &d)
				send(t, l, 2)
				if err := rdb.HSet(t.Context(), c.key, c.field, time.Now().Add(ahead).UnixMicro()).Err(); err != nil {
					t.Fatal(err)
				}
				send(t, l, 2)
				if !d.has(c.key) {
					t.Errorf("%s of %s: reported %q", c.field, c.key, d.text)
				}
			})
		}
	}
}

func TestAValueThatIsNoNumberDoesNotStopALane(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 10 s: make test-long")
	}
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		l := steadyLane(t, rdb, &dropped{})
		for _, key := range []string{pace.LaneKey("lakeside", "dt.nickname"), pace.AddressKey("default")} {
			for _, value := range []string{"inf", "abc"} {
				send(t, l, 1)
				for field := range rdb.HGetAll(t.Context(), key).Val() {
					if field == "told" || field == "free" || field == "day" || field == "gave" {
						continue
					}
					if err := rdb.HSet(t.Context(), key, field, value).Err(); err != nil {
						t.Fatal(err)
					}
				}
				send(t, l, 1)
			}
		}
	})
}

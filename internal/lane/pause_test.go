package lane_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"rollcall/internal/hold"
	"rollcall/internal/lane"
	"rollcall/internal/lanetest"
	"rollcall/internal/outcome"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
	"rollcall/providers"
)

// sends records when sends left, of all workers.
type sends struct {
	mu sync.Mutex
	at []time.Time
}

// note records one send and returns how many there are.
func (s *sends) note() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = append(s.at, time.Now())
	return len(s.at)
}

func (s *sends) all() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.at)
}

// leave is a call that left at some moment between from and to. A busy machine may
// stall before and after that moment.
type leave struct{ from, to time.Time }

// leaves records the calls that left, of all workers that share it.
type leaves struct {
	mu     sync.Mutex
	at     []leave
	passed bool // a slot passed before its call could leave: the machine was late
}

func (l *leaves) note(from time.Time, left bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if left {
		l.at = append(l.at, leave{from, time.Now()})
	} else {
		l.passed = true
	}
}

// between returns how many calls left between from and to.
func (l *leaves) between(from, to time.Time) (n int) {
	for _, c := range l.at {
		if !c.from.Before(from) && !c.to.After(to) {
			n++
		}
	}
	return n
}

// even fails the test if the calls of so many workers left closer together than the
// spacing allows.
func (l *leaves) even(t *testing.T, apart time.Duration, workers int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	// A slot is used up to 15 ms late; later ones are booked again. The rest is the
	// error of a worker's estimate of Redis' clock.
	const late = 40 * time.Millisecond
	removeUnarchived := 1
	if l.passed {
		// A worker that is always late still keeps the spacing between its own calls.
		apart /= time.Duration(workers)
		removeUnarchived += workers
	}
	for _, first := range l.at {
		for _, last := range l.at {
			n := l.between(first.from, last.to)
			if got, least := last.to.Sub(first.from), time.Duration(n-removeUnarchived)*apart-late; n > 0 && got < least {
				t.Errorf("%d calls left within %s, want at least %s", n, got, least)
				return
			}
		}
	}
}

// Two workers wait for the end of a pause with all their tasks, and continue at the
// normal rate.
func TestAPauseEndsByTimeWithoutABurst(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		fifty := []pace.Limit{{Calls: 50, Per: time.Second}}
		const pause = 3 * time.Second
		var log sends
		var left leaves
		var both []*rig
		refused := make(chan time.Time, 1)
		for range 2 {
			r := newRig(t, s)
			r.leaves = &left
			r.Add(lane.Config{Limits: fifty}, func(ctx context.Context, slot func(context.Context) error, payload string) error {
				if err := send(ctx, slot, payload); err != nil {
					return err
				}
				if log.note() == 10 {
					refused <- time.Now()
					return &providers.Error{Kind: providers.Throttled, Scope: providers.ScopeLane, HTTPStatus: 429, RetryAfter: pause}
				}
				return nil
			})
			both = append(both, r)
		}
		var ids []string
		for range 60 {
			ids = append(ids, both[0].Put(nicknames, ""))
		}
		for _, r := range both {
			// The round trips measure the clock of Redis. The first, which loads the
			// script, is a long one.
			for range 5 {
				if err := r.Set.Lanes()[0].Slot(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, r := range both {
			r.Start()
		}
		at := lanetest.Await(t, refused, "the refusal")
		for _, id := range ids {
			if info := both[0].Ends(nicknames, id, asynq.TaskStateCompleted); info.Retried != 0 {
				t.Errorf("the pause cost an attempt")
			}
		}
		all := log.all()
		slices.SortFunc(all, time.Time.Compare)
		first := slices.IndexFunc(all, func(s time.Time) bool { return s.After(at.Add(pause / 2)) })
		if first < 0 || all[first].Before(at.Add(pause)) {
			t.Errorf("of %d sends, %d came before the half of the pause, and the next %s after the pause began", len(all), first, all[first].Sub(at))
		}
		left.even(t, fifty[0].Interval(), len(both))
	})
}

func TestABanOfTheAddressHoldsEveryLaneOfTheAddress(t *testing.T) {
	t.Parallel()
	r := failing(t, &providers.Error{
		Platform: "dingtalk", API: "updategroupnick", Kind: providers.Throttled, Scope: providers.ScopeAddress, Code: "88",
		RetryAfter: 10 * time.Minute,
	})
	other := newRig(t, r.Server)
	other.Add(lane.Config{Organisation: "east", Tenant: "east", AddressName: "egress"}, send)
	other.Start()
	scope := hold.Scope{Level: hold.Address, Name: "egress"}
	for i, behind := range []bool{true, true, true, false, true, true} {
		h, held := r.Set.Lanes()[i].Hold()
		if held != behind || behind && h.Scope != scope {
			t.Errorf("%s is held (%t) by %+v", r.Set.Lanes()[i].Name(), held, h)
		}
	}
	h := other.Held(0)
	if left := time.Until(h.Until); h.Scope != scope || h.Class != hold.Banned || left < 9*time.Minute || left > 10*time.Minute {
		t.Errorf("another worker's lane is held for %s by %+v", left, h)
	}
}

// Another tenant of the same API is paused, but not put on hold.
func TestALongRefusalForTheRateHoldsOnlyTheRefusedLane(t *testing.T) {
	t.Parallel()
	r := failing(t, &providers.Error{Kind: providers.Throttled, Scope: providers.ScopeAPI, Code: "90018", RetryAfter: 10 * time.Minute})
	for i, want := range []bool{true, false, false, false, false, false} {
		if h, held := r.Set.Lanes()[i].Hold(); held != want || want && (h.Class != hold.Banned || h.Until.IsZero()) {
			t.Errorf("%s is held (%t) by %+v", r.Set.Lanes()[i].Name(), held, h)
		}
	}
}

func TestAHoldEndsAtItsTimeInEveryWorker(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		both := []*rig{newRig(t, s), newRig(t, s)}
		var log sends
		until := time.Now().Add(1500 * time.Millisecond)
		both[0].hold(hold.Hold{Scope: laneOfNicknames, Class: hold.Banned, Until: until})
		var ids []string
		for range 40 {
			ids = append(ids, both[0].Put(nicknames, ""))
		}
		for _, r := range both {
			r.Add(lane.Config{Limits: fast}, func(ctx context.Context, slot func(context.Context) error, payload string) error {
				log.note()
				return send(ctx, slot, payload)
			})
			r.Start()
		}
		for _, id := range ids {
			both[0].Ends(nicknames, id, asynq.TaskStateCompleted)
		}
		if first := log.all()[0]; first.Before(until.Truncate(time.Millisecond)) {
			t.Errorf("a task was taken %s before the hold was over", until.Sub(first))
		}
		for _, r := range both {
			r.Free(0)
			r.looks()
		}
		if diff := cmp.Diff([]string{"hold.left lane dt.nickname banned"}, observed(both...)); diff != "" {
			t.Errorf("observed holds (-want +got):\n%s", diff)
		}
	})
}

// On a slow lane, or behind many urgent tasks, a task may wait for its slot as long as
// an attempt may take. That is not a failure.
func TestATaskWithoutASlotInTimeReturnsUncounted(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	const exchange = 30 * time.Second
	r.Add(lane.Config{Limits: []pace.Limit{{Calls: 1, Per: time.Hour}}, Timeout: exchange}, func(ctx context.Context, slot func(context.Context) error, payload string) error {
		// The deadline leaves an exchange and a tenth of a second, so the slot is
		// waited for that long.
		ctx, cancel := context.WithTimeout(ctx, exchange+100*time.Millisecond)
		defer cancel()
		err := send(ctx, slot, payload)
		if ctx.Err() != nil {
			return errors.New("the slot was waited for when no time was left to use it")
		}
		return err
	})
	next := time.Now().Add(time.Hour).UnixMicro()
	if err := r.Redis.HSet(t.Context(), pace.LaneKey("lakeside", nicknames), "next:3600000000", next).Err(); err != nil {
		t.Fatal(err)
	}
	r.Start()
	id := r.Put(nicknames, "waits in vain")
	for range 2 {
		if got := r.Attempt().Verdict; got.Class != outcome.Paced || got.Counted || got.Action != outcome.Retry {
			t.Errorf("%+v", got)
		}
	}
	if info := r.Ends(nicknames, id, asynq.TaskStateRetry); info.Retried != 0 {
		t.Errorf("it lost %d attempts", info.Retried)
	}
}

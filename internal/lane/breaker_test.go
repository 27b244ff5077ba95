package lane_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"rollcall/internal/hold"
	"rollcall/internal/lane"
	"rollcall/internal/lanetest"
	"rollcall/internal/outcome"
	"rollcall/internal/redistest"
	"rollcall/providers"
	"rollcall/tasks"
)

// The faults of a platform. A task that met one waits until the test runs it again: a
// call that succeeds in between would count.
var (
	errFault    = &providers.Error{Kind: providers.Transient, HTTPStatus: 502, RetryAfter: time.Hour}
	errNoAnswer = &providers.Error{Kind: providers.Transient, RetryAfter: time.Hour}
)

// ill is a platform whose answer to the first call of a payload is named by the
// payload. It answers later calls with success, unless it is down.
type ill struct {
	mu    sync.Mutex
	down  bool
	seen  map[string]bool
	calls int
}

func (p *ill) set(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

func (p *ill) called() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

func (p *ill) do(ctx context.Context, slot func(context.Context) error, payload string) error {
	if err := send(ctx, slot, payload); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	if p.down {
		return errFault
	}
	if p.seen[payload] {
		return nil
	}
	p.seen[payload] = true
	switch word, _, _ := strings.Cut(payload, " "); word {
	case "fault":
		return errFault
	case "silent":
		return errNoAnswer
	case "rejected":
		return &providers.Error{Kind: providers.Rejected, HTTPStatus: 200}
	case "throttled":
		return &providers.Error{Kind: providers.Throttled, HTTPStatus: 429, RetryAfter: time.Millisecond}
	}
	return nil
}

// attempts enqueues n tasks of this payload and waits until each was attempted.
func (r *rig) attempts(n int, word string) (ids []string) {
	r.T.Helper()
	for i := range n {
		ids = append(ids, r.Put(nicknames, fmt.Sprintf("%s %d", word, i)))
	}
	for range n {
		r.Attempt()
	}
	return ids
}

// again waits until a task is done. A task that met a fault is retried at once.
func (r *rig) again(id string) {
	r.T.Helper()
	lanetest.Eventually(r.T, func() error {
		info, err := r.Inspector.GetTaskInfo(nicknames, id)
		if err != nil || info.State == asynq.TaskStateCompleted {
			return err
		}
		if info.State == asynq.TaskStateRetry {
			err = r.Inspector.RunTask(nicknames, id)
		}
		return errors.Join(err, fmt.Errorf("task %s is %s", id, info.State))
	})
}

func TestALaneIsHeldAfterHalfItsCallsFailAndOneTaskProbesIt(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		p := &ill{seen: map[string]bool{}}
		r.Add(lane.Config{Limits: fast}, p.do)
		r.Add(lane.Config{Kind: tasks.KindGroup, Limits: fast}, send)
		r.Start()
		r.attempts(5, "good")
		ids := r.attempts(2, "silent")
		ids = append(ids, r.attempts(2, "fault")...)
		if h, held := r.Set.Lanes()[0].Hold(); held {
			t.Fatalf("on hold after nine calls: %+v", h)
		}
		ids = append(ids, r.attempts(1, "fault later")...)
		if h := r.Held(0); h.Scope != laneOfNicknames || h.Class != hold.Failing || h.Probe != hold.ByTask {
			t.Errorf("on hold as %+v", h)
		}
		r.Ends(groups, r.Put(groups, ""), asynq.TaskStateCompleted)
		r.Attempt()

		p.set(true)
		for range 5 {
			ids = append(ids, r.Put(nicknames, "good again"))
		}
		r.looks()
		calls, began := p.called(), time.Now()
		r.probeNow(laneOfNicknames)
		if got := r.Attempt().Verdict; got.Class != outcome.Busy {
			t.Errorf("the probe ended as %+v", got)
		}
		r.looks()
		n, h := p.called(), r.stored(laneOfNicknames)
		// On a slow machine the next probe may be due already.
		if early := time.Since(began) < h.Wait(1); n == calls || early && (n != calls+1 || h.Tries != 1) {
			t.Errorf("%d probes, %d of them ended, want one", n-calls, h.Tries)
		}
		p.set(false)
		r.probeNow(laneOfNicknames)
		for _, id := range ids {
			r.again(id)
		}
		reportedOnce(t, []*rig{r}, "hold.entered lane dt.nickname failing", "hold.left lane dt.nickname failing")
	})
}

func TestAnswersThatAreNotPlatformFaultsDoNotHoldTheLane(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	p := &ill{seen: map[string]bool{}}
	r.Add(lane.Config{Limits: fast}, p.do)
	r.Start()
	r.attempts(12, "rejected")
	r.attempts(12, "throttled")
	r.attempts(9, "silent")
	if got := observed(r); len(got) != 0 {
		t.Errorf("9 of 33 calls failed, and the lane was held: %v", got)
	}
}

// A task that needs no call gives no evidence about the platform.
func TestATaskThatSentNothingNeitherHoldsNorReleasesTheLane(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	p := &ill{seen: map[string]bool{}}
	r.Add(lane.Config{Limits: fast}, func(ctx context.Context, slot func(context.Context) error, payload string) error {
		if strings.HasPrefix(payload, "unchanged") {
			return nil
		}
		return p.do(ctx, slot, payload)
	})
	r.Start()
	r.attempts(30, "unchanged")
	r.attempts(5, "good")
	r.attempts(5, "fault")
	r.Held(0)
	p.set(true)
	calls := p.called()
	for i := range 3 {
		r.Put(nicknames, fmt.Sprintf("unchanged %d", i))
	}
	waits := r.Put(nicknames, "good at last")
	r.probeNow(laneOfNicknames)
	lanetest.Eventually(t, func() error {
		if p.called() == calls {
			return fmt.Errorf("no task has probed the hold: %+v", r.stored(laneOfNicknames))
		}
		return nil
	})
	if h := r.stored(laneOfNicknames); h.Class != hold.Failing {
		t.Errorf("on hold as %+v", h)
	}
	p.set(false)
	r.probeNow(laneOfNicknames)
	r.again(waits)
}

// A person released the hold before the platform recovered.
func TestAReleasedLaneIsHeldAgainIfThePlatformStillFails(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	p := &ill{seen: map[string]bool{}, down: true}
	r.Add(lane.Config{Limits: fast}, p.do)
	r.Start()
	for range 2 {
		for range 20 {
			r.Put(nicknames, "good")
		}
		r.Held(0)
		r.quiet(nicknames)
		r.release(laneOfNicknames)
		r.Free(0)
	}
}

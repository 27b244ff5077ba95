package lane_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"rollcall/internal/hold"
	"rollcall/internal/lane"
	"rollcall/internal/lanetest"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
	"rollcall/providers"
	"rollcall/tasks"
)

var (
	egress  = hold.Scope{Level: hold.Address, Name: "egress"}
	errPage = &providers.Error{
		Platform: "dingtalk", API: "updategroupnick", Kind: providers.Throttled, Scope: providers.ScopeLane, Code: "(HTML page)",
		HTTPStatus: 403, Host: "oapi.dingtalk.com", Suspect: true, Fix: "look for a proxy", Tries: 3,
	}
)

// switchable is the answer of an unmetered call, and the number of calls.
type switchable struct {
	calls  atomic.Int64
	answer atomic.Pointer[providers.Error] // nil: a token
}

func (s *switchable) ask(context.Context) error {
	s.calls.Add(1)
	if e := s.answer.Load(); e != nil {
		return e
	}
	return nil
}

// behindOneAddress starts two workers that call from one address. Each serves two lanes
// of dt, the first of which runs do, and one lane of south.
func behindOneAddress(t *testing.T, s *redistest.Server, do lanetest.Doing, dt, south *switchable) []*rig {
	t.Helper()
	both := []*rig{newRig(t, s), newRig(t, s)}
	for _, r := range both {
		r.Add(lane.Config{Limits: fast, AddressName: "egress", Probe: dt.ask, Ask: dt.ask}, do)
		r.Add(lane.Config{Kind: tasks.KindGroup, Limits: fast, AddressName: "egress", Probe: dt.ask, Ask: dt.ask}, send)
		r.Add(lane.Config{Tenant: "south", Organisation: "south", Limits: fast, AddressName: "egress", Probe: south.ask, Ask: south.ask}, send)
		r.Start()
	}
	return both
}

func TestOneHTMLPageHoldsOnlyItsLaneUntilATokenCallIsAnswered(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]*providers.Error{
		"a token":  nil,
		"too fast": {Kind: providers.Throttled, Scope: providers.ScopeTenant, HTTPStatus: 429},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redistest.Either(t, func(t *testing.T, s *redistest.Server) {
				dt, south := &switchable{}, &switchable{}
				dt.answer.Store(answer)
				var calls atomic.Int64
				both := behindOneAddress(t, s, func(ctx context.Context, slot func(context.Context) error, payload string) error {
					if err := send(ctx, slot, payload); err != nil || calls.Add(1) > 1 {
						return err
					}
					return errPage
				}, dt, south)
				id := both[0].Put(nicknames, "")
				if info := both[0].Ends(nicknames, id, asynq.TaskStateCompleted); info.Retried != 0 {
					t.Errorf("it lost %d attempts", info.Retried)
				}
				reportedOnce(t, both, "hold.entered lane dt.nickname suspected", "hold.left lane dt.nickname suspected")
				if dt.calls.Load() == 0 || south.calls.Load() != 0 {
					t.Errorf("%d and %d token calls; want calls of the lane's own tenant only", dt.calls.Load(), south.calls.Load())
				}
			})
		})
	}
}

func TestAnHTMLPageForATokenCallHoldsTheAddress(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		p, dt, south := &platform{err: errPage}, &switchable{}, &switchable{}
		dt.answer.Store(errPage)
		south.answer.Store(errPage)
		both := behindOneAddress(t, s, p.do, dt, south)
		id := both[0].Put(nicknames, "")
		for i := range 3 {
			lanetest.Eventually(t, func() error {
				h, held := both[1].Set.Lanes()[i].Hold()
				if !held || h.Scope != egress {
					return fmt.Errorf("lane %d: held %t by %s", i, held, h.String())
				}
				return nil
			})
		}
		h := both[0].stored(egress)
		left := time.Until(h.Until)
		if h.Class != hold.Banned || left < 4*time.Minute || left > 5*time.Minute || h.Seen.Status != 403 || h.Seen.Host != "oapi.dingtalk.com" || h.Seen.Count == 0 {
			t.Errorf("held for %s as %+v", left, h)
		}
		// The address is answered again long before the five minutes end.
		dt.answer.Store(nil)
		p.answers(nil)
		both[0].overdue(egress)
		both[0].Ends(nicknames, id, asynq.TaskStateCompleted)
		for _, r := range both {
			for i := range 3 {
				r.Free(i)
			}
		}
	})
}

// A tenant with a wrong base URL also receives an HTML page for every call.
func TestHTMLPagesForOneTenantHoldNoOther(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		p, dt, south := &platform{err: errPage}, &switchable{}, &switchable{}
		dt.answer.Store(errPage)
		both := behindOneAddress(t, s, p.do, dt, south)
		id := both[0].Put(nicknames, "")
		lanetest.Eventually(t, func() error {
			h, held := both[0].Set.Lanes()[1].Hold()
			if !held || h.Scope != tenantDT || !strings.Contains(h.Reason, "base URL") {
				return fmt.Errorf("held %t by %+v", held, h)
			}
			return nil
		})
		both[0].Put("south.nickname", "")
		both[0].looks()
		for _, r := range both {
			if h, held := r.Set.Lanes()[2].Hold(); held {
				t.Errorf("another tenant is held by %+v", h)
			}
		}
		dt.answer.Store(nil)
		p.answers(nil)
		both[1].overdue(tenantDT)
		both[0].Ends(nicknames, id, asynq.TaskStateCompleted)
	})
}

// If the platform has no unmetered call, a second page of the same lane after a pause
// confirms the first, and holds only that lane.
func TestASecondPageConfirmsTheFirstIfThereIsNoTokenCall(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		p := &platform{err: errPage}
		both := []*rig{newRig(t, s), newRig(t, s)}
		for _, r := range both {
			r.Add(lane.Config{Platform: "classin", Kind: tasks.KindCourse, Tenant: "ci", Limits: fast}, p.do)
			r.Add(lane.Config{Platform: "classin", Kind: tasks.KindCourse, Tenant: "other", Limits: fast}, send)
			r.Start()
		}
		course := hold.Scope{Level: hold.Lane, Name: "ci.course"}
		id := both[0].Put("ci.course", "")
		class := func(want hold.Class) {
			t.Helper()
			lanetest.Eventually(t, func() error {
				if h, held := both[1].Set.Lanes()[0].Hold(); !held || h.Class != want || h.Scope != course || h.Probe != hold.ByTask {
					return fmt.Errorf("held %t by %+v", held, h)
				}
				return nil
			})
			both[0].quiet("ci.course")
		}
		class(hold.Suspected)
		both[0].overdue(course)
		class(hold.Banned)
		if h, held := both[1].Set.Lanes()[1].Hold(); held {
			t.Errorf("another school is held by %+v", h)
		}
		p.answers(nil)
		both[0].overdue(course)
		both[0].Ends("ci.course", id, asynq.TaskStateCompleted)
		both[0].Free(0)
	})
}

// Repeated pages while the token call is answered are not a ban: the lane is held, and
// no other.
func TestRepeatedPagesHoldOnlyTheLaneWhileTokenCallsAreAnswered(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		p, dt, south := &platform{err: errPage}, &switchable{}, &switchable{}
		both := behindOneAddress(t, s, p.do, dt, south)
		both[0].Put(nicknames, "")
		lanetest.Eventually(t, func() error {
			all := hold.NewStore(both[0].Redis)
			if err := all.Refresh(t.Context()); err != nil {
				return err
			}
			for _, h := range all.All() {
				if h.Class == hold.Refused && h.Scope == laneOfNicknames && h.Probe == hold.ByTask {
					return nil
				}
			}
			return fmt.Errorf("held are %+v", all.All())
		})
		for i := 1; i < 3; i++ {
			if h, held := both[0].Set.Lanes()[i].Hold(); held {
				t.Errorf("lane %d is held by %+v", i, h)
			}
		}
	})
}

// A worker that died during a probe delays it by its claim, and the wait does not grow.
func TestTheProbeOfADeadWorkerIsTakenOver(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the claim of a probe: make test-long")
	}
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		holds := hold.NewStore(r.Redis)
		h, _, err := holds.Put(t.Context(), hold.Hold{
			Scope: laneOfNicknames, Class: hold.Refused, Probe: hold.ByTask, Reason: "60011", By: "dead", Since: time.Now().Add(-time.Hour),
		})
		if err != nil {
			t.Fatal(err)
		}
		claimed, mine, err := holds.Claim(t.Context(), h, time.Now(), "dead")
		if err != nil || !mine {
			t.Fatal(mine, err)
		}
		r.Add(lane.Config{Limits: fast}, send)
		r.Start()
		id := r.Put(nicknames, "")
		r.Ends(nicknames, id, asynq.TaskStateCompleted)
		if took := time.Since(claimed.Next); took < 0 {
			t.Errorf("probed %s before the dead worker's claim expired", -took)
		}
		if diff := cmp.Diff([]string{"hold.left lane dt.nickname refused"}, observed(r)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

// A long probe stays with its worker as long as the worker lives.
func TestAProbeThatTakesLongIsNotTakenOver(t *testing.T) {
	if testing.Short() {
		t.Skip("takes longer than the claim of a probe: make test-long")
	}
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		both := []*rig{newRig(t, s), newRig(t, s)}
		var calls atomic.Int64
		release := make(chan struct{})
		for _, r := range both {
			r.hold(hold.Hold{Scope: laneOfNicknames, Class: hold.Failing, Probe: hold.ByTask, Reason: "502", Since: time.Now()})
			r.Add(lane.Config{Limits: fast}, func(ctx context.Context, slot func(context.Context) error, payload string) error {
				if err := send(ctx, slot, payload); err != nil {
					return err
				}
				calls.Add(1)
				<-release
				return nil
			})
			r.Start()
		}
		for range 4 {
			both[0].Put(nicknames, "")
		}
		lanetest.Eventually(t, func() error {
			if calls.Load() == 0 {
				return errors.New("no probe")
			}
			return nil
		})
		for end := time.Now().Add(2 * hold.Lease); time.Now().Before(end); both[0].looks() {
			if n := calls.Load(); n != 1 {
				t.Fatalf("%d calls during the probe", n)
			}
		}
		close(release)
		both[0].Free(0)
	})
}

// A lane that a person releases continues in every worker, even in one that stored a
// pause.
func TestAPauseThatAPersonEndsIsEndedInEveryWorker(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		p := &platform{err: &providers.Error{
			Platform: "dingtalk", API: "updategroupnick", Kind: providers.Throttled, Scope: providers.ScopeLane, Code: "90018", HTTPStatus: 200, RetryAfter: time.Hour,
		}}
		both := workers(t, s, p)
		ids := []string{both[0].Put(nicknames, "")}
		settle(t, both, 0, nicknames)
		for range 5 {
			ids = append(ids, both[0].Put(nicknames, ""))
		}
		p.answers(nil)
		if err := pace.Resume(t.Context(), both[0].Redis, pace.Ref{Organisation: "lakeside", Lane: nicknames}); err != nil {
			t.Fatal(err)
		}
		both[0].release(laneOfNicknames)
		for _, id := range ids {
			both[0].Ends(nicknames, id, asynq.TaskStateCompleted)
		}
	})
}

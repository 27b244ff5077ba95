package lane_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"rollcall/internal/hold"
	"rollcall/internal/lane"
	"rollcall/internal/lanetest"
	"rollcall/internal/redistest"
	"rollcall/providers"
	"rollcall/tasks"
)

// token is a tenant's credentials as one worker's client knows them: refused until a
// request of this worker succeeds.
type token struct {
	refused *atomic.Bool // refused by the platform
	known   atomic.Bool  // known as refused to this client
	asked   atomic.Int64
	calls   atomic.Int64
	err     error
}

func (k *token) probe(context.Context) error {
	k.asked.Add(1)
	if k.refused.Load() {
		k.known.Store(true)
		return k.err
	}
	k.known.Store(false)
	return nil
}

func (k *token) do(ctx context.Context, slot func(context.Context) error, payload string) error {
	if k.refused.Load() || k.known.Load() {
		k.known.Store(true)
		return k.err
	}
	k.calls.Add(1)
	return send(ctx, slot, payload)
}

func TestRefusedCredentialsHoldTheTenantUntilATokenIsIssuedAgain(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		var refused atomic.Bool
		refused.Store(true)
		var both []*rig
		var tokens []*token
		for range 2 {
			r, k := newRig(t, s), &token{refused: &refused, err: &providers.Error{
				Platform: "dingtalk", API: "oauth2/accessToken", Kind: providers.Misconfigured, Scope: providers.ScopeTenant,
				Code: "invalidClientIdOrSecret", Credentials: true,
			}}
			for _, kind := range []tasks.Kind{tasks.KindNickname, tasks.KindGroup} {
				r.Add(lane.Config{Kind: kind, Limits: fast, Probe: k.probe}, k.do)
			}
			r.Add(lane.Config{Tenant: "other", Limits: fast}, send)
			r.Start()
			both, tokens = append(both, r), append(tokens, k)
		}
		asked := func() int64 { return tokens[0].asked.Load() + tokens[1].asked.Load() }
		var ids []string
		for range 20 {
			ids = append(ids, both[0].Put(nicknames, ""))
		}
		settle(t, both, 0, nicknames)
		settle(t, both, 1)
		group := both[0].Put(groups, "")
		both[0].Ends("other.nickname", both[0].Put("other.nickname", ""), asynq.TaskStateCompleted)
		if h := both[0].stored(tenantDT); h.Class != hold.Refused || h.Probe != hold.ByToken || asked() != 0 {
			t.Errorf("on hold as %+v; %d token requests before the probe was due", h, asked())
		}
		uncounted(t, both[0], nicknames, ids)

		began := time.Now()
		both[0].probeNow(tenantDT)
		lanetest.Eventually(t, func() error {
			if both[0].stored(tenantDT).Tries == 0 || asked() == 0 {
				return errors.New("no worker has requested a token")
			}
			return nil
		})
		settle(t, both, 0)
		// On a slow machine the next probe may be due already, or the other worker takes over a
		// probe whose lease was not renewed in time.
		n := asked()
		h, slow := both[0].stored(tenantDT), time.Since(began) > hold.Lease
		if h.Probing == "" && n > int64(h.Tries) && !slow {
			t.Errorf("%d token requests by two workers in %d probes, want one each", n, h.Tries)
		}

		refused.Store(false)
		both[0].probeNow(tenantDT)
		for _, id := range ids {
			if info := both[0].Ends(nicknames, id, asynq.TaskStateCompleted); info.Retried != 0 {
				t.Errorf("it lost %d attempts", info.Retried)
			}
		}
		both[0].Ends(groups, group, asynq.TaskStateCompleted)
		for i, r := range both {
			r.Free(0)
			r.Free(1)
			if tokens[i].known.Load() || tokens[i].asked.Load() == 0 {
				t.Errorf("worker %d continues without having requested a token", i)
			}
		}
		reportedOnce(t, both, "hold.entered tenant dt refused", "hold.left tenant dt refused")
	})
}

// The client of a worker that cannot reach the platform still answers every task with
// the refusal that it remembers.
func TestAWorkerThatCannotRequestATokenContinuesWhenItCan(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.One(t))
	var refused, unavailable atomic.Bool
	refused.Store(true)
	k := &token{refused: &refused, err: &providers.Error{Kind: providers.Misconfigured, Scope: providers.ScopeTenant, Credentials: true}}
	tries := make(chan struct{}, 1000)
	r.Add(lane.Config{Limits: fast, Probe: func(ctx context.Context) error {
		tries <- struct{}{}
		if unavailable.Load() {
			return errNoAnswer
		}
		return k.probe(ctx)
	}}, k.do)
	r.Start()
	id := r.Put(nicknames, "")
	r.Held(0)
	r.Ends(nicknames, id, asynq.TaskStatePending)
	refused.Store(false)
	unavailable.Store(true)
	r.hold(hold.Hold{Scope: laneOfNicknames})
	r.looks()
	r.release(tenantDT) // by another worker, whose own token is good
	r.looks()
	r.release(laneOfNicknames)
	for range 2 {
		lanetest.Await(t, tries, "the worker to request a token")
		r.looks()
	}
	if _, held := r.Set.Lanes()[0].Hold(); !held || len(r.holds().All()) != 0 {
		t.Errorf("the lane continues (%t) or its tenant is on hold again: %v", !held, r.holds().All())
	}
	unavailable.Store(false)
	r.Ends(nicknames, id, asynq.TaskStateCompleted)
	r.Free(0)
}

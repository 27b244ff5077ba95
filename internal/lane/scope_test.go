package lane_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/hold"
	"rollcall/internal/lane"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
	"rollcall/providers"
	"rollcall/tasks"
)

// The lanes that a refusal for the rate in north-1.nickname concerns, by scope.
var reaches = map[providers.Scope][]string{
	providers.ScopeTask:         {"north-1.nickname"},
	providers.ScopeLane:         {"north-1.nickname"},
	providers.ScopeTenant:       {"north-1.nickname", "north-1.group"},
	providers.ScopeOrganisation: {"north-1.nickname", "north-1.group", "north-2.nickname"},
	providers.ScopeAPI:          {"north-1.nickname", "north-2.nickname", "south.nickname"},
	providers.ScopeAddress:      {"north-1.nickname", "north-1.group", "north-2.nickname", "south.nickname", "south.id"},
}

// failing starts the lanes of two organisations, all but the schools' with one address,
// and makes one task of north-1.nickname fail.
func failing(t *testing.T, err error) *rig {
	t.Helper()
	r := newRig(t, redistest.One(t))
	do := func(ctx context.Context, slot func(context.Context) error, _ string) error {
		if slotErr := slot(ctx); slotErr != nil {
			return slotErr
		}
		return err
	}
	address := pace.NewAddress(r.Redis, "egress", fast[0])
	dingtalk := func(organisation, tenant string, kind tasks.Kind) {
		r.Add(lane.Config{
			Organisation: organisation, Tenant: tenant, Kind: kind, Limits: fast, Metered: true, Address: address, AddressName: "egress",
		}, do)
	}
	dingtalk("north", "north-1", tasks.KindNickname)
	dingtalk("north", "north-1", tasks.KindGroup)
	dingtalk("north", "north-2", tasks.KindNickname)
	r.Add(lane.Config{Organisation: "north", Tenant: "north-ci", Platform: "classin", Kind: tasks.KindCourse, Limits: fast}, do)
	dingtalk("south", "south", tasks.KindNickname)
	dingtalk("south", "south", tasks.KindID)
	r.Put("north-1.nickname", "")
	r.Start()
	r.Attempt()
	return r
}

func TestAHoldAppliesToTheScopeOfItsCause(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		scope providers.Scope
		place hold.Scope
		lanes []string
	}{
		{providers.ScopeTask, hold.Scope{Level: hold.Lane, Name: "north-1.nickname"}, reaches[providers.ScopeTask]},
		{providers.ScopeLane, hold.Scope{Level: hold.Lane, Name: "north-1.nickname"}, reaches[providers.ScopeLane]},
		{providers.ScopeTenant, hold.Scope{Level: hold.Tenant, Name: "north-1"}, reaches[providers.ScopeTenant]},
		{providers.ScopeOrganisation, hold.Scope{Level: hold.Organisation, Name: "north"}, reaches[providers.ScopeOrganisation]},
		// Whether another tenant is refused too, its own tasks must show.
		{providers.ScopeAPI, hold.Scope{Level: hold.Lane, Name: "north-1.nickname"}, reaches[providers.ScopeLane]},
		{providers.ScopeAddress, hold.Scope{Level: hold.Address, Name: "egress"}, reaches[providers.ScopeAddress]},
	} {
		t.Run(row.scope.String(), func(t *testing.T) {
			t.Parallel()
			r := failing(t, &providers.Error{Kind: providers.Misconfigured, Scope: row.scope, Code: "88", Fix: "ask"})
			var held []string
			for _, l := range r.Set.Lanes() {
				h, ok := l.Hold()
				if !ok {
					continue
				}
				held = append(held, l.Name())
				if h.Scope != row.place || h.Class != hold.Refused || h.Probe != hold.ByTask || !h.Until.IsZero() {
					t.Errorf("%s is held by %+v, want %s", l.Name(), h, row.place)
				}
			}
			if diff := cmp.Diff(row.lanes, held); diff != "" {
				t.Errorf("lanes on hold (-want +got):\n%s", diff)
			}
		})
	}
}

// The pause is stored in Redis, so that the lanes of other workers pause too.
func TestAPauseAppliesToTheScopeOfItsCauseInEveryWorker(t *testing.T) {
	t.Parallel()
	for scope, want := range reaches {
		if scope == providers.ScopeTask {
			want = nil // the task itself is asked to wait
		}
		t.Run(scope.String(), func(t *testing.T) {
			t.Parallel()
			r := failing(t, &providers.Error{Kind: providers.Throttled, Scope: scope, RetryAfter: time.Hour})
			var paused []string
			for _, l := range r.Set.Lanes() {
				other := pace.New(r.Redis, pace.Config{Organisation: l.Organisation, Name: l.Name(), Limits: l.Limits})
				_, err := other.Wait(t.Context(), false)
				other.Close()
				if out, ok := errors.AsType[*pace.BookedOutError](err); ok {
					paused = append(paused, l.Name())
					if out.For < 59*time.Minute {
						t.Errorf("%s is paused for %s, want an hour", l.Name(), out.For)
					}
				} else if err != nil {
					t.Error(err)
				}
			}
			if diff := cmp.Diff(want, paused); diff != "" {
				t.Errorf("lanes that are paused (-want +got):\n%s", diff)
			}
		})
	}
}

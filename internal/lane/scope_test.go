package lane_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rollcall/internal/lane"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
	"rollcall/providers"
	"rollcall/tasks"
)

// Which lanes a failure in north-1.nickname reaches.
var reaches = map[providers.Scope][]string{
	providers.ScopeTask:         {"north-1.nickname"},
	providers.ScopeLane:         {"north-1.nickname"},
	providers.ScopeTenant:       {"north-1.nickname", "north-1.group"},
	providers.ScopeOrganisation: {"north-1.nickname", "north-1.group", "north-2.nickname"},
	providers.ScopeAPI:          {"north-1.nickname", "north-2.nickname", "south.nickname"},
	providers.ScopeAddress:      {"north-1.nickname", "north-1.group", "north-2.nickname", "south.nickname", "south.id"},
}

// failing starts two organisations' lanes, and lets one task of north-1.nickname
// fail.
func failing(t *testing.T, err error) *rig {
	t.Helper()
	r := newRig(t, redistest.Mini(t))
	do := func(context.Context, func(context.Context) error, string) error { return err }
	limit := pace.Limit{Calls: 1000, Per: time.Second}
	r.add("north", "north-1", "dingtalk", tasks.KindNickname, limit, do)
	r.add("north", "north-1", "dingtalk", tasks.KindGroup, limit, do)
	r.add("north", "north-2", "dingtalk", tasks.KindNickname, limit, do)
	r.add("north", "north-ci", "classin", tasks.KindCourse, limit, do)
	r.add("south", "south", "dingtalk", tasks.KindNickname, limit, do)
	r.add("south", "south", "dingtalk", tasks.KindID, limit, do)
	r.put("north-1.nickname", "")
	r.start()
	r.attempt()
	return r
}

func TestAHoldReachesAsFarAsItsCause(t *testing.T) {
	t.Parallel()
	for scope, want := range reaches {
		t.Run(scope.String(), func(t *testing.T) {
			t.Parallel()
			r := failing(t, &providers.Error{Kind: providers.Misconfigured, Scope: scope})
			var held []string
			for _, l := range r.set.Lanes() {
				if class, until := l.Hold(); class != "" {
					held = append(held, l.Name())
					if class != lane.ClassRefused || time.Until(until) < 4*time.Minute {
						t.Errorf("%s is held for %q until %v", l.Name(), class, until)
					}
				}
			}
			if diff := cmp.Diff(want, held); diff != "" {
				t.Errorf("lanes on hold (-want +got):\n%s", diff)
			}
		})
	}
}

// The pause lies in Redis, so that the lanes of other workers keep it too.
func TestAPauseReachesAsFarAsItsCauseAndOtherWorkers(t *testing.T) {
	t.Parallel()
	for scope, want := range reaches {
		t.Run(scope.String(), func(t *testing.T) {
			t.Parallel()
			r := failing(t, &providers.Error{Kind: providers.Throttled, Scope: scope, RetryAfter: time.Hour})
			var paused []string
			for _, l := range r.set.Lanes() {
				other := pace.NewLane(r.rdb, l.Organisation, l.Name(), l.Limit)
				err := other.Wait(t.Context())
				if out, ok := errors.AsType[*pace.BookedOutError](err); ok {
					paused = append(paused, l.Name())
					if out.For < 59*time.Minute-pace.Horizon {
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

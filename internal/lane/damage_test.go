package lane_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hibiken/asynq"

	"rollcall/internal/backlog"
	"rollcall/internal/hold"
	"rollcall/internal/lane"
	"rollcall/internal/lanetest"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
)

// Each key is damaged before the worker starts and while it works.
func TestADamagedKeyHoldsItsLaneAloneAndIsNamed(t *testing.T) {
	t.Parallel()
	for _, key := range []string{
		backlog.Key(nicknames, "pending"), backlog.Key(urgent, "pending"), pace.LaneKey("lakeside", nicknames), pace.MonthKey("lakeside"),
	} {
		for _, before := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, before the start: %t", key, before), func(t *testing.T) {
				t.Parallel()
				redistest.Either(t, func(t *testing.T, s *redistest.Server) {
					r := newRig(t, s)
					send := func(ctx context.Context, slot func(context.Context) error, _ string) error { return slot(ctx) }
					r.Add(lane.Config{Metered: true, Limits: fast}, send)
					r.Add(lane.Config{Organisation: "hillside", Tenant: "hill", Metered: true, Limits: fast}, send)
					ctx := t.Context()
					spoil := func() {
						if err := errors.Join(r.Redis.Del(ctx, key).Err(), r.Redis.Set(ctx, key, "oops", 0).Err()); err != nil {
							t.Fatal(err)
						}
					}
					if before {
						spoil()
					}
					r.Start()
					if !before {
						r.Ends(nicknames, r.Put(nicknames, "one"), asynq.TaskStateCompleted)
						spoil()
					}
					if !strings.HasPrefix(key, "asynq:") { // asynq cannot add a task to a queue that is damaged
						r.Put(nicknames, "two")
					}
					lanetest.Eventually(t, func() error {
						if !slices.ContainsFunc(r.Set.DamagedLanes(), func(line string) bool {
							return strings.Contains(line, nicknames) && strings.Contains(line, key)
						}) {
							return fmt.Errorf("reported: %q", r.Set.DamagedLanes())
						}
						return nil
					})
					for range 3 {
						r.Ends("hill.nickname", r.Put("hill.nickname", "other"), asynq.TaskStateCompleted)
					}
					if lines := r.Log.Lines("damaged key in redis"); len(lines) != 1 || !strings.Contains(lines[0], key) || !strings.Contains(lines[0], "lane="+nicknames) {
						t.Errorf("logged:\n%s", strings.Join(lines, "\n"))
					}
					if err := r.Set.Ready(); err != nil {
						t.Errorf("the worker is not ready: %v", err)
					}
					if err := r.Redis.Del(ctx, key).Err(); err != nil {
						t.Fatal(err)
					}
					r.Ends(nicknames, r.Put(nicknames, "three"), asynq.TaskStateCompleted)
				})
			})
		}
	}
}

// A damaged key of one organisation must not keep the poller from the holds of another.
func TestADamagedMarkerOfOneOrganisationIsNamedAndTheOthersFollowTheirHolds(t *testing.T) {
	t.Parallel()
	for _, before := range []bool{true, false} {
		redistest.Either(t, func(t *testing.T, s *redistest.Server) {
			r := newRig(t, s)
			r.Add(lane.Config{}, lanetest.TurnsDown)
			r.Add(lane.Config{Organisation: "hillside", Tenant: "hill"}, lanetest.TurnsDown)
			key := "rollcall:{lakeside}:memory"
			spoil := func() {
				if err := errors.Join(r.Redis.Del(t.Context(), key).Err(), r.Redis.HSet(t.Context(), key, "a", "b").Err()); err != nil {
					t.Fatal(err)
				}
			}
			if before {
				spoil()
			}
			r.Start()
			if !before {
				spoil()
			}
			lanetest.Eventually(t, func() error {
				if lines := r.Log.Lines(key); len(lines) == 0 {
					return errors.New("the marker is not named")
				}
				return nil
			})
			r.hold(hold.Hold{Scope: hold.Scope{Level: hold.Lane, Name: "hill.nickname"}})
			r.Held(1)
		})
	}
}

func TestAMonthWithoutACountHoldsTheMeteredLanesOfItsOrganisationAlone(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		send := func(ctx context.Context, slot func(context.Context) error, _ string) error { return slot(ctx) }
		r.Add(lane.Config{Metered: true, Limits: fast, Quota: pace.Quota{Calls: 1000}}, send)
		r.Add(lane.Config{Organisation: "hillside", Tenant: "hill", Metered: true, Limits: fast}, send)
		r.Start()
		r.Ends(nicknames, r.Put(nicknames, "one"), asynq.TaskStateCompleted)
		months, err := pace.ReadMonths(t.Context(), r.Redis, "lakeside")
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Redis.HSet(t.Context(), pace.MonthKey("lakeside"), months[0].Name, "abc").Err(); err != nil {
			t.Fatal(err)
		}
		lanetest.Eventually(t, func() error {
			if lines := r.Set.DamagedLanes(); len(lines) != 1 || !strings.Contains(lines[0], pace.MonthKey("lakeside")) {
				return fmt.Errorf("damaged lanes: %q", lines)
			}
			return nil
		})
		r.Ends("hill.nickname", r.Put("hill.nickname", "other"), asynq.TaskStateCompleted)
		if err := r.Redis.HDel(t.Context(), pace.MonthKey("lakeside"), months[0].Name).Err(); err != nil {
			t.Fatal(err)
		}
		r.Ends(nicknames, r.Put(nicknames, "two"), asynq.TaskStateCompleted)
	})
}

package lane_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/backlog"
	"rollcall/internal/lane"
	"rollcall/internal/ledger"
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
				redistest.Each(t, func(t *testing.T, s *redistest.Server) {
					r := newRig(t, s)
					send := func(ctx context.Context, slot func(context.Context) error, _ string) error { return slot(ctx) }
					r.add(lane.Config{Metered: true, Limits: fast}, send)
					r.add(lane.Config{Organisation: "hillside", Tenant: "hill", Metered: true, Limits: fast}, send)
					ctx := t.Context()
					spoil := func() {
						if err := errors.Join(r.rdb.Del(ctx, key).Err(), r.rdb.Set(ctx, key, "oops", 0).Err()); err != nil {
							t.Fatal(err)
						}
					}
					if before {
						spoil()
					}
					r.start()
					if !before {
						r.ends(nicknames, r.put(nicknames, "one"), asynq.TaskStateCompleted)
						spoil()
					}
					if !strings.HasPrefix(key, "asynq:") { // asynq cannot add a task to a queue that is damaged
						r.put(nicknames, "two")
					}
					eventually(t, func() error {
						if !slices.ContainsFunc(r.set.DamagedLanes(), func(line string) bool {
							return strings.Contains(line, nicknames) && strings.Contains(line, key)
						}) {
							return fmt.Errorf("reported: %q", r.set.DamagedLanes())
						}
						return nil
					})
					for range 3 {
						r.ends("hill.nickname", r.put("hill.nickname", "other"), asynq.TaskStateCompleted)
					}
					if lines := r.log.Lines("damaged key in redis"); len(lines) != 1 || !strings.Contains(lines[0], key) || !strings.Contains(lines[0], "lane="+nicknames) {
						t.Errorf("logged:\n%s", strings.Join(lines, "\n"))
					}
					if err := r.set.Ready(); err != nil {
						t.Errorf("the worker is not ready: %v", err)
					}
					if err := r.rdb.Del(ctx, key).Err(); err != nil {
						t.Fatal(err)
					}
					r.ends(nicknames, r.put(nicknames, "three"), asynq.TaskStateCompleted)
				})
			})
		}
	}
}

func TestASweepGoesOnForOtherLanesBesideADamagedOne(t *testing.T) {
	t.Parallel()
	for _, key := range []string{
		backlog.Key(nicknames, "archived"), backlog.Key(nicknames, "active"), backlog.Key(nicknames, "retry"),
		"rollcall:{" + nicknames + "}:dead:causes", "rollcall:{" + nicknames + "}:dead:times",
		"rollcall:{lakeside/nickname}:tasks",
	} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			redistest.Each(t, func(t *testing.T, s *redistest.Server) {
				r := newRig(t, s)
				r.add(lane.Config{}, turnsDown)
				r.add(lane.Config{Organisation: "hillside", Tenant: "hill"}, turnsDown)
				ctx := t.Context()
				if err := r.rdb.Set(ctx, key, "oops", 0).Err(); err != nil {
					t.Fatal(err)
				}
				id := r.put("hill.nickname", "archived by a person")
				if err := r.inspector.ArchiveTask("hill.nickname", id); err != nil {
					t.Fatal(err)
				}
				r.set.Sweeps()(ctx, time.Now())
				if _, found, err := ledger.New(r.rdb).DeadLetter(ctx, "hill.nickname", id); err != nil || !found {
					t.Errorf("the other lane's archived task has no dead letter: %v", err)
				}
			})
		})
	}
}

func TestAScoreThatIsNoTimeDoesNotStopTheSweepOfItsArchive(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		r.add(lane.Config{}, turnsDown)
		ctx := t.Context()
		archive := func(score float64) string {
			id := r.put(nicknames, "archived by a person")
			if err := r.inspector.ArchiveTask(nicknames, id); err != nil {
				t.Fatal(err)
			}
			if score != 0 {
				if err := r.rdb.ZAdd(ctx, backlog.Key(nicknames, "archived"), redis.Z{Score: score, Member: id}).Err(); err != nil {
					t.Fatal(err)
				}
			}
			return id
		}
		sweep := r.set.Sweeps()
		for _, score := range []float64{math.Inf(1), 1e300, float64(time.Now().AddDate(1, 0, 0).Unix()), 0} {
			id := archive(score)
			sweep(ctx, time.Now())
			dead, found, err := ledger.New(r.rdb).DeadLetter(ctx, nicknames, id)
			if err != nil || !found || dead.Last.After(time.Now().Add(time.Minute)) {
				t.Errorf("score %v: found %t, died %v, %v", score, found, dead.Last, err)
			}
		}
	})
}

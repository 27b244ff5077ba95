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
	"rollcall/internal/damage"
	"rollcall/internal/hold"
	"rollcall/internal/lane"
	"rollcall/internal/ledger"
	"rollcall/internal/outcome"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
	"rollcall/internal/registry"
	"rollcall/tasks"
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
				r.sweeps()(ctx, time.Now())
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
		sweep := r.sweeps()
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

// sweepUntil sweeps at later and later times until check returns nil.
func sweepUntil(t *testing.T, sweep func(context.Context, time.Time), check func() error) {
	t.Helper()
	at := time.Now()
	eventually(t, func() error {
		at = at.Add(11 * time.Second)
		sweep(t.Context(), at)
		return check()
	})
}

// No command of a task reads these keys, or it fails half-way: the check of the types
// finds them.
func TestTheCheckOfTheKeysHoldsALaneWhoseQueueIsDamaged(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"lease", "scheduled", "retry", "completed", "archived", "active"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redistest.Either(t, func(t *testing.T, s *redistest.Server) {
				r := newRig(t, s)
				r.add(lane.Config{}, turnsDown)
				r.add(lane.Config{Organisation: "hillside", Tenant: "hill"}, turnsDown)
				key := backlog.Key(urgent, name)
				if err := r.rdb.Set(t.Context(), key, "oops", 0).Err(); err != nil {
					t.Fatal(err)
				}
				sweepUntil(t, r.sweeps(), func() error {
					if lines := r.set.DamagedLanes(); len(lines) != 1 || !strings.Contains(lines[0], key) {
						return fmt.Errorf("damaged lanes: %q", lines)
					}
					return nil
				})
				if lines := r.log.Lines("damaged key in redis: the lane takes no task"); len(lines) != 1 || !strings.Contains(lines[0], key) {
					t.Errorf("logged:\n%s", strings.Join(lines, "\n"))
				}
			})
		})
	}
}

// A damaged key of one organisation must not keep the poller from the holds of another.
func TestADamagedMarkerOfOneOrganisationIsNamedAndTheOthersFollowTheirHolds(t *testing.T) {
	t.Parallel()
	for _, before := range []bool{true, false} {
		redistest.Either(t, func(t *testing.T, s *redistest.Server) {
			r := newRig(t, s)
			r.add(lane.Config{}, turnsDown)
			r.add(lane.Config{Organisation: "hillside", Tenant: "hill"}, turnsDown)
			key := "rollcall:{lakeside}:memory"
			spoil := func() {
				if err := errors.Join(r.rdb.Del(t.Context(), key).Err(), r.rdb.HSet(t.Context(), key, "a", "b").Err()); err != nil {
					t.Fatal(err)
				}
			}
			if before {
				spoil()
			}
			r.start()
			if !before {
				spoil()
			}
			eventually(t, func() error {
				if lines := r.log.Lines(key); len(lines) == 0 {
					return errors.New("the marker is not named")
				}
				return nil
			})
			r.hold(hold.Hold{Scope: hold.Scope{Level: hold.Lane, Name: "hill.nickname"}})
			r.held(1)
		})
	}
}

func TestAMonthWithoutACountHoldsTheMeteredLanesOfItsOrganisationAlone(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		send := func(ctx context.Context, slot func(context.Context) error, _ string) error { return slot(ctx) }
		r.add(lane.Config{Metered: true, Limits: fast, Quota: pace.Quota{Calls: 1000}}, send)
		r.add(lane.Config{Organisation: "hillside", Tenant: "hill", Metered: true, Limits: fast}, send)
		r.start()
		r.ends(nicknames, r.put(nicknames, "one"), asynq.TaskStateCompleted)
		months, err := pace.ReadMonths(t.Context(), r.rdb, "lakeside")
		if err != nil {
			t.Fatal(err)
		}
		if err := r.rdb.HSet(t.Context(), pace.MonthKey("lakeside"), months[0].Name, "abc").Err(); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() error {
			if lines := r.set.DamagedLanes(); len(lines) != 1 || !strings.Contains(lines[0], pace.MonthKey("lakeside")) {
				return fmt.Errorf("damaged lanes: %q", lines)
			}
			return nil
		})
		r.ends("hill.nickname", r.put("hill.nickname", "other"), asynq.TaskStateCompleted)
		if err := r.rdb.HDel(t.Context(), pace.MonthKey("lakeside"), months[0].Name).Err(); err != nil {
			t.Fatal(err)
		}
		r.ends(nicknames, r.put(nicknames, "two"), asynq.TaskStateCompleted)
	})
}

// The list of pending tasks was discarded: its tasks run, in no order.
func TestTasksThatNoListHoldsArePendingAgainAfterTwoSweeps(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		p := produce(t, s, tasks.KindNickname)
		p.stores("one", nicknameOf("ann"), time.Now().UnixMicro())
		p.stores("two", nicknameOf("bob"), time.Now().UnixMicro())
		if err := p.rdb.Del(t.Context(), backlog.Key(nicknames, "pending")).Err(); err != nil {
			t.Fatal(err)
		}
		p.look(0)
		p.look(9 * time.Second)
		if n := p.rdb.LLen(t.Context(), backlog.Key(nicknames, "pending")).Val(); n != 0 {
			t.Errorf("%d tasks are pending after nine seconds", n)
		}
		p.look(11 * time.Second)
		if ids := p.rdb.LRange(t.Context(), backlog.Key(nicknames, "pending"), 0, -1).Val(); len(ids) != 2 {
			t.Errorf("pending: %v", ids)
		}
		for _, id := range []string{"one", "two"} {
			if lines := p.log.Lines("task=" + id); len(lines) != 1 || !strings.Contains(lines[0], "made pending again") {
				t.Errorf("%s: %q", id, lines)
			}
		}
		if n := p.deadLetters(); n != 0 {
			t.Errorf("%d dead letters", n)
		}
	})
}

// A hash that lost its state alone is no task that asynq lost.
func TestATaskWithoutAStateIsNamedAndRuns(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		p := produce(t, s, tasks.KindNickname)
		for _, id := range []string{"listed", "lost"} {
			p.stores(id, nicknameOf(id), longAgo)
			if err := p.rdb.HDel(t.Context(), backlog.Key(nicknames, "t:"+id), "state").Err(); err != nil {
				t.Fatal(err)
			}
		}
		p.rdb.LRem(t.Context(), backlog.Key(nicknames, "pending"), 0, "lost")
		for _, after := range []time.Duration{0, 11 * time.Second, 22 * time.Second, 33 * time.Second} {
			p.look(after)
		}
		if n := p.deadLetters(); n != 0 {
			t.Errorf("%d dead letters", n)
		}
		if ids := p.rdb.LRange(t.Context(), backlog.Key(nicknames, "pending"), 0, -1).Val(); len(ids) != 2 {
			t.Errorf("pending: %v", ids)
		}
		for _, id := range []string{"listed", "lost"} {
			if lines := p.log.Lines(backlog.Key(nicknames, "t:"+id)); len(lines) == 0 {
				t.Errorf("%s is not named", id)
			}
		}
	})
}

// Its key is somebody else's now: it stays, and the task has a dead letter once it is
// discarded.
func TestATaskWhoseKeyIsDamagedIsNamedAndGetsADeadLetterAfterTheRepair(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		p := produce(t, s, tasks.KindNickname)
		p.stores("bad", nicknameOf("ann"), longAgo, asynq.ProcessIn(time.Hour))
		p.stores("good", nicknameOf("bob"), longAgo, asynq.ProcessIn(time.Hour))
		key := backlog.Key(nicknames, "t:bad")
		if err := errors.Join(p.rdb.Del(t.Context(), key).Err(), p.rdb.Set(t.Context(), key, "oops", 0).Err()); err != nil {
			t.Fatal(err)
		}
		p.look(0)
		p.look(11 * time.Second)
		if lines := p.log.Lines(key); len(lines) == 0 || p.deadLetters() != 0 {
			t.Errorf("named %d times, %d dead letters", len(lines), p.deadLetters())
		}
		if ids := p.rdb.ZRange(t.Context(), backlog.Key(nicknames, "scheduled"), 0, -1).Val(); len(ids) != 1 || ids[0] != "good" {
			t.Errorf("scheduled: %v", ids)
		}
		record := ledger.New(p.rdb)
		found, err := damage.OfKey(t.Context(), record, registry.Lane{Organisation: "lakeside", Tenant: "dt", Kind: tasks.KindNickname}, key)
		if err != nil || len(found) != 1 {
			t.Fatalf("%v, %v", found, err)
		}
		if done, err := record.Discard(t.Context(), found[0]); !done || err != nil {
			t.Fatalf("discarded: %t, %v", done, err)
		}
		p.look(20 * time.Second)
		p.look(31 * time.Second)
		if dead := p.deadLetter("bad"); dead.Class != string(outcome.Vanished) {
			t.Errorf("%+v", dead)
		}
	})
}

// The list of lanes is everybody's: a lane that is damaged there is published again.
func TestADamagedEntryOfTheListOfLanesIsNamedAndPublishedAgain(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		r.add(lane.Config{}, turnsDown)
		if err := r.rdb.HSet(t.Context(), registry.Key, nicknames, `{"organisation":"la`).Err(); err != nil {
			t.Fatal(err)
		}
		r.sweeps()(t.Context(), time.Now())
		if lines := r.log.Lines(registry.Key); len(lines) != 1 || !strings.Contains(lines[0], nicknames) {
			t.Errorf("logged: %q", lines)
		}
		select {
		case <-r.set.Back():
		default:
			t.Error("nothing is published again")
		}
	})
}

package sweep_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"rollcall/internal/backlog"
	"rollcall/internal/damage"
	"rollcall/internal/lane"
	"rollcall/internal/lanetest"
	"rollcall/internal/ledger"
	"rollcall/internal/outcome"
	"rollcall/internal/redistest"
	"rollcall/internal/registry"
	"rollcall/tasks"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

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
				r.Add(lane.Config{}, lanetest.TurnsDown)
				r.Add(lane.Config{Organisation: "hillside", Tenant: "hill"}, lanetest.TurnsDown)
				ctx := t.Context()
				if err := r.Redis.Set(ctx, key, "oops", 0).Err(); err != nil {
					t.Fatal(err)
				}
				id := r.Put("hill.nickname", "archived by a person")
				if err := r.Inspector.ArchiveTask("hill.nickname", id); err != nil {
					t.Fatal(err)
				}
				r.Sweeps()(ctx, time.Now())
				if _, found, err := ledger.New(r.Redis).DeadLetter(ctx, "hill.nickname", id); err != nil || !found {
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
		r.Add(lane.Config{}, lanetest.TurnsDown)
		ctx := t.Context()
		archive := func(score float64) string {
			id := r.Put(nicknames, "archived by a person")
			if err := r.Inspector.ArchiveTask(nicknames, id); err != nil {
				t.Fatal(err)
			}
			if score != 0 {
				if err := r.Redis.ZAdd(ctx, backlog.Key(nicknames, "archived"), redis.Z{Score: score, Member: id}).Err(); err != nil {
					t.Fatal(err)
				}
			}
			return id
		}
		sweep := r.Sweeps()
		for _, score := range []float64{math.Inf(1), 1e300, float64(time.Now().AddDate(1, 0, 0).Unix()), 0} {
			id := archive(score)
			sweep(ctx, time.Now())
			dead, found, err := ledger.New(r.Redis).DeadLetter(ctx, nicknames, id)
			if err != nil || !found || dead.Last.After(time.Now().Add(time.Minute)) {
				t.Errorf("score %v: found %t, died %v, %v", score, found, dead.Last, err)
			}
			if named := len(r.Log.Lines(id+" is ")) > 0; named != (score != 0) {
				t.Errorf("score %v: named: %t", score, named)
			}
		}
	})
}

// sweepUntil sweeps at later and later times until check returns nil.
func sweepUntil(t *testing.T, sweep func(context.Context, time.Time), check func() error) {
	t.Helper()
	at := time.Now()
	lanetest.Eventually(t, func() error {
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
				r.Add(lane.Config{}, lanetest.TurnsDown)
				r.Add(lane.Config{Organisation: "hillside", Tenant: "hill"}, lanetest.TurnsDown)
				key := backlog.Key(urgent, name)
				if err := r.Redis.Set(t.Context(), key, "oops", 0).Err(); err != nil {
					t.Fatal(err)
				}
				sweepUntil(t, r.Sweeps(), func() error {
					if lines := r.Set.DamagedLanes(); len(lines) != 1 || !strings.Contains(lines[0], key) {
						return fmt.Errorf("damaged lanes: %q", lines)
					}
					return nil
				})
				if lines := r.Log.Lines("damaged key in redis: the lane takes no task"); len(lines) != 1 || !strings.Contains(lines[0], key) {
					t.Errorf("logged:\n%s", strings.Join(lines, "\n"))
				}
			})
		})
	}
}

// The list of pending tasks was discarded: its tasks run, in no order.
func TestTasksThatNoListHoldsArePendingAgainAfterTwoSweeps(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		p := produce(t, s, tasks.KindNickname)
		p.stores("one", nicknameOf("ann"), time.Now().UnixMicro())
		p.stores("two", nicknameOf("bob"), time.Now().UnixMicro())
		if err := p.Redis.Del(t.Context(), backlog.Key(nicknames, "pending")).Err(); err != nil {
			t.Fatal(err)
		}
		p.look(0)
		p.look(9 * time.Second)
		if n := p.Redis.LLen(t.Context(), backlog.Key(nicknames, "pending")).Val(); n != 0 {
			t.Errorf("%d tasks are pending after nine seconds", n)
		}
		p.look(11 * time.Second)
		if ids := p.Redis.LRange(t.Context(), backlog.Key(nicknames, "pending"), 0, -1).Val(); len(ids) != 2 {
			t.Errorf("pending: %v", ids)
		}
		for _, id := range []string{"one", "two"} {
			if lines := p.Log.Lines("task=" + id); len(lines) != 1 || !strings.Contains(lines[0], "made pending again") {
				t.Errorf("%s: %q", id, lines)
			}
		}
		if n := p.DeadLetters(); n != 0 {
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
			if err := p.Redis.HDel(t.Context(), backlog.Key(nicknames, "t:"+id), "state").Err(); err != nil {
				t.Fatal(err)
			}
		}
		p.Redis.LRem(t.Context(), backlog.Key(nicknames, "pending"), 0, "lost")
		for _, after := range []time.Duration{0, 11 * time.Second, 22 * time.Second, 33 * time.Second} {
			p.look(after)
		}
		if n := p.DeadLetters(); n != 0 {
			t.Errorf("%d dead letters", n)
		}
		if ids := p.Redis.LRange(t.Context(), backlog.Key(nicknames, "pending"), 0, -1).Val(); len(ids) != 2 {
			t.Errorf("pending: %v", ids)
		}
		for _, id := range []string{"listed", "lost"} {
			if lines := p.Log.Lines(backlog.Key(nicknames, "t:"+id)); len(lines) == 0 {
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
		if err := errors.Join(p.Redis.Del(t.Context(), key).Err(), p.Redis.Set(t.Context(), key, "oops", 0).Err()); err != nil {
			t.Fatal(err)
		}
		p.look(0)
		p.look(11 * time.Second)
		if lines := p.Log.Lines(key); len(lines) == 0 || p.DeadLetters() != 0 {
			t.Errorf("named %d times, %d dead letters", len(lines), p.DeadLetters())
		}
		if ids := p.Redis.ZRange(t.Context(), backlog.Key(nicknames, "scheduled"), 0, -1).Val(); len(ids) != 1 || ids[0] != "good" {
			t.Errorf("scheduled: %v", ids)
		}
		record := ledger.New(p.Redis)
		found, err := damage.OfKey(t.Context(), record, registry.Lane{Organisation: "lakeside", Tenant: "dt", Kind: tasks.KindNickname}, key)
		if err != nil || len(found) != 1 {
			t.Fatalf("%v, %v", found, err)
		}
		if done, err := record.Discard(t.Context(), found[0]); !done || err != nil {
			t.Fatalf("discarded: %t, %v", done, err)
		}
		p.look(20 * time.Second)
		p.look(31 * time.Second)
		if dead := p.DeadLetter("bad"); dead.Class != string(outcome.Vanished) {
			t.Errorf("%+v", dead)
		}
	})
}

// The list of lanes is everybody's: a lane that is damaged there is published again.
func TestADamagedEntryOfTheListOfLanesIsNamedAndPublishedAgain(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		r.Add(lane.Config{}, lanetest.TurnsDown)
		if err := r.Redis.HSet(t.Context(), registry.Key, nicknames, `{"organisation":"la`).Err(); err != nil {
			t.Fatal(err)
		}
		r.Sweeps()(t.Context(), time.Now())
		if lines := r.Log.Lines(registry.Key); len(lines) != 1 || !strings.Contains(lines[0], nicknames) {
			t.Errorf("logged: %q", lines)
		}
		select {
		case <-r.Set.Back():
		default:
			t.Error("nothing is published again")
		}
	})
}

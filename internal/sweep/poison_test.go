package sweep_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/backlog"
	"rollcall/internal/kinds"
	"rollcall/internal/lane"
	"rollcall/internal/lanetest"
	"rollcall/internal/redistest"
	"rollcall/internal/sweep"
)

// kill takes the first task of the queue like a worker that is killed at once.
func (r *rig) kill() {
	r.T.Helper()
	r.killIn(nicknames)
}

func (r *rig) killIn(queue string) {
	r.T.Helper()
	ctx := r.T.Context()
	id, err := r.Redis.RPopLPush(ctx, backlog.Key(queue, "pending"), backlog.Key(queue, "active")).Result()
	if err != nil {
		r.T.Fatal(err)
	}
	lease := float64(time.Now().Add(30 * time.Second).Unix())
	if err := errors.Join(
		r.Redis.HSet(ctx, backlog.Key(queue, "t:"+id), "state", "active").Err(),
		r.Redis.ZAdd(ctx, backlog.Key(queue, "lease"), redis.Z{Score: lease, Member: id}).Err(),
	); err != nil {
		r.T.Fatal(err)
	}
}

func TestATaskBecomesADeadLetterAfterThreeWorkersDiedRunningIt(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t) // a server whose clock can be set
	r := newRig(t, s)
	r.Add(lane.Config{}, func(context.Context, func(context.Context) error, string) error { return nil })
	info, err := r.Client.Enqueue(asynq.NewTaskWithHeaders("kills", []byte("payload"), map[string]string{kinds.KeyHeader: "mine"}),
		asynq.Queue(nicknames), asynq.MaxRetry(1<<20), asynq.Retention(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	poison := info.ID
	began, sweep := time.Now(), r.Sweeps()
	clock := began
	// Five looks: the last one finds the worker dead.
	sweeps := func(want string) {
		t.Helper()
		for i := range 5 {
			if id := r.State(poison); id != "active" {
				t.Errorf("after %d looks it is %s", i, id)
			}
			clock = clock.Add(5 * time.Second)
			s.Mini.SetTime(clock)
			sweep(t.Context(), clock)
		}
		if got := r.State(poison); got != want {
			t.Errorf("then it is %s, want %s", got, want)
		}
	}
	for range 2 {
		r.kill()
		sweeps("pending")
		if n := r.DeadLetters(); n != 0 {
			t.Errorf("%d dead letters", n)
		}
	}
	r.kill()
	sweeps("archived")
	dead := r.DeadLetter(poison)
	if dead.Class != "poison" || dead.Type != "kills" || string(dead.Payload) != "payload" || dead.Key != "mine" ||
		dead.Attempts["poison"] != 3 || dead.Last.Sub(dead.First) != 50*time.Second ||
		!strings.HasPrefix(dead.Cause, "poison: 3 workers died while they ran this task, all within 50s; ") ||
		!strings.Contains(dead.Cause, "to do: "+dead.Todo) {
		t.Errorf("the dead letter %+v", dead)
	}
	shown, err := r.Inspector.GetTaskInfo(nicknames, poison)
	if err != nil || shown.LastErr != dead.Cause || shown.Retried != 0 {
		t.Errorf("asynq shows %+v, %v", shown, err)
	}
	if len(r.Watch.Recoveries) != 2 || len(r.Watch.Deaths) != 1 || <-r.Watch.Deaths != nicknames+" poison" {
		t.Errorf("reported %d times as recovered, and %d times as dead", len(r.Watch.Recoveries), len(r.Watch.Deaths))
	}
	if lines := r.Log.Lines("dead letter"); len(lines) != 1 || !strings.Contains(lines[0], "class=poison") {
		t.Errorf("log: %q", lines)
	}
	for range 3 {
		clock = clock.Add(5 * time.Second)
		s.Mini.SetTime(clock)
		sweep(t.Context(), clock)
	}
	if got := r.DeadLetter(poison); got.Class != "poison" || r.DeadLetters() != 1 {
		t.Errorf("after later sweeps: %+v", got)
	}

	// A person who runs it again gives it three more tries. If it succeeds, its dead
	// letter is removed.
	if err := r.Inspector.RunTask(nicknames, poison); err != nil {
		t.Fatal(err)
	}
	r.kill()
	sweeps("pending")
	r.Start()
	r.Ends(nicknames, poison, asynq.TaskStateCompleted)
	lanetest.Eventually(t, func() error {
		if r.DeadLetters() != 0 {
			return errors.New("its dead letter still exists")
		}
		return nil
	})
}

// An innocent task runs at three deaths in an hour only if all workers die all the
// time.
func TestDeathsMoreThanAnHourApartDoNotArchiveATask(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	r := newRig(t, s)
	r.Add(lane.Config{}, nil)
	id := r.Put(nicknames, "innocent")
	clock, sweep := time.Now(), r.Sweeps()
	for range 4 {
		r.kill()
		for range 5 {
			clock = clock.Add(5 * time.Second)
			s.Mini.SetTime(clock)
			sweep(t.Context(), clock)
		}
		if state := r.State(id); state != "pending" {
			t.Errorf("it is %s", state)
		}
		clock = clock.Add(time.Hour)
	}
}

// The task of a run is never given up, however many workers die with it.
func TestTasksOfAQueueWithoutALaneAreRescuedWithoutEnd(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	r := newRig(t, s)
	r.Add(lane.Config{}, nil)
	id := r.Put("rollcall.runs", "run")
	clock, sweep := time.Now(), r.Sweeps("rollcall.runs")
	for range 6 {
		r.killIn("rollcall.runs")
		for range 5 {
			clock = clock.Add(5 * time.Second)
			s.Mini.SetTime(clock)
			sweep(t.Context(), clock)
		}
		info, err := r.Inspector.GetTaskInfo("rollcall.runs", id)
		if err != nil || info.State != asynq.TaskStatePending {
			t.Fatalf("it is %v, %v", info, err)
		}
	}
	if lines := r.Log.Lines("task of a dead worker"); len(lines) != 6 {
		t.Errorf("log: %q", lines)
	}
}

// A task of such a queue that cannot be read is made again by its owner before it is
// removed.
func TestAnUnreadableTaskOfAQueueWithoutALaneIsMadeAgainBeforeItIsRemoved(t *testing.T) {
	t.Parallel()
	const queue = "rollcall.webhooks"
	s := redistest.Mini(t)
	r := newRig(t, s)
	r.Add(lane.Config{}, nil)
	id := r.Put(queue, "call")
	if err := r.Redis.HSet(t.Context(), backlog.Key(queue, "t:"+id), "msg", "\xff\xff no message").Err(); err != nil {
		t.Fatal(err)
	}
	r.killIn(queue)
	var restored []string
	full := errors.New("Redis is full")
	sweeper := sweep.New(sweep.Config{
		Redis: r.Redis, Ledger: r.Ledger, Lanes: r.Set, Log: r.Log.Logger(), Rescue: []string{queue},
		Restore: func(ctx context.Context, of, task string) error {
			if n := r.Redis.LLen(ctx, backlog.Key(of, "active")).Val(); n != 1 {
				t.Errorf("%d active tasks: it was removed before", n)
			}
			if restored = append(restored, of+" "+task); len(restored) == 1 {
				return full
			}
			return nil
		},
	})
	clock := time.Now()
	for range 8 {
		clock = clock.Add(5 * time.Second)
		s.Mini.SetTime(clock)
		sweeper.Sweep(t.Context(), clock)
	}
	if diff := cmp.Diff([]string{queue + " " + id, queue + " " + id}, restored); diff != "" {
		t.Errorf("made again (-want +got):\n%s", diff)
	}
	if n := r.Redis.LLen(t.Context(), backlog.Key(queue, "active")).Val(); n != 0 {
		t.Errorf("%d tasks are active at the end", n)
	}
}

// between runs a function just before a task is archived for its deaths.
type between struct {
	archive string
	do      func()
}

func (*between) DialHook(next redis.DialHook) redis.DialHook { return next }

func (b *between) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if args := cmd.Args(); cmd.Name() == "evalsha" && slices.Contains(args, any(b.archive)) {
			b.do()
		}
		return next(ctx, cmd)
	}
}

func (*between) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// asynq's recoverer, or another sweep, acts between the write of the dead letter and
// the archive command.
func TestARaceAtTheArchiveLeavesADeadLetterOnlyIfTheTaskIsArchived(t *testing.T) {
	t.Parallel()
	for state, dead := range map[string]int64{"retry": 0, "archived": 1} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			s := redistest.Mini(t)
			r := newRig(t, s)
			r.Add(lane.Config{}, nil)
			id := r.Put(nicknames, "poison")
			r.kill()
			ctx, clock, sweep := t.Context(), time.Now(), r.Sweeps()
			s.Mini.SetTime(clock)
			if err := r.Redis.HSet(ctx, backlog.Key(nicknames, "t:"+id), "rollcall_kills", fmt.Sprintf("2 1 %d", clock.UnixMicro())).Err(); err != nil {
				t.Fatal(err)
			}
			other, met := s.Client(t), 0
			r.Redis.AddHook(&between{archive: backlog.Key(nicknames, "archived"), do: func() {
				met++
				if n := r.DeadLetters(); n != 1 {
					t.Errorf("%d dead letters before it is archived", n)
				}
				if err := errors.Join(
					other.LRem(ctx, backlog.Key(nicknames, "active"), 1, id).Err(),
					other.ZAdd(ctx, backlog.Key(nicknames, state), redis.Z{Score: 1, Member: id}).Err(),
					other.HSet(ctx, backlog.Key(nicknames, "t:"+id), "state", state).Err(),
				); err != nil {
					t.Error(err)
				}
			}})
			for range 6 {
				sweep(ctx, clock)
				clock = clock.Add(5 * time.Second)
				s.Mini.SetTime(clock)
			}
			if met != 1 || len(r.Watch.Deaths) != 0 {
				t.Errorf("archived %d times, reported %d times", met, len(r.Watch.Deaths))
			}
			if n := r.DeadLetters(); n != dead {
				t.Errorf("%d dead letters, want %d", n, dead)
			}
		})
	}
}

package sweep_test

import (
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall/internal/backlog"
	"rollcall/internal/lane"
	"rollcall/internal/lanetest"
	"rollcall/internal/outcome"
	"rollcall/internal/redistest"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// A message that no asynq client wrote is kept byte for byte.
func TestAnUnreadableMessageHasADeadLetterWithItsBytes(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		r.Add(lane.Config{}, lanetest.TurnsDown)
		r.Start()
		r.Put(nicknames, "") // makes the queue known to asynq
		ctx := t.Context()
		if err := errors.Join(
			r.Redis.HSet(ctx, backlog.Key(nicknames, "t:raw"), "msg", "\xff\xff no message", "state", "pending").Err(),
			r.Redis.LPush(ctx, backlog.Key(nicknames, "pending"), "raw").Err(),
		); err != nil {
			t.Fatal(err)
		}
		r.sweepUntilThere("undecodable-raw")
		r.Ends(nicknames, "undecodable-raw", asynq.TaskStateArchived)
		got := r.DeadLetter("undecodable-raw")
		if got.Class != "malformed" || string(got.Payload) != "\xff\xff no message" || got.Target != "" {
			t.Errorf("the dead letter %+v", got)
		}
	})
}

// sweepUntilThere sweeps until asynq knows a task, after the 20 s in which a lease must
// stay unchanged. The test advances the clock of miniredis. The clock of a real Redis
// cannot be set, so the test is skipped there under -short.
func (r *rig) sweepUntilThere(id string) {
	r.T.Helper()
	if r.Server.Mini == nil {
		if testing.Short() {
			r.T.Skip("waits 30 s for a lease: make test-long")
		}
		r.SweepOn()
		return
	}
	clock, sweep := time.Now(), r.Sweeps()
	lanetest.Eventually(r.T, func() error {
		clock = clock.Add(5 * time.Second)
		r.Server.Mini.SetTime(clock)
		sweep(r.T.Context(), clock)
		_, err := r.Inspector.GetTaskInfo(nicknames, id)
		return err
	})
}

var archived = flag.Int("archived", 1200, "number of archived tasks to sweep (510 under -short; asynq keeps at most 9,999)")

// asynq's recoverer and its web UI archive tasks without any notification. The sweeps
// find what is archived in steps of one second, and then what is added.
func TestASweepWritesDeadLettersForTasksThatAsynqArchived(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		r.Add(lane.Config{}, lanetest.TurnsDown)
		n := lanetest.Few(*archived, 510)
		full := int64(n)
		for i := range n {
			id := r.Put(nicknames, strconv.Itoa(i))
			if i%10 == 0 {
				if err := r.Inspector.ArchiveTask(nicknames, id); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := r.Inspector.ArchiveAllPendingTasks(nicknames); err != nil {
			t.Fatal(err)
		}
		sweep := r.Sweeps()
		wants := func(n int64) {
			t.Helper()
			for got := r.DeadLetters(); got != n; {
				before := got
				lanetest.Eventually(t, func() error {
					sweep(t.Context(), time.Now())
					if got = r.DeadLetters(); got == before {
						return fmt.Errorf("%d dead letters, want %d", got, n)
					}
					return nil
				})
			}
		}
		wants(full)
		late := r.Put(nicknames, "late")
		if err := r.Inspector.ArchiveTask(nicknames, late); err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		if err := errors.Join(
			r.Redis.HSet(ctx, backlog.Key(nicknames, "t:raw"), "msg", "\xff\xff no message", "state", "archived").Err(),
			r.Redis.ZAdd(ctx, backlog.Key(nicknames, "archived"), redis.Z{Score: float64(time.Now().Unix()), Member: "raw"}).Err(),
		); err != nil {
			t.Fatal(err)
		}
		wants(full + 2)
		if got := r.DeadLetter(late); got.Class != string(outcome.Archived) || string(got.Payload) != "late" || !strings.HasPrefix(got.Cause, "archived: asynq's recoverer archived the task") {
			t.Errorf("the dead letter %+v", got)
		}
		if got := r.DeadLetter("raw"); string(got.Payload) != "\xff\xff no message" {
			t.Errorf("the dead letter of the unreadable message: %+v", got)
		}
	})
}

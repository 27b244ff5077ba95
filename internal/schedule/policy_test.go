package schedule_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/audit"
	"rollcall/internal/logtest"
	"rollcall/internal/redistest"
	"rollcall/internal/schedule"
)

// job is a Job that a function is.
type job func(ctx context.Context, t schedule.Tick) (schedule.Result, error)

func (j job) Run(ctx context.Context, t schedule.Tick) (schedule.Result, error) { return j(ctx, t) }

// idle does nothing.
func idle(context.Context, schedule.Tick) (schedule.Result, error) {
	return schedule.Result{Text: "nothing to do"}, nil
}

// gate is a Job that waits until it may end. entered receives each tick that begins.
type gate struct {
	entered chan string
	leave   chan struct{}
}

func newGate() *gate { return &gate{entered: make(chan string, 100), leave: make(chan struct{})} }

func (g *gate) Run(ctx context.Context, t schedule.Tick) (schedule.Result, error) {
	g.entered <- t.ID()
	select {
	case <-g.leave:
		return schedule.Result{Text: "went through"}, nil
	case <-ctx.Done():
		return schedule.Result{}, ctx.Err()
	}
}

func TestATickIsExecutedWithinItsWindowAlsoIfNoWorkerRan(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		entry, id := r.due(50*time.Minute, threePeople(t))
		r.run(r.config(entry))
		if got := r.done(id); got.Stored != 3 {
			t.Errorf("%+v, want three stored", got)
		}
		if last := r.last("night", schedule.Done); last.Start.Sub(last.At) < 50*time.Minute || last.Attempts != 1 {
			t.Errorf("recorded as %+v", last)
		}
	})
}

func TestATickIsNotExecutedAfterItsWindow(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		entry, id := r.due(2*time.Hour, threePeople(t))
		r.run(r.config(entry))
		last := r.last("night", schedule.Missed)
		if last.ID != id || !last.Start.IsZero() || !strings.Contains(last.Reason, "no worker was running within 1h0m0s") {
			t.Errorf("recorded as %+v", last)
		}
		if got := r.stored(nickQueue); got != 0 {
			t.Errorf("%d tasks stored, want none", got)
		}
		// In its queue, and not begun: as if all workers had died after it was enqueued.
		r.rdb.Del(t.Context(), "rollcall:{schedule}:ticks:night")
		r.deliver("night", id)
		r.until("it is recorded as missed", func() bool {
			ticks, err := schedule.NewStore(r.rdb).History(t.Context(), "night", 1)
			return err == nil && len(ticks) == 1 && ticks[0].Reason == "no worker began it in time"
		})
		if got := r.stored(nickQueue); got != 0 {
			t.Errorf("%d tasks stored, want none", got)
		}
	})
}

func TestALongerWindowExecutesAnOlderTick(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.Mini(t))
	entry, id := r.due(5*time.Hour, threePeople(t))
	entry.MisfireWindow = 6 * time.Hour
	r.run(r.config(entry))
	if got := r.done(id); got.Stored != 3 {
		t.Errorf("%+v, want three stored", got)
	}
}

func TestOfSeveralMissedTicksTheLastIsExecuted(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.Mini(t))
	entry := schedule.Entry{Name: "hourly", Cron: "@every 1h", Zone: "UTC", Job: job(idle)}
	last := r.now().Truncate(time.Hour)
	r.decided(entry, last.Add(-3*time.Hour-time.Minute))
	r.run(r.config(entry))
	got := r.last("hourly", schedule.Done)
	if !got.At.Equal(last) || got.Missed != 3 || got.Result != "nothing to do" {
		t.Errorf("recorded as %+v, want the tick of %s after 3 that were missed", got, last)
	}
	if ids := r.rdb.ZRange(t.Context(), "rollcall:{schedule}:history:hourly", 0, -1).Val(); len(ids) != 1 {
		t.Errorf("ticks %v, want one", ids)
	}
}

func TestANewTimeOfAnEntryHasNoMissedTicks(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.Mini(t))
	entry, _ := r.due(10*time.Minute, threePeople(t))
	r.rdb.HSet(t.Context(), "rollcall:{schedule}:state:night", "times", "CRON_TZ=UTC 0 0 1 1 *")
	r.run(r.config(entry))
	r.until("the new time is taken up", func() bool {
		return strings.HasSuffix(r.rdb.HGet(t.Context(), "rollcall:{schedule}:state:night", "times").Val(), entry.Cron)
	})
	if ids := r.ids("completed"); len(ids) != 0 {
		t.Errorf("ticks %v, want none", ids)
	}
}

// The machine's clock stays; only that of Redis moves.
func TestRedisClockDecides(t *testing.T) {
	t.Parallel()
	redistest.Stepped(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		at := r.now().Truncate(time.Minute).Add(20 * time.Minute)
		entry := schedule.Entry{Name: "night", Cron: fmt.Sprintf("%d %d * * *", at.Minute(), at.Hour()), Roster: threePeople(t)}
		r.run(r.brief(entry))
		r.until("the entry is known", func() bool { return r.rdb.HExists(t.Context(), "rollcall:{schedule}:state:night", "until").Val() })
		s.Step(20 * time.Minute)
		id := "night@" + at.Format(time.RFC3339)
		if got := r.done(id); got.Stored != 3 {
			t.Errorf("%+v, want three stored", got)
		}
		decided := func() int64 {
			until, _ := strconv.ParseInt(r.rdb.HGet(t.Context(), "rollcall:{schedule}:state:night", "until").Val(), 10, 64)
			return until
		}
		s.Step(-20 * time.Minute) // the time of the tick comes again
		r.until("the leader has noticed", func() bool { return decided() < at.Unix() })
		s.Step(20 * time.Minute)
		r.until("the tick is decided", func() bool { return decided() == at.Unix() })
		r.last("night", schedule.Done)
		if n := r.rdb.ZCard(t.Context(), "rollcall:{schedule}:history:night").Val(); n != 1 || r.stored(nickQueue) != 3 {
			t.Errorf("%d ticks, %d tasks, want one and 3", n, r.stored(nickQueue))
		}
	})
}

func TestATickThatWasMissedDuringAnOutageIsEnqueuedLater(t *testing.T) {
	t.Parallel()
	redistest.Stepped(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		at := r.now().Truncate(time.Minute).Add(10 * time.Minute)
		entry := schedule.Entry{Name: "night", Cron: fmt.Sprintf("%d %d * * *", at.Minute(), at.Hour()), Roster: threePeople(t)}
		cfg, log := r.brief(entry), &logtest.Buffer{}
		cfg.Log = log.Logger()
		r.run(cfg)
		r.until("the entry is known", func() bool { return r.rdb.HExists(t.Context(), "rollcall:{schedule}:state:night", "until").Val() })
		s.Stop(t)
		r.until("the leader has noticed", func() bool { return strings.Contains(log.String(), "no longer leads") })
		s.Step(20 * time.Minute)
		s.Start(t)
		if s.Mini != nil {
			s.Mini.FastForward(cfg.Lease)
		}
		if got := r.done("night@" + at.Format(time.RFC3339)); got.Stored != 3 {
			t.Errorf("%+v, want three stored", got)
		}
	})
}

func TestATickThatEndedIsNotExecutedAgain(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		g := newGate()
		entry := night("")
		entry.Job = g
		close(g.leave)
		r.run(r.config(entry))
		r.enqueue("night", nightID)
		r.last("night", schedule.Done)
		<-g.entered
		r.until("the task has ended", func() bool { return len(r.ids("completed")) == 1 })
		// asynq runs a task twice if the clocks of two workers differ by a minute.
		if err := r.inspector.DeleteTask(schedule.Queue, nightID); err != nil {
			t.Fatal(err)
		}
		r.deliver("night", nightID)
		r.until("the task has ended again", func() bool { return len(r.ids("completed")) == 1 })
		if len(g.entered) != 0 {
			t.Error("it was executed twice")
		}
	})
}

func TestOverlappingTicksWaitOrAreSkipped(t *testing.T) {
	t.Parallel()
	for _, overlap := range []schedule.Overlap{schedule.Wait, schedule.Skip} {
		t.Run(string(overlap), func(t *testing.T) {
			t.Parallel()
			redistest.Either(t, func(t *testing.T, s *redistest.Server) {
				r, g := newRig(t, s), newGate()
				r.run(r.config(schedule.Entry{Name: "often", Cron: "@every 1s", Job: g, Overlap: overlap}))
				first := <-g.entered
				second := func() []schedule.Past { // the first tick and what came after
					ticks, err := schedule.NewStore(r.rdb).History(t.Context(), "often", 100)
					if err != nil {
						t.Fatal(err)
					}
					return ticks
				}
				r.until("three ticks", func() bool { return len(second()) > 2 })
				got := second()[1]
				switch overlap {
				case schedule.Skip:
					if got.State != schedule.Skipped || got.Reason != first+" had not ended" || got.End.IsZero() {
						t.Errorf("recorded as %+v", got)
					}
					close(g.leave)
				case schedule.Wait:
					if got.State.Ended() || !got.Start.IsZero() {
						t.Errorf("recorded as %+v", got)
					}
					close(g.leave)
					for next := ""; next != got.ID; {
						if next = <-g.entered; next > got.ID {
							t.Fatalf("%s began before %s", next, got.ID)
						}
					}
				}
				r.until("a later tick", func() bool {
					for _, p := range second()[2:] {
						if p.State == schedule.Done {
							return true
						}
					}
					return false
				})
			})
		})
	}
}

// A person deletes in the web UI the tick that the others wait for.
func TestATickThatWasDeletedHoldsNoOther(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		const earlier = "night@2026-02-28T18:30:00Z"
		r.rdb.HSet(t.Context(), "rollcall:{schedule}:ticks:night", earlier+":state", "waiting")
		r.rdb.ZAdd(t.Context(), "rollcall:{schedule}:open:night", redis.Z{Score: 1772303400, Member: earlier})
		entry := night("")
		entry.Job = job(idle)
		r.run(r.config(entry))
		r.enqueue("night", nightID)
		r.last("night", schedule.Done)
		if got := r.rdb.HGet(t.Context(), "rollcall:{schedule}:ticks:night", earlier+":state").Val(); got != string(schedule.Deleted) {
			t.Errorf("the deleted tick is %q", got)
		}
	})
}

func TestAPausedEntryHasNoTicksUntilItIsResumed(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		store := schedule.NewStore(r.rdb)
		cfg := r.brief(schedule.Entry{Name: "often", Cron: "@every 1s", Job: job(idle)}, schedule.Entry{Name: "other", Cron: "@every 1s", Job: job(idle)})
		w := r.run(cfg)
		r.ended("often")
		if before, err := store.Pause(t.Context(), "often", "ann@host", "moving"); err != nil || before {
			t.Fatalf("Pause: %v, %v", before, err)
		}
		w.end(t) // the pause survives a restart
		r.until("the leader has left", func() bool { return r.rdb.Exists(t.Context(), leaderKey).Val() == 0 })
		ticks := r.history("often")
		ran := ticks[len(ticks)-1] // it may not have begun: the worker has ended
		r.run(cfg)
		others := len(r.ids("completed"))
		r.until("ticks of the other", func() bool { return len(r.ids("completed")) > others+1 })
		survey, err := store.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		paused := survey.Entries[0]
		if paused.Pause == nil || paused.Pause.By != "ann@host" || paused.Pause.Reason != "moving" || !paused.Next.IsZero() || paused.Last.ID != ran.ID {
			t.Errorf("the paused entry: %+v, last %+v", paused, paused.Last)
		}
		resumed := r.now()
		if before, err := store.Resume(t.Context(), "often", "bob@host", "moved"); err != nil || !before {
			t.Fatalf("Resume: %v, %v", before, err)
		}
		r.until("a tick after the pause", func() bool {
			last := r.ended("often")
			if last.At.After(ran.At) && last.At.Before(resumed.Truncate(time.Second)) {
				t.Fatalf("a tick of the pause was executed: %+v", last)
			}
			return last.At.After(ran.At)
		})
		if before, err := store.Resume(t.Context(), "often", "bob@host", ""); err != nil || before {
			t.Errorf("Resume of an entry that is not paused: %v, %v", before, err)
		}
		events, err := audit.Read(t.Context(), r.rdb, 10)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range events {
			got = append(got, e.Event+" "+e.Scope()+" "+e.By+" "+e.Reason)
		}
		want := []string{"schedule.paused schedule often ann@host moving", "schedule.resumed schedule often bob@host moved"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

func TestARunNowIsATickOfItsOwnAlsoDuringAPause(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		store := schedule.NewStore(r.rdb)
		if _, err := store.RunNow(t.Context(), "night", "ann@host", ""); err == nil {
			t.Error("an entry that no worker has published was started")
		}
		r.run(r.config(night(threePeople(t))))
		r.until("the entry is published", func() bool {
			_, err := store.Pause(t.Context(), "night", "ann@host", "moving")
			_, unknown := errors.AsType[*schedule.NotFoundError](err)
			return err == nil || !unknown
		})
		before := r.now()
		tick, err := store.RunNow(t.Context(), "night", "ann@host", "the roster is new")
		if err != nil {
			t.Fatal(err)
		}
		if !tick.Manual || tick.At.Before(before.Truncate(time.Second)) || !strings.HasPrefix(tick.ID(), "night@now-") {
			t.Errorf("the tick: %+v", tick)
		}
		if got := r.done(tick.ID()); got.Stored != 3 {
			t.Errorf("%+v, want three stored", got)
		}
		last := r.last("night", schedule.Done)
		if last.ID != tick.ID() || last.By != "ann@host" || last.Reason != "the roster is new" || last.Worker != "worker" ||
			last.Result != "3 tasks: 3 stored, 0 already there, 0 refused" {
			t.Errorf("recorded as %+v", last)
		}
	})
}

func TestARunNowOfAnEntryThatSkipsIsRefusedWhileAnotherRuns(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r, g := newRig(t, s), newGate()
		entry := night("")
		entry.Job, entry.Overlap = g, schedule.Skip
		r.run(r.config(entry))
		r.enqueue("night", nightID)
		<-g.entered
		store := schedule.NewStore(r.rdb)
		r.until("it is refused", func() bool {
			_, err := store.RunNow(t.Context(), "night", "ann@host", "")
			busy, is := errors.AsType[*schedule.BusyError](err)
			return is && busy.Tick == nightID
		})
		close(g.leave)
		r.last("night", schedule.Done)
		if _, err := store.RunNow(t.Context(), "night", "ann@host", ""); err != nil {
			t.Errorf("after its end: %v", err)
		}
	})
}

func TestTheErrorOfAJobIsRetriedAndRecorded(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.Mini(t))
	entry := night("")
	entry.Job = job(func(context.Context, schedule.Tick) (schedule.Result, error) {
		return schedule.Result{Detail: map[string]int{"rows": 2}}, errors.New("the source is down")
	})
	r.run(once(r.config(entry)))
	r.enqueue("night", nightID)
	const want = "the source is down · given up after 2 attempts"
	if got := r.dead(nightID); got != want {
		t.Errorf("cause %q, want %q", got, want)
	}
	if last := r.last("night", schedule.Failed); last.Result != want || last.Attempts != 2 {
		t.Errorf("recorded as %+v", last)
	}
	if got := string(r.tick(nightID).Result); got != `{"rows":2}` {
		t.Errorf("result %s", got)
	}
}

func TestAJobEndsWithItsWorkerAndContinuesAtAnother(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r, g := newRig(t, s), newGate()
		entry := night("")
		entry.Job = g
		cfg := r.config(entry)
		cfg.Grace = time.Millisecond
		w := r.run(cfg)
		r.enqueue("night", nightID)
		<-g.entered
		w.end(t)
		if got := r.waits(); !strings.Contains(got, "the worker stopped") {
			t.Errorf("cause: %s", got)
		}
		close(g.leave)
		r.run(r.config(entry))
		if last := r.last("night", schedule.Done); last.Attempts != 2 || last.Result != "went through" {
			t.Errorf("recorded as %+v", last)
		}
	})
}

func TestADamagedKeyStopsItsEntryAlone(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		r.rdb.Set(t.Context(), "rollcall:{schedule}:state:broken", "another program", 0)
		cfg, log := r.config(schedule.Entry{Name: "broken", Cron: "@every 1s", Job: job(idle)}, schedule.Entry{Name: "often", Cron: "@every 1s", Job: job(idle)}), &logtest.Buffer{}
		cfg.Log = log.Logger()
		r.run(cfg)
		r.ended("often")
		r.until("the key is named", func() bool { return len(log.Lines("rollcall:{schedule}:state:broken")) > 0 })
		r.rdb.Del(t.Context(), "rollcall:{schedule}:state:broken")
		r.ended("broken")
	})
}

func TestTheHistoryHoldsTheLastHundredTicks(t *testing.T) {
	t.Parallel()
	r := newRig(t, redistest.Mini(t))
	r.run(r.config(schedule.Entry{Name: "often", Cron: "@every 1s", Job: job(idle)}))
	r.ended("often")
	for i := range 150 { // ticks of long ago
		id := schedule.Tick{Schedule: "often", At: time.Unix(int64(1_600_000_000+i), 0)}.ID()
		r.rdb.HSet(t.Context(), "rollcall:{schedule}:ticks:often", id+":state", "done", id+":at", 1_600_000_000+i)
		r.rdb.ZAdd(t.Context(), "rollcall:{schedule}:history:often", redis.Z{Score: float64(1_600_000_000 + i), Member: id})
	}
	r.until("the oldest are removed", func() bool { return r.rdb.ZCard(t.Context(), "rollcall:{schedule}:history:often").Val() == 100 })
	ticks, err := schedule.NewStore(r.rdb).History(t.Context(), "often", 1000)
	if err != nil || len(ticks) != 100 {
		t.Fatalf("%d ticks, %v", len(ticks), err)
	}
	oldest := time.Unix(1_600_000_000, 0).UTC().Format(time.RFC3339)
	if n := r.rdb.HExists(t.Context(), "rollcall:{schedule}:ticks:often", "often@"+oldest+":state").Val(); n {
		t.Error("the record of the oldest tick is still there")
	}
}

func TestJitterMovesAllTicksOfAnEntryByOneTime(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	seen := map[time.Duration]bool{}
	for i := range 20 {
		e := schedule.Entry{Name: fmt.Sprintf("night-%d", i), Cron: "0 2 * * *", Zone: "UTC", Jitter: 30 * time.Minute, Roster: "roster.csv"}
		ticks := schedule.Next(e, from, 3)
		offset := ticks[0].Sub(from.Add(2 * time.Hour))
		if offset < time.Second || offset > 30*time.Minute || ticks[2].Sub(ticks[0]) != 48*time.Hour {
			t.Errorf("%s: %v", e.Name, ticks)
		}
		if again := schedule.Next(e, ticks[0].Add(-time.Second), 1); !again[0].Equal(ticks[0]) {
			t.Errorf("%s: %s a second before %s", e.Name, again[0], ticks[0])
		}
		seen[offset] = true
	}
	if len(seen) < 10 {
		t.Errorf("only %d different times for 20 names", len(seen))
	}
}

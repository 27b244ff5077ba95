package lane_test

import (
	"bytes"
	stdcmp "cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/backlog"
	"rollcall/internal/kinds"
	"rollcall/internal/lane"
	"rollcall/internal/ledger"
	"rollcall/internal/outcome"
	"rollcall/internal/redistest"
	"rollcall/providers"
	"rollcall/tasks"
)

// deadLetter reads the dead letter of a task, which must exist.
func (r *rig) deadLetter(id string) ledger.DeadLetter {
	r.t.Helper()
	dead, found, err := ledger.New(r.rdb).DeadLetter(r.t.Context(), nicknames, id)
	if err != nil || !found {
		r.t.Fatalf("the dead letter of task %s: found %t, %v", id, found, err)
	}
	return dead
}

func (r *rig) deadLetters() int64 {
	r.t.Helper()
	n, err := ledger.New(r.rdb).DeadCount(r.t.Context(), ledger.DeadLetterFilter{Lane: nicknames})
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// turnsDown is a platform that rejects every task.
func turnsDown(context.Context, func(context.Context) error, string) error {
	return &providers.Error{
		Platform: "dingtalk", API: "updategroupnick", Kind: providers.Rejected, Code: "34001", HTTPStatus: 200,
		Message: "no such member", RequestID: "r-1", Fix: "correct the roster",
	}
}

func TestADeadLetterHoldsEverythingAboutItsTask(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		r.add(lane.Config{}, turnsDown)
		typename, payload, err := kinds.Encode(tasks.NicknameSync{Tenant: "dt", ChatID: "c1", UserID: "ann", Nickname: "Ann"}, 1234)
		if err != nil {
			t.Fatal(err)
		}
		task := asynq.NewTaskWithHeaders(typename, payload, map[string]string{kinds.KeyHeader: "night-1"})
		if _, err := r.client.Enqueue(task, asynq.Queue(urgent), asynq.TaskID("t1"), asynq.MaxRetry(1<<20)); err != nil {
			t.Fatal(err)
		}
		before := time.Now().Add(-time.Second)
		r.start()
		r.ends(urgent, "t1", asynq.TaskStateArchived)
		got := r.deadLetter("t1")
		if got.Last.Before(before) || got.Last.After(time.Now()) || !got.First.Equal(got.Last) {
			t.Errorf("it died at %v and first failed at %v", got.Last, got.First)
		}
		want := ledger.DeadLetter{
			ID: "t1", Lane: nicknames, Tenant: "dt", Kind: "nickname", Organisation: "lakeside", Urgent: true, Key: "night-1",
			Type: typename, Payload: payload, Target: "c1/ann", Revision: 1234,
			Class: "rejected", Code: "34001", Message: "no such member", RequestID: "r-1", Todo: "correct the roster",
			Cause:    "rejected: dingtalk updategroupnick: 34001: no such member [request r-1] · to do: correct the roster",
			Attempts: map[string]int{"rejected": 1},
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(ledger.DeadLetter{}, "First", "Last")); diff != "" {
			t.Errorf("the dead letter (-want +got):\n%s", diff)
		}
	})
}

func TestADeadLetterListsTheAttemptsPerClass(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		n := 0
		r.add(lane.Config{}, func(context.Context, func(context.Context) error, string) error {
			if n++; n == 1 {
				return &providers.Error{Kind: providers.Transient}
			}
			return &providers.Error{Kind: providers.Unknown, Tries: 1}
		})
		r.start()
		id := r.put(nicknames, "")
		first := r.attempt()
		r.ends(nicknames, id, asynq.TaskStateRetry)
		_ = r.inspector.RunTask(nicknames, id) // or its retry is already due
		r.ends(nicknames, id, asynq.TaskStateArchived)
		got := r.deadLetter(id)
		if diff := cmp.Diff(map[string]int{"busy": 1, "unlisted": 1}, got.Attempts); diff != "" {
			t.Errorf("attempts (-want +got):\n%s", diff)
		}
		if got.Class != "unlisted" || got.First.After(got.Last) || got.First.Before(first.Start.Add(-time.Second)) {
			t.Errorf("it first failed at %v and died at %v as %s", got.First, got.Last, got.Class)
		}
	})
}

// A message that no asynq client wrote is kept byte for byte.
func TestAnUnreadableMessageHasADeadLetterWithItsBytes(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		r.add(lane.Config{}, turnsDown)
		r.start()
		r.put(nicknames, "") // makes the queue known to asynq
		ctx := t.Context()
		if err := errors.Join(
			r.rdb.HSet(ctx, backlog.Key(nicknames, "t:raw"), "msg", "\xff\xff no message", "state", "pending").Err(),
			r.rdb.LPush(ctx, backlog.Key(nicknames, "pending"), "raw").Err(),
		); err != nil {
			t.Fatal(err)
		}
		r.sweepUntilThere("undecodable-raw")
		r.ends(nicknames, "undecodable-raw", asynq.TaskStateArchived)
		got := r.deadLetter("undecodable-raw")
		if got.Class != "malformed" || string(got.Payload) != "\xff\xff no message" || got.Target != "" {
			t.Errorf("the dead letter %+v", got)
		}
	})
}

// sweepUntilThere sweeps until asynq knows a task, after the 20 s in which a lease must
// stay unchanged. The test advances the clock of miniredis. The clock of a real Redis
// cannot be set, so the test is skipped there under -short.
func (r *rig) sweepUntilThere(id string) {
	r.t.Helper()
	if r.server.Mini == nil {
		if testing.Short() {
			r.t.Skip("waits 30 s for a lease: make test-long")
		}
		r.sweep()
		return
	}
	clock, sweep := time.Now(), r.sweeps()
	eventually(r.t, func() error {
		clock = clock.Add(5 * time.Second)
		r.server.Mini.SetTime(clock)
		sweep(r.t.Context(), clock)
		_, err := r.inspector.GetTaskInfo(nicknames, id)
		return err
	})
}

// unwritable fails every write of a dead letter until it is switched off.
type unwritable struct {
	broken atomic.Bool
	tried  chan struct{}
}

func (*unwritable) DialHook(next redis.DialHook) redis.DialHook { return next }

func (u *unwritable) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if u.broken.Load() && strings.Contains(fmt.Sprint(cmd.Args()...), ":dead:letters") {
			select {
			case u.tried <- struct{}{}:
			default:
			}
			err := errors.New("READONLY injected by the test")
			cmd.SetErr(err)
			return err
		}
		return next(ctx, cmd)
	}
}

func (*unwritable) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func TestATaskWhoseLetterCannotBeWrittenStaysInItsQueue(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		hook := &unwritable{tried: make(chan struct{}, 1)}
		hook.broken.Store(true)
		r.rdb.AddHook(hook)
		r.add(lane.Config{}, turnsDown)
		r.start()
		id := r.put(nicknames, "")
		await(t, hook.tried, "an attempt to write the dead letter")
		got := r.attempt().Verdict
		if got.Action != outcome.Retry || got.Class != outcome.Internal || got.Counted {
			t.Errorf("verdict %+v, want an uncounted retry", got)
		}
		info := r.ends(nicknames, id, asynq.TaskStateRetry)
		if want := "internal: the task ended as rejected, but its dead letter could not be written; the task stays in its queue"; info.Retried != 0 || !strings.HasPrefix(info.LastErr, want) {
			t.Errorf("asynq shows %q after %d attempts", info.LastErr, info.Retried)
		}
		hook.broken.Store(false)
		_ = r.inspector.RunTask(nicknames, id) // or its retry is already due
		r.ends(nicknames, id, asynq.TaskStateArchived)
		if got := r.deadLetter(id); got.Class != "rejected" || r.deadLetters() != 1 {
			t.Errorf("%d dead letters, this one of class %s", r.deadLetters(), got.Class)
		}
	})
}

// A task can run again after it died: asynq loses the answer to the archive command, or
// a person runs the task from its web UI.
func TestADeadLetterIsUniquePerTaskAndIsRemovedWhenTheTaskSucceeds(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		var n atomic.Int32
		r.add(lane.Config{}, func(ctx context.Context, slot func(context.Context) error, payload string) error {
			switch n.Add(1) {
			case 1:
				return turnsDown(ctx, slot, payload)
			case 2:
				return &providers.Error{Kind: providers.Ambiguous, Code: "504"}
			}
			return nil
		})
		r.start()
		id := r.put(nicknames, "")
		r.ends(nicknames, id, asynq.TaskStateArchived)
		first := r.deadLetter(id)
		again := func() {
			t.Helper()
			if err := r.inspector.RunTask(nicknames, id); err != nil {
				t.Fatal(err)
			}
		}
		again()
		eventually(t, func() error {
			if got := r.deadLetter(id); got.Class != "unverified" {
				return fmt.Errorf("class %s", got.Class)
			}
			return nil
		})
		r.ends(nicknames, id, asynq.TaskStateArchived)
		if got := r.deadLetter(id); r.deadLetters() != 1 || !got.First.Equal(first.First) || !got.Last.After(first.Last) {
			t.Errorf("%d dead letters; first failure at %v, want %v", r.deadLetters(), got.First, first.First)
		}
		again()
		r.ends(nicknames, id, asynq.TaskStateCompleted)
		eventually(t, func() error {
			if n := r.deadLetters(); n != 0 {
				return fmt.Errorf("%d dead letters", n)
			}
			return nil
		})
	})
}

var archived = flag.Int("archived", 1200, "number of archived tasks to sweep (510 under -short; asynq keeps at most 9,999)")

// asynq's recoverer and its web UI archive tasks without any notification. The sweeps
// find what is archived in steps of one second, and then what is added.
func TestASweepWritesDeadLettersForTasksThatAsynqArchived(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		r.add(lane.Config{}, turnsDown)
		n := few(*archived, 510)
		full := int64(n)
		for i := range n {
			id := r.put(nicknames, strconv.Itoa(i))
			if i%10 == 0 {
				if err := r.inspector.ArchiveTask(nicknames, id); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := r.inspector.ArchiveAllPendingTasks(nicknames); err != nil {
			t.Fatal(err)
		}
		sweep := r.sweeps()
		wants := func(n int64) {
			t.Helper()
			for got := r.deadLetters(); got != n; {
				before := got
				eventually(t, func() error {
					sweep(t.Context(), time.Now())
					if got = r.deadLetters(); got == before {
						return fmt.Errorf("%d dead letters, want %d", got, n)
					}
					return nil
				})
			}
		}
		wants(full)
		late := r.put(nicknames, "late")
		if err := r.inspector.ArchiveTask(nicknames, late); err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		if err := errors.Join(
			r.rdb.HSet(ctx, backlog.Key(nicknames, "t:raw"), "msg", "\xff\xff no message", "state", "archived").Err(),
			r.rdb.ZAdd(ctx, backlog.Key(nicknames, "archived"), redis.Z{Score: float64(time.Now().Unix()), Member: "raw"}).Err(),
		); err != nil {
			t.Fatal(err)
		}
		wants(full + 2)
		if got := r.deadLetter(late); got.Class != string(outcome.Archived) || string(got.Payload) != "late" || !strings.HasPrefix(got.Cause, "archived: asynq's recoverer archived the task") {
			t.Errorf("the dead letter %+v", got)
		}
		if got := r.deadLetter("raw"); string(got.Payload) != "\xff\xff no message" {
			t.Errorf("the dead letter of the unreadable message: %+v", got)
		}
	})
}

// asynq's archive keeps 9,999 tasks and silently drops the others. This test does not
// run in parallel: it needs the whole machine.
func TestEveryDeadTaskHasADeadLetterEvenBeyondAsynqsArchiveBound(t *testing.T) {
	if testing.Short() {
		t.Skip("12,000 tasks")
	}
	s := redistest.Real(t)
	r := newRig(t, s)
	const dead = 12_000
	var died atomic.Int32
	done := make(chan struct{})
	r.watch.instead = func(a lane.Attempt) {
		if a.Verdict.Action == outcome.Dead && died.Add(1) == dead {
			close(done)
		}
	}
	r.add(lane.Config{Limits: fastest}, turnsDown)
	ids := r.putMany(dead)
	r.start()
	select {
	case <-done:
	case <-time.After(5 * time.Minute): // ample for a busy machine
		t.Fatalf("%d of %d died", died.Load(), dead)
	}
	eventually(t, func() error {
		if n := r.rdb.LLen(t.Context(), backlog.Key(nicknames, "active")).Val(); n != 0 {
			return fmt.Errorf("%d are active", n)
		}
		return nil
	})
	if n := r.rdb.ZCard(t.Context(), backlog.Key(nicknames, "archived")).Val(); n != 9999 {
		t.Errorf("asynq keeps %d archived tasks: its bound has moved, see docs/dead-letters.md", n)
	}
	if n := r.deadLetters(); n != dead {
		t.Errorf("%d dead letters, want %d", n, dead)
	}
	l := ledger.New(r.rdb)
	for page := range slices.Chunk(ids, 1000) {
		if without, err := l.WithoutDeadLetter(t.Context(), nicknames, page); err != nil || len(without) != 0 {
			t.Fatalf("%d of a thousand have no dead letter: %v", len(without), err)
		}
	}
}

// putMany enqueues tasks concurrently.
func (r *rig) putMany(n int) []string {
	r.t.Helper()
	ids := make([]string, n)
	var wg sync.WaitGroup
	var failed atomic.Value
	for w := range 16 {
		wg.Go(func() {
			for i := w; i < n; i += 16 {
				ids[i] = fmt.Sprintf("t%d", i)
				_, err := r.client.Enqueue(asynq.NewTask("test", nil), asynq.Queue(nicknames), asynq.MaxRetry(1<<20), asynq.TaskID(ids[i]))
				if err != nil {
					failed.Store(err)
				}
			}
		})
	}
	wg.Wait()
	if err, ok := failed.Load().(error); ok {
		r.t.Fatal(err)
	}
	return ids
}

func TestADeadLetterOfAnotherTenantsPayloadNamesNoTarget(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		r.add(lane.Config{}, turnsDown)
		typename, payload, err := kinds.Encode(tasks.NicknameSync{Tenant: "hillside", ChatID: "c1", UserID: "ann", Nickname: "Ann"}, 1234)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.client.Enqueue(asynq.NewTask(typename, payload), asynq.Queue(urgent), asynq.TaskID("t1"), asynq.MaxRetry(1<<20)); err != nil {
			t.Fatal(err)
		}
		r.start()
		r.ends(urgent, "t1", asynq.TaskStateArchived)
		if got := r.deadLetter("t1"); got.Target != "" || got.Revision != 0 {
			t.Errorf("the dead letter names target %q, revision %d of this organisation", got.Target, got.Revision)
		}
	})
}

func TestAnOversizedPayloadIsKeptByItsBeginningAndItsHashAndOnce(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		r.add(lane.Config{}, func(context.Context, func(context.Context) error, string) error {
			return &kinds.PayloadError{Type: kinds.TypeNicknameSync, What: "is too long"}
		})
		huge := bytes.Repeat([]byte("x"), 3*ledger.MaxKept)
		stand, err := lane.StandIn(urgent, "raw", huge)
		if err != nil {
			t.Fatal(err)
		}
		cause := lane.Undecodable(stand.Payload())
		if len(stand.Payload()) > 100<<10 || !strings.Contains(cause.Error(), fmt.Sprint(len(huge), " bytes")) {
			t.Errorf("the stand-in has %d bytes and ends in: %v", len(stand.Payload()), cause)
		}
		for id, task := range map[string]*asynq.Task{
			"huge": asynq.NewTask(kinds.TypeNicknameSync, huge), "stand-in": stand,
		} {
			if _, err := r.client.Enqueue(task, asynq.Queue(urgent), asynq.TaskID(id), asynq.MaxRetry(1<<20)); err != nil {
				t.Fatal(err)
			}
		}
		r.start()
		r.ends(urgent, "stand-in", asynq.TaskStateArchived)
		eventually(t, func() error {
			if _, err := r.inspector.GetTaskInfo(urgent, "huge"); !errors.Is(err, asynq.ErrTaskNotFound) {
				return fmt.Errorf("asynq still keeps the message: %w", stdcmp.Or(err, errors.New("no error")))
			}
			return nil
		})
		sum := sha256.Sum256(huge)
		for _, id := range []string{"huge", "stand-in"} {
			dead := r.deadLetter(id)
			if len(dead.Payload) != ledger.MaxKept || dead.PayloadBytes != len(huge) || dead.PayloadSHA256 != hex.EncodeToString(sum[:]) {
				t.Errorf("%s: %d bytes are kept of %d, %s", id, len(dead.Payload), dead.PayloadBytes, dead.PayloadSHA256)
			}
		}
	})
}

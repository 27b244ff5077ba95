package lane_test

import (
	"bytes"
	stdcmp "cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
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
	"rollcall/internal/lanetest"
	"rollcall/internal/ledger"
	"rollcall/internal/outcome"
	"rollcall/internal/redistest"
	"rollcall/providers"
	"rollcall/tasks"
)

func TestADeadLetterHoldsEverythingAboutItsTask(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		r.Add(lane.Config{}, lanetest.TurnsDown)
		typename, payload, err := kinds.Encode(tasks.NicknameSync{Tenant: "dt", ChatID: "c1", UserID: "ann", Nickname: "Ann"}, 1234)
		if err != nil {
			t.Fatal(err)
		}
		task := asynq.NewTaskWithHeaders(typename, payload, map[string]string{kinds.KeyHeader: "night-1"})
		if _, err := r.Client.Enqueue(task, asynq.Queue(urgent), asynq.TaskID("t1"), asynq.MaxRetry(1<<20)); err != nil {
			t.Fatal(err)
		}
		before := time.Now().Add(-time.Second)
		r.Start()
		r.Ends(urgent, "t1", asynq.TaskStateArchived)
		got := r.DeadLetter("t1")
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
		r.Add(lane.Config{}, func(context.Context, func(context.Context) error, string) error {
			if n++; n == 1 {
				return &providers.Error{Kind: providers.Transient}
			}
			return &providers.Error{Kind: providers.Unknown, Tries: 1}
		})
		r.Start()
		id := r.Put(nicknames, "")
		first := r.Attempt()
		r.Ends(nicknames, id, asynq.TaskStateRetry)
		_ = r.Inspector.RunTask(nicknames, id) // or its retry is already due
		r.Ends(nicknames, id, asynq.TaskStateArchived)
		got := r.DeadLetter(id)
		if diff := cmp.Diff(map[string]int{"busy": 1, "unlisted": 1}, got.Attempts); diff != "" {
			t.Errorf("attempts (-want +got):\n%s", diff)
		}
		if got.Class != "unlisted" || got.First.After(got.Last) || got.First.Before(first.Start.Add(-time.Second)) {
			t.Errorf("it first failed at %v and died at %v as %s", got.First, got.Last, got.Class)
		}
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
		r.Redis.AddHook(hook)
		r.Add(lane.Config{}, lanetest.TurnsDown)
		r.Start()
		id := r.Put(nicknames, "")
		lanetest.Await(t, hook.tried, "an attempt to write the dead letter")
		got := r.Attempt().Verdict
		if got.Action != outcome.Retry || got.Class != outcome.Internal || got.Counted {
			t.Errorf("verdict %+v, want an uncounted retry", got)
		}
		info := r.Ends(nicknames, id, asynq.TaskStateRetry)
		if want := "internal: the task ended as rejected, but its dead letter could not be written; the task stays in its queue"; info.Retried != 0 || !strings.HasPrefix(info.LastErr, want) {
			t.Errorf("asynq shows %q after %d attempts", info.LastErr, info.Retried)
		}
		hook.broken.Store(false)
		_ = r.Inspector.RunTask(nicknames, id) // or its retry is already due
		r.Ends(nicknames, id, asynq.TaskStateArchived)
		if got := r.DeadLetter(id); got.Class != "rejected" || r.DeadLetters() != 1 {
			t.Errorf("%d dead letters, this one of class %s", r.DeadLetters(), got.Class)
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
		r.Add(lane.Config{}, func(ctx context.Context, slot func(context.Context) error, payload string) error {
			switch n.Add(1) {
			case 1:
				return lanetest.TurnsDown(ctx, slot, payload)
			case 2:
				return &providers.Error{Kind: providers.Ambiguous, Code: "504"}
			}
			return nil
		})
		r.Start()
		id := r.Put(nicknames, "")
		r.Ends(nicknames, id, asynq.TaskStateArchived)
		first := r.DeadLetter(id)
		again := func() {
			t.Helper()
			if err := r.Inspector.RunTask(nicknames, id); err != nil {
				t.Fatal(err)
			}
		}
		again()
		lanetest.Eventually(t, func() error {
			if got := r.DeadLetter(id); got.Class != "unverified" {
				return fmt.Errorf("class %s", got.Class)
			}
			return nil
		})
		r.Ends(nicknames, id, asynq.TaskStateArchived)
		if got := r.DeadLetter(id); r.DeadLetters() != 1 || !got.First.Equal(first.First) || !got.Last.After(first.Last) {
			t.Errorf("%d dead letters; first failure at %v, want %v", r.DeadLetters(), got.First, first.First)
		}
		again()
		r.Ends(nicknames, id, asynq.TaskStateCompleted)
		lanetest.Eventually(t, func() error {
			if n := r.DeadLetters(); n != 0 {
				return fmt.Errorf("%d dead letters", n)
			}
			return nil
		})
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
	r.Watch.Instead = func(a lane.Attempt) {
		if a.Verdict.Action == outcome.Dead && died.Add(1) == dead {
			close(done)
		}
	}
	r.Add(lane.Config{Limits: fastest}, lanetest.TurnsDown)
	ids := r.putMany(dead)
	r.Start()
	select {
	case <-done:
	case <-time.After(5 * time.Minute): // ample for a busy machine
		t.Fatalf("%d of %d died", died.Load(), dead)
	}
	lanetest.Eventually(t, func() error {
		if n := r.Redis.LLen(t.Context(), backlog.Key(nicknames, "active")).Val(); n != 0 {
			return fmt.Errorf("%d are active", n)
		}
		return nil
	})
	if n := r.Redis.ZCard(t.Context(), backlog.Key(nicknames, "archived")).Val(); n != 9999 {
		t.Errorf("asynq keeps %d archived tasks: its bound has moved, see docs/dead-letters.md", n)
	}
	if n := r.DeadLetters(); n != dead {
		t.Errorf("%d dead letters, want %d", n, dead)
	}
	l := ledger.New(r.Redis)
	for page := range slices.Chunk(ids, 1000) {
		if without, err := l.WithoutDeadLetter(t.Context(), nicknames, page); err != nil || len(without) != 0 {
			t.Fatalf("%d of a thousand have no dead letter: %v", len(without), err)
		}
	}
}

// putMany enqueues tasks concurrently.
func (r *rig) putMany(n int) []string {
	r.T.Helper()
	ids := make([]string, n)
	var wg sync.WaitGroup
	var failed atomic.Value
	for w := range 16 {
		wg.Go(func() {
			for i := w; i < n; i += 16 {
				ids[i] = fmt.Sprintf("t%d", i)
				_, err := r.Client.Enqueue(asynq.NewTask("test", nil), asynq.Queue(nicknames), asynq.MaxRetry(1<<20), asynq.TaskID(ids[i]))
				if err != nil {
					failed.Store(err)
				}
			}
		})
	}
	wg.Wait()
	if err, ok := failed.Load().(error); ok {
		r.T.Fatal(err)
	}
	return ids
}

func TestADeadLetterOfAnotherTenantsPayloadNamesNoTarget(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		r.Add(lane.Config{}, lanetest.TurnsDown)
		typename, payload, err := kinds.Encode(tasks.NicknameSync{Tenant: "hillside", ChatID: "c1", UserID: "ann", Nickname: "Ann"}, 1234)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Client.Enqueue(asynq.NewTask(typename, payload), asynq.Queue(urgent), asynq.TaskID("t1"), asynq.MaxRetry(1<<20)); err != nil {
			t.Fatal(err)
		}
		r.Start()
		r.Ends(urgent, "t1", asynq.TaskStateArchived)
		if got := r.DeadLetter("t1"); got.Target != "" || got.Revision != 0 {
			t.Errorf("the dead letter names target %q, revision %d of this organisation", got.Target, got.Revision)
		}
	})
}

func TestAnOversizedPayloadIsKeptByItsBeginningAndItsHashAndOnce(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		r := newRig(t, s)
		r.Add(lane.Config{}, func(context.Context, func(context.Context) error, string) error {
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
			if _, err := r.Client.Enqueue(task, asynq.Queue(urgent), asynq.TaskID(id), asynq.MaxRetry(1<<20)); err != nil {
				t.Fatal(err)
			}
		}
		r.Start()
		r.Ends(urgent, "stand-in", asynq.TaskStateArchived)
		lanetest.Eventually(t, func() error {
			if _, err := r.Inspector.GetTaskInfo(urgent, "huge"); !errors.Is(err, asynq.ErrTaskNotFound) {
				return fmt.Errorf("asynq still keeps the message: %w", stdcmp.Or(err, errors.New("no error")))
			}
			return nil
		})
		sum := sha256.Sum256(huge)
		for _, id := range []string{"huge", "stand-in"} {
			dead := r.DeadLetter(id)
			if len(dead.Payload) != ledger.MaxKept || dead.PayloadBytes != len(huge) || dead.PayloadSHA256 != hex.EncodeToString(sum[:]) {
				t.Errorf("%s: %d bytes are kept of %d, %s", id, len(dead.Payload), dead.PayloadBytes, dead.PayloadSHA256)
			}
		}
	})
}

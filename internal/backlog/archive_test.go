package backlog_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/backlog"
	"rollcall/internal/redistest"
)

// Unarchive does to an archived task what asynq's own deletion does, and nothing to any
// other task.
func TestUnarchiveDeletesEverythingThatAsynqKeepsOfATask(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		ctx, rdb := t.Context(), s.Client(t)
		client, inspector := asynq.NewClientFromRedisClient(rdb), asynq.NewInspectorFromRedisClient(rdb)
		for _, id := range []string{"a", "waits"} {
			if _, err := client.Enqueue(asynq.NewTask("t", []byte(id)), asynq.Queue("q"), asynq.TaskID(id), asynq.Unique(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		if err := inspector.ArchiveTask("q", "a"); err != nil {
			t.Fatal(err)
		}
		// asynq's web UI drops an entry from the archive like this, and leaves the
		// task's hash.
		if err := rdb.HSet(ctx, backlog.Key("q", "t:left"), "state", "archived").Err(); err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct{ id, found, then string }{
			{"a", "archived", ""}, {"a", "", ""}, {"waits", "pending", "pending"}, {"left", "archived", ""}, {"missing", "", ""},
		} {
			found, err := backlog.Unarchive(ctx, rdb, "q", step.id)
			then, stateErr := backlog.State(ctx, rdb, "q", step.id)
			if err := errors.Join(err, stateErr); err != nil || found != step.found || then != step.then {
				t.Errorf("%s was %q and is %q, %v; want %q and %q", step.id, found, then, err, step.found, step.then)
			}
		}
		// The lock of the deleted task no longer exists, that of the other does.
		if _, err := client.Enqueue(asynq.NewTask("t", []byte("a")), asynq.Queue("q"), asynq.Unique(time.Hour)); err != nil {
			t.Errorf("the same task again: %v", err)
		}
		if _, err := client.Enqueue(asynq.NewTask("t", []byte("waits")), asynq.Queue("q"), asynq.Unique(time.Hour)); !errors.Is(err, asynq.ErrDuplicateTask) {
			t.Errorf("a duplicate of the pending task: %v", err)
		}
	})
}

func TestAnArchiveIsListedFromAScoreOn(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		ctx, rdb := t.Context(), s.Client(t)
		if entries, err := backlog.Archived(ctx, rdb, "q", 0); err != nil || len(entries) != 0 {
			t.Errorf("an empty archive: %v, %v", entries, err)
		}
		for id, score := range map[string]float64{"a": 1, "b": 2, "c": 2, "d": 3} {
			if err := rdb.ZAdd(ctx, backlog.Key("q", "archived"), redis.Z{Score: score, Member: id}).Err(); err != nil {
				t.Fatal(err)
			}
		}
		n, err := backlog.ArchivedSince(ctx, rdb, []string{"q", "never used"}, []float64{2, 0})
		entries, listErr := backlog.Archived(ctx, rdb, "q", 2)
		if err := errors.Join(err, listErr); err != nil || !slices.Equal(n, []int64{3, 0}) || len(entries) != 3 || entries[0] != (backlog.ArchivedTask{ID: "b", Score: 2}) || entries[2].ID != "d" {
			t.Errorf("counted %v, listed %v, %v", n, entries, err)
		}
	})
}

func TestAnArchivedMessageIsReadOrItsBytesReturned(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		ctx, rdb := t.Context(), s.Client(t)
		repairer := backlog.NewRepairer(rdb)
		client, inspector := asynq.NewClientFromRedisClient(rdb), asynq.NewInspectorFromRedisClient(rdb)
		for _, id := range []string{"a", "waits"} {
			if _, err := client.Enqueue(asynq.NewTask("t", []byte("p")), asynq.Queue("q"), asynq.TaskID(id)); err != nil {
				t.Fatal(err)
			}
		}
		err := errors.Join(inspector.ArchiveTask("q", "a"),
			rdb.HSet(ctx, backlog.Key("q", "t:raw"), "msg", "\xff\xff no message", "state", "archived").Err(),
			rdb.ZAdd(ctx, backlog.Key("q", "archived"), redis.Z{Score: 1, Member: "raw"}).Err())
		if err != nil {
			t.Fatal(err)
		}
		if got, found, err := repairer.Archived(ctx, "q", "a"); err != nil || !found || string(got.Info.Payload) != "p" || got.LastErr() != "" {
			t.Errorf("%+v, %t, %v", got, found, err)
		}
		if got, found, err := repairer.Archived(ctx, "q", "raw"); err != nil || !found || string(got.Raw) != "\xff\xff no message" || got.LastErr() == "" {
			t.Errorf("unreadable message: %+v, %t, %v", got, found, err)
		}
		for _, id := range []string{"waits", "missing"} {
			if _, found, err := repairer.Archived(ctx, "q", id); found || err != nil {
				t.Errorf("%s is not archived: %t, %v", id, found, err)
			}
		}
	})
}

package enqueue_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/tasks"
)

// finds enqueues an edit with a key whose task was stored before, by a caller that died
// before it recorded that. become puts that task into a state.
func finds(t *testing.T, s *redistest.Server, become func(*asynq.Inspector, tasks.Result)) (first tasks.Result) {
	t.Helper()
	serve(t, s)
	client := open(t, s.Addr)
	first, err := client.Enqueue(t.Context(), edit("u1"), tasks.Options{Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	become(asynq.NewInspectorFromRedisClient(s.Client(t)), first)
	redisAnswers(t, s, "rollcall:key:lakeside-dt:k", `"state":"stored"`, `"state":"reserved"`)
	if second, err := client.Enqueue(t.Context(), edit("u1"), tasks.Options{Key: "k"}); err != nil || second.Outcome != tasks.AlreadyThere || second.TaskID != first.TaskID {
		t.Fatalf("%+v, %v, want the existing task", second, err)
	}
	return first
}

// A position that was taken again would make later edits wait for a task that has
// ended.
func TestAnEditThatIsFoundEndedKeepsNoPosition(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		finds(t, s, func(inspector *asynq.Inspector, first tasks.Result) {
			if err := inspector.ArchiveTask(first.Queue, first.TaskID); err != nil {
				t.Fatal(err)
			}
			endEdit(t, s, first.TaskID)
		})
		if ids := destinations(t, s); len(ids) != 0 {
			t.Errorf("%v keep places", ids)
		}
	})
}

// The position belongs to the task: the first caller to take a revision for an id takes
// the position, and the task that is stored with the id uses it.
func TestAnEditThatIsFoundWaitingKeepsItsPosition(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		first := finds(t, s, func(*asynq.Inspector, tasks.Result) {})
		if diff := cmp.Diff([]string{first.TaskID}, destinations(t, s)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// Its producer has recorded it since, or a worker has started it.
func TestAnEditThatIsOpenIsNotWithdrawn(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		serve(t, s)
		first, err := open(t, s.Addr).Enqueue(t.Context(), edit("u1"), tasks.Options{})
		if err != nil {
			t.Fatal(err)
		}
		target, fields := kinds.Change(edit("u1"), "lakeside")
		if err := ledger.New(s.Client(t)).Withdraw(t.Context(), ledger.Change{Target: target, Fields: fields, TaskID: first.TaskID}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{first.TaskID}, destinations(t, s)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestAReplayOfAnEditThatWasReplayedAndEndedKeepsNoPosition(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		serve(t, s)
		client := open(t, s.Addr)
		again := ended(t, edit("u1"), 7)
		replayed := client.Replay(t.Context(), again)
		if replayed.Outcome != tasks.Stored {
			t.Fatalf("%+v", replayed)
		}
		if err := asynq.NewInspectorFromRedisClient(s.Client(t)).ArchiveTask(replayed.Queue, replayed.TaskID); err != nil {
			t.Fatal(err)
		}
		endEdit(t, s, replayed.TaskID)
		if r := client.Replay(t.Context(), again); r.Outcome != tasks.AlreadyThere {
			t.Fatalf("%+v", r)
		}
		if ids := destinations(t, s); len(ids) != 0 {
			t.Errorf("%v keep places", ids)
		}
	})
}

// endEdit does what a worker does at the end of an edit.
func endEdit(t *testing.T, s *redistest.Server, id string) {
	t.Helper()
	target, _ := kinds.Change(edit("u1"), "lakeside")
	if err := ledger.New(s.Client(t)).Close(t.Context(), target, id, ledger.Row{}); err != nil {
		t.Fatal(err)
	}
}

// redisAnswers replaces a part of a value in Redis.
func redisAnswers(t *testing.T, s *redistest.Server, key, was, is string) {
	t.Helper()
	rdb := s.Client(t)
	record := strings.Replace(rdb.Get(t.Context(), key).Val(), was, is, 1)
	if !strings.Contains(record, is) {
		t.Fatalf("%s reads %s", key, record)
	}
	if err := rdb.Set(t.Context(), key, record, redis.KeepTTL).Err(); err != nil {
		t.Fatal(err)
	}
}

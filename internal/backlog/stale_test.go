package backlog_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"

	"rollcall/internal/backlog"
	"rollcall/internal/redistest"
)

// inState enqueues tasks in queue q and moves them to the state that a test needs.
func inState(t *testing.T, client *asynq.Client, inspector *asynq.Inspector, state string, ids ...string) {
	t.Helper()
	for _, id := range ids {
		options := []asynq.Option{asynq.Queue("q"), asynq.TaskID(id), asynq.Retention(time.Hour)}
		if state == "scheduled" {
			options = append(options, asynq.ProcessIn(time.Hour))
		}
		if _, err := client.EnqueueContext(t.Context(), asynq.NewTask("test", nil), options...); err != nil {
			t.Fatal(err)
		}
		if state == "archived" {
			if err := inspector.ArchiveTask("q", id); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestIDsWithoutATaskAreRemoved(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		client, inspector := asynq.NewClientFromRedisClient(rdb), asynq.NewInspectorFromRedisClient(rdb)
		want := map[string][]string{}
		for _, state := range []string{"pending", "scheduled", "archived"} {
			inState(t, client, inspector, state, state+"-1", state+"-2")
			want[state] = []string{state + "-1"}
		}
		for _, state := range []string{"retry", "completed"} { // as asynq's processor does
			want[state] = []string{state + "-1"}
			for _, id := range []string{state + "-1", state + "-2"} {
				inState(t, client, inspector, "scheduled", id)
				if err := rdb.HSet(t.Context(), backlog.Key("q", "t:"+id), "state", state).Err(); err != nil {
					t.Fatal(err)
				}
				move(t, s, "scheduled", state, id)
			}
		}
		if s.Mini == nil { // asynqmon's page of queues
			wantInfo(t, inspector, true)
		}
		for _, ids := range want {
			if err := rdb.Del(t.Context(), backlog.Key("q", "t:"+ids[0])).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if s.Mini == nil {
			wantInfo(t, inspector, false)
		}
		found := backlog.RemoveStale(t.Context(), rdb, []string{"q", "empty"}, []int64{0, 0})
		if diff := cmp.Diff([]backlog.Stale{{Tasks: want}, {}}, found); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if s.Mini == nil {
			wantInfo(t, inspector, true)
		}
		again := backlog.RemoveStale(t.Context(), rdb, []string{"q"}, []int64{0})
		if diff := cmp.Diff([]backlog.Stale{{}}, again); diff != "" {
			t.Errorf("once more, -want +got:\n%s", diff)
		}
		for state := range want {
			if state, err := backlog.State(t.Context(), rdb, "q", state+"-2"); state == "" || err != nil {
				t.Errorf("an existing task: %q, %v", state, err)
			}
		}
	})
}

// move moves an id from one sorted set to another.
func move(t *testing.T, s *redistest.Server, from, to, id string) {
	t.Helper()
	rdb := s.Client(t)
	if err := rdb.ZRem(t.Context(), backlog.Key("q", from), id).Err(); err != nil {
		t.Fatal(err)
	}
	if err := rdb.Do(t.Context(), "zadd", backlog.Key("q", to), 1e10, id).Err(); err != nil {
		t.Fatal(err)
	}
}

// wantInfo checks whether asynqmon can show a queue: one id without a task prevents
// that.
func wantInfo(t *testing.T, inspector *asynq.Inspector, want bool) {
	t.Helper()
	if _, err := inspector.GetQueueInfo("q"); (err == nil) != want {
		t.Errorf("asynqmon can show the queue: %t (%v), want %t", err == nil, err, want)
	}
}

// Long lists are searched in steps. Their heads, which asynq samples, are checked in
// every step.
func TestLongListsAreSearchedInSteps(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		client, inspector := asynq.NewClientFromRedisClient(rdb), asynq.NewInspectorFromRedisClient(rdb)
		var ids []string
		for i := range 250 {
			ids = append(ids, fmt.Sprintf("%03d", i))
		}
		inState(t, client, inspector, "scheduled", ids...)
		gone := func(id string) {
			if err := rdb.Del(t.Context(), backlog.Key("q", "t:"+id)).Err(); err != nil {
				t.Fatal(err)
			}
		}
		listed := rdb.ZRange(t.Context(), backlog.Key("q", "scheduled"), 0, -1).Val()
		gone(listed[240])
		next, removed, steps := int64(0), []string(nil), 0
		for steps == 0 || next > 0 {
			found := backlog.RemoveStale(t.Context(), rdb, []string{"q"}, []int64{next})[0]
			if found.Err != nil {
				t.Fatal(found.Err)
			}
			removed, next = append(removed, found.Tasks["scheduled"]...), found.Next
			if steps++; steps == 1 {
				gone(listed[3])
			}
		}
		if diff := cmp.Diff([]string{listed[3], listed[240]}, removed); diff != "" || steps != 3 {
			t.Errorf("in %d steps, -want +got:\n%s", steps, diff)
		}
	})
}

func TestAQueueThatCannotBeSearchedDoesNotAffectOthers(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		client, inspector := asynq.NewClientFromRedisClient(rdb), asynq.NewInspectorFromRedisClient(rdb)
		inState(t, client, inspector, "scheduled", "a")
		if err := rdb.Del(t.Context(), backlog.Key("q", "t:a")).Err(); err != nil {
			t.Fatal(err)
		}
		if err := rdb.Set(t.Context(), backlog.Key("damaged", "pending"), "text", 0).Err(); err != nil {
			t.Fatal(err)
		}
		found := backlog.RemoveStale(t.Context(), rdb, []string{"damaged", "q"}, []int64{7, 0})
		if found[0].Err == nil || found[0].Next != 7 || len(found[1].Tasks["scheduled"]) != 1 {
			t.Errorf("%+v", found)
		}
	})
}

package sweep_test

import (
	"errors"
	"testing"
	"time"

	"rollcall/internal/backlog"
	"rollcall/internal/lane"
	"rollcall/internal/lanetest"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
)

func TestIDsOfDeletedTasksAreRemovedFromEveryList(t *testing.T) {
	if testing.Short() {
		t.Skip("waits half a minute for asynq: make test-long")
	}
	t.Parallel()
	s := redistest.Real(t)
	r := newRig(t, s)
	r.Add(lane.Config{Limits: []pace.Limit{{Calls: 1000, Per: time.Second}}}, nothing)
	for _, state := range []string{"pending", "scheduled", "retry", "archived", "completed", "active"} {
		key := backlog.Key(nicknames, state)
		if state == "pending" || state == "active" {
			r.Do("lpush", key, "deleted-"+state)
		} else {
			r.Do("zadd", key, 4e9, "deleted-"+state)
		}
	}
	r.Put(nicknames, "")
	if _, err := r.Inspector.GetQueueInfo(nicknames); err == nil {
		t.Fatal("asynqmon can show the queue, so the test proves nothing")
	}
	r.Start()
	r.SweepOn()
	lanetest.Eventually(t, func() error {
		_, err := r.Inspector.GetQueueInfo(nicknames)
		if err == nil && r.Redis.LLen(t.Context(), backlog.Key(nicknames, "active")).Val() > 0 {
			err = errors.New("an id without a task is still active")
		}
		return err
	})
	r.Logs("ids without a task removed from a queue")
}

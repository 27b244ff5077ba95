package metrics_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/backlog"
	"rollcall/internal/metrics"
	"rollcall/internal/redistest"
)

// A test of internal/backlog checks that asynq counts the same.
func TestALanesQueuesAreMeasuredByPriorityAndState(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		ctx, rdb := t.Context(), s.Client(t)
		hour := time.Now().Add(-time.Hour).UnixNano()
		err := errors.Join(
			rdb.LPush(ctx, backlog.Key(laneName, "pending"), "waits").Err(),
			rdb.HSet(ctx, backlog.Key(laneName, "t:waits"), "pending_since", hour).Err(),
			rdb.LPush(ctx, backlog.Key(laneName, "active"), 1, 2).Err(),
			rdb.Set(ctx, backlog.Key(laneName, "paused"), 1, 0).Err(),
			rdb.LPush(ctx, backlog.Key(laneName+".urgent", "active"), 1).Err(),
		)
		for n, state := range []string{3: "scheduled", 4: "retry", 5: "archived", 6: "completed"} {
			for i := range n {
				err = errors.Join(err, rdb.ZAdd(ctx, backlog.Key(laneName, state), redis.Z{Member: i}).Err())
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		m := measured(t, s, metrics.Config{})
		for n, state := range []string{1: "pending", 2: "active", 3: "scheduled", 4: "retry", 5: "archived", 6: "completed"} {
			if state != "" {
				expect(t, m, fmt.Sprintf(`rollcall_queue_tasks{lane=%q,priority="normal",state=%q} %d`, laneName, state, n))
			}
		}
		expect(t, m, `
			rollcall_queue_tasks{lane="lakeside-dt.nickname",priority="urgent",state="pending"} 0
			rollcall_queue_tasks{lane="lakeside-dt.nickname",priority="urgent",state="active"} 1
			rollcall_queue_oldest_pending_seconds{lane="lakeside-dt.nickname",priority="urgent"} 0
			rollcall_queue_paused{lane="lakeside-dt.nickname",priority="normal"} 1
			rollcall_queue_paused{lane="lakeside-dt.nickname",priority="urgent"} 0
			rollcall_queues_read 1
		`)
		if age := oldest(t, m); age < time.Hour || age > 2*time.Hour {
			t.Errorf("the oldest task is %s old, want an hour", age)
		}
	})
}

func TestWithoutRedisTheRestIsAnswered(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		m := measured(t, s, metrics.Config{})
		s.Stop(t)
		expect(t, m, `
			rollcall_queues_read 0
			rollcall_sends_total{lane="lakeside-dt.nickname"} 0
		`, "rollcall_queue_tasks{", "rollcall_queue_oldest_pending_seconds{")
		s.Start(t)
	})
}

func oldest(t *testing.T, m *metrics.Metrics) time.Duration {
	t.Helper()
	seconds := value(t, m, `rollcall_queue_oldest_pending_seconds{lane="lakeside-dt.nickname",priority="normal"}`)
	return time.Duration(seconds * float64(time.Second))
}

// value returns the value of one series.
func value(t *testing.T, m *metrics.Metrics, series string) float64 {
	t.Helper()
	_, body := scrape(t, m)
	_, rest, found := strings.Cut(body, "\n"+series+" ")
	text, _, _ := strings.Cut(rest, "\n")
	v, err := strconv.ParseFloat(text, 64)
	if !found || err != nil {
		t.Fatalf("%s is %q: %v", series, text, err)
	}
	return v
}

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

func TestAsynqsInspectorReadsEntriesAndTheirHistory(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		inspector := asynq.NewInspectorFromRedisClient(rdb)
		next, prev := time.Unix(1_790_000_000, 0), time.Unix(1_780_000_000, 0)
		night := backlog.Entry{
			ID: "night", Spec: "CRON_TZ=Asia/Shanghai 30 2 * * *", Type: "schedule:tick", Payload: []byte(`{"v":1}`),
			Options: []string{asynq.Queue("q").String(), asynq.MaxRetry(3).String()}, Next: next, Prev: prev,
		}
		other := backlog.Entry{ID: "often", Spec: "@every 1s", Type: "schedule:tick", Next: next}
		for _, entries := range [][]backlog.Entry{{other}, {night, other}} { // the second replaces the first
			if err := backlog.ShowEntries(t.Context(), rdb, "leader", entries, time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		got, err := inspector.SchedulerEntries()
		if err != nil || len(got) != 2 {
			t.Fatalf("%d entries, %v; want two", len(got), err)
		}
		type entry struct {
			id, spec, kind, payload, options string
			next, prev                       time.Time
		}
		want := entry{"night", night.Spec, night.Type, `{"v":1}`, `[Queue("q") MaxRetry(3)]`, next.UTC(), prev.UTC()}
		e := got[0]
		seen := entry{e.ID, e.Spec, e.Task.Type(), string(e.Task.Payload()), fmt.Sprint(e.Opts), e.Next.UTC(), e.Prev.UTC()}
		if diff := cmp.Diff(want, seen, cmp.AllowUnexported(entry{})); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if !got[1].Prev.IsZero() {
			t.Errorf("an entry that was never enqueued: last at %s", got[1].Prev)
		}

		for i := range 1002 {
			if err := backlog.RecordTick(t.Context(), rdb, "night", fmt.Sprint("night@", i), prev.Add(time.Duration(i)*time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		events, err := inspector.ListSchedulerEnqueueEvents("night", asynq.PageSize(2000))
		if err != nil || len(events) != 1000 || events[0].TaskID != "night@1001" || !events[0].EnqueuedAt.Equal(prev.Add(1001*time.Second)) {
			t.Errorf("%d events, %v; want the last 1000, the newest first", len(events), err)
		}

		if err := backlog.HideEntries(t.Context(), rdb, "leader"); err != nil {
			t.Fatal(err)
		}
		if got, err := inspector.SchedulerEntries(); err != nil || len(got) != 0 {
			t.Errorf("%d entries, %v; want none", len(got), err)
		}
	})
}

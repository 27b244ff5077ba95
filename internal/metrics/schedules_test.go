package metrics_test

import (
	"testing"

	"rollcall/internal/metrics"
	"rollcall/internal/redistest"
	"rollcall/internal/schedule"
)

// plan writes an entry as the worker that leads does, with the state of its last tick; empty: none.
func plan(t *testing.T, s *redistest.Server, name string, last schedule.State) {
	t.Helper()
	rdb, tick := s.Client(t), name+"@2026-11-29T18:30:00Z"
	commands := [][]any{{"HSET", "rollcall:{schedule}:entries", name, `{"cron":"30 2 * * *","zone":"Asia/Shanghai","overlap":"queue","window":3600}`}}
	if last != "" {
		commands = append(commands, []any{"HSET", "rollcall:{schedule}:ticks:" + name, tick + ":state", string(last)},
			[]any{"ZADD", "rollcall:{schedule}:history:" + name, 1, tick})
	}
	for _, c := range commands {
		if err := rdb.Do(t.Context(), c...).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestASchedulesLastTimeIsInTroubleIfItWasMissedOrFailed(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		expect(t, measured(t, s, metrics.Config{}), "rollcall_schedules_read 1", "rollcall_schedule_trouble")
		plan(t, s, "new", "")
		plan(t, s, "well", schedule.Done)
		plan(t, s, "late", schedule.Missed)
		plan(t, s, "broken", schedule.Failed)
		plan(t, s, "resting", schedule.Failed)
		if _, err := schedule.NewStore(s.Client(t)).Pause(t.Context(), "resting", "ann", "holidays"); err != nil {
			t.Fatal(err)
		}
		expect(t, measured(t, s, metrics.Config{}), `
			rollcall_schedule_trouble{schedule="new",state="missed"} 0
			rollcall_schedule_trouble{schedule="well",state="failed"} 0
			rollcall_schedule_trouble{schedule="late",state="missed"} 1
			rollcall_schedule_trouble{schedule="late",state="failed"} 0
			rollcall_schedule_trouble{schedule="broken",state="failed"} 1
			rollcall_schedule_trouble{schedule="resting",state="failed"} 0
		`)
		s.Stop(t)
		expect(t, measured(t, s, metrics.Config{}), "rollcall_schedules_read 0", "rollcall_schedule_trouble")
		s.Start(t)
	})
}

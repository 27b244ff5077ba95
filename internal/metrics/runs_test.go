package metrics_test

import (
	"fmt"
	"testing"
	"time"

	"rollcall/internal/ledger"
	"rollcall/internal/metrics"
	"rollcall/internal/redistest"
	"rollcall/internal/registry"
	"rollcall/internal/run"
	"rollcall/tasks"
)

func TestRunsAreCountedByStateWithTheirWaitingRows(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(t)
		lanes := []registry.Lane{{Organisation: "lakeside", Tenant: "lakeside-dt", Kind: tasks.KindNickname}}
		if err := registry.Publish(t.Context(), rdb, lanes); err != nil {
			t.Fatal(err)
		}
		service := run.New(run.Config{Redis: rdb, Ledger: ledger.New(rdb)})
		made := func(rows int) run.Run {
			t.Helper()
			r, err := service.Create(t.Context(), run.Draft{})
			if err != nil {
				t.Fatal(err)
			}
			var all []run.Row
			for i := range rows {
				all = append(all, run.Row{Request: tasks.Request{Task: tasks.NicknameSync{
					Tenant: "lakeside-dt", ChatID: "c", UserID: fmt.Sprint("u", i), Nickname: fmt.Sprint("Name ", i),
				}}})
			}
			if _, err := service.Add(t.Context(), r.ID, 0, all); err != nil {
				t.Fatal(err)
			}
			if _, err := service.Seal(t.Context(), r.ID, rows); err != nil {
				t.Fatal(err)
			}
			if r, err = service.Plan(t.Context(), r.ID, nil); err != nil {
				t.Fatal(err)
			}
			return r
		}
		expect(t, measured(t, s, metrics.Config{}), `
			rollcall_runs{state="applying"} 0
			rollcall_run_rows_waiting 0
			rollcall_run_oldest_waiting_seconds 0
			rollcall_run_rows_fed_total{lane="lakeside-dt.nickname"} 0
			rollcall_runs_read 1
		`, `rollcall_runs{state="done"}`)
		made(1)
		rejected := made(1)
		if _, err := service.Reject(t.Context(), rejected.ID, "ann", ""); err != nil {
			t.Fatal(err)
		}
		for _, rows := range []int{5, 7} {
			r := made(rows)
			if _, err := service.Apply(t.Context(), r.ID, r.Plan.Digest, "ann"); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(time.Millisecond) // the age is more than 0
		m := measured(t, s, metrics.Config{})
		m.Fed(laneName, 3)
		expect(t, m, `
			rollcall_runs{state="planned"} 1
			rollcall_runs{state="canary"} 2
			rollcall_run_rows_waiting 12
			rollcall_run_rows_fed_total{lane="lakeside-dt.nickname"} 3
		`, "rollcall_run_oldest_waiting_seconds 0\n")
	})
}

func TestWithoutRedisNoRunsAreCounted(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		m := measured(t, s, metrics.Config{})
		s.Stop(t)
		expect(t, m, `
			rollcall_runs_read 0
		`, "rollcall_runs{", "rollcall_run_rows_waiting")
		s.Start(t)
	})
}

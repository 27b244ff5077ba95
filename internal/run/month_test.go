package run_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"rollcall/internal/enqueue"
	"rollcall/internal/kinds"
	"rollcall/internal/ledger"
	"rollcall/internal/pace"
	"rollcall/internal/redistest"
	"rollcall/internal/registry"
	"rollcall/internal/run"
	"rollcall/tasks"
)

// The month of the simulation: calls of a night, and of a run. A tenth of those of a
// school, so that the test takes a second.
const (
	nightly      = 17
	monthQuota   = 500
	monthReserve = 10
)

// TestTheForecastOfAMonthIsRightWithinADay simulates a month by Redis' clock: a schedule
// every night, one to three runs, and at noon of each day from the last run on a plan,
// which forecasts when the calls run out. Until then nothing happens that a forecast
// could not know.
func TestTheForecastOfAMonthIsRightWithinADay(t *testing.T) {
	t.Parallel()
	all := []struct{ day, rows int }{{3, 60}, {9, 50}, {17, 70}}
	for n := range all {
		if testing.Short() && n != 1 {
			continue
		}
		t.Run(fmt.Sprintf("after %d runs", n+1), func(t *testing.T) {
			t.Parallel()
			m := newMonth(t)
			last := all[n].day
			forecasts := map[int]time.Time{} // by day
			var out time.Time
			for day := 1; out.IsZero(); day++ {
				if day > 30 {
					t.Fatal("the month is enough: the test shows nothing")
				}
				if m.at(day, 2); !m.spend(nightly) {
					out = m.now
					break
				}
				m.at(day, 10)
				for _, r := range all[:n+1] {
					if r.day == day {
						forecasts[-day] = m.carryOut(m.plan(day, r.rows))
					}
				}
				m.at(day, 12)
				if forecast := m.plan(100+day, 1).Plan.Costs[0].RunsOut; day >= last {
					forecasts[day] = forecast
				}
			}
			for day, forecast := range forecasts {
				if day < 0 && -day != last {
					continue // the plan of an earlier run
				}
				if off := forecast.Sub(out).Abs(); off > 24*time.Hour {
					t.Errorf("the forecast of day %d is %s, and the calls ran out at %s", max(day, -day), forecast.In(m.zone), out)
				}
			}
		})
	}
}

// month is a month of an organisation, by a clock that a test sets.
type month struct {
	t       *testing.T
	server  *redistest.Server
	rdb     redis.UniversalClient
	zone    *time.Location
	now     time.Time
	ledger  *ledger.Ledger
	service *run.Service
	feeder  *run.Feeder
}

func newMonth(t *testing.T) *month {
	t.Helper()
	s := redistest.Mini(t)
	m := &month{t: t, server: s, rdb: s.Client(t), zone: time.FixedZone("Asia/Shanghai", 8*3600)}
	m.at(1, 0)
	m.ledger = ledger.New(m.rdb)
	if err := registry.Publish(t.Context(), m.rdb, []registry.Lane{{Organisation: organisation, Tenant: tenant, Kind: tasks.KindNickname}}); err != nil {
		t.Fatal(err)
	}
	producer, err := enqueue.New(enqueue.Config{Redis: &redis.UniversalOptions{Addrs: []string{s.Addr}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = producer.Close() })
	m.service = run.New(run.Config{Redis: m.rdb, Ledger: m.ledger, Now: func() time.Time { return m.now }})
	m.feeder = run.NewFeeder(run.FeederConfig{Service: m.service, Producer: producer})
	m.spend(0)
	return m
}

// at sets the clock to an hour of a day of the month, which is over: a registry entry of
// the real time is not out of date then.
func (m *month) at(day, hour int) {
	m.now = time.Date(2025, 11, day, hour, 0, 0, 0, m.zone)
	m.server.Mini.SetTime(m.now)
}

// spend books calls, as a lane does that sends them, and reports whether the month had as
// many.
func (m *month) spend(calls int) bool {
	m.t.Helper()
	lane := pace.New(m.rdb, pace.Config{
		Organisation: organisation, Name: nicknameQueue, Limits: []pace.Limit{{Calls: 1_000_000, Per: time.Second}},
		Metered: true, Quota: pace.Quota{Calls: monthQuota, Reserve: monthReserve},
	})
	defer lane.Close()
	if err := lane.Open(m.t.Context()); err != nil {
		m.t.Fatal(err)
	}
	var group errgroup.Group // senders that wait together share a round trip
	for range calls {
		group.Go(func() error { _, err := lane.Wait(m.t.Context(), false); return err })
	}
	err := group.Wait()
	if err != nil && !is[*pace.SpentError](err) {
		m.t.Fatal(err)
	}
	return err == nil
}

// plan plans a run for users who have no name yet.
func (m *month) plan(chat, rows int) run.Run {
	m.t.Helper()
	r := &rig{t: m.t, service: m.service}
	all := make([]run.Row, rows)
	for i := range all {
		all[i] = run.Row{Request: tasks.Request{Task: tasks.NicknameSync{
			Tenant: tenant, ChatID: fmt.Sprintf("chat%d", chat), UserID: fmt.Sprintf("u%d", i), Nickname: fmt.Sprintf("n%d", i),
		}}}
	}
	draft := free()
	draft.Settings.Canary = -1
	return r.plan(draft, all)
}

// carryOut applies a plan, and spends and settles all its calls within the hour. It
// returns the forecast of the plan.
func (m *month) carryOut(p run.Run) (forecast time.Time) {
	m.t.Helper()
	r := &rig{t: m.t, service: m.service}
	ctx := m.t.Context()
	r.must(m.service.Apply(ctx, p.ID, p.Plan.Digest, "ann"))
	inspector := asynq.NewInspectorFromRedisClient(m.rdb)
	for range 3 { // feeds, and ends
		r.turn(m.feeder, p.ID)
		pending, err := inspector.ListPendingTasks(nicknameQueue, asynq.PageSize(1000))
		if err != nil {
			m.t.Fatal(err)
		}
		for _, info := range pending {
			m.settle(info)
			// On a machine that stands still the answer may be lost, and the command repeated.
			if err := inspector.DeleteTask(nicknameQueue, info.ID); err != nil && !errors.Is(err, asynq.ErrTaskNotFound) {
				m.t.Fatal(err)
			}
		}
		if !m.spend(len(pending)) {
			m.t.Fatal("the month had not enough for the run")
		}
	}
	if done := r.must(m.service.Get(ctx, p.ID)); done.State != run.StateDone {
		m.t.Fatalf("the run is %s: %s", done.State, done.Progress)
	}
	return p.Plan.Costs[0].RunsOut
}

// settle carries out the task of a row.
func (m *month) settle(info *asynq.TaskInfo) {
	m.t.Helper()
	ctx := m.t.Context()
	name, row := kinds.RunOf(info.Headers)
	task, meta, err := kinds.Decode(info.Type, info.Payload)
	if err != nil {
		m.t.Fatal(err)
	}
	target, fields := kinds.Change(task, organisation)
	lease, _, err := m.ledger.Begin(ctx, ledger.Delivery{
		TaskID: info.ID, Target: target, Revision: meta.Revision, Fields: fields, Row: ledger.Row{Tenant: tenant, Run: name, Row: row},
	})
	if err != nil || lease == nil {
		m.t.Fatal(lease, err)
	}
	if err := lease.Check(ctx); err != nil {
		m.t.Fatal(err)
	}
	if err := lease.Settle(ctx, "request", false, nil); err != nil {
		m.t.Fatal(err)
	}
}

package metrics_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"rollcall/internal/buildinfo"
	"rollcall/internal/handler"
	"rollcall/internal/hold"
	"rollcall/internal/lane"
	"rollcall/internal/ledger"
	"rollcall/internal/metrics"
	"rollcall/internal/outcome"
	"rollcall/internal/pace"
	"rollcall/internal/redisdb"
	"rollcall/internal/redistest"
	"rollcall/providers"
	"rollcall/providers/classin"
	"rollcall/providers/dingtalk"
	"rollcall/tasks"
)

func TestMain(m *testing.M) { redistest.Main(m) }

const laneName = "lakeside-dt.nickname"

// school is the configuration of the only lane in most tests.
func school() lane.Config {
	return lane.Config{
		Organisation: "lakeside", Tenant: "lakeside-dt", Platform: "dingtalk", Kind: tasks.KindNickname,
		Limits: []pace.Limit{{Calls: 20, Per: time.Second}}, Timeout: time.Second,
		Metered: true, Quota: pace.Quota{Calls: 5000, Reserve: 500, Warn: 4000},
	}
}

// measured returns the metrics of a process with lanes that take no task; by default
// the lane of school.
func measured(t *testing.T, s *redistest.Server, c metrics.Config, lanes ...lane.Config) *metrics.Metrics {
	t.Helper()
	rdb := s.Client(t)
	set := lane.NewSet(rdb, redisdb.NewAutopipeline(rdb), ledger.New(rdb), "worker-1", slog.New(slog.DiscardHandler))
	if len(lanes) == 0 {
		lanes = []lane.Config{school()}
	}
	for _, l := range lanes {
		set.Add(l, nil)
	}
	c.Lanes, c.Redis = set.Lanes(), rdb
	c.Codes = append(dingtalk.Codes(), classin.Codes()...)
	return metrics.New(c)
}

// attempt returns an attempt as a lane reports it.
func attempt(action outcome.Action, class outcome.Class, err error, report handler.Report) lane.Attempt {
	return lane.Attempt{
		Lane: laneName, Verdict: lane.Verdict{Action: action, Class: class, Err: err},
		Report: report, Start: enqueued.Add(90 * time.Second), Took: 2 * time.Second,
	}
}

var enqueued = time.Date(2026, 9, 1, 2, 0, 0, 0, time.UTC)

func answer(code string, status int) error {
	return &providers.Error{Platform: "dingtalk", API: "updategroupnick", Code: code, HTTPStatus: status}
}

func expect(t *testing.T, m *metrics.Metrics, lines string, names ...string) {
	t.Helper()
	status, body := scrape(t, m)
	if status != http.StatusOK {
		t.Fatalf("/metrics answered %d", status)
	}
	for line := range strings.Lines(lines) {
		if line = strings.TrimSpace(line); line != "" && !strings.Contains(body, "\n"+line+"\n") {
			var near []string
			name, _, _ := strings.Cut(line, "{")
			for got := range strings.Lines(body) {
				if strings.HasPrefix(got, name) {
					near = append(near, got)
				}
			}
			t.Errorf("%s is missing; there is\n%s", line, strings.Join(near, ""))
		}
	}
	for _, name := range names {
		if strings.Contains(body, "\n"+name) {
			t.Errorf("%s is there", name)
		}
	}
}

func scrape(t *testing.T, m *metrics.Metrics) (status int, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	return w.Code, w.Body.String()
}

func TestTheVersionIsMeasured(t *testing.T) {
	t.Parallel()
	_, body := scrape(t, measured(t, redistest.One(t), metrics.Config{}))
	info := buildinfo.Read()
	want := fmt.Sprintf("rollcall_build_info{goversion=%q,revision=%q,version=%q} 1\n", info.Go, info.Revision, info.Version)
	if !strings.Contains(body, want) {
		t.Errorf("/metrics lacks %s", want)
	}
}

func TestAnAttemptIsCountedOnceInEachSense(t *testing.T) {
	t.Parallel()
	m := measured(t, redistest.One(t), metrics.Config{})
	rev := enqueued.UnixMicro()
	m.Attempt(attempt(outcome.Done, "", nil, handler.Report{
		Outcome: handler.Applied, Sends: 2, Revision: rev, SlotWait: 300 * time.Millisecond, Call: time.Second,
	}))
	m.Attempt(attempt(outcome.Done, "", nil, handler.Report{Outcome: handler.Unchanged, Revision: rev}))
	m.Attempt(attempt(outcome.Retry, outcome.Throttled, answer("90018", 200), handler.Report{Sends: 1, Revision: rev}))
	m.Attempt(attempt(outcome.Dead, outcome.Rejected, answer("60124", 200), handler.Report{Sends: 1, Revision: rev}))
	m.Attempt(attempt(outcome.Dead, outcome.Malformed, errors.New("no task"), handler.Report{}))
	m.Recovered(laneName)
	m.DiedOutsideAttempt(laneName, outcome.Poison)
	m.DiedOutsideAttempt(laneName, outcome.Vanished)
	m.Closed(laneName, outcome.Rejected)
	m.Unserved(2, 40)
	m.Unserved(1, 30)
	m.Late(laneName, 3)
	m.Late(laneName, 2)
	m.Resent(attempt(outcome.Done, "", nil, handler.Report{Outcome: handler.Applied, Sends: 1, Revision: rev}))
	m.Resent(attempt(outcome.Retry, outcome.Quota, nil, handler.Report{Revision: rev}))

	expect(t, m, `
		rollcall_late_targets{lane="lakeside-dt.nickname"} 2
		rollcall_resends_total{action="done",class="",lane="lakeside-dt.nickname"} 1
		rollcall_resends_total{action="retry",class="quota",lane="lakeside-dt.nickname"} 1
		rollcall_tasks_total{class="",lane="lakeside-dt.nickname",outcome="applied"} 1
		rollcall_tasks_total{class="",lane="lakeside-dt.nickname",outcome="unchanged"} 1
		rollcall_tasks_total{class="rejected",lane="lakeside-dt.nickname",outcome="dead"} 1
		rollcall_tasks_total{class="malformed",lane="lakeside-dt.nickname",outcome="dead"} 1
		rollcall_tasks_total{class="poison",lane="lakeside-dt.nickname",outcome="dead"} 1
		rollcall_tasks_total{class="vanished",lane="lakeside-dt.nickname",outcome="dead"} 1
		rollcall_tasks_total{class="archived",lane="lakeside-dt.nickname",outcome="dead"} 0
		rollcall_attempts_total{action="dead",class="poison",lane="lakeside-dt.nickname"} 0
		rollcall_dead_letters_closed_total{class="rejected",lane="lakeside-dt.nickname"} 1
		rollcall_unserved_queues 1
		rollcall_unserved_tasks 30
		rollcall_attempts_total{action="done",class="",lane="lakeside-dt.nickname"} 2
		rollcall_attempts_total{action="retry",class="throttled",lane="lakeside-dt.nickname"} 1
		rollcall_attempts_total{action="dead",class="rejected",lane="lakeside-dt.nickname"} 1
		rollcall_sends_total{lane="lakeside-dt.nickname"} 5
		rollcall_calls_total{code="ok",lane="lakeside-dt.nickname"} 2
		rollcall_calls_total{code="90018",lane="lakeside-dt.nickname"} 1
		rollcall_calls_total{code="60124",lane="lakeside-dt.nickname"} 1
		rollcall_tasks_recovered_total{lane="lakeside-dt.nickname"} 1
		rollcall_slot_wait_seconds_sum{lane="lakeside-dt.nickname"} 0.3
		rollcall_call_duration_seconds_sum{lane="lakeside-dt.nickname"} 1
		rollcall_call_duration_seconds_count{lane="lakeside-dt.nickname"} 4
		rollcall_attempt_duration_seconds_sum{lane="lakeside-dt.nickname"} 10
		rollcall_task_wait_seconds_sum{lane="lakeside-dt.nickname"} 270
		rollcall_task_wait_seconds_count{lane="lakeside-dt.nickname"} 3
		rollcall_task_duration_seconds_sum{lane="lakeside-dt.nickname"} 276
	`)
}

// The wait before a task's first attempt shows how far the lane is behind. Later
// attempts wait on purpose.
func TestOnlyTheFirstCountedAttemptMeasuresHowLongATaskWaited(t *testing.T) {
	t.Parallel()
	m := measured(t, redistest.One(t), metrics.Config{})
	report := handler.Report{Revision: enqueued.UnixMicro()}
	uncounted := attempt(outcome.Retry, outcome.Held, errors.New("held"), report)
	counted := attempt(outcome.Retry, outcome.Busy, errors.New("busy"), report)
	counted.Verdict.Counted = true
	second := attempt(outcome.Done, "", nil, report)
	second.Retried = 1
	for _, a := range []lane.Attempt{uncounted, uncounted, counted, second} {
		m.Attempt(a)
	}
	expect(t, m, `
		rollcall_task_wait_seconds_count{lane="lakeside-dt.nickname"} 1
		rollcall_task_duration_seconds_count{lane="lakeside-dt.nickname"} 1
	`)
}

// If this machine's clock is behind Redis' clock, times must not become negative.
func TestAWaitIsNeverNegative(t *testing.T) {
	t.Parallel()
	m := measured(t, redistest.One(t), metrics.Config{})
	m.Attempt(attempt(outcome.Done, "", nil, handler.Report{Revision: enqueued.Add(time.Hour).UnixMicro()}))
	expect(t, m, `rollcall_task_wait_seconds_sum{lane="lakeside-dt.nickname"} 0`)
}

func TestAnUnknownCodeCreatesNoNewSeries(t *testing.T) {
	t.Parallel()
	m := measured(t, redistest.One(t), metrics.Config{})
	for _, err := range []error{
		answer("Zoë Brontë", 400), answer("made.up.1", 400), answer("made.up.2", 400),
		errors.New("redis unavailable"), // the call was made but the settle failed
		answer("", 503), answer("", 502), answer("", 999), answer("", 0),
		answer("INCORRECT.reserved", 400), // the label has the table's spelling
		answer("*", 200),
	} {
		m.Attempt(attempt(outcome.Retry, outcome.Busy, err, handler.Report{Sends: 1}))
	}
	expect(t, m, `
		rollcall_calls_total{code="other",lane="lakeside-dt.nickname"} 5
		rollcall_calls_total{code="http_5xx",lane="lakeside-dt.nickname"} 2
		rollcall_calls_total{code="no_answer",lane="lakeside-dt.nickname"} 2
		rollcall_calls_total{code="incorrect.reserved",lane="lakeside-dt.nickname"} 1
	`)
}

// A counter that an alert uses exists before the first event: Prometheus does not see
// an increase from a missing series.
func TestCountersStartAtZero(t *testing.T) {
	t.Parallel()
	m := measured(t, redistest.One(t), metrics.Config{})
	expect(t, m, `
		rollcall_tasks_total{class="unverified",lane="lakeside-dt.nickname",outcome="dead"} 0
		rollcall_tasks_total{class="busy",lane="lakeside-dt.nickname",outcome="dead"} 0
		rollcall_attempts_total{action="retry",class="throttled",lane="lakeside-dt.nickname"} 0
		rollcall_attempts_total{action="dead",class="busy",lane="lakeside-dt.nickname"} 0
		rollcall_lane_held{class="quota",lane="lakeside-dt.nickname"} 0
		rollcall_lane_held{class="refused",lane="lakeside-dt.nickname"} 0
		rollcall_lane_held{class="operator",lane="lakeside-dt.nickname"} 0
		rollcall_hold_changes_total{change="entered",class="refused",level="tenant"} 0
		rollcall_hold_changes_total{change="left",class="failing",level="lane"} 0
		rollcall_hold_changes_total{change="entered",class="quota",level="organisation"} 0
	`, `rollcall_attempts_total{action="retry",class="rejected"`, `rollcall_tasks_total{class="throttled"`, `rollcall_lane_held{class="busy"`)
}

func TestAHoldIsCountedByScopeClassAndChange(t *testing.T) {
	t.Parallel()
	m := measured(t, redistest.One(t), metrics.Config{})
	h := hold.Hold{Scope: hold.Scope{Level: hold.Tenant, Name: "lakeside-dt"}, Class: hold.Refused}
	m.Hold(hold.Entered, h)
	m.Hold(hold.Changed, h)
	m.Hold(hold.Changed, h)
	m.Hold(hold.Left, h)
	expect(t, m, `
		rollcall_hold_changes_total{change="entered",class="refused",level="tenant"} 1
		rollcall_hold_changes_total{change="changed",class="refused",level="tenant"} 2
		rollcall_hold_changes_total{change="left",class="refused",level="tenant"} 1
		rollcall_hold_changes_total{change="entered",class="refused",level="lane"} 0
	`)
}

func TestReadinessIsMeasured(t *testing.T) {
	t.Parallel()
	s := redistest.One(t)
	expect(t, measured(t, s, metrics.Config{}), `rollcall_ready 1`)
	no := func(context.Context) error { return errors.New("not yet") }
	expect(t, measured(t, s, metrics.Config{Ready: no}), `rollcall_ready 0`)
}

func TestNamesFollowTheConventions(t *testing.T) {
	t.Parallel()
	families, err := measured(t, redistest.One(t), metrics.Config{}).Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// The registry runs each collector in a goroutine of its own, whose panic would end the
// worker.
func TestAPanicInACollectorCostsItsOwnMetricsAlone(t *testing.T) {
	t.Parallel()
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		var log bytes.Buffer
		m := measured(t, s, metrics.Config{
			Ready: func(context.Context) error { panic("not ready") }, Log: slog.New(slog.NewTextHandler(&log, nil)),
		})
		families, err := m.Gatherer().Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for _, f := range families {
			got[f.GetName()] = true
		}
		if !got["rollcall_lane_held"] || !got["rollcall_dead_letters_read"] || got["rollcall_ready"] {
			t.Errorf("collected: %v", got)
		}
		if !strings.Contains(log.String(), "panic in a scrape of metrics") {
			t.Errorf("logged: %s", log.String())
		}
	})
}

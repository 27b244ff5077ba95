// Package metrics counts what happens in the lanes, and answers Prometheus.
//
// It must not know what a task is about: nothing personal is a label or a
// value here, and every label comes from a list that the configuration or the
// code closes.
package metrics

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/buildinfo"
	"rollcall/internal/handler"
	"rollcall/internal/hold"
	"rollcall/internal/lane"
	"rollcall/providers"
)

// Dead is the outcome of a task that became a dead letter, beside those that
// the handlers report.
const Dead = "dead"

// Buckets, in seconds.
var (
	// A queue may be worked off within a second or within a night.
	ages = []float64{.1, .5, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 24 * 3600}
	// A slot comes within a second unless the lane is booked out.
	slots = []float64{.005, .025, .05, .1, .25, .5, 1, 2.5, 5, 15, 60}
	// A call ends with its timeout of at most two minutes, a few times.
	calls = []float64{.025, .05, .1, .25, .5, 1, 2.5, 5, 15, 30, 60, 120, 300}
)

// Config says what is measured.
type Config struct {
	// Lanes are all lanes of the process.
	Lanes []*lane.Lane
	// Redis holds their queues, and is asked at every scrape. The caller closes it.
	Redis redis.UniversalClient
	// Codes are the platforms' own codes that a label may show. Others are
	// "other". Patterns with a star are skipped.
	Codes []providers.Code
	// Ready tells whether the worker is ready; nil for yes. It must answer
	// within a second or two.
	Ready func(context.Context) error
}

// Metrics is a registry and what feeds it. It is a [lane.Observer].
type Metrics struct {
	registry *prometheus.Registry
	codes    map[string]string // by its lower-case form

	tasks, attempts, calls, sends, recovered, closed, holds *prometheus.CounterVec

	unservedQueues, unservedTasks prometheus.Gauge

	taskWait, slotWait, callTook, attemptTook, taskTook *prometheus.HistogramVec
}

// New returns the metrics of a process. Every counter that an alert may ask for
// begins at 0: an increase from nothing is not seen.
func New(cfg Config) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(), codes: codeLabels(cfg.Codes),

		tasks: counter("tasks_total", "Tasks that ended: how, and of dead letters why.", "lane", "outcome", "class"),
		attempts: counter("attempts_total",
			"Attempts by what became of the task and why. Class throttled: the platform refused the rate.", "lane", "action", "class"),
		calls: counter("calls_total",
			"Calls that sent something, by the code of the last answer: ok, the platform's own, http_4xx and so on for an answer without one, "+
				"no_answer, or other.", "lane", "code"),
		sends: counter("sends_total", "Metered requests that left, quick tries included.", "lane"),
		closed: counter("dead_letters_closed_total",
			"Dead letters that closed themselves, as all their fields were applied at a higher revision.", "lane", "class"),
		holds: counter("hold_changes_total",
			"Holds that began, changed their reason or ended, counted by the one worker that did it. What a person did by command is in none.",
			"level", "class", "change"),
		recovered: counter("tasks_recovered_total", "Tasks that run again because their worker was gone.", "lane"),

		unservedQueues: plain("unserved_queues",
			"Queues that hold tasks and that no worker serves, as of the last look, which comes every 30 s. Every worker says the same."),
		unservedTasks: plain("unserved_tasks", "Tasks that wait in them."),

		taskWait: histogram("task_wait_seconds",
			"From the enqueueing of a task to its first attempt that came to more than waiting. A time it was scheduled for is included.", ages),
		slotWait: histogram("slot_wait_seconds", "Time a call spent waiting for its slots, of all its sends together.", slots),
		callTook: histogram("call_duration_seconds", "Time a call took besides: sends, quick tries and a token.", calls),
		attemptTook: histogram("attempt_duration_seconds",
			"Time an attempt took: ledger, slots, call. Attempts that were turned away without a look at the platform are included.", calls),
		taskTook: histogram("task_duration_seconds", "From the enqueueing of a task to its end, retries included.", ages),
	}
	m.registry.MustRegister(
		m.tasks, m.attempts, m.calls, m.sends, m.recovered, m.closed, m.holds, m.unservedQueues, m.unservedTasks,
		m.taskWait, m.slotWait, m.callTook, m.attemptTook, m.taskTook,
		&holds{lanes: cfg.Lanes}, newQueues(cfg.Redis, cfg.Lanes), newPaces(cfg.Redis, cfg.Lanes), newDead(cfg.Redis, cfg.Lanes), &pool{redis: cfg.Redis}, readiness(cfg.Ready), build(buildinfo.Read()),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	for _, l := range cfg.Lanes {
		m.begin(l.Name())
	}
	for _, level := range []hold.Level{hold.Lane, hold.Tenant, hold.Organisation, hold.Address} {
		for _, class := range hold.Classes() {
			for _, change := range []hold.Change{hold.Entered, hold.Changed, hold.Left} {
				m.holds.WithLabelValues(string(level), string(class), string(change))
			}
		}
	}
	return m
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func plain(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help})
}

func histogram(name, help string, buckets []float64) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help, Buckets: buckets,
	}, []string{"lane"})
}

// begin sets a lane's series to 0.
func (m *Metrics) begin(name string) {
	for _, o := range []handler.Outcome{handler.Applied, handler.Unchanged, handler.Superseded, handler.Settled} {
		m.tasks.WithLabelValues(name, string(o), "")
	}
	m.attempts.WithLabelValues(name, string(lane.Done), "")
	for _, class := range lane.Classes() {
		if class.Kills() {
			m.tasks.WithLabelValues(name, Dead, string(class))
			m.attempts.WithLabelValues(name, string(lane.Dead), string(class))
		}
		if class.Retries() {
			m.attempts.WithLabelValues(name, string(lane.Retry), string(class))
		}
	}
	for _, class := range []string{lane.Archived, lane.Vanished} {
		m.tasks.WithLabelValues(name, Dead, class)
	}
	m.calls.WithLabelValues(name, codeOK)
	m.sends.WithLabelValues(name)
	m.recovered.WithLabelValues(name)
	for _, h := range []*prometheus.HistogramVec{m.taskWait, m.slotWait, m.callTook, m.attemptTook, m.taskTook} {
		h.WithLabelValues(name)
	}
}

// Gatherer gives what is measured, for tests and for those who add to it.
func (m *Metrics) Gatherer() prometheus.Gatherer { return m.registry }

// Handler answers Prometheus. What cannot be read, because Redis is away, is
// left out; the rest is answered.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4, Timeout: 10 * time.Second,
	})
}

// Recovered implements [lane.Observer].
func (m *Metrics) Recovered(name string) { m.recovered.WithLabelValues(name).Inc() }

// Condemned implements [lane.Observer].
func (m *Metrics) Condemned(name string, class lane.Class) {
	m.tasks.WithLabelValues(name, Dead, string(class)).Inc()
}

// Closed implements [lane.Observer].
func (m *Metrics) Closed(name string, class lane.Class) {
	m.closed.WithLabelValues(name, string(class)).Inc()
}

// Unserved implements [lane.Observer].
func (m *Metrics) Unserved(queues int, tasks int64) {
	m.unservedQueues.Set(float64(queues))
	m.unservedTasks.Set(float64(tasks))
}

// Hold implements [lane.Observer].
func (m *Metrics) Hold(change hold.Change, h hold.Hold) {
	m.holds.WithLabelValues(string(h.Level), string(h.Class), string(change)).Inc()
}

// Attempt implements [lane.Observer].
func (m *Metrics) Attempt(a lane.Attempt) {
	v, r := a.Verdict, a.Report
	m.attempts.WithLabelValues(a.Lane, string(v.Action), string(v.Class)).Inc()
	m.attemptTook.WithLabelValues(a.Lane).Observe(a.Took.Seconds())
	if r.Sends > 0 {
		m.sends.WithLabelValues(a.Lane).Add(float64(r.Sends))
		m.calls.WithLabelValues(a.Lane, m.code(v.Err)).Inc()
		m.slotWait.WithLabelValues(a.Lane).Observe(r.SlotWait.Seconds())
		m.callTook.WithLabelValues(a.Lane).Observe(r.Call.Seconds())
	}
	switch v.Action {
	case lane.Done:
		m.tasks.WithLabelValues(a.Lane, string(r.Outcome), "").Inc()
	case lane.Dead:
		m.tasks.WithLabelValues(a.Lane, Dead, string(v.Class)).Inc()
	case lane.Retry:
	}
	// A revision is the microsecond of Redis' clock in which the task was
	// enqueued; a task that could not be read has none.
	if r.Revision == 0 {
		return
	}
	enqueued := time.UnixMicro(r.Revision)
	if a.Retried == 0 && (v.Counted || v.Action != lane.Retry) {
		m.taskWait.WithLabelValues(a.Lane).Observe(max(a.Start.Sub(enqueued), 0).Seconds())
	}
	if v.Action != lane.Retry {
		m.taskTook.WithLabelValues(a.Lane).Observe(max(a.Start.Add(a.Took).Sub(enqueued), 0).Seconds())
	}
}

// Labels of answers that have no code of their own, or none that is known.
const (
	codeOK       = "ok"
	codeNoAnswer = "no_answer"
	codeOther    = "other"
)

func codeLabels(codes []providers.Code) map[string]string {
	known := map[string]string{}
	for _, c := range codes {
		if c.Code != "" && !strings.Contains(c.Code, "*") {
			known[strings.ToLower(c.Code)] = c.Code
		}
	}
	return known
}

// code is the label for how a call ended. What a platform invents is "other":
// a label for each would be a series for each.
func (m *Metrics) code(err error) string {
	if err == nil {
		return codeOK
	}
	e, ok := errors.AsType[*providers.Error](err)
	switch {
	case !ok:
		return codeOther // the platform said yes, and it could not be settled
	case e.Code != "":
		if known, ok := m.codes[strings.ToLower(e.Code)]; ok {
			return known
		}
		return codeOther
	case e.HTTPStatus >= 100 && e.HTTPStatus < 600:
		return fmt.Sprintf("http_%dxx", e.HTTPStatus/100)
	}
	return codeNoAnswer
}

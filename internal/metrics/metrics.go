// Package metrics counts what happens in the lanes, for Prometheus.
//
// It must not know the contents of a task: no label or value is personal, and every
// label comes from a closed list in the configuration or the code.
package metrics

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/access"
	"rollcall/internal/buildinfo"
	"rollcall/internal/handler"
	"rollcall/internal/hold"
	"rollcall/internal/lane"
	"rollcall/internal/logging"
	"rollcall/internal/outcome"
	"rollcall/internal/webhook"
	"rollcall/providers"
)

// Dead is the outcome of a task that became a dead letter, in addition to those that
// the handlers report.
const Dead = "dead"

// Buckets, in seconds.
var (
	// A queue may take from a second to a night.
	ages = []float64{.1, .5, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 24 * 3600}
	// A slot comes within a second unless the lane is booked far ahead.
	slots = []float64{.005, .025, .05, .1, .25, .5, 1, 2.5, 5, 15, 60}
	// A call ends within its timeout of at most two minutes, times a few tries.
	calls = []float64{.025, .05, .1, .25, .5, 1, 2.5, 5, 15, 30, 60, 120, 300}
)

// Config configures the metrics.
type Config struct {
	// Lanes are all lanes of the process.
	Lanes []*lane.Lane
	// Redis contains their queues, and is read at every scrape. The caller closes it.
	Redis redis.UniversalClient
	// Codes are the platforms' codes that a label may show. Others become "other".
	// Patterns with a star are skipped.
	Codes []providers.Code
	// Webhooks are the names of the webhooks.
	Webhooks []string
	// Ready returns nil if the worker is ready. It must return within a second or two.
	Ready func(context.Context) error
	// Log receives panics of a scrape. nil: they are only reported to the scraper.
	Log *slog.Logger
}

// Metrics is a registry and its sources. It is a [lane.Observer] and a
// [sweep.Observer].
type Metrics struct {
	registry *prometheus.Registry
	codes    map[string]string // by lower-case code

	tasks, attempts, calls, sends, recovered, closed, holds *prometheus.CounterVec

	resent, logins, fed, refused, webhooks *prometheus.CounterVec
	late                                   *prometheus.GaugeVec

	unservedQueues, unservedTasks prometheus.Gauge

	taskWait, slotWait, callTook, attemptTook, taskTook *prometheus.HistogramVec
}

// New returns the metrics of a process. Every counter that an alert uses starts at 0:
// Prometheus does not see an increase from a missing series.
func New(cfg Config) *Metrics {
	registry := prometheus.NewRegistry()
	register := factory{promauto.With(registry)}
	m := &Metrics{
		registry: registry, codes: codeLabels(cfg.Codes),

		tasks: register.counter("tasks_total", "Tasks that ended, by outcome, and for dead letters by class.", "lane", "outcome", "class"),
		attempts: register.counter("attempts_total",
			"Attempts by what happens to the task and why. Class throttled: the platform refused the rate.", "lane", "action", "class"),
		calls: register.counter("calls_total",
			"Calls that sent a request, by the code of the last answer: ok, the platform's code, http_4xx and so on for an answer without a code, "+
				"no_answer, or other.", "lane", "code"),
		sends: register.counter("sends_total", "Metered requests that left, including quick retries.", "lane"),
		closed: register.counter("dead_letters_closed_total",
			"Dead letters that were closed automatically, because all their fields were applied at a higher revision.", "lane", "class"),
		holds: register.counter("hold_changes_total",
			"Holds that began, changed their reason or ended, counted by the worker that did it. Changes by a person's command are not counted.",
			"level", "class", "change"),
		recovered: register.counter("tasks_recovered_total", "Tasks that run again because their worker died.", "lane"),

		resent: register.counter("resends_total",
			"Attempts to send a value once more that a late request may have overwritten, by what happened and why.", "lane", "action", "class"),
		late: register.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: "late_targets", Help: "Targets whose values a late request may " +
			"have overwritten and that are sent once more. Every worker reports the same number."}, []string{"lane"}),

		logins: register.counter("web_logins_refused_total",
			"Logins at the web UI that were refused. Reason wrong: no such user or a wrong password; slowed: not checked, after too many wrong ones of the address.",
			"reason"),

		fed:     register.counter("run_rows_fed_total", "Rows of runs that this worker stored in the queues of the lane.", "lane"),
		refused: register.counter("api_refused_total", "Requests to the HTTP API that were refused before a handler saw them, by the reason.", "reason"),
		webhooks: register.counter("webhook_calls_total", "Calls of webhooks. Result delivered: answered with 2xx; failed: will be tried again; given_up: after a "+
			"day, or the endpoint wants no more.", "webhook", "result"),

		unservedQueues: register.gauge("unserved_queues",
			"Queues that hold tasks and that no worker serves, checked every 30 s. Every worker reports the same number."),
		unservedTasks: register.gauge("unserved_tasks", "Tasks that wait in the queues of rollcall_unserved_queues."),

		taskWait: register.histogram("task_wait_seconds",
			"Time from the enqueueing of a task to its first attempt that did more than wait. Includes a scheduled delay.", ages),
		slotWait: register.histogram("slot_wait_seconds", "Time a call spent waiting for its slots, for all its sends together.", slots),
		callTook: register.histogram("call_duration_seconds", "Time a call took without waiting for slots: sends, quick retries and a token call.", calls),
		attemptTook: register.histogram("attempt_duration_seconds",
			"Time an attempt took: ledger, slots, call. Includes attempts that ended without a call.", calls),
		taskTook: register.histogram("task_duration_seconds", "Time from the enqueueing of a task to its end, including retries.", ages),
	}
	register.build(buildinfo.Read())
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	panics := &logging.Conditions{Log: cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))}
	for _, c := range []collector{
		newHolds(cfg.Lanes), newQueues(cfg.Redis, cfg.Lanes), newPaces(cfg.Redis, cfg.Lanes), newDead(cfg.Redis, cfg.Lanes),
		newRuns(cfg.Redis), newSchedules(cfg.Redis), newPool(cfg.Redis), newReadiness(cfg.Ready),
	} {
		c.panics = panics
		registry.MustRegister(c)
	}
	m.begin(cfg)
	return m
}

// factory creates metrics and registers them.
type factory struct{ promauto.Factory }

func (f factory) counter(name, help string, labels ...string) *prometheus.CounterVec {
	return f.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func (f factory) gauge(name, help string) prometheus.Gauge {
	return f.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help})
}

func (f factory) histogram(name, help string, buckets []float64) *prometheus.HistogramVec {
	return f.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help, Buckets: buckets,
	}, []string{"lane"})
}

// begin sets the series to 0.
func (m *Metrics) begin(cfg Config) {
	for _, l := range cfg.Lanes {
		m.beginLane(l.Name())
	}
	for _, reason := range []string{wrongLogin, slowedLogin} {
		m.logins.WithLabelValues(reason)
	}
	for _, reason := range access.Reasons() {
		m.refused.WithLabelValues(reason)
	}
	m.SetWebhooks(cfg.Webhooks)
	for _, level := range []hold.Level{hold.Lane, hold.Tenant, hold.Organisation, hold.Address} {
		for _, class := range hold.Classes() {
			for _, change := range []hold.Change{hold.Entered, hold.Changed, hold.Left} {
				m.holds.WithLabelValues(string(level), string(class), string(change))
			}
		}
	}
}

// beginLane sets a lane's series to 0.
func (m *Metrics) beginLane(name string) {
	for _, o := range []handler.Outcome{handler.Applied, handler.Unchanged, handler.Superseded, handler.Settled} {
		m.tasks.WithLabelValues(name, string(o), "")
	}
	m.attempts.WithLabelValues(name, string(outcome.Done), "")
	for _, class := range outcome.Classes() {
		if class == outcome.Unreadable {
			continue // tasks of it died in a newer version
		}
		if class.Kills() {
			m.tasks.WithLabelValues(name, Dead, string(class))
		}
		if class.Kills() && class.OfAttempt() {
			m.attempts.WithLabelValues(name, string(outcome.Dead), string(class))
		}
		if class.Retries() {
			m.attempts.WithLabelValues(name, string(outcome.Retry), string(class))
		}
	}
	m.calls.WithLabelValues(name, codeOK)
	m.sends.WithLabelValues(name)
	m.recovered.WithLabelValues(name)
	m.resent.WithLabelValues(name, string(outcome.Done), "")
	m.late.WithLabelValues(name)
	m.fed.WithLabelValues(name)
	for _, h := range []*prometheus.HistogramVec{m.taskWait, m.slotWait, m.callTook, m.attemptTook, m.taskTook} {
		h.WithLabelValues(name)
	}
}

// Gatherer returns the gatherer of the metrics.
func (m *Metrics) Gatherer() prometheus.Gatherer { return m.registry }

// Handler serves the metrics to Prometheus. Metrics that cannot be read, because Redis
// is unavailable, are left out.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4, Timeout: 10 * time.Second,
	})
}

// Recovered implements [sweep.Observer].
func (m *Metrics) Recovered(name string) { m.recovered.WithLabelValues(name).Inc() }

// DiedOutsideAttempt implements [sweep.Observer].
func (m *Metrics) DiedOutsideAttempt(name string, class outcome.Class) {
	m.tasks.WithLabelValues(name, Dead, string(class)).Inc()
}

// Closed implements [sweep.Observer].
func (m *Metrics) Closed(name string, class outcome.Class) {
	m.closed.WithLabelValues(name, string(class)).Inc()
}

// Unserved implements [sweep.Observer].
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
	m.called(a)
	switch v.Action {
	case outcome.Done:
		m.tasks.WithLabelValues(a.Lane, string(r.Outcome), "").Inc()
	case outcome.Dead:
		m.tasks.WithLabelValues(a.Lane, Dead, string(v.Class)).Inc()
	case outcome.Retry:
	}
	// A revision is the time of Redis' clock, in microseconds, when the task was
	// enqueued. A task that could not be read has none.
	if r.Revision == 0 {
		return
	}
	enqueued := time.UnixMicro(r.Revision)
	if a.Retried == 0 && (v.Counted || v.Action != outcome.Retry) {
		m.taskWait.WithLabelValues(a.Lane).Observe(max(a.Start.Sub(enqueued), 0).Seconds())
	}
	if v.Action != outcome.Retry {
		m.taskTook.WithLabelValues(a.Lane).Observe(max(a.Start.Add(a.Took).Sub(enqueued), 0).Seconds())
	}
}

// called counts the call of an attempt, if there was one.
func (m *Metrics) called(a lane.Attempt) {
	v, r := a.Verdict, a.Report
	if r.Sends == 0 {
		return
	}
	m.sends.WithLabelValues(a.Lane).Add(float64(r.Sends))
	m.calls.WithLabelValues(a.Lane, m.code(v.Err)).Inc()
	m.slotWait.WithLabelValues(a.Lane).Observe(r.SlotWait.Seconds())
	m.callTook.WithLabelValues(a.Lane).Observe(r.Call.Seconds())
}

// The reasons of a refused login.
const (
	wrongLogin  = "wrong"
	slowedLogin = "slowed"
)

// LoginRefused counts a login at the web UI that was wrong, or not checked at all.
func (m *Metrics) LoginRefused(checked bool) {
	reason := slowedLogin
	if checked {
		reason = wrongLogin
	}
	m.logins.WithLabelValues(reason).Inc()
}

// RequestRefused implements [access.Observer].
func (m *Metrics) RequestRefused(reason string) { m.refused.WithLabelValues(reason).Inc() }

// SetWebhooks adds the webhooks of a new configuration.
func (m *Metrics) SetWebhooks(names []string) {
	for _, name := range names {
		for _, result := range webhook.Results() {
			m.webhooks.WithLabelValues(name, string(result))
		}
	}
}

// WebhookCalled implements [webhook.Observer].
func (m *Metrics) WebhookCalled(name string, result webhook.Result) {
	m.webhooks.WithLabelValues(name, string(result)).Inc()
}

// Late implements [lane.Observer].
func (m *Metrics) Late(name string, targets int64) {
	m.late.WithLabelValues(name).Set(float64(targets))
}

// Resent implements [lane.Observer].
func (m *Metrics) Resent(a lane.Attempt) {
	m.resent.WithLabelValues(a.Lane, string(a.Verdict.Action), string(a.Verdict.Class)).Inc()
	m.called(a)
}

// Labels of answers without a code, or with an unknown one.
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

// code returns the label for the end of a call. A code that is not in the tables
// becomes "other", so that a platform cannot create new series.
func (m *Metrics) code(err error) string {
	if err == nil {
		return codeOK
	}
	e, ok := errors.AsType[*providers.Error](err)
	switch {
	case !ok:
		return codeOther // the platform accepted the call, but the settle failed
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
